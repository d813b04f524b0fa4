"""An exam as the console and acquire leave it, made by hand: facts in `exams/`, objects in `outbox/`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from appliance.config.schema import Configuration
from appliance.exam.exam import Closed, Closing, Exam, Instance, Outcome, Started, open_exam
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem
from appliance.spool.tree import Spool
from tests.peers import SECONDARY_CAPTURE, save_object, small_object

EXPLICIT = "1.2.840.10008.1.2.1"
PATIENT_NAME = "Okafor^Adaeze"
PATIENT_ID = "HS-102290"


def scheduled_item() -> WorklistItem:
    return WorklistItem(
        "ris",
        {
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00080050": {"vr": "SH", "Value": ["A26112209"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": PATIENT_NAME}]},
            "00100020": {"vr": "LO", "Value": [PATIENT_ID]},
            "00100030": {"vr": "DA", "Value": ["19940812"]},
            "00100040": {"vr": "CS", "Value": ["F"]},
            "0020000D": {"vr": "UI", "Value": ["1.2.276.0.7230010.3.2.777"]},
            "00321060": {"vr": "LO", "Value": ["Obstetric ultrasound"]},
            "00401001": {"vr": "SH", "Value": ["RP26112209"]},
            "00400100": {
                "vr": "SQ",
                "Value": [{"00080060": {"vr": "CS", "Value": ["US"]}, "00400009": {"vr": "SH", "Value": ["SPS1"]}}],
            },
        },
    )


@dataclass
class Job:
    """One exam below a spool. The console's part is done by the methods, step by step or whole."""

    spool: Spool
    configuration: Configuration
    destinations: tuple[str, ...]
    exam_id: str = "20261122-093000-0001"
    exam: Exam = field(init=False)
    instances: list[Instance] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.facts = ExamFacts(self.spool.exams)
        self.exam = open_exam(scheduled_item(), self.configuration.devices, datetime.now().astimezone(), self.exam_id)
        self.facts.write(self.exam_id, "exam", self.exam)

    def capture(self, device: str = "ultrasound", size: int = 8) -> Instance:
        """A saved object, in `captured/`; the modality's first makes its step begin."""
        series = self.exam.series_of(device)
        instance = small_object(patient_id=PATIENT_ID, name=PATIENT_NAME, size=size)
        instance.StudyInstanceUID = self.exam.study_instance_uid
        instance.SeriesInstanceUID = series.series_instance_uid
        instance.Modality = series.modality
        path = save_object(self.spool.captured(device, self.exam_id), instance)
        self.files[str(instance.SOPInstanceUID)] = path.read_bytes()
        made = Instance(
            SECONDARY_CAPTURE,
            str(instance.SOPInstanceUID),
            EXPLICIT,
            series.series_instance_uid,
            device,
            series.modality,
            path.name,
            path.stat().st_size,
            datetime.fromtimestamp(path.stat().st_mtime).astimezone(),
        )
        self.instances.append(made)
        self.begin(series.modality, made.sop_instance_uid)
        return made

    def begin(self, modality: str, uid: str) -> None:
        now = datetime.now().astimezone()
        self.facts.write(self.exam_id, f"started-{modality}", Started(modality, now, uid))

    def close(self, outcome: Outcome = Outcome.COMPLETED, reason: str = "") -> None:
        now = datetime.now().astimezone()
        self.facts.write(self.exam_id, "closing", Closing(now, outcome, reason))
        self.facts.write(self.exam_id, "closed", Closed(now, outcome, tuple(self.instances), self.destinations, reason))

    def hand_over(self) -> None:
        for instance in self.instances:
            source = self.spool.captured(instance.device, self.exam_id) / instance.file_name
            source.rename(self.spool.outbox / instance.file_name)

    def kept(self) -> set[str]:
        return {path.name.partition("~")[0] for path in self.spool.kept.glob("*.dcm")}

    @property
    def uids(self) -> set[str]:
        return {instance.sop_instance_uid for instance in self.instances}

    @property
    def settled(self) -> Path:
        return self.spool.settled / f"{self.exam_id}.json"
