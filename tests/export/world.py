"""What the export's tests stand on: a box with objects as acquire makes them, exams as the console ends them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from appliance.base.paths import Paths
from appliance.base.uids import new_uid
from appliance.compose.document import compose_document
from appliance.compose.instance import Origins, compose_clip, compose_still
from appliance.compose.note import compose_note
from appliance.compose.pixels import fragment_header, padding, pixel_form_from
from appliance.devices.frame import Frame
from appliance.exam.audit import AuditTrail
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Closed, Closing, Exam, Instance, Outcome, PlannedSeries, open_exam
from appliance.exam.facts import ExamFacts, exam_id_from
from appliance.export.run import Export, Exported
from appliance.export.selection import Wanted
from appliance.spool.names import ObjectName, digest_of
from appliance.spool.tree import Spool
from tests.compose.world import (
    BOX,
    CAPTURED_AT,
    DEVICES,
    GRABBER,
    OPENED_AT,
    SERIAL,
    clip_frames,
    full_entry,
    item_from_entry,
    jpeg,
    jpeg_frame,
    rgb_frame,
)
from tests.console.fakes import HandClock


def patient(name: str, patient_id: str, charset: str | list[str] = "ISO_IR 100", issuer: str = "KIS") -> Dataset:
    """A worklist entry of a study of its own."""
    entry = full_entry()
    entry.SpecificCharacterSet = charset
    entry.PatientName, entry.PatientID, entry.IssuerOfPatientID = name, patient_id, issuer
    entry.ReferringPhysicianName, entry.InstitutionName = "Referrer", "Hospital"
    entry.StudyInstanceUID = new_uid()
    return entry


@dataclass
class Box:
    """A state directory and a stick: two directories of one disk."""

    directory: Path
    exams: int = 0
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.paths = Paths.below(self.directory / "box")
        self.spool, self.facts = Spool(self.paths.state), ExamFacts(Spool(self.paths.state).exams)
        self.spool.make()
        self.clock = HandClock()
        self.stick = self.directory / "stick"
        self.stick.mkdir()

    # -- the box's side

    def open(self, entry: Dataset) -> Exam:
        self.exams += 1
        opened = OPENED_AT + timedelta(minutes=self.exams)
        exam = open_exam(item_from_entry(entry), DEVICES, opened, exam_id_from(self.exams, opened))
        self.facts.write(exam.exam_id, "exam", exam)
        return exam

    def still(self, exam: Exam | None, *, is_jpeg: bool = True) -> Path:
        device = GRABBER if is_jpeg else SERIAL
        frame = _frame_of(is_jpeg)
        form = "1920x1080p30" if is_jpeg else ""
        composed = compose_still(
            Origins(exam, device, BOX, new_uid(), CAPTURED_AT, self._number(exam), form, "" if form else "BMP"),
            pixel_form_from(frame),
            len(frame.data),
            lossy_bytes=frame.lossy_bytes,
        )
        data = composed.header + frame.data + composed.trailer
        return self._publish(exam, device.name, composed.sop_instance_uid, data, 0)

    def document(self, exam: Exam | None) -> Path:
        pdf = b"%PDF-1.4\n%%EOF"
        origins = Origins(exam, SERIAL, BOX, new_uid(), CAPTURED_AT, self._number(exam), "", "ASTM E1394")
        composed = compose_document(origins, "Densitometer: Ergebnisse für Ärzte", len(pdf))
        data = composed.header + pdf + composed.trailer
        return self._publish(exam, SERIAL.name, composed.sop_instance_uid, data, 0)

    def note(self, exam: Exam, rejected: str) -> Path:
        series = PlannedSeries(SERIAL.name, "KO", new_uid(), 103, "Rejection note")
        series_uid = exam.series[0].series_instance_uid
        image = Instance(str(SecondaryCaptureImageStorage), rejected, "", series_uid, SERIAL.name, "US", "", 1)
        uid = new_uid()
        data = compose_note(replace(exam, series=(series,), steps=()), BOX, SERIAL.name, uid, [image])
        return self._publish(exam, SERIAL.name, uid, data, 0)

    def clip(self, exam: Exam | None) -> Path:
        """Its digest begins behind the header, as a clip's does."""
        frames = clip_frames()
        origins = Origins(exam, GRABBER, BOX, new_uid(), CAPTURED_AT, self._number(exam), "1920x1080p30")
        composed = compose_clip(origins, pixel_form_from(jpeg_frame(frames[0])), 1000 / 30)
        content = bytearray(composed.header)
        for one in frames:
            content += fragment_header(len(one) + len(one) % 2) + one + padding(len(one))
        content += composed.trailer
        values = {"NumberOfFrames": "3", "FrameTime": "33.3667", "LossyImageCompressionRatio": "10"}
        for keyword, slot in composed.slots.items():
            content[slot.position : slot.position + slot.width] = slot.fill(values[keyword])
        uid = composed.sop_instance_uid
        return self._publish(exam, GRABBER.name, uid, bytes(content), len(composed.header))

    def _number(self, exam: Exam | None) -> int:
        key = exam.exam_id if exam else ""
        self.numbers[key] = self.numbers.get(key, 0) + 1
        return self.numbers[key]

    def _publish(self, exam: Exam | None, device: str, uid: str, data: bytes, offset: int) -> Path:
        directory = self.spool.captured(device, exam.exam_id if exam else None)
        directory.mkdir(parents=True, exist_ok=True)
        temporary = directory / ".part-test"
        temporary.write_bytes(data)
        return temporary.rename(directory / str(ObjectName(uid, offset, digest_of(temporary, offset))))

    def end(self, exam: Exam, *, into: str = "outbox") -> Closed:
        """End the exam with everything captured, and hand it over."""
        paths = sorted(self.spool.state.glob(f"captured/*/{exam.exam_id}/*.dcm"))
        closed = Closed(exam.opened_at, Outcome.COMPLETED, tuple(_instance_of(path) for path in paths), ("archive",))
        self.facts.write(exam.exam_id, "closing", Closing(exam.opened_at, Outcome.COMPLETED))
        self.facts.write(exam.exam_id, "closed", closed)
        for path in paths:
            path.rename(self.spool.state / into / path.name)
        return closed

    def settle(self, exam: Exam, states: Mapping[str, str]) -> None:
        """What forward writes; `states` by SOP Instance UID."""
        objects = [
            {"sop_instance_uid": uid, "destinations": {"archive": {"state": state}}} for uid, state in states.items()
        ]
        (self.spool.settled / f"{exam.exam_id}.json").write_text(json.dumps({"objects": objects, "steps": []}))

    def decide(self, exam: Exam, kind: DecisionKind, uid: str) -> None:
        self.facts.decide(exam.exam_id, Decision(kind, uid, OPENED_AT, "maria", "Because."))

    def uids(self) -> set[str]:
        """All objects on the box, quarantine left out."""
        tops = ("captured", "outbox", "kept")
        return {path.name.partition("~")[0] for top in tops for path in (self.spool.state / top).rglob("*.dcm")}

    # -- the export

    def export(self, wanted: Wanted | None = None) -> Exported:
        trail = AuditTrail(self.paths.audit, "export", self.clock)
        export = Export(self.spool, self.stick, trail, self.clock, actor="maria")
        return export.run(wanted or Wanted(), is_own_flash_fine=True)

    def on_stick(self) -> dict[str, Path]:
        """The objects below the stick by SOP Instance UID, each a readable file."""
        files = [path for path in self.stick.rglob("*") if path.is_file() and path.name not in ("DICOMDIR",)]
        return {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in files}


@cache
def _frame_of(is_jpeg: bool) -> Frame:
    return jpeg_frame(jpeg(is_odd=False)) if is_jpeg else rgb_frame()


def _instance_of(path: Path) -> Instance:
    header = dcmread(path, stop_before_pixels=True)
    return Instance(
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
        str(header.file_meta.TransferSyntaxUID),
        str(header.SeriesInstanceUID),
        path.parent.parent.name,
        str(header.Modality),
        path.name,
        path.stat().st_size,
    )


def make_large(path: Path, count: int) -> Path:
    """The object with `count` bytes more, a hole in the file: quick to write, as long to read as any."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + count)
    return path.rename(path.with_name(str(ObjectName(uid_of(path), 0, digest_of(path, 0)))))


def uid_of(path: Path) -> str:
    return path.name.partition("~")[0]
