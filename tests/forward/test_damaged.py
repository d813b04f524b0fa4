"""A damaged object lies in quarantine for good; its exam waits for it only while it is wanted somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.exam.decisions import Decision, DecisionKind
from appliance.forward.states import DeliveryEvent as E
from appliance.forward.states import StepState
from appliance.spool.settled import settled_path
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import Job
from tests.forward.test_intake import CONFIGURATION, Bench

COMMITTED = (E.CLAIMED, E.STORE_ACCEPTED, E.COMMITMENT_ASKED, E.COMMITTED)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _damage(bench: Bench, first: Sequence[E] = (), name: str = "first") -> tuple[Job, str]:
    """An exam for two archives, of whose one object the file was found damaged after `first` had happened at `name`."""
    job = Job(bench.spool, CONFIGURATION, ("first", "second"))
    made = job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    bench.steps.restore_final(job.exam.step_of("US").sop_instance_uid, StepState.COMPLETED)
    _record(bench, made.sop_instance_uid, name, first)
    bench.journal.close()
    (bench.spool.outbox / made.file_name).rename(bench.spool.quarantine / made.file_name)
    bench.restart()
    with bench.journal.transaction() as db:
        db.execute("UPDATE objects SET place = 'awaited'")  # as a visit leaves what it found damaged
    bench.rescan()
    assert bench.codes() >= {"object-damaged"}
    assert not settled_path(bench.spool, job.exam_id).exists()
    return job, made.sop_instance_uid


def _record(bench: Bench, uid: str, name: str, events: Sequence[E]) -> None:
    for event in events:
        bench.ledger.record(uid, name, event)


def _release(bench: Bench, job: Job, uid: str, destination: str = "") -> None:
    now = HandClock().now()
    job.facts.decide(
        job.exam_id, Decision(DecisionKind.RELEASED, uid, now, "ssh: maria", "rotten", "", "", destination)
    )
    bench.rescan()


@pytest.mark.parametrize("is_committed_first", [True, False])
def test_ok__committed_at_one_archive_and_released_at_the_other_it_is_done(
    bench: Bench, is_committed_first: bool
) -> None:
    """A person need not, and cannot, release it as a whole: an archive took responsibility."""
    job, uid = _damage(bench, COMMITTED if is_committed_first else COMMITTED[:-1])
    _release(bench, job, uid, "second")
    if not is_committed_first:
        assert "object-damaged" in bench.codes(), "the first archive has promised nothing yet"
        assert not settled_path(bench.spool, job.exam_id).exists()
        assert len(bench.listing.queue(is_waiting_only=True)["objects"]) == 1
        _record(bench, uid, "first", COMMITTED[-1:])
        bench.rescan()
    assert "object-damaged" not in bench.codes()
    assert settled_path(bench.spool, job.exam_id).exists()
    assert bench.listing.queue(is_waiting_only=True)["objects"] == []
    for path in (bench.directory / "journal").iterdir():
        path.unlink()
    settled_path(bench.spool, job.exam_id).unlink()
    bench.restart()
    bench.rescan()
    assert "object-damaged" in bench.codes(), "nothing is known of the commitment any more"


@pytest.mark.parametrize("destinations", [("",), ("first", "second")])
def test_ok__released_everywhere_it_is_done(bench: Bench, destinations: tuple[str, ...]) -> None:
    job, uid = _damage(bench)
    for destination in destinations:
        _release(bench, job, uid, destination)
    assert "object-damaged" not in bench.codes()
    assert settled_path(bench.spool, job.exam_id).exists()
    bench.journal.close()
    bench.restart()
    bench.rescan()
    assert "object-damaged" not in bench.codes()


def test_fail__one_that_goes_nowhere_waits_for_a_person(bench: Bench) -> None:
    job, uid = _damage(bench)
    with bench.journal.transaction() as db:
        db.execute("DELETE FROM deliveries")
    bench.rescan()
    assert "object-damaged" in bench.codes()
    assert not settled_path(bench.spool, job.exam_id).exists()
    _release(bench, job, uid)
    assert settled_path(bench.spool, job.exam_id).exists()
