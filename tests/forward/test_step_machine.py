"""The performed steps' ledger and the one that tells of them, driven through everything that can go wrong.

The manager is a model of PS3.4 F.7.2 with losses on the way: a request or only its answer is lost, it refuses, warns,
calls a step by a name of its own, forgets, is down. The box is killed at any moment (a new process on the same file),
loses its journal, and its clock jumps.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydicom import Dataset

from appliance.base.findings import FindingBoard
from appliance.compose.steps import creation_from, final_from
from appliance.config.devices import Device, SerialDevice
from appliance.config.schema import Box, PerformedStepManager
from appliance.dimse.association import AssociationAborted, Caller, PeerUnreachable
from appliance.dimse.performed_step import RETRY_LONGEST_SECONDS, StepAnswer
from appliance.dimse.status import StepVerdict, create_verdict, set_verdict
from appliance.exam.exam import Closed, Exam, Outcome, open_exam
from appliance.forward.journal import Journal
from appliance.forward.states import FINAL_STEPS, StepState
from appliance.forward.step_ledger import StepLedger, StepRow
from appliance.forward.steps import StepMessages
from appliance.forward.troubles import Troubles
from appliance.spool.tree import Spool
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import scheduled_item

_MEMORY = Path("/dev/shm")
MODALITIES = ("US", "ES")
DEVICES: tuple[Device, ...] = tuple(
    SerialDevice(name=modality.lower(), driver="xmodem", line=Path("tty"), modality=modality) for modality in MODALITIES
)


class Mishap(StrEnum):
    NONE = "none"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    REFUSED = "refused"
    FAILED = "failed"  # 0110H without an Error ID
    WARNED = "warned"
    RENAMED = "renamed"
    ENDED_BY_OTHERS = "ended by others"  # somebody else ends the step before our message arrives
    DISOWNED = "disowned"  # A710H, though the manager never heard of an end


class Trouble(StrEnum):
    DOWN_OR_UP = "down or up"
    FORGOTTEN = "forgotten"
    KILLED = "killed"
    JOURNAL_LOST = "journal lost"


JUMPS = (0.0, -86_400.0, -30.0, 86_400.0)


@dataclass
class Manager:
    """What the hospital knows, and everything that it was ever asked."""

    mishaps: list[Mishap] = field(default_factory=list)
    is_down: bool = False
    states: dict[str, str] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)  # by our own UID: how a step first ended, whatever was forgotten
    own_name: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    ended_by_others: set[str] = field(default_factory=set)
    disowned: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)  # steps of which an N-SET of ours may have arrived

    @contextmanager
    def associate(self, *_: Any, **__: Any) -> Iterator[None]:
        if self.is_down:
            raise PeerUnreachable("The manager is down.")
        yield

    def create(self, _association: object, uid: str, dataset: Dataset) -> StepAnswer:
        assert dataset.PerformedProcedureStepStatus == "IN PROGRESS"
        self.asked.append(("N-CREATE", uid))
        mishap = self._begin(refused=0x0213)
        if isinstance(mishap, StepAnswer):
            return mishap
        name = f"{uid}.1" if mishap is Mishap.RENAMED else uid
        is_known = bool({uid, f"{uid}.1"} & set(self.states))
        if not is_known:
            self.states[name], self.own_name[name] = "IN PROGRESS", uid
        if mishap is Mishap.ANSWER_LOST:
            raise AssociationAborted("The answer was lost.")
        code = 0x0111 if is_known else 0x0107 if mishap is Mishap.WARNED else 0x0000
        known = f"{uid}.1" if f"{uid}.1" in self.states else uid
        self.asked.append(("created", uid))
        return StepAnswer(code, create_verdict(code)[0], "said", known)

    def set(self, _association: object, uid: str, dataset: Dataset) -> StepAnswer:
        own = self.own_name.get(uid, uid.removesuffix(".1"))
        self.asked.append(("N-SET", own))
        if self.mishaps[:1] in ([Mishap.REQUEST_LOST], [Mishap.ANSWER_LOST]):
            self.unanswered.add(own)
        mishap = self._begin(refused=0x0106)
        if isinstance(mishap, StepAnswer):
            return mishap
        state = self.states.get(uid)
        if mishap is Mishap.DISOWNED:
            self.disowned.add(own)
            return StepAnswer(0x0110, StepVerdict.MAY_BE_FINAL, "may no longer be updated", uid)
        if mishap is Mishap.ENDED_BY_OTHERS and state == "IN PROGRESS":
            self.states[uid] = state = "DISCONTINUED"
            self.ended_by_others.add(own)
        if state == "IN PROGRESS":
            self.states[uid] = str(dataset.PerformedProcedureStepStatus)
            self.ends.setdefault(self.own_name[uid], self.states[uid])
        if mishap is Mishap.ANSWER_LOST:
            raise AssociationAborted("The answer was lost.")
        if state is None:
            return StepAnswer(0x0112, set_verdict(0x0112)[0], "unknown", uid)
        if state != "IN PROGRESS":
            return StepAnswer(0x0110, StepVerdict.MAY_BE_FINAL, "may no longer be updated", uid)
        code = 0x0116 if mishap is Mishap.WARNED else 0x0000
        return StepAnswer(code, set_verdict(code)[0], "set", uid)

    def _begin(self, refused: int) -> Mishap | StepAnswer:
        mishap = self.mishaps.pop(0) if self.mishaps else Mishap.NONE
        if mishap is Mishap.REQUEST_LOST:
            raise AssociationAborted("The request was lost.")
        if mishap in (Mishap.REFUSED, Mishap.FAILED):
            code = refused if mishap is Mishap.REFUSED else 0x0110
            return StepAnswer(code, StepVerdict.RETRY, "not now", "")
        return mishap


class Facts:
    """The exams' files."""

    def __init__(self) -> None:
        self.exams: dict[str, Exam] = {}
        self.ends: dict[str, Closed] = {}

    def exam(self, exam_id: str) -> Exam | None:
        return self.exams.get(exam_id)

    def closed(self, exam_id: str) -> Closed | None:
        return self.ends.get(exam_id)


class StepMachine(RuleBasedStateMachine):
    @initialize()
    def begin_life(self) -> None:
        # In memory: a killed process loses nothing there, and thousands of syncs cost nothing.
        self.directory = Path(tempfile.mkdtemp(prefix="steps-", dir=_MEMORY if _MEMORY.is_dir() else None))
        self.clock, self.manager, self.facts = HandClock(), Manager(), Facts()
        self.begun: dict[tuple[str, str], str] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.dropped: set[str] = set()
        self.told_final: dict[str, int] = {}
        self.open_journal()
        self.open_an_exam(set(MODALITIES))

    def open_journal(self) -> None:
        self.journal = Journal(self.directory / "journal.sqlite")
        self.ledger = StepLedger(self.journal, self.clock, Spool(self.directory))
        self.messages = StepMessages(
            PerformedStepManager(ae_title="RIS", host="127.0.0.1", port=1),
            Box(),
            Caller("BRIDGE"),
            facts=self.facts,  # type: ignore[arg-type]
            ledger=self.ledger,
            troubles=Troubles(self.journal, self.clock),
            findings=FindingBoard(),
            clock=self.clock,
            creation_from=creation_from,
            final_from=final_from,
        )

    def teardown(self) -> None:
        if not hasattr(self, "journal"):
            return
        try:
            self.come_to_rest()
        finally:
            self.journal.close()
            shutil.rmtree(self.directory)

    # -- what the console's facts say, as forward.intake takes it in

    @precondition(lambda self: len(self.facts.exams) < 3)
    @rule(begun=st.sets(st.sampled_from(MODALITIES)))
    def open_an_exam(self, begun: set[str]) -> None:
        number = len(self.facts.exams)
        exam_id = f"20261122-0930{number:02}-000{number}"
        now = datetime(2026, 11, 22, 9, 30, number, tzinfo=UTC)
        self.facts.exams[exam_id] = open_exam(scheduled_item(), DEVICES, now, exam_id)
        for modality in sorted(begun):
            self.add(exam_id, modality, may_have_been_told=False)

    def running(self) -> list[str]:
        return [exam_id for exam_id in self.facts.exams if exam_id not in self.facts.ends]

    @precondition(lambda self: self.running())
    @rule(data=st.data(), modality=st.sampled_from(MODALITIES))
    def capture_the_first_object(self, data: st.DataObject, modality: str) -> None:
        exam_id = data.draw(st.sampled_from(self.running()))
        self.add(exam_id, modality, may_have_been_told=False)

    def add(self, exam_id: str, modality: str, *, may_have_been_told: bool) -> None:
        step = self.facts.exams[exam_id].step_of(modality)
        self.begun[exam_id, modality] = step.sop_instance_uid
        self.ledger.add(exam_id, step, may_have_been_told=may_have_been_told)

    @precondition(lambda self: self.running())
    @rule(data=st.data(), outcome=st.sampled_from(Outcome), remains=st.booleans())
    def end_an_exam(self, data: st.DataObject, outcome: Outcome, remains: bool) -> None:
        """`remains`: whether anything of the modalities that began is left at the end."""
        self.end(data.draw(st.sampled_from(self.running())), outcome, remains=remains)

    def end(self, exam_id: str, outcome: Outcome, *, remains: bool = True) -> None:
        self.facts.ends[exam_id] = Closed(datetime(2026, 11, 22, 10, tzinfo=UTC), outcome, (), ())
        for (one, modality), uid in list(self.begun.items()):
            if one == exam_id:
                self.outcomes[uid] = outcome if remains else Outcome.DISCONTINUED
                if not remains:
                    self.ledger.drop_untold(exam_id, modality)
                    if self.ledger.read(uid) is None:
                        self.dropped.add(uid)
                self.ledger.end(exam_id, modality, self.outcomes[uid])

    @precondition(lambda self: self.facts.ends)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def hear_of_an_end_again(self, data: st.DataObject, outcome: Outcome) -> None:
        """The first outcome stands: a final step is never changed."""
        exam_id = data.draw(st.sampled_from(sorted(self.facts.ends)))
        for modality in MODALITIES:
            self.ledger.end(exam_id, modality, outcome)

    # -- the world

    @rule(mishaps=st.lists(st.sampled_from(Mishap), max_size=4))
    def tell(self, mishaps: list[Mishap]) -> None:
        self.manager.mishaps = mishaps
        self.work()
        self.manager.mishaps = []

    def work(self) -> None:
        with (
            mock.patch("appliance.forward.steps.open_association", self.manager.associate),
            mock.patch("appliance.forward.steps.create_step", self.manager.create),
            mock.patch("appliance.forward.steps.set_step", self.manager.set),
        ):
            assert self.messages.work() >= 0

    @rule(mishaps=st.lists(st.sampled_from(Mishap), min_size=1, max_size=3), jump=st.sampled_from(JUMPS))
    def wait_long(self, mishaps: list[Mishap], jump: float) -> None:
        self.wait_and_tell(mishaps, jump)

    def wait_and_tell(self, mishaps: list[Mishap], jump: float) -> None:
        self.clock.set_wall(jump)
        self.clock.advance(RETRY_LONGEST_SECONDS + 1)
        self.tell(mishaps)

    @precondition(lambda self: self.running())
    @rule(
        data=st.data(),
        attempts=st.lists(st.sampled_from(Mishap), max_size=2),
        retried=st.lists(st.sampled_from(Mishap), max_size=2),
        is_journal_lost=st.booleans(),
    )
    def be_overtaken(
        self, data: st.DataObject, attempts: list[Mishap], retried: list[Mishap], is_journal_lost: bool
    ) -> None:
        """Somebody else ends the steps of an exam, after some attempts of ours; perhaps a person then tries again."""
        begun = [Mishap.RENAMED] * 6 if data.draw(st.booleans()) else []
        self.wait_and_tell(begun, 0.0)
        self.end(data.draw(st.sampled_from(self.running())), Outcome.COMPLETED)
        for mishap in (*attempts, Mishap.ENDED_BY_OTHERS):
            self.wait_and_tell([mishap] * 6, 0.0)
        for mishap in retried:
            self.messages.retry()
            self.wait_and_tell([mishap] * 6, 0.0)
        if is_journal_lost:
            self.lose_the_journal()

    @rule()
    def try_again(self) -> None:
        """A person did something about it."""
        self.messages.retry()

    @rule(data=st.data(), trouble=st.sampled_from(Trouble))
    def have_trouble(self, data: st.DataObject, trouble: Trouble) -> None:
        match trouble:
            case Trouble.DOWN_OR_UP:
                self.manager.is_down = not self.manager.is_down
            case Trouble.FORGOTTEN if self.manager.states:
                del self.manager.states[data.draw(st.sampled_from(sorted(self.manager.states)))]
            case Trouble.KILLED:
                self.journal.close()
                self.open_journal()
            case Trouble.JOURNAL_LOST:
                self.lose_the_journal()

    def lose_the_journal(self) -> None:
        """As forward.intake rebuilds it: of what was sent nothing is known, but for what somebody else ended."""
        foreign = {
            uid: StepState.REFUSED if row.state is StepState.RETRIED else row.state
            for uid, row in self.rows().items()
            if row.state in {StepState.REFUSED, StepState.RETRIED, StepState.ENDED_ELSEWHERE}
        }
        self.journal.close()
        for path in self.directory.glob("journal.sqlite*"):
            path.unlink()
        self.open_journal()
        self.manager.unanswered |= set(self.begun.values()) - set(foreign)
        for (exam_id, modality), uid in self.begun.items():
            if uid in self.dropped:
                continue
            self.add(exam_id, modality, may_have_been_told=True)
            if uid in self.outcomes:
                self.ledger.end(exam_id, modality, self.outcomes[uid])
        assert foreign == {uid: row.state for uid, row in self.rows().items() if row.state is not StepState.DUE}

    def rows(self) -> dict[str, StepRow]:
        return {uid: row for uid in self.begun.values() if (row := self.ledger.read(uid)) is not None}

    # -- what must hold

    @invariant()
    def no_end_overtakes_a_beginning(self) -> None:
        """An N-SET leaves only when the last N-CREATE was answered: the step exists."""
        created: set[str] = set()
        for operation, uid in self.manager.asked:
            match operation:
                case "N-CREATE":
                    created.discard(uid)
                case "created":
                    created.add(uid)
                case _:
                    assert uid in created

    @invariant()
    def a_step_has_one_identifier(self) -> None:
        assert {uid for _, uid in self.manager.asked} <= set(self.begun.values())

    @invariant()
    def what_was_dropped_was_never_told(self) -> None:
        assert not self.dropped & {uid for _, uid in self.manager.asked}

    @invariant()
    def what_counts_as_ended_has_ended_there_and_so(self) -> None:
        for uid in self.begun.values():
            row = self.ledger.read(uid)
            if row is None or row.state not in FINAL_STEPS:
                continue
            if row.state is StepState.ENDED_ELSEWHERE:
                assert self.was_refused(uid)
            elif self.manager.ends.get(uid, "").lower() == row.state:
                assert row.state == self.outcomes[uid].lower()
            else:
                assert self.was_refused(uid) and uid in self.manager.unanswered

    def was_refused(self, uid: str) -> bool:
        return uid in self.manager.ended_by_others | self.manager.disowned

    @invariant()
    def nothing_is_told_after_an_end(self) -> None:
        """But by a box that lost its journal."""
        for uid in self.begun.values():
            row = self.ledger.read(uid)
            count = sum(1 for _, told in self.manager.asked if told == uid)
            if row is not None and row.state in FINAL_STEPS:
                assert self.told_final.setdefault(uid, count) == count
            else:
                self.told_final.pop(uid, None)

    def come_to_rest(self) -> None:
        """All is well again: every step of an exam that is over ends, and none stays in progress at the manager."""
        self.manager.is_down = False
        for exam_id in self.running():
            self.end(exam_id, Outcome.COMPLETED)
        for _ in range(20):
            self.clock.advance(RETRY_LONGEST_SECONDS + 1)
            self.work()
        self.try_again()
        for _ in range(20):
            self.clock.advance(RETRY_LONGEST_SECONDS + 1)
            self.work()
        for uid in set(self.begun.values()) - self.dropped:
            row = self.ledger.read(uid)
            assert row is not None
            assert row.state in {StepState(self.outcomes[uid].lower()), StepState.ENDED_ELSEWHERE}
        left = {self.manager.own_name[uid] for uid, state in self.manager.states.items() if state == "IN PROGRESS"}
        assert left <= self.manager.disowned
        self.no_end_overtakes_a_beginning()
        self.what_counts_as_ended_has_ended_there_and_so()


StepMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
test_ok__steps_through_everything = StepMachine.TestCase
