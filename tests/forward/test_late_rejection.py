"""What an archive may have of an exam: only what this process took in and has not begun to send it surely has not."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.moved import Moved, MovedObject
from appliance.forward.late_rejection import CODE
from appliance.forward.states import DeliveryEvent
from tests.forward.hospital_job import Job
from tests.forward.test_intake import Bench

RIGHT_EXAM = "20261122-093100-0002"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.journal.mark_whole()
    bench.journal.close()
    bench.restart()
    return bench


def end_exam(bench: Bench) -> Job:
    job = bench.job()
    job.capture("ultrasound")
    job.capture("endoscope")
    job.close()
    job.hand_over()
    return job


def unsent(bench: Bench, job: Job) -> set[str]:
    objects = bench.listing.queue(job.exam_id)["objects"]
    return {one["sop_instance_uid"] for one in objects if one["destinations"]["archive"]["is_unsent"]}


def move(bench: Bench, job: Job, *rejected: str) -> None:
    """Both images belong to another patient, and the note rejects those in `rejected`."""
    right = Job(bench.spool, job.configuration, (), RIGHT_EXAM)
    objects = tuple(
        MovedObject(one.sop_instance_uid, f"2.25.{number}", one.device, one.file_name)
        for number, one in enumerate(job.instances)
    )
    now = datetime.now().astimezone()
    moved = Moved(job.exam_id, right.exam, objects, now, "panel", True, is_released=True, rejected=rejected)
    job.facts.write(RIGHT_EXAM, "moved", moved)
    for one in objects:
        job.facts.decide(job.exam_id, moved.decision_on(one))


@pytest.mark.parametrize(
    "events",
    [
        (DeliveryEvent.CLAIMED,),
        (DeliveryEvent.CLAIMED, DeliveryEvent.CLAIM_VOID),
        (DeliveryEvent.CLAIMED, DeliveryEvent.STORE_FAILED),
        (DeliveryEvent.CLAIMED, DeliveryEvent.STORE_ACCEPTED),
    ],
)
def test_ok__what_was_begun_once_an_archive_may_have(bench: Bench, events: tuple[DeliveryEvent, ...]) -> None:
    job = end_exam(bench)
    bench.rescan()
    assert unsent(bench, job) == job.uids
    begun = job.instances[0].sop_instance_uid
    for event in events:
        bench.ledger.record(begun, "archive", event)
    assert unsent(bench, job) == job.uids - {begun}


def test_ok__of_what_was_due_before_this_process_nobody_knows(bench: Bench) -> None:
    job = end_exam(bench)
    bench.rescan()
    bench.journal.close()
    bench.restart()
    assert unsent(bench, job) == set()
    bench.rescan()
    assert unsent(bench, job) == set()


def test_ok__a_new_journal_does_not_know_what_the_old_one_sent(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    job = end_exam(bench)
    bench.rescan()
    assert unsent(bench, job) == set()


def test_ok__what_left_between_the_question_and_the_decision_is_told(bench: Bench) -> None:
    job = end_exam(bench)
    bench.rescan()
    late, never = (one.sop_instance_uid for one in job.instances)
    bench.ledger.record(late, "archive", DeliveryEvent.CLAIMED)
    move(bench, job)
    bench.rescan()
    told = {finding.subject for finding in bench.findings.listing() if finding.code == CODE}
    assert told == {late}
    assert never not in told


def test_ok__what_the_note_rejects_needs_nobody(bench: Bench) -> None:
    job = end_exam(bench)
    bench.rescan()
    for one in job.instances:
        bench.ledger.record(one.sop_instance_uid, "archive", DeliveryEvent.CLAIMED)
    move(bench, job, *job.uids)
    bench.rescan()
    assert CODE not in bench.codes()


def test_fail__a_record_of_the_move_that_is_damaged_says_nothing_of_the_note(bench: Bench) -> None:
    job = end_exam(bench)
    bench.rescan()
    for one in job.instances:
        bench.ledger.record(one.sop_instance_uid, "archive", DeliveryEvent.CLAIMED)
    move(bench, job, *job.uids)
    (bench.spool.exams / RIGHT_EXAM / "moved.json").write_text("{")
    bench.rescan()
    assert {one.subject for one in bench.findings.listing() if one.code == CODE} == job.uids


def test_ok__a_decision_to_discard_asks_nothing_of_an_archive(bench: Bench) -> None:
    job = end_exam(bench)
    bench.rescan()
    uid = job.instances[0].sop_instance_uid
    bench.ledger.record(uid, "archive", DeliveryEvent.CLAIMED)
    job.facts.decide(
        job.exam_id, Decision(DecisionKind.DISCARDED, uid, datetime.now().astimezone(), "panel", "blurred")
    )
    bench.rescan()
    assert CODE not in bench.codes()
