"""An exam: whose it is, and every identifier that it will ever use, fixed when it is opened.

The patient is on disk before the first frame exists: opening writes this record durably, and it never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.base.errors import ApplianceError
from appliance.base.uids import new_uid
from appliance.exam.item import ISSUER_OF_PATIENT_ID, WorklistItem, text_at

if TYPE_CHECKING:  # the models of every device take a tenth of a second to build
    from appliance.config.devices import Device


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
    """`exam.json`. `opened_at` is the start of the performed steps in every object and message.

    `further_items` are the other entries that were chosen for the same exam (group case); `study_started_at` is the
    start of the study where this box began it in an earlier exam (append case), None where it begins with this one.
    `is_clock_trusted` says whether the box believed its own clock when it wrote `opened_at`; `has_told_steps`, whether
    a performed-step manager was configured then. Without one no step ever exists, and no object refers to one.
    """

    exam_id: str
    opened_at: datetime
    item: WorklistItem
    study_instance_uid: str
    series: tuple[PlannedSeries, ...]
    steps: tuple[PlannedStep, ...]
    operators_name: str = ""
    further_items: tuple[WorklistItem, ...] = ()
    study_started_at: datetime | None = None
    is_clock_trusted: bool = True
    has_told_steps: bool = True

    @property
    def items(self) -> tuple[WorklistItem, ...]:
        """What the exam was opened on, the first chosen first."""
        return (self.item, *self.further_items)

    @property
    def is_scheduled(self) -> bool:
        """False where a person typed the patient in, since no entry of a worklist was there."""
        return self.item.source != ""

    @property
    def study_began_at(self) -> datetime:
        """Study Date and Time (0008,0020), (0008,0030): one value in everything that this box adds to the study."""
        return self.study_started_at or self.opened_at

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
    """One object of an exam as the exam's end lists it. `bytes` is the file's size.

    `saved_at` outlives the file and the journal; None in what was written before it was listed. `seconds` is a clip's
    running time, 0 for everything else; `is_cut_short`: an interruption ended the clip, and a salvage saved it,
    without `left_out` frames that were damaged.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    device: str
    modality: str
    file_name: str
    bytes: int
    saved_at: datetime | None = None
    frames: int = 1
    seconds: float = 0.0
    is_cut_short: bool = False
    left_out: int = 0


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


@dataclass(frozen=True, slots=True)
class StudySoFar:
    """What this box's earlier exams of a study leave to the next one (append case)."""

    study_instance_uid: str
    started_at: datetime
    last_series_number: int


def open_exam(
    item: WorklistItem,
    devices: Iterable[Device],
    now: datetime,
    exam_id: str,
    *,
    further_items: Iterable[WorklistItem] = (),
    so_far: StudySoFar | None = None,
    is_clock_trusted: bool = True,
    has_told_steps: bool = True,
    operators_name: str = "",
) -> Exam:
    """A new exam on `item` with an identifier for everything that may come.

    The Study Instance UID is the worklist's (PS3.4 K.6.1.2.2), or a fresh one where the entry has none. Where several
    entries were chosen (`further_items`, group case) it is that of the first: an image has one Study Instance UID, and
    PS3.17 J.4.1 and IHE RAD TF-2 4.6 let the modality select one of those of the worklist or make a new one; one of the
    worklist's is known to the hospital already. The other procedures stay reachable through the items of the Request
    Attributes and of the Scheduled Step Attributes Sequence, each with its own UID.

    `so_far` is given where this box has added to the study before (append case): the study keeps its UID, date and
    time, and series numbers go on. Series and performed steps are always new.

    A step for each modality, a series for each device; a step's ID must differ from that of every other step of the
    same requested procedure and fits SH, 16 characters. ApplianceError when the entries are not one patient's.
    """
    items = tuple({one.key: one for one in (item, *further_items)}.values())
    check_one_patient(items)
    chosen = tuple(devices)
    modalities = tuple(dict.fromkeys(device.modality for device in chosen))
    return Exam(
        exam_id=exam_id,
        opened_at=now.replace(microsecond=0),
        item=items[0],
        further_items=items[1:],
        study_instance_uid=so_far.study_instance_uid if so_far else items[0].study_instance_uid or new_uid(),
        study_started_at=so_far.started_at if so_far else None,
        is_clock_trusted=is_clock_trusted,
        has_told_steps=has_told_steps,
        operators_name=operators_name,
        series=tuple(
            PlannedSeries(
                device=device.name,
                modality=device.modality,
                series_instance_uid=new_uid(),
                series_number=number,
                series_description=device.series_description,
                protocol_name=device.protocol_name,
            )
            for number, device in enumerate(chosen, start=so_far.last_series_number + 1 if so_far else 1)
        ),
        steps=tuple(
            # By number, since modalities that begin alike would share an ID of 16 characters.
            PlannedStep(modality, new_uid(), f"{_short_id_from(exam_id)}-{number}")
            for number, modality in enumerate(modalities, start=1)
        ),
    )


def _short_id_from(exam_id: str) -> str:
    """The exam's number, and the time of day beside it for the day on which a box is given a new, empty flash."""
    parts = exam_id.split("-")
    return f"{parts[0].removeprefix('E')}-{parts[-1]}"


def check_one_patient(items: tuple[WorklistItem, ...]) -> None:
    """ApplianceError unless all of `items` carry the same Patient ID of the same issuer.

    An identifier without an issuer is its source's own: two sources may give one number to two people.
    """
    if len(items) < 2:
        return
    if not all(item.patient_id for item in items):
        raise ApplianceError(
            "The entries cannot be examined together: one of them has no Patient ID.",
            "Examine them one after the other.",
        )
    if (
        len({(item.patient_id, text_at(item.elements, ISSUER_OF_PATIENT_ID) or f"\0{item.source}") for item in items})
        > 1
    ):
        raise ApplianceError(
            "The entries cannot be examined together: they are not of the same patient.",
            "Choose steps of one patient only.",
        )
