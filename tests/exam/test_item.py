"""A worklist item as it was received: what people are shown, and what stays the same when the list is asked again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from appliance.exam.item import PersonName, WorklistItem, name_at, text_at, values_at

ELEMENTS: dict[str, Any] = {
    "00080005": {"vr": "CS", "Value": [None, "ISO 2022 IR 87"]},
    "00080050": {"vr": "SH", "Value": ["ACC-1"]},
    "00100010": {
        "vr": "PN",
        "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}],
    },
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00100030": {"vr": "DA", "Value": ["19560708"]},
    "00100040": {"vr": "CS", "Value": ["M"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00321060": {"vr": "LO", "Value": ["Abdomen"]},
    "00401001": {"vr": "SH", "Value": ["RP-1"]},
    "00400100": {
        "vr": "SQ",
        "Value": [
            {
                "00080060": {"vr": "CS", "Value": ["US"]},
                "00400002": {"vr": "DA", "Value": ["20261122"]},
                "00400003": {"vr": "TM", "Value": ["101500"]},
                "00400007": {"vr": "LO", "Value": ["Liver"]},
                "00400009": {"vr": "SH", "Value": ["SPS-1"]},
            }
        ],
    },
}


def _item(without: tuple[str, ...] = (), **changed: Any) -> WorklistItem:
    elements = {tag: element for tag, element in ELEMENTS.items() if tag not in without}
    return WorklistItem("ris", elements | changed)


def test_ok__what_people_are_shown() -> None:
    item = _item()
    assert item.patient_name == PersonName("Yamada^Tarou", "山田^太郎", "やまだ^たろう")
    assert item.patient_name.groups() == ("Yamada Tarou", "山田 太郎", "やまだ たろう")
    assert (item.patient_id, item.birth_date, item.sex) == ("P-1", "19560708", "M")
    assert (item.accession_number, item.study_instance_uid) == ("ACC-1", "1.2.3")
    assert (item.modality, item.procedure) == ("US", "Abdomen")
    assert (item.scheduled_date, item.scheduled_time) == ("20261122", "101500")
    assert list(item.missing()) == []


def test_ok__the_step_describes_what_the_procedure_does_not() -> None:
    assert _item(("00321060",)).procedure == "Liver"
    assert _item(**{"00321060": {"vr": "LO"}}).procedure == "Liver"
    assert _item(("00321060", "00400100")).procedure == ""


def test_ok__nothing_is_something_that_can_be_shown() -> None:
    item = WorklistItem("ris", {})
    assert item.patient_name.groups() == ()
    shown = (item.patient_id, item.birth_date, item.sex, item.accession_number, item.study_instance_uid)
    assert {*shown, item.modality, item.procedure, item.scheduled_date, item.scheduled_time} == {""}
    assert list(item.missing()) == [
        "Patient's Name",
        "Patient ID",
        "Study Instance UID",
        "Requested Procedure ID",
        "Scheduled Procedure Step",
    ]


@pytest.mark.parametrize(
    ("tag", "element", "name"),
    [
        ("00100010", {"vr": "PN"}, "Patient's Name"),
        ("00100010", {"vr": "PN", "Value": [{"Alphabetic": ""}]}, "Patient's Name"),
        ("00100010", {"vr": "PN", "Value": [{"Alphabetic": "^^"}]}, "Patient's Name"),
        ("00100010", {"vr": "PN", "Value": [{}]}, "Patient's Name"),
        ("00100020", {"vr": "LO", "Value": [None]}, "Patient ID"),
        ("00100020", {"vr": "LO", "Value": ["  "]}, "Patient ID"),
        ("0020000D", {"vr": "UI", "Value": []}, "Study Instance UID"),
        ("00401001", {"vr": "SH", "Value": [""]}, "Requested Procedure ID"),
        ("00400100", {"vr": "SQ", "Value": [{}]}, "Scheduled Procedure Step"),
        ("00400100", {"vr": "SQ"}, "Scheduled Procedure Step"),
        ("00400100", {"vr": "SQ", "Value": [{"00400009": {"vr": "SH"}}]}, "Scheduled Procedure Step"),
    ],
)
def test_ok__what_is_there_without_a_value_is_missing(tag: str, element: dict[str, Any], name: str) -> None:
    assert list(_item(**{tag: element}).missing()) == [name]


@pytest.mark.parametrize(
    ("uid", "is_good"),
    [
        ("1.2.840.10008", True),
        ("2.25.0", True),
        ("1." + "2" * 62, True),
        ("1." + "2" * 63, False),
        ("1", False),
        ("1.02", False),
        ("1..2", False),
        ("1.2.", False),
        ("1.2a", False),
        ("STUDY-1", False),
        ("1.2 .3", False),
        ("1.2\n", False),
    ],
)
def test_ok__a_study_instance_uid_that_is_none_is_said_and_not_used(uid: str, is_good: bool) -> None:
    """An archive refuses an object with such a UID, so the exam generates one; what was received is kept."""
    item = _item(**{"0020000D": {"vr": "UI", "Value": [uid]}})
    assert item.study_instance_uid == (uid if is_good else "")
    assert list(item.wrong()) == ([] if is_good else ["Study Instance UID is malformed"])
    assert item.elements["0020000D"]["Value"] == [uid]
    assert list(item.missing()) == []
    assert item.view()["findings"] == list(item.wrong())


def test_ok__what_could_not_be_read_is_said_first() -> None:
    item = WorklistItem("ris", {"0020000D": {"vr": "UI", "Value": ["x"]}}, findings=("Patient's Name cannot be read",))
    assert list(item.wrong()) == ["Patient's Name cannot be read", "Study Instance UID is malformed"]


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        (PersonName("Müller^Jörg^^Dr."), ("Müller Jörg Dr.",)),
        (PersonName("", "山田^太郎"), ("山田 太郎",)),
        (PersonName("^^^", " ", "x"), ("x",)),
        (PersonName("O'Neil"), ("O'Neil",)),
    ],
)
def test_ok__groups_as_people_read_them(name: PersonName, groups: tuple[str, ...]) -> None:
    assert name.groups() == groups


def test_ok__values_by_their_path() -> None:
    assert values_at(ELEMENTS, "00400100", "00080060") == ["US"]
    assert values_at(ELEMENTS, "00080005") == [None, "ISO 2022 IR 87"]
    assert values_at(ELEMENTS, "00400100", "00081111") == []
    assert values_at(ELEMENTS, "00321064", "00080100") == []
    assert values_at({"00400100": {"vr": "LO", "Value": ["no item"]}}, "00400100", "00080060") == []
    assert text_at(ELEMENTS, "00080005") == ""
    assert text_at({"00101030": {"vr": "DS", "Value": [81.5]}}, "00101030") == "81.5"
    assert name_at({"00100010": {"vr": "LO", "Value": ["no name"]}}, "00100010") == PersonName()


# -- the key


@pytest.mark.parametrize("tag", ["00100010", "00100030", "00321060", "00080050", "00080005"])
def test_ok__a_corrected_entry_is_the_same_entry(tag: str) -> None:
    """A name that is mended in the RIS, an accession number that came later."""
    assert _item((tag,)).key == _item().key


def test_ok__another_entry_is_another() -> None:
    step = {"00400009": {"vr": "SH", "Value": ["SPS-2"]}}
    keys = {
        _item().key,
        WorklistItem("other", ELEMENTS).key,
        _item(**{"0020000D": {"vr": "UI", "Value": ["1.2.4"]}}).key,
        _item(**{"00401001": {"vr": "SH", "Value": ["RP-2"]}}).key,
        _item(**{"00100020": {"vr": "LO", "Value": ["P-2"]}}).key,
        _item(**{"00400100": {"vr": "SQ", "Value": [step]}}).key,
        WorklistItem("ris", {}).key,
    }
    assert len(keys) == 7


@pytest.mark.parametrize("without", [("00400100",), ("0020000D", "00401001"), tuple(ELEMENTS)])
def test_ok__entries_that_lack_their_identity_are_not_taken_for_one(without: tuple[str, ...]) -> None:
    """Two appointments of one patient at a source that names neither step nor study."""
    elements = _item(without).elements
    assert WorklistItem("ris", elements, "AAAA").key != WorklistItem("ris", elements, "AAAB").key
    assert WorklistItem("ris", elements, "AAAA").key == WorklistItem("ris", dict(elements), "AAAA").key


def test_ok__bytes_are_no_part_of_a_whole_identity() -> None:
    assert WorklistItem("ris", ELEMENTS, "AAAA").key == WorklistItem("ris", ELEMENTS, "AAAB").key


def test_ok__the_key_never_changes_between_releases() -> None:
    """The panel remembers by it which entries have been examined, across updates."""
    assert _item().key == "c4fe558bef2a5013"


@given(st.dictionaries(st.sampled_from(sorted(ELEMENTS)), st.just({"vr": "LO"})), st.text(max_size=5))
def test_ok__a_key_is_short_and_names_nobody(elements: dict[str, Any], source: str) -> None:
    key = WorklistItem(source, ELEMENTS | elements).key
    assert len(key) == 16 and set(key) <= set("0123456789abcdef")


def test_ok__the_elements_are_dicoms_own_json() -> None:
    dataset = Dataset.from_json(ELEMENTS)
    assert str(dataset.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert dataset.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == "SPS-1"
    assert WorklistItem("ris", dataset.to_json_dict()).key == _item().key


@pytest.mark.parametrize(
    ("procedure", "described", "step"),
    [
        ("Obstetric ultrasound", "Umbilical artery Doppler", "Umbilical artery Doppler"),
        ("Gastroscopy", "Gastroscopy", ""),
        ("", "Gastroscopy", ""),  # shown as the procedure already
        ("Gastroscopy", "", ""),
    ],
)
def test_ok__the_step_is_shown_where_it_says_more(procedure: str, described: str, step: str) -> None:
    elements = {
        "00321060": {"vr": "LO", "Value": [procedure]},
        "00400100": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": [described]}}]},
    }
    assert WorklistItem("ris", elements).view()["step"] == step
