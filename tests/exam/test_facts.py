"""Facts of exams: files that are written once, read back as they were, and say no name when they are damaged."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.exam.exam import Closed, Closing, Exam, Instance, Outcome, PlannedSeries, PlannedStep, Started
from appliance.exam.facts import (
    DamagedFactError,
    ExamFacts,
    bytes_from,
    day_of,
    exam_id_from,
    fact_from,
)
from appliance.exam.item import WorklistItem
from tests.base.power import powered

NOW = datetime(2026, 11, 22, 9, 30, 15, tzinfo=UTC)
FIRST, SECOND, THIRD = "20261121-100000-aaaa", "20261122-093015-4af1", "20261122-093015-ffff"
ITEM = WorklistItem("ris", {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Okafor^Adaeze"}]}}, "AAAA", "1.2.840")
FILE = Path("exams") / SECOND / "exam.json"


def _exam(exam_id: str = SECOND) -> Exam:
    series = (PlannedSeries("ultrasound", "US", "1.2.3", 1, "Abdomen", "Abdomen"),)
    return Exam(exam_id, NOW, ITEM, "1.2", series, (PlannedStep("US", "1.2.4", "093015-4af1-US"),), "Op^One")


# -- as JSON and back

_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
_MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).flatmap(
    lambda moment: st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    )
)
_VALUES = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_ELEMENTS = st.dictionaries(
    st.from_regex(r"\A[0-9A-F]{8}\Z"),
    st.fixed_dictionaries(
        {"vr": st.sampled_from(["LO", "DS", "PN", "SQ"])},
        optional={"Value": st.lists(_VALUES | st.dictionaries(_TEXT, _VALUES, max_size=2), max_size=2)},
    ),
    max_size=4,
)
_ITEMS = st.builds(WorklistItem, _TEXT, _ELEMENTS, _TEXT, _TEXT)
_EXAMS = st.builds(
    Exam,
    _TEXT,
    _MOMENTS,
    _ITEMS,
    _TEXT,
    st.lists(st.builds(PlannedSeries, _TEXT, _TEXT, _TEXT, st.integers(1, 99), _TEXT, _TEXT), max_size=3).map(tuple),
    st.lists(st.builds(PlannedStep, _TEXT, _TEXT, _TEXT), max_size=3).map(tuple),
    _TEXT,
)
_OUTCOMES = st.sampled_from(Outcome)
_INSTANCES = st.builds(Instance, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, st.integers(0, 2**40))
_FACTS = st.one_of(
    _EXAMS,
    st.builds(Started, _TEXT, _MOMENTS, _TEXT),
    st.builds(Closing, _MOMENTS, _OUTCOMES, _TEXT),
    st.builds(
        Closed,
        _MOMENTS,
        _OUTCOMES,
        st.lists(_INSTANCES, max_size=3).map(tuple),
        st.lists(_TEXT, max_size=2).map(tuple),
        _TEXT,
        st.lists(_TEXT, max_size=2).map(tuple),
    ),
)


@given(_FACTS)
def test_ok__a_fact_is_read_back_as_it_was(fact: Any) -> None:
    assert fact_from(bytes_from(fact), type(fact), FILE) == fact


def _unsealed(data: bytes) -> bytes:
    """The fact without its digest."""
    return data[: data.rindex(b',\n "sha256"')] + b"\n}"


@given(_FACTS, st.data())
def test_fail__one_flipped_bit_is_noticed_wherever_it_says_something(fact: Any, data: st.DataObject) -> None:
    content = bytearray(bytes_from(fact))
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    content[place // 8] ^= 1 << place % 8
    try:
        assert fact_from(bytes(content), type(fact), FILE) == fact
    except DamagedFactError as error:
        assert "is damaged" in str(error)


def test_ok__a_newer_releases_keys_are_passed_over() -> None:
    data = _unsealed(bytes_from(Started("US", NOW, "1.2.3"))).replace(b"{", b'{"invented later": [1, {}],', 1)
    assert fact_from(data, Started, FILE) == Started("US", NOW, "1.2.3")


def test_ok__a_fact_of_the_first_release_is_read_for_ever() -> None:
    data = (
        b'{"closed_at":"2026-11-22T09:55:03+01:00","outcome":"COMPLETED","instances":[{"sop_class_uid":"1","sop_instance'
        b'_uid":"2","transfer_syntax_uid":"3","series_instance_uid":"4","device":"us","modality":"US","file_name":"f",'
        b'"bytes":7}],"destinations":["archive"]}'
    )
    closed = fact_from(data, Closed, FILE)
    assert (closed.outcome, closed.instances[0].bytes, closed.destinations) == (Outcome.COMPLETED, 7, ("archive",))
    assert closed.closed_at == datetime(2026, 11, 22, 9, 55, 3, tzinfo=timezone(timedelta(hours=1)))
    assert (closed.reason, closed.findings) == ("", ())


# -- damage


@given(st.binary(max_size=60))
def test_fail__any_bytes_are_a_fact_or_damaged(data: bytes) -> None:
    for kind in (Exam, Started, Closing, Closed):
        try:
            assert isinstance(fact_from(data, kind, FILE), kind)
        except DamagedFactError as error:
            assert "exam.json of 20261122-093015-4af1 is damaged" in str(error)


@given(st.data())
def test_fail__a_damaged_fact_names_no_patient(data: st.DataObject) -> None:
    content = bytearray(bytes_from(_exam()))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=3))
    try:
        fact_from(bytes(content), Exam, FILE)
    except DamagedFactError as error:
        assert "Okafor" not in str(error) and "Adaeze" not in str(error)
        assert error.__cause__ is None and error.__suppress_context__  # a traceback would print the values


@pytest.mark.parametrize(
    ("content", "where"),
    [(b"", "whole file"), (b"[" * 100_000, "whole file"), (b"null", "whole file"), (b"{}", "exam_id")],
)
def test_fail__what_is_damaged_is_named(content: bytes, where: str) -> None:
    with pytest.raises(DamagedFactError, match=where):
        fact_from(content, Exam, FILE)


def test_fail__a_value_of_the_wrong_kind_is_named_by_its_key() -> None:
    data = bytes_from(_exam()).replace(b'"series_number": 1', b'"series_number": "Okafor"')
    with pytest.raises(DamagedFactError, match=r"series\.0\.series_number") as damaged:
        fact_from(data, Exam, FILE)
    assert "Okafor" not in str(damaged.value)


# -- files


def test_ok__a_fact_is_written_once_and_stands(tmp_path: Path) -> None:
    facts = ExamFacts(tmp_path / "exams")
    assert facts.exam(SECOND) is None
    assert facts.write(SECOND, "exam", _exam())
    assert not facts.write(SECOND, "exam", _exam(THIRD))
    assert facts.exam(SECOND) == _exam()
    assert [path.name for path in (tmp_path / "exams" / SECOND).iterdir()] == ["exam.json"]


def test_ok__a_fact_is_durable_with_no_more_syncs_than_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = ExamFacts(tmp_path / "exams")
    facts.write(FIRST, "exam", _exam(FIRST))
    with powered(monkeypatch) as power:
        facts.write(SECOND, "exam", _exam())
        facts.write(SECOND, "closing", Closing(NOW, Outcome.COMPLETED))
    synced = [re.sub(r"^\.part-\d+-", "", name) for call, name in power.calls if call == "fsync"]
    # The directory's name once, before the first fact; then each fact's bytes and its name.
    assert synced == ["exams", "exam.json", SECOND, "closing.json", SECOND]


def test_ok__an_exam_from_opening_to_end(tmp_path: Path) -> None:
    facts = ExamFacts(tmp_path)
    assert facts.open_exam_id() is None and facts.exam_ids() == []
    facts.write(FIRST, "exam", _exam(FIRST))
    assert facts.open_exam_id() == FIRST
    facts.write(FIRST, "started-US", Started("US", NOW, "1.2.3"))
    facts.write(FIRST, "started-ES", Started("ES", NOW, "1.2.4"))
    assert {modality: fact.sop_instance_uid for modality, fact in facts.started(FIRST).items()} == {
        "ES": "1.2.4",
        "US": "1.2.3",
    }
    facts.write(FIRST, "closing", Closing(NOW, Outcome.DISCONTINUED, "wrong entry"))
    assert facts.open_exam_id() is None
    assert list(facts.unfinished()) == [FIRST]
    facts.write(FIRST, "closed", Closed(NOW, Outcome.DISCONTINUED, (), ("archive",), "wrong entry"))
    assert list(facts.unfinished()) == []
    assert facts.closing(FIRST) == Closing(NOW, Outcome.DISCONTINUED, "wrong entry")
    closed = facts.closed(FIRST)
    assert closed is not None and closed.reason == "wrong entry"
    facts.write(SECOND, "exam", _exam())
    assert facts.open_exam_id() == SECOND
    assert ExamFacts(tmp_path).open_exam_id() == SECOND  # another process sees the same
    assert facts.started(SECOND) == {} == facts.started(THIRD)


def test_ok__an_opening_that_was_cut_off_opened_nothing(tmp_path: Path) -> None:
    facts = ExamFacts(tmp_path)
    (tmp_path / SECOND).mkdir()
    (tmp_path / SECOND / ".part-17-exam.json").write_bytes(b"{")
    assert facts.open_exam_id() is None
    assert facts.write(SECOND, "exam", _exam())
    assert facts.open_exam_id() == SECOND


def test_ok__foreign_names_are_no_exams(tmp_path: Path) -> None:
    for name in ("lost+found", ".hidden", "20261122-093015-4AF1", "20261122-093015-4af1.bak", "٢٠٢٦١١٢٢-093015-4af1"):
        (tmp_path / name).mkdir()
    assert ExamFacts(tmp_path).exam_ids() == []
    (tmp_path / THIRD).mkdir()
    (tmp_path / FIRST).mkdir()
    assert ExamFacts(tmp_path).exam_ids() == [FIRST, THIRD]


def test_ok__an_identifier_says_its_number_and_its_day() -> None:
    assert exam_id_from(123, NOW) == "E000123-20261122-093015"
    assert (day_of("E000123-20261122-093015"), day_of(FIRST), day_of("lost+found")) == ("20261122", "20261121", "")


@pytest.mark.parametrize("number", [-1, 0, 1_000_000])
def test_fail__an_identifier_has_a_number_of_six_digits(number: int) -> None:
    with pytest.raises(ValueError, match="no number"):
        exam_id_from(number, NOW)


_EVENTS = st.lists(
    st.tuples(st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1)), st.sets(st.integers(0, 20))), max_size=12
)


@given(_EVENTS, st.booleans())
def test_ok__exams_stand_in_the_order_of_their_opening_whatever_the_clock_says(
    events: list[tuple[datetime, set[int]]], has_old: bool
) -> None:
    """Each event opens an exam at any time of the wall clock, and takes away what may be of those before."""
    with tempfile.TemporaryDirectory() as directory:
        opened = [FIRST, SECOND] if has_old else []
        for name in opened:
            (Path(directory) / name).mkdir()
        gone = set()
        for now, removals in events:
            facts = ExamFacts(Path(directory))  # after a restart, too
            opened.append(facts.next_exam_id(now))
            (Path(directory) / opened[-1]).mkdir()
            for index in removals:
                if index < len(opened) and opened[index] not in gone and facts.may_be_removed(opened[index]):
                    (Path(directory) / opened[index]).rmdir()
                    gone.add(opened[index])
            assert facts.exam_ids() == [name for name in opened if name not in gone]
        numbers = [int(name[1:7]) for name in opened if name.startswith("E")]
        assert numbers == list(range(1, len(numbers) + 1))
