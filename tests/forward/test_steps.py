"""Performed steps on the simulated hospital: told once each, in order, whatever was lost on the way."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from appliance.base.clock import SystemClock
from appliance.base.findings import FindingBoard
from appliance.compose.steps import creation_from, final_from
from appliance.config.schema import Box, Configuration, PerformedStepManager
from appliance.dimse.association import Caller, open_association
from appliance.dimse.performed_step import STEP_CONTEXT, create_step, set_step
from appliance.dimse.status import StepVerdict
from appliance.exam.exam import Outcome
from appliance.exam.facts import ExamFacts
from appliance.forward.journal import Journal
from appliance.forward.states import StepState
from appliance.forward.step_ledger import StepLedger
from appliance.forward.steps import StepMessages
from appliance.forward.troubles import Troubles
from appliance.spool.tree import Spool
from tests.forward.hospital_job import Job
from tests.peers import Peer, running, start_hospital
from tests.ports import pick_free_port

CONFIGURATION = Configuration.model_validate(
    {"devices": [{"name": "ultrasound", "driver": "xmodem", "modality": "US", "line": "a"}]}
)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with running(start_hospital(tmp_path_factory.mktemp("hospital") / "h", box_port=pick_free_port())) as hospital:
        yield hospital


class Bench:
    def __init__(self, directory: Path, hospital: Peer) -> None:
        self.manager = PerformedStepManager(ae_title="HOSPITAL", host="127.0.0.1", port=hospital.port)
        spool = Spool(directory)
        spool.make()
        self.job = Job(spool, CONFIGURATION, ())
        self.step = self.job.exam.step_of("US")
        clock = SystemClock()
        journal = Journal(directory / "journal.sqlite")
        self.ledger = StepLedger(journal, clock, spool)
        self.findings = FindingBoard()
        self.messages = StepMessages(
            self.manager,
            Box(),
            Caller("BRIDGE"),
            facts=self.job.facts,
            ledger=self.ledger,
            troubles=Troubles(journal, clock),
            findings=self.findings,
            clock=clock,
            creation_from=creation_from,
            final_from=final_from,
        )

    def begin(self, *, may_have_been_told: bool = False) -> None:
        self.job.capture()
        self.ledger.add(self.job.exam_id, self.step, may_have_been_told=may_have_been_told)

    def end(self, outcome: Outcome = Outcome.COMPLETED, reason: str = "") -> None:
        self.job.close(outcome, reason)
        self.ledger.end(self.job.exam_id, "US", outcome)

    def state(self) -> StepState:
        row = self.ledger.read(self.step.sop_instance_uid)
        assert row is not None
        return row.state

    def tell_behind_its_back(self, *, is_final: bool) -> None:
        """What a process did of which only the journal's mark, or not even that, was left."""
        with open_association(self.manager, Caller("BRIDGE"), [STEP_CONTEXT]) as association:
            uid = self.step.sop_instance_uid
            created = create_step(association, uid, creation_from(self.job.exam, self.step, Box()))
            assert created.verdict is StepVerdict.DONE
            if is_final:
                closed = self.job.facts.closed(self.job.exam_id)
                assert closed is not None
                final = set_step(association, uid, final_from(self.job.exam, self.step, closed))
                assert final.verdict is StepVerdict.DONE


@pytest.fixture
def bench(tmp_path: Path, hospital: Peer) -> Bench:
    return Bench(tmp_path, hospital)


@pytest.mark.parametrize("outcome", Outcome)
def test_ok__begun_then_ended(bench: Bench, outcome: Outcome) -> None:
    bench.begin()
    bench.messages.work()
    assert bench.state() is StepState.IN_PROGRESS
    bench.end(outcome)
    bench.messages.work()
    assert bench.state() is StepState(outcome.lower())
    assert bench.messages.work() == 60.0


@pytest.mark.parametrize(("reason", "code"), [("110514", "110514"), ("110505", "110505"), ("", "110513")])
def test_ok__the_manager_hears_why_an_exam_was_discontinued(
    bench: Bench, hospital: Peer, reason: str, code: str
) -> None:
    bench.begin()
    bench.end(Outcome.DISCONTINUED, reason)
    bench.messages.work()
    assert hospital.directory is not None
    (path,) = [one for one in (hospital.directory / "steps").iterdir() if bench.step.sop_instance_uid in one.name]
    kept = Dataset.from_json(path.read_text(encoding="utf-8"))
    assert kept.PerformedProcedureStepStatus == "DISCONTINUED"
    (given,) = kept.PerformedProcedureStepDiscontinuationReasonCodeSequence
    assert (given.CodeValue, given.CodingSchemeDesignator) == (code, "DCM")
    assert len(kept.PerformedSeriesSequence[0].ReferencedImageSequence) == 1


def test_ok__a_creation_whose_answer_was_lost_is_not_an_error(bench: Bench) -> None:
    bench.begin()
    bench.ledger.mark_creation_sent(bench.step.sop_instance_uid)
    bench.tell_behind_its_back(is_final=False)
    bench.messages.work()
    assert bench.state() is StepState.IN_PROGRESS


def test_ok__an_end_whose_answer_was_lost_is_the_end(bench: Bench) -> None:
    bench.begin()
    bench.end()
    bench.ledger.mark_creation_sent(bench.step.sop_instance_uid)
    bench.ledger.mark_final_sent(bench.step.sop_instance_uid)
    bench.tell_behind_its_back(is_final=True)
    bench.messages.work()
    assert bench.state() is StepState.COMPLETED


def test_ok__after_a_lost_journal_everything_may_have_been_told(bench: Bench) -> None:
    bench.begin(may_have_been_told=True)
    bench.end()
    bench.tell_behind_its_back(is_final=True)
    bench.messages.work()
    assert bench.state() is StepState.COMPLETED


def test_fail__somebody_else_ended_the_step(bench: Bench) -> None:
    """We never sent an N-SET: that the manager takes none is told until a person lets it be tried again."""
    bench.begin()
    bench.end()
    bench.tell_behind_its_back(is_final=True)
    for _ in range(2):
        bench.messages.work()
        assert bench.state() is StepState.REFUSED
    (finding,) = bench.findings.listing()
    assert finding.code == "step-ended-elsewhere"
    assert f"US of exam {bench.job.exam_id}" in finding.sentence
    bench.messages.retry()
    bench.messages.work()
    assert bench.state() is StepState.ENDED_ELSEWHERE
    assert bench.messages.work() == 60.0
    assert bench.findings.listing() == []


def test_ok__a_manager_that_lost_the_step_hears_of_it_again(bench: Bench, hospital: Peer) -> None:
    bench.begin()
    bench.messages.work()
    assert hospital.directory is not None
    found = [path for path in (hospital.directory / "steps").iterdir() if bench.step.sop_instance_uid in path.name]
    if not found:
        pytest.fail("the hospital keeps no file of the step")
    hospital.stop()
    for path in found:
        path.unlink()
    hospital.start()
    bench.end()
    bench.messages.work()
    assert bench.state() is StepState.DUE
    bench.messages.work()
    assert bench.state() is StepState.COMPLETED


def test_fail__a_manager_that_is_gone_is_tried_later(tmp_path: Path, hospital: Peer) -> None:
    bench = Bench(tmp_path, hospital)
    bench.messages._manager = bench.manager.model_copy(update={"port": pick_free_port()})
    bench.begin()
    assert bench.messages.work() == 2.0
    assert 0 < bench.messages.work() <= 2.0
    assert "refuses connections on port" in bench.messages.trouble
    assert 0 < bench.messages.seconds_left <= 2.0
    assert bench.state() is StepState.DUE


def test_ok__a_person_who_asks_for_it_waits_for_no_next_attempt(tmp_path: Path, hospital: Peer) -> None:
    bench = Bench(tmp_path, hospital)
    reachable, bench.messages._manager = bench.manager, bench.manager.model_copy(update={"port": pick_free_port()})
    bench.begin()
    bench.messages.work()
    bench.ledger.postpone(bench.step.sop_instance_uid, "Not now.", lambda _failures: 300.0)
    bench.messages._manager = reachable
    assert bench.messages.work() > 0
    assert bench.state() is StepState.DUE
    bench.messages.retry()
    assert bench.messages.seconds_left == 0
    bench.messages.work()
    assert bench.state() is StepState.IN_PROGRESS


def test_fail__an_exams_record_that_cannot_be_read_is_told_and_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: ExamFacts, _exam_id: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    bench.begin()
    with monkeypatch.context() as patch:
        patch.setattr(ExamFacts, "exam", fail)
        bench.messages.work()
    assert bench.state() is StepState.DUE
    assert [(one.code, "the flash gives back errors" in one.sentence) for one in bench.findings.listing()] == [
        ("step-refused", True)
    ]


def test_ok__no_association_leaves_a_thread_behind(bench: Bench) -> None:
    before = threading.active_count()
    bench.begin()
    bench.messages.work()
    bench.end()
    bench.messages.work()
    assert threading.active_count() <= before
