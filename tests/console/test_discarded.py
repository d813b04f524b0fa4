"""What was discarded lies for a day, and an hour of work at least, and for as long as its exam is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.console.discarded import LEAST_SECONDS, DiscardedObjects
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Exam
from appliance.spool.tree import UNASSIGNED
from tests.console.fakes import make_item, write_object
from tests.console.test_exams import Box, end
from tests.console.test_moving import REASON, decisions_of, uid_of

DAY = 86_400.0


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def purge(box: Box) -> DiscardedObjects:
    return DiscardedObjects(box.spool, box.facts, box.findings, box.clock)


def lying(box: Box) -> int:
    return len(list((box.spool.state / "discarded").rglob("*.dcm")))


def discard_one(box: Box) -> Exam:
    keeper = box.keeper()
    exam = keeper.open(make_item())
    path = write_object(box.spool, exam, "endoscope")
    decisions_of(box, keeper).discard(exam.exam_id, uid_of(path), REASON, "panel")
    keeper.round()
    assert lying(box) == 1
    return exam


def test_ok__it_goes_a_day_after_its_exam_has_ended(box: Box) -> None:
    exam = discard_one(box)
    objects = purge(box)
    objects.remove()
    box.clock.seconds += 3 * DAY
    objects.remove()
    assert lying(box) == 1, "the exam is open: it may be taken back"
    end(box, box.keeper(), exam)
    objects.remove()
    assert lying(box) == 0
    assert len(box.facts.decisions(exam.exam_id)) == 1


def test_ok__a_clock_that_is_put_forward_takes_nothing_at_once(box: Box) -> None:
    exam = discard_one(box)
    end(box, box.keeper(), exam)
    box.clock.seconds += 400 * DAY
    objects = purge(box)
    objects.work()
    assert lying(box) == 1
    box.clock.seconds += LEAST_SECONDS + 1
    objects.work()
    assert lying(box) == 0


def test_ok__not_before_a_day_is_over(box: Box) -> None:
    exam = discard_one(box)
    end(box, box.keeper(), exam)
    objects = purge(box)
    objects.remove()
    box.clock.seconds += DAY / 2
    objects.remove()
    assert lying(box) == 1


def test_ok__what_belonged_to_no_exam_takes_its_decision_with_it(box: Box) -> None:
    path = write_object(box.spool, None, "film")
    keeper = box.keeper()
    decisions_of(box, keeper).discard_unassigned([uid_of(path)], REASON, "panel")
    keeper.round()
    objects = purge(box)
    objects.remove()
    box.clock.seconds += 2 * DAY
    objects.remove()
    assert lying(box) == 0
    assert box.facts.decisions(UNASSIGNED) == []


def test_ok__a_damaged_decision_keeps_nothing_for_ever(box: Box) -> None:
    path = write_object(box.spool, None, "film")
    keeper = box.keeper()
    uid = uid_of(path)
    box.facts.decide(UNASSIGNED, Decision(DecisionKind.DISCARDED, uid, box.clock.now(), "panel", REASON))
    keeper.round()
    (box.spool.exams / UNASSIGNED / f"discarded-{uid}.json").write_bytes(b"{")
    objects = purge(box)
    objects.remove()
    assert lying(box) == 1
    box.clock.seconds += LEAST_SECONDS + 1
    objects.remove()
    assert lying(box) == 0
