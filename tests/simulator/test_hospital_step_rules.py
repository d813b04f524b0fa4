"""The rules of performed steps (PS3.4 F.7.2), as a table of what is refused and why."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from appliance.simulator.hospital.step_rules import TABLE, refusal_of_creation, refusal_of_update, step_from_update
from tests.simulator.datasets import step_creation, step_end

# pydicom warns of the bad values that these tests make.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")


def _remove(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: dataset.__delattr__(keyword)


def _put(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, value)


def _in_first(sequence: str, change: Callable[[Dataset], None]) -> Callable[[Dataset], None]:
    return lambda dataset: change(dataset[sequence].value[0])


CREATIONS: list[tuple[str, Callable[[Dataset], None], int, str]] = [
    *((f"no {rule.keyword}", _remove(rule.keyword), 0x0120, rule.keyword) for rule in TABLE if rule.creation <= 2),
    *(
        (f"empty {rule.keyword}", _put(rule.keyword, None), 0x0121, rule.keyword)
        for rule in TABLE
        if rule.creation == 1
    ),
    ("already completed", _put("PerformedProcedureStepStatus", "COMPLETED"), 0x0106, "PerformedProcedureStepStatus"),
    ("unknown status", _put("PerformedProcedureStepStatus", "RUNNING"), 0x0106, "PerformedProcedureStepStatus"),
    ("no date", _put("PerformedProcedureStepStartDate", "22.11.2026"), 0x0106, "PerformedProcedureStepStartDate"),
    ("a range", _put("PerformedProcedureStepStartDate", "20261122-"), 0x0106, "PerformedProcedureStepStartDate"),
    ("no time", _put("PerformedProcedureStepStartTime", "7 pm"), 0x0106, "PerformedProcedureStepStartTime"),
    ("modality in lower case", _put("Modality", "ultrasound"), 0x0106, "Modality"),
    (
        "no study in the item",
        _in_first("ScheduledStepAttributesSequence", _remove("StudyInstanceUID")),
        0x0120,
        "StudyInstanceUID",
    ),
    (
        "no UID",
        _in_first("ScheduledStepAttributesSequence", _put("StudyInstanceUID", "1.2.x")),
        0x0106,
        "StudyInstanceUID",
    ),
    (
        "no accession number in the item, not even empty",
        _in_first("ScheduledStepAttributesSequence", _remove("AccessionNumber")),
        0x0120,
        "AccessionNumber",
    ),
]


def test_ok__a_complete_creation() -> None:
    assert refusal_of_creation(step_creation()) is None


def test_ok__an_unscheduled_step_has_empty_scheduled_attributes() -> None:
    step = step_creation()
    scheduled = step.ScheduledStepAttributesSequence[0]
    for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"):
        setattr(scheduled, keyword, "")
    scheduled.ScheduledProcedureStepID = scheduled.ScheduledProcedureStepDescription = ""
    assert refusal_of_creation(step) is None


@pytest.mark.parametrize(
    ("change", "status", "keyword"), [row[1:] for row in CREATIONS], ids=[row[0] for row in CREATIONS]
)
def test_fail__creation(change: Callable[[Dataset], None], status: int, keyword: str) -> None:
    step = step_creation()
    change(step)
    refusal = refusal_of_creation(step)
    assert refusal is not None
    assert (refusal.status, refusal.attributes) == (status, (Tag(keyword),))
    assert len(refusal.comment) <= 64


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_ok__the_end(state: str) -> None:
    step, end = step_creation(), step_end(state)
    before = deepcopy(step)
    assert refusal_of_update(step, end) is None
    ended = step_from_update(step, end)
    assert step == before
    assert ended.PerformedProcedureStepStatus == state
    assert ended.PatientName == "Okafor^Adaeze"
    assert ended.PerformedSeriesSequence == end.PerformedSeriesSequence


def test_ok__intermediate_updates_without_status() -> None:
    changes = Dataset()
    changes.PerformedProcedureStepDescription = "Second trimester"
    assert refusal_of_update(step_creation(), changes) is None


def test_ok__an_end_in_two_parts() -> None:
    """The series may come before the status: the final state is judged of the step, not of the request."""
    step, end = step_creation(), step_end()
    first = Dataset()
    first.PerformedSeriesSequence = end.PerformedSeriesSequence
    del end.PerformedSeriesSequence
    assert refusal_of_update(step, end) is not None
    assert refusal_of_update(step_from_update(step, first), end) is None


UPDATES: list[tuple[str, Callable[[Dataset], None], int, tuple[str, ...]]] = [
    ("patient", _put("PatientName", "Other^One"), 0x0105, ("PatientName",)),
    ("patient ID", _put("PatientID", "X"), 0x0105, ("PatientID",)),
    (
        "scheduled attributes",
        _put("ScheduledStepAttributesSequence", Sequence()),
        0x0105,
        ("ScheduledStepAttributesSequence",),
    ),
    ("start date", _put("PerformedProcedureStepStartDate", "20261122"), 0x0105, ("PerformedProcedureStepStartDate",)),
    ("modality", _put("Modality", "ES"), 0x0105, ("Modality",)),
    (
        "settable, but not created",
        _put("PerformedProcedureStepDiscontinuationReasonCodeSequence", Sequence()),
        0x0105,
        ("PerformedProcedureStepDiscontinuationReasonCodeSequence",),
    ),
    ("empty status", _put("PerformedProcedureStepStatus", ""), 0x0121, ("PerformedProcedureStepStatus",)),
    ("unknown status", _put("PerformedProcedureStepStatus", "DONE"), 0x0106, ("PerformedProcedureStepStatus",)),
    ("no series", _put("PerformedSeriesSequence", Sequence()), 0x0121, ("PerformedSeriesSequence",)),
    ("no series at all", _remove("PerformedSeriesSequence"), 0x0121, ("PerformedSeriesSequence",)),
    ("no end date", _put("PerformedProcedureStepEndDate", ""), 0x0121, ("PerformedProcedureStepEndDate",)),
    ("no end time", _remove("PerformedProcedureStepEndTime"), 0x0121, ("PerformedProcedureStepEndTime",)),
    ("bad end time", _put("PerformedProcedureStepEndTime", "2561"), 0x0106, ("PerformedProcedureStepEndTime",)),
    (
        "series without UID",
        _in_first("PerformedSeriesSequence", _remove("SeriesInstanceUID")),
        0x0120,
        ("SeriesInstanceUID",),
    ),
    (
        "series without protocol",
        _in_first("PerformedSeriesSequence", _put("ProtocolName", "")),
        0x0121,
        ("ProtocolName",),
    ),
    (
        "series without image list",
        _in_first("PerformedSeriesSequence", _remove("ReferencedImageSequence")),
        0x0120,
        ("ReferencedImageSequence",),
    ),
    (
        "image without class",
        _in_first("PerformedSeriesSequence", _in_first("ReferencedImageSequence", _remove("ReferencedSOPClassUID"))),
        0x0120,
        ("ReferencedSOPClassUID",),
    ),
]


@pytest.mark.parametrize(
    ("change", "status", "keywords"), [row[1:] for row in UPDATES], ids=[row[0] for row in UPDATES]
)
def test_fail__update(change: Callable[[Dataset], None], status: int, keywords: tuple[str, ...]) -> None:
    end = step_end()
    change(end)
    refusal = refusal_of_update(step_creation(), end)
    assert refusal is not None
    assert (refusal.status, refusal.attributes) == (status, tuple(Tag(keyword) for keyword in keywords))


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_fail__nothing_after_a_final_state(state: str) -> None:
    step = step_from_update(step_creation(), step_end(state))
    refusal = refusal_of_update(step, step_end())
    assert refusal is not None
    assert (refusal.status, refusal.error_id) == (0x0110, 0xA710)
    assert refusal.comment == "Performed Procedure Step Object may no longer be updated"


def test_ok__an_end_in_another_character_set_makes_the_step_unicode() -> None:
    step, end = step_creation(), step_end()
    step.SpecificCharacterSet = "ISO_IR 100"
    step.PatientName = "Müller^Jürgen"
    end.SpecificCharacterSet = "ISO_IR 144"
    end.PerformedSeriesSequence[0].PerformingPhysicianName = "Лебедева^Мария"
    assert refusal_of_update(step, end) is None
    ended = step_from_update(step, end)
    assert ended.SpecificCharacterSet == "ISO_IR 192"
    assert str(ended.PatientName) == "Müller^Jürgen"
