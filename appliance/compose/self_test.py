"""The exam of the self test: a study of its own for the configured test patient, with a small object of each class.

It is composed as any other, and its images are marked Quality Control Image (0028,0300), so that no reader takes them
for an examination; a document, which cannot have that mark, says so in its title, and a rejection note rejects the
test's own still. Nothing of it enters the spool or the journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.uid import (
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from appliance.base.uids import new_uid
from appliance.compose.document import compose_document
from appliance.compose.encode import format_frame_time
from appliance.compose.instance import Composed, Origins, compose_clip, compose_still
from appliance.compose.kinds import NOTE_KIND, Form, Kind, storable_kinds
from appliance.compose.note import MODALITY, compose_note
from appliance.compose.pixels import PixelForm, native_length
from appliance.compose.steps import creation_from, final_from
from appliance.config.devices import Device, SerialDevice
from appliance.config.schema import Box, Configuration, TestPatient
from appliance.exam.exam import Closed, Exam, Instance, Outcome, PlannedSeries, PlannedStep, open_exam
from appliance.exam.item import ISSUER_OF_PATIENT_ID, PATIENT_ID, PATIENT_NAME, WorklistItem
from appliance.exam.reasons import UNSPECIFIED

DEVICE_NAME: Final = "self-test"
OF_THE_STEP: Final = (
    "ReferencedPerformedProcedureStepSequence",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepID",
)
"""What an object says of its performed step; without a step that was begun it says nothing."""

_NOTE_NAME = "self-test-note"
_TITLE = "Test of the connection. This is no examination."
_EDGE = 128  # pixels
_FRAMES, _FRAME_TIME_MS = 2, 40.0
_STILL, _NATIVE = str(SecondaryCaptureImageStorage), str(ExplicitVRLittleEndian)
_PDF, _NOTE = str(EncapsulatedPDFStorage), str(KeyObjectSelectionDocumentStorage)
# Photometric interpretation, samples and bits of the classes of many frames.
_CLIPS: Final = {
    str(MultiFrameTrueColorSecondaryCaptureImageStorage): ("RGB", 3, 8),
    str(MultiFrameGrayscaleByteSecondaryCaptureImageStorage): ("MONOCHROME2", 1, 8),
    str(MultiFrameGrayscaleWordSecondaryCaptureImageStorage): ("MONOCHROME2", 1, 16),
}


def self_test_classes(configuration: Configuration) -> tuple[str, ...]:
    """The SOP class of each kind of object that the configuration makes; a still's is always there."""
    kinds = storable_kinds(configuration.devices, has_notes=configuration.box.corrections)
    return tuple(dict.fromkeys((_STILL, *(sop_class for sop_class, _ in kinds))))


def self_test_kinds(configuration: Configuration) -> tuple[Kind, ...]:
    """What the test's own objects are, where there is a test patient: for the conformance statement.

    Without compression: an archive that takes an image in JPEG alone says so when the contexts are proposed.
    """
    if configuration.test_patient is None:
        return ()
    return tuple(_kind_of(sop_class) for sop_class in self_test_classes(configuration))


def _kind_of(sop_class_uid: str) -> Kind:
    if sop_class_uid == _NOTE:
        return NOTE_KIND
    if sop_class_uid == _PDF:
        return Kind(Form.DOCUMENT, _PDF, _NATIVE, frozenset({"document"}))
    if sop_class_uid == _STILL:
        return Kind(Form.STILL, _STILL, _NATIVE, frozenset({"still", "self test"}))
    samples = _CLIPS[sop_class_uid][1]
    colours = "color" if samples > 1 else "gray frames"
    return Kind(Form.CLIP, sop_class_uid, _NATIVE, frozenset({"clip", "self test", colours}))


def self_test_device(configuration: Configuration) -> Device:
    """What the objects claim to come from: of the first configured device's modality, an image over a serial line."""
    return SerialDevice(
        driver="xmodem",
        name=DEVICE_NAME,
        line=Path(DEVICE_NAME),
        modality=configuration.devices[0].modality if configuration.devices else "OT",
        manufacturer="Modality bridge",
        model="Self test",
        series_description="Test of the connection",
        burned_in_annotation="NO",
    )


@dataclass(frozen=True, slots=True)
class SelfTestExam:
    """One run's exam; `device` is what the objects claim to come from, `classes` what is made of it."""

    exam: Exam
    device: Device
    box: Box
    began_at: datetime
    classes: tuple[str, ...]

    @property
    def step(self) -> PlannedStep:
        return self.exam.steps[0]

    def write_objects(self, directory: Path, *, has_step: bool) -> Iterator[tuple[Path, Instance]]:
        """An object of each class, composed into `directory`; with `has_step` they name the performed step. OSError."""
        written: list[Instance] = []
        for number, sop_class in enumerate(self.classes, start=1):
            path = directory / f"{number}.dcm"
            dataset = dcmread(BytesIO(self._compose(sop_class, number, written)))
            for keyword in OF_THE_STEP:
                if not has_step and keyword in dataset and sop_class != _NOTE:
                    del dataset[keyword]
            dataset.save_as(path, enforce_file_format=True)
            is_note = sop_class == _NOTE
            instance = Instance(
                sop_class_uid=sop_class,
                sop_instance_uid=str(dataset.SOPInstanceUID),
                transfer_syntax_uid=_NATIVE,
                series_instance_uid=str(dataset.SeriesInstanceUID),
                device=_NOTE_NAME if is_note else DEVICE_NAME,
                modality=MODALITY if is_note else self.device.modality,
                file_name=path.name,
                bytes=path.stat().st_size,
            )
            written.append(instance)
            yield path, instance

    def _compose(self, sop_class_uid: str, number: int, before: Sequence[Instance]) -> bytes:
        if sop_class_uid == _NOTE:
            return compose_note(self.exam, self.box, _NOTE_NAME, new_uid(), before[:1])
        origins = Origins(self.exam, self.device, self.box, new_uid(), self.began_at, number, is_self_test=True)
        if sop_class_uid == _PDF:
            document = _blank_pdf()
            return _joined(compose_document(origins, _TITLE, len(document)), document)
        if sop_class_uid == _STILL:
            still = PixelForm(_NATIVE, _EDGE, _EDGE, 1, "MONOCHROME2", 8, 8)
            pixels = _pattern(still)
            return _joined(compose_still(origins, still, len(pixels)), pixels)
        photometric, samples, bits = _CLIPS[sop_class_uid]
        form = PixelForm(_NATIVE, _EDGE, _EDGE, samples, photometric, bits, bits)
        return _clip(compose_clip(origins, form, _FRAME_TIME_MS), _pattern(form) * _FRAMES)

    def creation(self) -> Dataset:
        """The data set of N-CREATE."""
        return creation_from(self.exam, self.step, self.box)

    def end(self, now: datetime, instances: tuple[Instance, ...]) -> Dataset:
        """The data set of N-SET: discontinued, with what was stored."""
        closed = Closed(now, Outcome.DISCONTINUED, instances, (), reason=UNSPECIFIED.code)
        return final_from(self.exam, self.step, closed)


def open_self_test_exam(configuration: Configuration, patient: TestPatient, now: datetime) -> SelfTestExam:
    """A new exam of `patient`."""
    device = self_test_device(configuration)
    item = WorklistItem(
        "",
        {
            PATIENT_NAME: {"vr": "PN", "Value": [{"Alphabetic": patient.patient_name}]},
            PATIENT_ID: {"vr": "LO", "Value": [patient.patient_id]},
            **(
                {ISSUER_OF_PATIENT_ID: {"vr": "LO", "Value": [patient.issuer_of_patient_id]}}
                if patient.issuer_of_patient_id
                else {}
            ),
        },
        given=(PATIENT_NAME, PATIENT_ID, ISSUER_OF_PATIENT_ID),
    )
    exam = open_exam(item, [device], now, f"test-{now:%Y%m%d-%H%M%S}")
    note = PlannedSeries(_NOTE_NAME, MODALITY, new_uid(), len(exam.series) + 1, "Rejection note")
    exam = replace(exam, series=(*exam.series, note))
    return SelfTestExam(exam, device, configuration.box, now, self_test_classes(configuration))


def _joined(composed: Composed, content: bytes) -> bytes:
    return composed.header + content + composed.trailer


def _clip(composed: Composed, frames: bytes) -> bytes:
    """With what is known only at a clip's end filled in."""
    content = bytearray(composed.header[:-4] + native_length(len(frames)) + frames)
    for keyword, value in (("NumberOfFrames", str(_FRAMES)), ("FrameTime", format_frame_time(_FRAME_TIME_MS))):
        slot = composed.slots[keyword]
        content[slot.position : slot.end] = slot.fill(value)
    return bytes(content)


def _pattern(form: PixelForm) -> bytes:
    """One frame, of an even length: rows and columns, each sample as the one before it."""
    samples = bytes((row ^ column) & 0xFF for row in range(form.rows) for column in range(form.columns))
    return b"".join(
        samples[place : place + 1] * (form.samples * form.bits_allocated // 8) for place in range(len(samples))
    )


def _blank_pdf() -> bytes:
    """A page with nothing on it (ISO 32000-1 7.5)."""
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
    )
    content, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    rows = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (rows, len(content))
    return content + b"xref\n0 %d\n0000000000 65535 f \n" % rows + table + trailer
