"""A manager that stumbles: at one step and not at the others, or for ever; nothing is asked without a pause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from appliance.base.findings import FindingBoard
from appliance.compose.steps import creation_from, final_from
from appliance.config.schema import Box, PerformedStepManager
from appliance.dimse.association import AssociationAborted, Caller
from appliance.dimse.performed_step import StepAnswer
from appliance.dimse.status import StepVerdict
from appliance.exam.exam import Closed, Outcome, open_exam
from appliance.forward import steps
from appliance.forward.journal import Journal
from appliance.forward.states import StepState
from appliance.forward.step_ledger import StepLedger
from appliance.forward.steps import StepMessages
from appliance.forward.troubles import Troubles
from appliance.spool.tree import Spool
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import scheduled_item
from tests.forward.test_step_machine import DEVICES, MODALITIES, Facts

EXAM_IDS = ("20261122-093000-0001", "20261122-094000-0002")
DONE = StepAnswer(0, StepVerdict.DONE, "done", "")
ENDED = StepAnswer(0x0110, StepVerdict.MAY_BE_FINAL, "no longer lets it be changed", "")
FAILED = StepAnswer(0x0110, StepVerdict.RETRY, "the manager failed: Closed by RIS", "")
FORGOTTEN = StepAnswer(0x0112, StepVerdict.UNKNOWN_STEP, "never heard of it", "")
EXISTS = StepAnswer(0x0111, StepVerdict.DUPLICATE, "the step exists already", "")


class World:
    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.facts, self.findings = HandClock(), Facts(), FindingBoard()
        journal = Journal(directory / "journal.sqlite")
        self.ledger = StepLedger(journal, self.clock, Spool(directory))
        self.asked: list[tuple[str, str]] = []
        self.stumbles_at = ""
        self.knows = True
        self.answers: list[StepAnswer | None] = []  # to the next messages; None: lost on the way
        for exam_id in EXAM_IDS:
            self.facts.exams[exam_id] = open_exam(scheduled_item(), DEVICES, datetime.now(UTC), exam_id)
        self.messages = StepMessages(
            PerformedStepManager(ae_title="RIS", host="127.0.0.1", port=1),
            Box(),
            Caller("BRIDGE"),
            facts=self.facts,  # type: ignore[arg-type]
            ledger=self.ledger,
            troubles=Troubles(journal, self.clock),
            findings=self.findings,
            clock=self.clock,
            creation_from=creation_from,
            final_from=final_from,
        )
        monkeypatch.setattr(steps, "open_association", self.associate)
        monkeypatch.setattr(steps, "create_step", self.create)
        monkeypatch.setattr(steps, "set_step", self.set)

    @contextmanager
    def associate(self, *_: Any, **__: Any) -> Iterator[None]:
        yield

    def create(self, _association: object, uid: str, _dataset: Dataset) -> StepAnswer:
        self.asked.append(("N-CREATE", uid))
        if uid == self.stumbles_at:
            raise AssociationAborted("The manager aborted.")
        return self.next_answer(DONE)

    def next_answer(self, otherwise: StepAnswer) -> StepAnswer:
        answer = self.answers.pop(0) if self.answers else otherwise
        if answer is None:
            raise AssociationAborted("The manager aborted.")
        return answer

    def set(self, _association: object, uid: str, _dataset: Dataset) -> StepAnswer:
        self.asked.append(("N-SET", uid))
        if self.answers:
            return self.next_answer(DONE)
        return DONE if self.knows else StepAnswer(0x0112, StepVerdict.UNKNOWN_STEP, "never heard of it", uid)

    def begin(self, exam_id: str, modality: str = "US") -> str:
        step = self.facts.exams[exam_id].step_of(modality)
        self.ledger.add(exam_id, step, may_have_been_told=False)
        return step.sop_instance_uid

    def end(self, exam_id: str) -> None:
        self.facts.ends[exam_id] = Closed(datetime.now(UTC), Outcome.COMPLETED, (), ())
        for modality in MODALITIES:
            self.ledger.end(exam_id, modality, Outcome.COMPLETED)

    def state(self, uid: str) -> StepState:
        row = self.ledger.read(uid)
        assert row is not None
        return row.state

    def run(self, seconds: float) -> None:
        """The worker's own way: work, sleep as long as it says."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            self.clock.advance(self.messages.work() or 0.001)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_ok__a_step_that_breaks_every_association_keeps_no_other_waiting(world: World) -> None:
    world.stumbles_at = world.begin(EXAM_IDS[0])
    others = [world.begin(EXAM_IDS[0], "ES"), world.begin(EXAM_IDS[1])]
    for exam_id in EXAM_IDS:
        world.end(exam_id)
    world.run(30)
    assert [world.state(uid) for uid in others] == [StepState.COMPLETED] * 2
    assert world.state(world.stumbles_at) is StepState.DUE
    assert {one.code for one in world.findings.listing()} == {"step-manager-trouble"}
    stumbled, world.stumbles_at = world.stumbles_at, ""
    world.run(130)
    assert world.state(stumbled) is StepState.COMPLETED


def test_fail__a_manager_that_knows_no_step_that_it_took_is_not_asked_without_a_pause(world: World) -> None:
    world.knows = False
    uid = world.begin(EXAM_IDS[0])
    world.end(EXAM_IDS[0])
    world.run(600)
    assert 10 <= len(world.asked) <= 50
    assert world.asked[:4] == [("N-CREATE", uid), ("N-SET", uid), ("N-CREATE", uid), ("N-SET", uid)]
    world.knows = True
    world.run(130)
    assert world.state(uid) is StepState.COMPLETED


@pytest.mark.parametrize(
    ("answers", "then"),
    [
        # Never told, or told and refused: somebody else ended it.
        ([ENDED], StepState.REFUSED),
        ([FAILED, ENDED], StepState.REFUSED),
        ([FAILED, FAILED, ENDED], StepState.REFUSED),
        ([FORGOTTEN, DONE, ENDED], StepState.REFUSED),
        # An answer that was lost, at whatever attempt: that one may have arrived.
        ([None, ENDED], StepState.COMPLETED),
        ([FAILED, None, ENDED], StepState.COMPLETED),
        ([None, FAILED, ENDED], StepState.COMPLETED),
        ([None, FORGOTTEN, DONE, ENDED], StepState.COMPLETED),
        ([FAILED, DONE], StepState.COMPLETED),
        ([None, DONE], StepState.COMPLETED),
    ],
)
def test_ok__what_the_manager_no_longer_lets_be_changed(
    world: World, answers: list[StepAnswer | None], then: StepState
) -> None:
    uid = world.begin(EXAM_IDS[0])
    world.run(1)
    assert world.state(uid) is StepState.IN_PROGRESS
    world.end(EXAM_IDS[0])
    world.answers = list(answers)
    world.run(300)
    assert not world.answers
    assert world.state(uid) is then
    assert {one.code for one in world.findings.listing()} == (
        {"step-ended-elsewhere"} if then is StepState.REFUSED else set()
    )


@pytest.mark.parametrize("answers", [[EXISTS], [FAILED, EXISTS], [None, EXISTS], [FAILED, None, EXISTS]])
def test_ok__a_step_that_exists_already_is_ours_whatever_was_answered(
    world: World, answers: list[StepAnswer | None]
) -> None:
    """Its identifier is nobody else's. What was answered with a failure may be there too, and is never dropped."""
    uid = world.begin(EXAM_IDS[0])
    world.answers = answers[:1]
    world.run(0.5)
    world.ledger.drop_untold(EXAM_IDS[0], "US")
    world.answers = answers[1:]
    world.run(130)
    assert world.state(uid) is StepState.IN_PROGRESS


@pytest.mark.parametrize(
    ("answers", "then"),
    [
        ([ENDED], StepState.ENDED_ELSEWHERE),
        ([FAILED, ENDED], StepState.ENDED_ELSEWHERE),
        ([None, ENDED], StepState.ENDED_ELSEWHERE),
        ([DONE], StepState.COMPLETED),
        ([FORGOTTEN, DONE, DONE], StepState.COMPLETED),
    ],
)
def test_ok__what_somebody_else_ended_waits_for_a_person_and_is_told_once_more(
    world: World, answers: list[StepAnswer | None], then: StepState
) -> None:
    uids = [world.begin(exam_id, modality) for exam_id in EXAM_IDS for modality in MODALITIES]
    for exam_id in EXAM_IDS:
        world.end(exam_id)
    world.answers = [DONE, ENDED] * 4
    world.run(3600)
    assert [world.state(uid) for uid in uids] == [StepState.REFUSED] * 4
    assert len(world.asked) == 8, "it is not told again by itself"
    assert world.ledger.count_unfinished() == 4
    (finding,) = world.findings.listing()
    assert finding.code == "step-ended-elsewhere"
    assert f"steps were ended by somebody else: ES of exam {EXAM_IDS[0]}, " in finding.sentence
    assert finding.sentence.count("of exam") == 3 and "1 more" in finding.sentence
    for uid in uids[1:]:
        world.ledger.restore_final(uid, StepState.COMPLETED)
    world.answers = list(answers)
    world.messages.retry()
    world.run(130)
    assert world.state(uids[0]) is then
    assert world.ledger.count_unfinished() == 0
    assert world.findings.listing() == []


def test_ok__a_managers_comment_ends_before_our_own_words_begin(world: World) -> None:
    world.begin(EXAM_IDS[0])
    world.end(EXAM_IDS[0])
    world.answers = [DONE, FAILED]
    world.run(0.5)
    (finding,) = world.findings.listing()
    assert finding.sentence.endswith("the manager failed: Closed by RIS.")


def test_ok__a_manager_to_whom_nothing_is_to_be_told_any_more_is_in_no_trouble(world: World) -> None:
    world.begin(EXAM_IDS[0])
    world.answers = [None]
    world.run(1)
    assert world.messages.trouble
    with world.ledger._journal.transaction() as db:
        db.execute("DELETE FROM steps")
    world.run(10)
    assert not world.messages.trouble
    assert world.findings.listing() == []
