"""An exam: whose it is, and every identifier that it will ever use, fixed when it is opened.

The patient is on disk before the first frame exists: opening writes this record durably, and it never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.base.uids import new_uid
from appliance.config.schema import Device
from appliance.exam.item import WorklistItem


class Outcome(StrEnum):
    """How an examination ended, as the performed step says it (PS3.3 C.4.14, (0040,0252))."""

    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


@dataclass(frozen=True)
class PlannedSeries:
    """The series that a device fills in this exam: one equipment, one modality."""

    device: str
    modality: str
    series_instance_uid: str
    series_number: int
    series_description: str = ""
    protocol_name: str = ""


@dataclass(frozen=True)
class PlannedStep:
    """The performed procedure step of one modality; it begins with the modality's first object."""

    modality: str
    sop_instance_uid: str
    performed_procedure_step_id: str


@dataclass(frozen=True)
class Exam:
    """`exam.json`. `opened_at` is the start of study and step in every object and message."""

    exam_id: str
    opened_at: datetime
    item: WorklistItem
    study_instance_uid: str
    series: tuple[PlannedSeries, ...]
    steps: tuple[PlannedStep, ...]
    operators_name: str = ""

    def series_of(self, device: str) -> PlannedSeries:
        """The series of `device`; KeyError when the device was not configured at the opening."""
        for series in self.series:
            if series.device == device:
                return series
        raise KeyError(device)

    def step_of(self, modality: str) -> PlannedStep:
        """The performed step of `modality`; KeyError when no device of that modality was configured."""
        for step in self.steps:
            if step.modality == modality:
                return step
        raise KeyError(modality)


@dataclass(frozen=True)
class Instance:
    """One object of an exam as the exam's end lists it. `bytes` is the file's size."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    device: str
    modality: str
    file_name: str
    bytes: int


@dataclass(frozen=True)
class Started:
    """`started-MODALITY.json`: the first object of this modality is durable."""

    modality: str
    started_at: datetime
    sop_instance_uid: str


@dataclass(frozen=True)
class Closing:
    """`closing.json`: nothing new belongs to the exam from here on; what is under way may finish."""

    closing_at: datetime
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Closed:
    """`closed.json`: the complete list of the exam's objects, and where each of them must go."""

    closed_at: datetime
    outcome: Outcome
    instances: tuple[Instance, ...]
    destinations: tuple[str, ...]
    reason: str = ""
    findings: tuple[str, ...] = ()


def open_exam(item: WorklistItem, devices: Iterable[Device], now: datetime, exam_id: str) -> Exam:
    """A new exam on `item` with an identifier for everything that may come.

    The Study Instance UID is the worklist's (PS3.4 K.6.1.2.2), or a fresh one where the entry has none. A step for each
    modality, a series for each device; a step's ID must differ from that of every other step of the same requested
    procedure and fits SH, 16 characters.
    """
    chosen = tuple(devices)
    modalities = tuple(dict.fromkeys(device.modality for device in chosen))
    return Exam(
        exam_id=exam_id,
        opened_at=now.replace(microsecond=0),
        item=item,
        study_instance_uid=item.study_instance_uid or new_uid(),
        series=tuple(
            PlannedSeries(
                device=device.name,
                modality=device.modality,
                series_instance_uid=new_uid(),
                series_number=number,
                series_description=device.series_description,
                protocol_name=device.series_description or device.title or device.modality,
            )
            for number, device in enumerate(chosen, start=1)
        ),
        steps=tuple(
            # By number, since modalities that begin alike would share an ID of 16 characters.
            PlannedStep(modality, new_uid(), f"{exam_id[-11:]}-{number}")
            for number, modality in enumerate(modalities, start=1)
        ),
    )
