"""Records of exams that are taken away: all of one or nothing, whatever is cut off, and never one too many."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from appliance.base.findings import FindingBoard
from appliance.console import expired
from appliance.console.examined import Examined
from appliance.console.expired import LOOK_SECONDS, ExpiredExams
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Closed, Closing, Exam, Instance, Outcome, Started, open_exam
from appliance.exam.facts import ExamFacts
from appliance.spool.settled import early_path, expired_path, list_expired, refused_path, settled_path
from appliance.spool.tree import Spool
from tests.console.fakes import HandClock, make_configuration, make_item

OLD, NEW = "E000001-20261122-090000", "E000002-20261123-090000"
NOW = datetime(2026, 11, 22, 9, 0).astimezone()


class Box:
    """Two exams that are over: the older has expired, says forward."""

    def __init__(self, directory: Path) -> None:
        self.spool = Spool(directory)
        self.spool.make()
        self.facts = ExamFacts(self.spool.exams)
        self.findings = FindingBoard()
        self.clock = HandClock()
        self.forgotten: list[str] = []
        for exam_id in (OLD, NEW):
            self.add(exam_id)
        self.mark(OLD)

    def add(self, exam_id: str) -> Exam:
        exam = open_exam(make_item(), make_configuration().devices, NOW, exam_id)
        self.facts.write(exam_id, "exam", exam)
        self.facts.write(exam_id, "started-US", Started("US", NOW, "1.2.3"))
        self.facts.write(exam_id, "closing", Closing(NOW, Outcome.COMPLETED))
        instance = Instance("1.2", "1.2.3", "1.2", "1.2", "ultrasound", "US", "f.dcm", 1)
        self.facts.write(exam_id, "closed", Closed(NOW, Outcome.COMPLETED, (instance,), ("archive",)))
        self.facts.decide(exam_id, Decision(DecisionKind.RELEASED, "1.2.3", NOW, "Mayr", "why"))
        for device in ("ultrasound", "endoscope"):
            self.spool.captured(device, exam_id).mkdir(parents=True)
        settled_path(self.spool, exam_id).write_text("{}")
        for path in (early_path(self.spool, exam_id), refused_path(self.spool, exam_id, "US")):
            path.write_text("{}")
        return exam

    def mark(self, exam_id: str) -> None:
        expired_path(self.spool, exam_id).write_text("{}")

    def taker(self) -> ExpiredExams:
        return ExpiredExams(
            self.spool, self.findings, self.clock, forget=lambda exam: self.forgotten.append(exam.exam_id)
        )

    def left(self, exam_id: str) -> list[str]:
        """Everything below the state directory that bears the exam's name."""
        return sorted(str(path.relative_to(self.spool.state)) for path in self.spool.state.rglob(f"*{exam_id}*"))

    def codes(self) -> set[str]:
        return {finding.code for finding in self.findings.listing()}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_ok__nothing_of_the_exam_stays_and_everything_of_the_other(box: Box) -> None:
    before = box.left(NEW)
    box.taker().remove()
    assert box.left(OLD) == []
    assert box.left(NEW) == before
    assert box.forgotten == [OLD]
    assert box.codes() == set()


def test_ok__it_looks_now_and_then(box: Box) -> None:
    taker = box.taker()
    taker.work()
    assert box.left(OLD) == []
    box.add("E000000-20261122-080000")
    box.mark("E000000-20261122-080000")
    taker.work()
    assert box.left("E000000")
    box.clock.seconds += LOOK_SECONDS
    taker.work()
    assert box.left("E000000") == []


def test_ok__the_newest_exam_stays_since_the_next_ones_number_comes_from_it(box: Box) -> None:
    box.mark(NEW)
    box.taker().remove()
    assert box.facts.exam_ids() == [NEW]
    assert box.facts.next_exam_id(NOW).startswith("E000003-")
    box.add("E000003-20261123-100000")
    box.taker().remove()
    assert box.left(NEW) == []
    assert box.codes() == set()


@pytest.mark.parametrize("name", ["1.2.3~0~" + "0" * 64 + ".dcm", ".part-1.2.3~0"])
def test_ok__an_exam_stays_while_something_of_it_lies_in_captured(box: Box, name: str) -> None:
    late = box.spool.captured("ultrasound", OLD) / name
    late.write_bytes(b"late")
    box.taker().remove()
    assert OLD in box.facts.exam_ids()
    assert list_expired(box.spool) == [OLD]
    late.unlink()  # the keeper sets it aside, or the acquire salvages it
    box.taker().remove()
    assert box.left(OLD) == []


@pytest.mark.parametrize("missing", ["settled", "closed"])
def test_fail__what_is_not_settled_stays_whatever_says_that_it_has_expired(box: Box, missing: str) -> None:
    path = settled_path(box.spool, OLD) if missing == "settled" else box.spool.exams / OLD / "closed.json"
    path.unlink()
    box.taker().remove()
    assert OLD in box.facts.exam_ids()
    assert box.codes() == {"exam-unremoved"}


def test_ok__a_record_that_is_damaged_goes_too(box: Box) -> None:
    (box.spool.exams / OLD / "exam.json").write_bytes(b"\0")
    box.taker().remove()
    assert box.left(OLD) == []


def test_fail__flash_that_fails_is_told_until_it_works(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path, _target: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        box.taker().remove()
    assert box.codes() == {"exam-unremoved"}
    assert (box.spool.exams / OLD / "exam.json").exists()
    box.taker().remove()
    assert box.codes() == set()
    assert box.left(OLD) == []


class Cut(BaseException):
    """The power is gone."""


def test_ok__a_power_cut_at_every_step_leaves_an_exam_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in count(1):
        box = Box(tmp_path / str(at))
        left = at

        def around(change: Callable[..., Any]) -> Callable[..., Any]:
            def cuttable(*given: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if not left:
                    raise Cut
                return change(*given, **named)

            return cuttable

        with monkeypatch.context() as patch:
            for name in ("unlink", "rename", "rmdir"):
                patch.setattr(Path, name, around(getattr(Path, name)))
            patch.setattr(expired, "sync_directory", around(expired.sync_directory))
            try:
                box.taker().remove()
            except Cut:
                pass
            else:
                assert at > 15
                return
        facts = ExamFacts(box.spool.exams)
        assert facts.open_exam_id() is None
        assert list(facts.unfinished()) == []
        if OLD in facts.exam_ids():
            assert facts.exam(OLD) is not None
            assert facts.closed(OLD) is not None
            assert len(facts.decisions(OLD)) == 1
            assert settled_path(box.spool, OLD).exists(), "a rebuilt journal would take it in anew"
        assert list_expired(box.spool) == [OLD], "nobody would go on"
        box.taker().remove()
        assert box.left(OLD) == []


def test_ok__what_a_later_exam_says_of_the_same_entry_is_remembered(box: Box) -> None:
    examined = Examined()
    exams = [exam for exam in map(box.facts.exam, box.facts.exam_ids()) if exam]
    for exam in exams:
        closed = box.facts.closed(exam.exam_id)
        assert closed is not None
        examined.add(exam, closed)
    first, second = exams
    assert first.item.key == second.item.key
    examined.forget(first)
    assert examined.has(first.item.key)
    assert examined.study_so_far(first.item) is not None
    examined.forget(second)
    assert not examined.has(first.item.key)
    assert examined.study_so_far(first.item) is None
