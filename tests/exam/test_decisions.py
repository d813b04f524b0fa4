"""Decisions: written once, read back as they were, and told by their names alone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.base.errors import ApplianceError
from appliance.config.texts import Name
from appliance.exam.decisions import Decided, Decision, DecisionKind, all_decided_from, decided_from
from appliance.exam.facts import DamagedFactError, ExamFacts, bytes_from, fact_from


def _pattern_of_names() -> str:
    (_type, shape) = get_args(Name)
    return str(shape.pattern)


NOW = datetime(2026, 11, 22, 9, 30, 15, tzinfo=UTC)
EXAM = "20261122-093015-4af1"
RELEASED = Decision(DecisionKind.RELEASED, "1.2.3", NOW, "ssh: maria", "The archive is gone.")


@given(
    st.builds(
        Decision,
        st.sampled_from(DecisionKind),
        st.from_regex(r"\A[0-9.]{1,64}\Z"),
        st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
    )
)
def test_ok__a_decision_is_read_back_as_it_was(decision: Decision) -> None:
    assert fact_from(bytes_from(decision), Decision, Path("exams") / EXAM / "x.json") == decision
    assert decided_from(f"{decision.name}.json") == (decision.sop_instance_uid, decision.kind, "")


@given(st.from_regex(re.compile(_pattern_of_names(), re.ASCII)).map(str.strip))
def test_ok__a_release_from_one_destination_says_so_in_its_name(name: str) -> None:
    """Whatever name a destination may have."""
    decision = replace(RELEASED, destination=name)
    assert fact_from(bytes_from(decision), Decision, Path("exams") / EXAM / "x.json") == decision
    assert decision.name == f"released-1.2.3@{name}"
    assert decided_from(f"{decision.name}.json") == ("1.2.3", DecisionKind.RELEASED, name)


def test_ok__what_is_decided_about_each_object_by_the_names_alone() -> None:
    names = ["exam.json", "released-1.2@b.json", "rejected-1.2.json", "released-1.2@a.json", "released-3.json"]
    assert all_decided_from(names) == {
        "1.2": Decided(frozenset({DecisionKind.REJECTED}), frozenset({"a", "b"})),
        "3": Decided(frozenset({DecisionKind.RELEASED})),
    }


@pytest.mark.parametrize(
    "name",
    [
        "exam.json",
        "released-.json",
        "released-1.2.json.bak",
        ".part-7-released-1.2.json",
        "released-1.2a.json",
        "kept-1.2.json",
        "rejected-1.2@archive.json",
        "released-1.2@.json",
        "released-1.2@Archive.json",
        "released-1.2@a@b.json",
    ],
)
def test_ok__other_files_of_an_exam_decide_nothing(name: str) -> None:
    assert decided_from(name) is None


def test_ok__a_decision_stands(tmp_path: Path) -> None:
    facts = ExamFacts(tmp_path)
    assert facts.decisions(EXAM) == []
    assert facts.decide(EXAM, RELEASED)
    later = Decision(DecisionKind.RELEASED, "1.2.3", NOW + timedelta(days=1), "ssh: otto", "Again.")
    assert not facts.decide(EXAM, later)
    earlier = Decision(
        DecisionKind.REASSIGNED, "1.2.4", NOW - timedelta(days=1), "panel", "Wrong patient.", "1.2.5", "X"
    )
    assert facts.decide(EXAM, earlier)
    elsewhere = replace(RELEASED, destination="archive", decided_at=NOW + timedelta(hours=1))
    assert facts.decide(EXAM, elsewhere) and not facts.decide(EXAM, elsewhere)
    assert facts.decisions(EXAM) == [earlier, RELEASED, elsewhere]
    names = ["reassigned-1.2.4.json", "released-1.2.3.json", "released-1.2.3@archive.json"]
    assert sorted(path.name for path in (tmp_path / EXAM).iterdir()) == names


def test_ok__a_released_file_is_read_for_ever() -> None:
    data = (
        b'{"kind":"released","sop_instance_uid":"1.2.3","decided_at":"2026-11-22T09:30:15Z","actor":"ssh: maria",'
        b'"reason":"The archive is gone.","invented later":[1]}'
    )
    assert fact_from(data, Decision, Path("exams") / EXAM / "released-1.2.3.json") == RELEASED


@pytest.mark.parametrize("uid", ["", "../../x", "1.2\n", "1" * 65, "1.2/3"])
def test_fail__what_is_no_uid_never_becomes_a_name(tmp_path: Path, uid: str) -> None:
    with pytest.raises(ApplianceError, match="not a UID"):
        ExamFacts(tmp_path).decide(EXAM, Decision(DecisionKind.RELEASED, uid, NOW, "ssh", "Because."))
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(
    ("kind", "name"), [("released", "../x"), ("released", "A"), ("released", "a\n"), ("rejected", "archive")]
)
def test_fail__what_is_no_destination_never_becomes_a_name(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(ApplianceError, match="not a destination"):
        ExamFacts(tmp_path).decide(EXAM, replace(RELEASED, kind=DecisionKind(kind), destination=name))
    assert list(tmp_path.rglob("*.json")) == []


def test_fail__a_damaged_decision_is_told(tmp_path: Path) -> None:
    facts = ExamFacts(tmp_path)
    facts.decide(EXAM, RELEASED)
    (tmp_path / EXAM / "released-1.2.3.json").write_bytes(b"{")
    with pytest.raises(DamagedFactError, match=r"released-1\.2\.3\.json"):
        facts.decisions(EXAM)
