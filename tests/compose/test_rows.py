"""The rules by which rows become elements: presence and source, case by case (the words of PS3.2 Annex N)."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydicom import Dataset

from appliance.compose.rows import (
    Facts,
    Origin,
    Presence,
    Row,
    configured,
    dataset_from,
    device,
    fixed,
    generated,
    mwl,
    user,
)

ALWAYS, VNAP, ANAP, EMPTY = Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY
ABSENT = object()


def _facts(**given: Any) -> Facts:
    scheduled = Dataset()
    step = Dataset()
    step.ScheduledProcedureStepID = "SPS1"
    scheduled.ScheduledProcedureStepSequence = [step]
    scheduled.StudyDescription = "scheduled"
    scheduled.PatientComments = ""
    return Facts(
        entries=(given.get("scheduled", scheduled),),
        generated={"text": "generated", "nothing": ""},
        configuration={"text": "configured", "nothing": None},
        device={"text": "device", "number": 3},
        user={"text": "user"},
        conditions=frozenset(given.get("conditions", ())),
    )


# Presence, origins → the value, nothing as value (None), or no attribute at all (ABSENT).
CASES: list[tuple[Presence, tuple[Origin, ...], Any]] = [
    (ALWAYS, (fixed("constant"),), "constant"),
    (ALWAYS, (generated("text"),), "generated"),
    (ALWAYS, (configured("text"),), "configured"),
    (ALWAYS, (device("text"),), "device"),
    (ALWAYS, (user("text"),), "user"),
    (ALWAYS, (mwl("StudyDescription"),), "scheduled"),
    (ALWAYS, (mwl("ScheduledProcedureStepSequence", "ScheduledProcedureStepID"),), "SPS1"),
    # the first that has a value
    (ALWAYS, (mwl("PatientComments"), configured("nothing"), user("text")), "user"),
    (ALWAYS, (mwl("StudyDescription"), user("text")), "scheduled"),
    # none has
    (VNAP, (mwl("PatientComments"),), None),
    (VNAP, (mwl("PatientID"), generated("nothing")), None),
    (ANAP, (mwl("PatientComments"),), ABSENT),
    (ANAP, (mwl("RequestedProcedureCodeSequence", "CodeValue"),), ABSENT),
    (ANAP, (configured("nothing"),), ABSENT),
    (EMPTY, (), None),
    # one that has
    (VNAP, (user("text"),), "user"),
    (ANAP, (user("text"),), "user"),
]


@pytest.mark.parametrize(("presence", "origins", "expected"), CASES)
def test_ok__presence_and_source(presence: Presence, origins: tuple[Origin, ...], expected: Any) -> None:
    dataset = dataset_from((Row("StudyDescription", "3", presence, origins),), _facts())
    if expected is ABSENT:
        assert len(dataset) == 0
    elif expected is None:
        assert "StudyDescription" in dataset and not dataset.StudyDescription
    else:
        assert dataset.StudyDescription == expected


def test_fail__what_must_have_a_value_and_has_none_is_a_defect() -> None:
    with pytest.raises(ValueError, match=r"StudyDescription has no value from \['MWL', 'GENERATED'\]"):
        dataset_from((Row("StudyDescription", "3", ALWAYS, (mwl("PatientID"), generated("nothing"))),), _facts())


@pytest.mark.parametrize("name", ["misspelt", "text "])
def test_fail__a_fact_that_nobody_gives_is_a_defect(name: str) -> None:
    for origin in (generated(name), configured(name), device(name), user(name)):
        with pytest.raises(KeyError):
            dataset_from((Row("StudyDescription", "3", ANAP, (origin,)),), _facts())


def test_fail__a_misspelt_keyword_is_a_defect() -> None:
    with pytest.raises(ValueError, match="StudyDesc"):
        dataset_from((Row("StudyDesc", "3", EMPTY),), _facts())


def test_ok__a_row_counts_only_under_its_condition() -> None:
    rows = (
        Row("NumberOfFrames", "3", ALWAYS, (fixed(1),), when="film"),
        Row("NumberOfFrames", "3", ALWAYS, (device("number"),), when="clip"),
    )
    assert "NumberOfFrames" not in dataset_from(rows, _facts())
    assert dataset_from(rows, _facts(conditions={"film"})).NumberOfFrames == 1
    assert dataset_from(rows, _facts(conditions={"clip", "color"})).NumberOfFrames == 3


def test_ok__an_item_of_rows_is_one_item_or_nothing() -> None:
    item = (Row("StudyInstanceUID", "3", ANAP, (mwl("StudyInstanceUID"),)),)
    row = Row("RequestAttributesSequence", "3", ANAP, item=item)
    assert "RequestAttributesSequence" not in dataset_from((row,), _facts())
    scheduled = Dataset()
    scheduled.StudyInstanceUID = "1.2.3"
    (made,) = dataset_from((row,), _facts(scheduled=scheduled)).RequestAttributesSequence
    assert made.StudyInstanceUID == "1.2.3"
    with pytest.raises(ValueError, match="RequestAttributesSequence"):
        dataset_from((Row("RequestAttributesSequence", "3", ALWAYS, item=item),), _facts())


def test_ok__a_sequence_is_copied_without_what_is_empty() -> None:
    code, empty, scheduled = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodeMeaning, code.CodingSchemeVersion = "1", "one", ""
    code.EquivalentCodeSequence = [empty]
    empty.CodeValue = ""
    scheduled.ProcedureCodeSequence = [empty, code]
    row = Row("ProcedureCodeSequence", "3", VNAP, (mwl("ProcedureCodeSequence"),))
    (copied,) = dataset_from((row,), _facts(scheduled=scheduled)).ProcedureCodeSequence
    assert [element.keyword for element in copied] == ["CodeValue", "CodeMeaning"]
    copied.CodeValue = "2"
    assert code.CodeValue == "1"  # a copy, not the worklist's own
    scheduled.ProcedureCodeSequence = [empty]
    assert dataset_from((row,), _facts(scheduled=scheduled)).ProcedureCodeSequence == []


def test_fail__a_wrong_vr_is_said_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    scheduled = Dataset()
    scheduled.add_new("PatientID", "FD", 4711.0)
    rows = (Row("PatientID", "3", VNAP, (mwl("PatientID"),)),)
    with caplog.at_level(logging.WARNING):
        assert not dataset_from(rows, _facts(scheduled=scheduled)).PatientID
    assert "PatientID has VR FD instead of LO" in caplog.text
    assert "4711" not in caplog.text


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "is_kept"),
    [
        ("StudyInstanceUID", "LO", "1.2.3", True),
        ("StudyInstanceUID", "LO", "\ufffd", False),
        ("StudyInstanceUID", "LO", "RP-1", False),
        ("StudyInstanceUID", "LO", "1" * 65, False),
        ("PatientSex", "LO", "F", True),
        ("PatientSex", "LO", "männlich", False),
        ("PatientID", "LO", "Ä", True),
    ],
)
def test_ok__what_no_reader_could_read_is_left_out(keyword: str, vr: str, value: str, is_kept: bool) -> None:
    """A UID or a code that holds other characters cannot be written at all, and would cost the frame."""
    scheduled = Dataset()
    scheduled.add_new(keyword, vr, value)
    made = dataset_from((Row(keyword, "3", ANAP, (mwl(keyword),)),), _facts(scheduled=scheduled))
    assert (keyword in made) is is_kept


def test_ok__an_item_loses_only_what_cannot_be_written() -> None:
    item, scheduled = Dataset(), Dataset()
    item.add_new("ReferencedSOPInstanceUID", "UI", "1.2\ufffd")
    item.ReferencedSOPClassUID = "1.2.3"
    scheduled.ReferencedStudySequence = [item]
    row = Row("ReferencedStudySequence", "3", VNAP, (mwl("ReferencedStudySequence"),))
    (made,) = dataset_from((row,), _facts(scheduled=scheduled)).ReferencedStudySequence
    assert [element.keyword for element in made] == ["ReferencedSOPClassUID"]


def test_ok__texts_of_another_vr_are_texts() -> None:
    scheduled = Dataset()
    scheduled.add_new("PatientID", "SH", "P1")
    rows = (Row("PatientID", "3", VNAP, (mwl("PatientID"),)),)
    assert dataset_from(rows, _facts(scheduled=scheduled)).PatientID == "P1"


def test_ok__several_values_stay_several() -> None:
    made = dataset_from((Row("ImageType", "3", ALWAYS, (fixed(("ORIGINAL", "PRIMARY")),)),), _facts())
    assert list(made.ImageType) == ["ORIGINAL", "PRIMARY"]
