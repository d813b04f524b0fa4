"""Matching by PS3.4 C.2.2.2 and K.6: tables of keys, and properties that hold for any."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.simulator.hospital.matching import (
    MalformedKey,
    answer_from_item,
    has_unsupported_key,
    is_match,
    is_name_match,
    is_wildcard_match,
)
from appliance.simulator.hospital.worklist_items import items_of_day

# pydicom warns of the bad values that these tests make.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

DAY = date(2026, 11, 22)
ITEMS = items_of_day(DAY, "BRIDGE")
GERMAN, JAPANESE = ITEMS[0], ITEMS[1]  # 07:30 and 08:00, both US
EMERGENCY = ITEMS[11]  # sparse


def query_of(**keys: str | None) -> Dataset:
    query = Dataset()
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def step_query(**keys: str) -> Dataset:
    query = Dataset()
    query.ScheduledProcedureStepSequence = Sequence([query_of(**keys)])
    return query


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("Yamada^Tarou", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("yamada^TAROU", "Yamada^Tarou=山田^太郎", True),
        ("Yamada^Tarou^^^", "Yamada^Tarou", True),
        ("山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("*たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("=山田^太郎", "Yamada^Tarou=山田^太郎", True),
        ("Yamada*=山*=や*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("Yamada*=川*", "Yamada^Tarou=山田^太郎", False),
        ("Yamada*=山*", "Yamada^Tarou", False),
        ("Yamada", "Yamada^Tarou", False),
        ("M?ller*", "Müller^Jürgen", True),
        ("МÜ*", "Müller^Jürgen", False),  # the first letter is Cyrillic
        ("mÜLLER*", "Müller^Jürgen", True),
        ("*", "", True),
    ],
)
def test_ok__person_names(pattern: str, name: str, expected: bool) -> None:
    assert is_name_match(pattern, name) is expected


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("ScheduledProcedureStepStartDate", "20261122", True),
        ("ScheduledProcedureStepStartDate", "20261123", False),
        ("ScheduledProcedureStepStartDate", "20261122-20261122", True),
        ("ScheduledProcedureStepStartDate", "20261101-", True),
        ("ScheduledProcedureStepStartDate", "-20261121", False),
        ("ScheduledProcedureStepStartDate", "-99991231", True),
        ("ScheduledProcedureStepStartDate", "", True),
        ("ScheduledProcedureStepStartDate", "*", True),
        ("ScheduledProcedureStepStartTime", "0730", True),
        ("ScheduledProcedureStepStartTime", "07", True),
        ("ScheduledProcedureStepStartTime", "073000.000000", True),
        ("ScheduledProcedureStepStartTime", "073000.5", False),
        ("ScheduledProcedureStepStartTime", "073001", False),
        ("ScheduledProcedureStepStartTime", "0700-0730", True),
        ("ScheduledProcedureStepStartTime", "-07", True),
        ("ScheduledProcedureStepStartTime", "0731-", False),
        ("Modality", "US", True),
        ("Modality", "us", False),
        ("Modality", "U?", True),
        ("Modality", "ES", False),
        ("Modality", "*", True),
        ("ScheduledStationAETitle", "BRIDGE", True),
        ("ScheduledStationAETitle", "BRIDGE_2", False),
        ("ScheduledStationAETitle", "BR*E", True),
        ("ScheduledProcedureStepDescription", "Abdomen*", True),
        ("ScheduledPerformingPhysicianName", "größe*", True),
    ],
)
def test_ok__keys_of_the_scheduled_step(keyword: str, value: str, expected: bool) -> None:
    assert is_match(step_query(**{keyword: value}), GERMAN) is expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"PatientID": "HS-100234"}, True),
        ({"PatientID": "hs-100234"}, False),
        ({"PatientID": "HS-1002??"}, True),
        ({"PatientName": "Müller*", "PatientID": "HS-*"}, True),
        ({"PatientName": "Müller*", "PatientID": "HS-1"}, False),
        ({"AccessionNumber": "A26112201"}, True),
        ({"PatientBirthDate": "19580101-19581231"}, True),
        ({"StudyInstanceUID": GERMAN.StudyInstanceUID}, True),
        ({"StudyInstanceUID": f"1.2.3\\{GERMAN.StudyInstanceUID}"}, True),  # list of UID matching
        ({"StudyInstanceUID": "2.25.*"}, False),  # no wildcards in a UI
        ({"PatientBirthName": "whoever"}, True),  # unsupported: ignored
        ({"SpecificCharacterSet": "ISO_IR 192"}, True),  # how the query is written
        ({}, True),
    ],
)
def test_ok__keys_of_patient_and_procedure(keys: dict[str, str], expected: bool) -> None:
    assert is_match(query_of(**keys), GERMAN) is expected


@pytest.mark.parametrize(
    ("dates", "times", "expected"),
    [
        # Table K.6-1: one period, not a daily window. The entry starts on the 22nd at 07:30.
        ("20261121-20261122", "0800-0700", False),
        ("20261121-20261122", "0800-0730", True),
        ("20261122-20261123", "0731-2359", False),
        ("20261122-20261123", "0730-0100", True),
        ("20261121-20261123", "1000-0100", True),
        ("20261122-", "08-", False),
        ("-20261122", "-0730", True),
        ("-20261122", "-0729", False),
        # One of them is no range: both are matched for themselves.
        ("20261122", "0700-0800", True),
        ("20261121-20261123", "0800", False),
    ],
)
def test_ok__date_and_time_ranges_are_one_period(dates: str, times: str, expected: bool) -> None:
    query = step_query(ScheduledProcedureStepStartDate=dates, ScheduledProcedureStepStartTime=times)
    assert is_match(query, GERMAN) is expected


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ScheduledProcedureStepStartDate", "today"),
        ("ScheduledProcedureStepStartDate", "20261301"),
        ("ScheduledProcedureStepStartDate", "-"),
        ("ScheduledProcedureStepStartDate", "2026112"),
        ("ScheduledProcedureStepStartDate", "00000101"),
        ("ScheduledProcedureStepStartDate", "20261122-2026112x"),
        ("ScheduledProcedureStepStartTime", "25"),
        ("ScheduledProcedureStepStartTime", "0760"),
        ("ScheduledProcedureStepStartTime", "07:30"),
        ("ScheduledProcedureStepStartTime", "0730.5"),
        ("ScheduledProcedureStepStartTime", "073000."),
    ],
)
def test_fail__malformed_dates_and_times(keyword: str, value: str) -> None:
    with pytest.raises(MalformedKey):
        is_match(step_query(**{keyword: value}), GERMAN)


@pytest.mark.parametrize(("dates", "times"), [("today-", "07-08"), ("20261122-", "7-8")])
def test_fail__malformed_period(dates: str, times: str) -> None:
    with pytest.raises(MalformedKey):
        is_match(step_query(ScheduledProcedureStepStartDate=dates, ScheduledProcedureStepStartTime=times), GERMAN)


def test_ok__empty_values_match_only_universal_keys() -> None:
    assert is_match(query_of(PatientBirthDate=""), EMERGENCY)
    assert is_match(query_of(Allergies="*"), EMERGENCY)
    assert not is_match(query_of(PatientBirthDate="19000101-20991231"), EMERGENCY)
    assert not is_match(query_of(Allergies="?*"), EMERGENCY)


def test_ok__sequence_keys() -> None:
    code = Dataset()
    code.CodeValue = "US-ABD"
    query = Dataset()
    query.RequestedProcedureCodeSequence = Sequence([code])
    assert is_match(query, GERMAN)
    assert not is_match(query, EMERGENCY)  # constrained, and there is no item
    code.CodeValue = "*"
    assert is_match(query, EMERGENCY)  # universal, so that an empty sequence matches too
    query.RequestedProcedureCodeSequence = Sequence()
    assert is_match(query, EMERGENCY)


def test_ok__an_answer_has_the_requested_keys_and_the_character_set() -> None:
    query = step_query(Modality="US")
    query.PatientName = "*"
    query.Allergies = ""
    query.PatientBirthName = ""
    answer = answer_from_item(query, JAPANESE)
    assert [element.keyword for element in answer] == [
        "SpecificCharacterSet",
        "PatientName",
        "Allergies",
        "ScheduledProcedureStepSequence",
    ]
    assert str(answer.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert answer["Allergies"].is_empty
    (step,) = answer.ScheduledProcedureStepSequence
    assert [element.keyword for element in step] == ["Modality"]
    assert has_unsupported_key(query, JAPANESE)


def test_ok__a_sequence_key_without_keys_asks_for_whole_items() -> None:
    for items in ([], [Dataset()]):
        query = Dataset()
        query.ScheduledProcedureStepSequence = Sequence(items)
        (step,) = answer_from_item(query, GERMAN).ScheduledProcedureStepSequence
        assert step == GERMAN.ScheduledProcedureStepSequence[0]
        assert not has_unsupported_key(query, GERMAN)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_ok__wildcards_agree_with_regular_expressions(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(letter, letter) for letter in pattern)
    assert is_wildcard_match(pattern, text) is (re.fullmatch(expression, text) is not None)


def test_ok__wildcards_cannot_stall() -> None:
    assert not is_wildcard_match("a*" * 32 + "b", "a" * 4000)


@given(st.sampled_from(ITEMS), st.data())
def test_ok__an_item_answers_any_query_made_of_its_own_values(item: Dataset, data: st.DataObject) -> None:
    names = [element.keyword for element in item if element.VR != "SQ" and element.keyword != "SpecificCharacterSet"]
    query = Dataset()
    for keyword in data.draw(st.lists(st.sampled_from(names), unique=True)):
        value = item[keyword].value
        if item[keyword].VR in ("PN", "LO", "SH") and str(value):
            cut = data.draw(st.integers(0, len(str(value))))
            value = str(value)[:cut] + "*" if "=" not in str(value)[:cut] else str(value)
        setattr(query, keyword, value)
    assert is_match(query, item)
    answer = answer_from_item(query, item)
    assert {element.tag for element in query} <= {element.tag for element in answer}


@given(
    st.sampled_from(["PatientName", "PatientID", "StudyInstanceUID", "PatientBirthDate", "PatientWeight"]),
    st.text(max_size=20),
)
def test_ok__any_key_matches_or_is_malformed(keyword: str, text: str) -> None:
    query = Dataset()
    try:
        setattr(query, keyword, text)
    except (ValueError, OverflowError):
        return  # pydicom itself refuses it
    for item in ITEMS:
        try:
            is_match(query, item)
        except MalformedKey as error:
            assert error.tag == query[keyword].tag


@given(st.dates(), st.dates(), st.dates())
def test_ok__date_ranges_are_intervals(first: date, last: date, day: date) -> None:
    (item,) = items_of_day(day, "BRIDGE")[:1]
    query = step_query(ScheduledProcedureStepStartDate=f"{_text(first)}-{_text(last)}")
    item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate = _text(day)
    assert is_match(query, item) is (first <= day <= last)


def _text(day: date) -> str:
    return day.isoformat().replace("-", "")  # %Y has no leading zeros
