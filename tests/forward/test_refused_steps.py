"""That somebody else ended a performed step stays known when the journal is lost, until its exam is settled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.exam.exam import Outcome
from appliance.forward.settled_record import EndedStep, RefusedSteps
from appliance.forward.states import StepEvent, StepState
from appliance.spool.settled import list_early, refused_path, settled_path
from appliance.spool.tree import Spool
from tests.forward.hospital_job import Job
from tests.forward.test_intake import CONFIGURATION, Bench

EXAM = "E000001-20261122-093000"
SAID = "The manager no longer lets it be changed."
REFUSED = EndedStep(StepState.REFUSED, SAID, "1.2.3")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _be_refused(bench: Bench) -> tuple[Job, str]:
    """An exam that is over, with one object that waits, and a step that somebody else ended."""
    job = Job(bench.spool, CONFIGURATION, ("archive",))
    job.capture()
    bench.intake.rescan()
    uid = job.exam.step_of("US").sop_instance_uid
    bench.steps.mark_creation_sent(uid)
    bench.steps.record(uid, StepEvent.CREATED, "", "1.2.3")
    job.close(Outcome.COMPLETED)
    bench.intake.rescan()
    bench.steps.record(uid, StepEvent.NOT_OURS, SAID)
    return job, uid


def _lose_the_journal(bench: Bench) -> None:
    bench.journal.close()
    for path in (bench.directory / "journal").iterdir():
        path.unlink()
    bench.restart()
    bench.intake.rescan()


def _state(bench: Bench, uid: str) -> StepState:
    row = bench.steps.read(uid)
    assert row is not None
    return row.state


def test_ok__a_lost_journal_still_waits_for_a_person(bench: Bench) -> None:
    job, uid = _be_refused(bench)
    assert json.loads(refused_path(bench.spool, job.exam_id, "US").read_bytes()) == {
        "exam_id": job.exam_id,
        "modality": "US",
        "state": "refused",
        "said": SAID,
        "managers_uid": "1.2.3",
    }
    _lose_the_journal(bench)
    (row,) = bench.steps.refused()
    assert (row.sop_instance_uid, row.managers_uid, row.outcome) == (uid, "1.2.3", Outcome.COMPLETED)
    assert not row.is_final_sent, "the next no is not taken for the end of ours either"
    assert bench.steps.due(60.0) == [], "it is not told by itself"
    bench.steps.hasten()
    bench.steps.record(uid, StepEvent.NOT_OURS, SAID)
    _lose_the_journal(bench)
    assert _state(bench, uid) is StepState.ENDED_ELSEWHERE


@pytest.mark.parametrize("event", [StepEvent.SET_COMPLETED, StepEvent.NOT_KNOWN])
def test_ok__a_step_that_is_ours_again_is_on_record_no_more(bench: Bench, event: StepEvent) -> None:
    job, uid = _be_refused(bench)
    bench.steps.hasten()
    assert refused_path(bench.spool, job.exam_id, "US").exists(), "nobody has said anything yet"
    bench.steps.record(uid, event, "")
    assert not refused_path(bench.spool, job.exam_id, "US").exists()
    _lose_the_journal(bench)
    assert _state(bench, uid) is StepState.DUE


def test_ok__it_goes_when_the_exam_is_settled_and_the_last_word_stands(bench: Bench) -> None:
    job, uid = _be_refused(bench)
    job.hand_over()
    bench.rescan()
    bench.commit_all()
    bench.rescan()
    assert not settled_path(bench.spool, job.exam_id).exists(), "it waits for a person"
    bench.steps.hasten()
    bench.steps.record(uid, StepEvent.NOT_OURS, SAID)
    left = refused_path(bench.spool, job.exam_id, "US").read_bytes()
    bench.rescan()
    assert not any(path.exists() for path in list_early(bench.spool, job.exam_id))
    (step,) = json.loads(settled_path(bench.spool, job.exam_id).read_bytes())["steps"]
    assert (step["state"], step["said"]) == ("ended elsewhere", SAID)
    # A cut between the two leaves both.
    refused_path(bench.spool, job.exam_id, "US").write_bytes(left.replace(b"ended elsewhere", b"refused"))
    _lose_the_journal(bench)
    assert _state(bench, uid) is StepState.ENDED_ELSEWHERE


def test_fail__flash_that_does_not_take_it_leaves_the_step_as_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "the flash fails")

    job, uid = _be_refused(bench)
    bench.steps.hasten()
    bench.steps.record(uid, StepEvent.NOT_KNOWN, "")
    bench.steps.record(uid, StepEvent.CREATED, "")
    with monkeypatch.context() as patched:
        patched.setattr("appliance.forward.settled_record.replace_file", fail)
        with pytest.raises(OSError, match="the flash fails"):
            bench.steps.record(uid, StepEvent.NOT_OURS, SAID)
    assert _state(bench, uid) is StepState.IN_PROGRESS
    bench.steps.record(uid, StepEvent.NOT_OURS, SAID)
    assert _state(bench, uid) is StepState.REFUSED
    assert refused_path(bench.spool, job.exam_id, "US").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b'{"state": "gone", "said": "", "managers_uid": ""}'])
def test_fail__a_damaged_record_still_says_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    records = RefusedSteps(Spool(tmp_path))
    assert records.read(EXAM, "US") is None
    records.write(EXAM, "US", REFUSED)
    assert records.read(EXAM, "US") == REFUSED
    assert records.read(EXAM, "ES") is None
    refused_path(records.spool, EXAM, "US").write_bytes(content)
    assert records.read(EXAM, "US") == EndedStep(StepState.REFUSED)


def test_ok__a_state_that_nobody_else_caused_is_none(tmp_path: Path) -> None:
    records = RefusedSteps(Spool(tmp_path))
    records.write(EXAM, "US", EndedStep(StepState.COMPLETED, SAID))
    assert records.read(EXAM, "US") == EndedStep(StepState.REFUSED, SAID)
    records.remove(EXAM, "US")
    records.remove(EXAM, "US")
    assert records.read(EXAM, "US") is None
