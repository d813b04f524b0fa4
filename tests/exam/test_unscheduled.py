"""What a person types of a patient becomes an entry, or a sentence."""

from __future__ import annotations

import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from appliance.base.errors import ApplianceError
from appliance.exam.item import WorklistItem
from appliance.exam.unscheduled import unscheduled_item_from, with_patient_id

TODAY = date(2026, 11, 22)


def _typed(name: str = "Doe^Jane", patient_id: str = "X-1", birth_date: str = "", sex: str = "") -> WorklistItem:
    return unscheduled_item_from(name, patient_id, birth_date, sex, TODAY)


def test_ok__everything_typed() -> None:
    item = _typed(" Doe ^ Jane ^^ ", " X-1 ", "20261122", "F")
    assert item.source == ""
    assert (item.patient_name.alphabetic, item.patient_id, item.birth_date, item.sex) == (
        "Doe^Jane",
        "X-1",
        "20261122",
        "F",
    )
    assert (item.accession_number, item.study_instance_uid, item.procedure) == ("", "", "")


def test_ok__what_is_not_known_is_left_out() -> None:
    assert set(_typed().elements) == {"00100010", "00100020"}


def test_ok__a_name_in_several_scripts() -> None:
    assert _typed("Yamada^Tarou=山田^太郎=").patient_name.groups() == ("Yamada Tarou", "山田 太郎")
    assert _typed("=山田^太郎").elements["00100010"]["Value"] == [{"Ideographic": "山田^太郎"}]


@pytest.mark.parametrize(
    ("given_values", "sentence"),
    [
        ({"name": ""}, "name is missing"),
        ({"name": " ^ = "}, "name is missing"),
        ({"name": "A=B=C=D"}, "too many parts"),
        ({"name": "A^B^C^D^E^F"}, "too many parts"),
        ({"name": "X" * 65}, "longer than 64"),
        ({"name": "A\\B"}, "does not allow"),
        ({"name": "A\x1b$B"}, "does not allow"),
        ({"name": "A\ud800"}, "does not allow"),
        ({"patient_id": "1" * 65}, "longer than 64"),
        ({"patient_id": "1\r\n2"}, "does not allow"),
        ({"birth_date": "1999-01-01"}, "no date"),
        ({"birth_date": "19990230"}, "no date"),
        ({"birth_date": "199901"}, "no date"),
        ({"birth_date": "١٩٩٩٠١٠١"}, "no date"),
        ({"birth_date": "20261123"}, "cannot be true"),
        ({"birth_date": "18491231"}, "cannot be true"),
        ({"sex": "f"}, "M, F or O"),
    ],
)
def test_fail__what_is_no_value_is_said(given_values: dict[str, str], sentence: str) -> None:
    with pytest.raises(ApplianceError, match=sentence) as refused:
        _typed(**given_values)
    assert not any(value in refused.value.sentence for value in given_values.values() if value.strip())


@given(st.text(max_size=80), st.text(max_size=80))
def test_ok__whatever_is_taken_can_be_written_and_read(name: str, patient_id: str) -> None:
    try:
        item = _typed(name, patient_id)
    except ApplianceError:
        return
    dataset = Dataset.from_json(item.elements)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    read = dcmread(io.BytesIO(buffer.getvalue()), force=True)
    assert read.get("PatientID", "") == item.patient_id
    assert read.PatientName == dataset.PatientName


def test_ok__who_has_no_patient_id_gets_one_of_the_box() -> None:
    given_id = with_patient_id(_typed(patient_id=" "), "E000123-20261122-093015", "BRIDGE", "KLINIK")
    assert given_id.patient_id == "BRIDGE-E000123-261122-093015"
    assert given_id.elements["00100021"] == {"vr": "LO", "Value": ["KLINIK"]}
    assert list(given_id.elements) == sorted(given_id.elements)
    longest = with_patient_id(_typed(patient_id=""), "E999999-20261122-093015", "P" * 16, "")
    assert len(longest.patient_id) <= 64


def test_ok__who_has_a_patient_id_keeps_it() -> None:
    """What was typed has no issuer that the box knew, and a worklist's entry is the hospital's."""
    typed = _typed(patient_id="X-1")
    listed = WorklistItem("ris", {})
    for item in (typed, listed):
        assert with_patient_id(item, "E000123-20261122-093015", "BRIDGE", "KLINIK") is item
