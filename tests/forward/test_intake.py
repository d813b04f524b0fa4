"""The rescan on a spool made by hand: facts become rows, files are verified, and decisions are obeyed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.base.durable import rename_file, write_once
from appliance.base.findings import FindingBoard
from appliance.config.schema import Configuration
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Closed, Exam, Outcome
from appliance.exam.facts import DamagedFactError
from appliance.forward.intake import PATIENCE_SECONDS, Intake
from appliance.forward.journal import Journal
from appliance.forward.kept import KeptLedger
from appliance.forward.ledger import Ledger, Place
from appliance.forward.listing import Listing
from appliance.forward.settle import Settlement
from appliance.forward.settled_record import SettledRecord, read_record
from appliance.forward.states import DeliveryEvent, DeliveryState, StepState
from appliance.forward.step_ledger import StepLedger
from appliance.spool.names import is_intact
from appliance.spool.tree import Spool
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import PATIENT_ID, Job

CONFIGURATION = Configuration.model_validate(
    {
        "destinations": [{"name": "archive", "ae_title": "A", "host": "h", "port": 104}],
        "devices": [
            {"name": "ultrasound", "driver": "xmodem", "modality": "US", "line": "a"},
            {"name": "endoscope", "driver": "grabber", "modality": "ES", "source": "b"},
        ],
    }
)
ARCHIVE = CONFIGURATION.destinations[0]


class Bench:
    """Intake and settlement over one spool; `restart` is what a new process finds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spool = Spool(directory)
        self.spool.make()
        self.clock = HandClock()
        self.restart()

    def restart(self, destinations: frozenset[str] = frozenset({"archive"})) -> None:
        self.findings = FindingBoard()
        self.journal = Journal(self.directory / "journal" / "journal.sqlite")
        self.ledger = Ledger(self.journal, self.clock)
        self.steps = StepLedger(self.journal, self.clock, self.spool)
        self.listing = Listing(self.journal, self.spool)
        self.intake = Intake(
            self.spool,
            self.ledger,
            self.steps,
            self.findings,
            self.clock,
            destinations=destinations,
            on_new=lambda: None,
        )
        self.settlement = Settlement(
            self.spool,
            self.ledger,
            self.steps,
            listing=self.listing,
            intake=self.intake,
            findings=self.findings,
            clock=self.clock,
            seconds_of_work=lambda: 0.0,
        )

    def job(self, **given: str) -> Job:
        return Job(self.spool, CONFIGURATION, ("archive",), **given)

    def rescan(self) -> None:
        self.intake.rescan()
        self.settlement.settle()

    def codes(self) -> set[str]:
        return {finding.code for finding in self.findings.listing()}

    def steps_by_modality(self) -> dict[str, tuple[str, str]]:
        with self.journal.reading() as db:
            return {row["modality"]: (row["state"], row["outcome"]) for row in db.execute("SELECT * FROM steps")}

    def commit_all(self) -> None:
        for one in self.ledger.due_objects(ARCHIVE, 100):
            for event in (
                DeliveryEvent.CLAIMED,
                DeliveryEvent.STORE_ACCEPTED,
                DeliveryEvent.COMMITMENT_ASKED,
                DeliveryEvent.COMMITTED,
            ):
                self.ledger.record(one.sop_instance_uid, "archive", event)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.journal.mark_whole()
    bench.journal.close()
    bench.restart()  # a journal that is not new: what was never sent is known never to have been
    return bench


def test_ok__nothing_is_due_before_the_exam_is_closed_and_the_file_is_there(bench: Bench) -> None:
    job = bench.job()
    made = job.capture()
    bench.rescan()
    assert bench.listing.queue(None)["objects"] == []
    assert bench.steps_by_modality() == {"US": ("due", "")}
    job.close()
    bench.rescan()
    assert bench.steps_by_modality() == {"US": ("due", "COMPLETED")}
    assert bench.ledger.due_objects(ARCHIVE, 5) == []
    assert made.saved_at is not None
    saved_at = made.saved_at.isoformat()
    assert [one["saved_at"] for one in bench.listing.queue()["objects"]] == [saved_at]
    job.hand_over()
    os.utime(bench.spool.outbox / made.file_name, (0, 0))  # as after a restored copy: the record is the truth
    bench.rescan()
    assert [one["saved_at"] for one in bench.listing.queue()["objects"]] == [saved_at]
    assert [one.sop_instance_uid for one in bench.ledger.due_objects(ARCHIVE, 5)] == [made.sop_instance_uid]
    told = bench.listing.queue(job.exam_id)["objects"][0]
    assert (told["patient_id"], told["bytes"], told["frames"], told["place"]) == (PATIENT_ID, made.bytes, 1, "outbox")


def test_ok__a_file_that_does_not_come_is_told_about_until_it_comes(bench: Bench) -> None:
    job = bench.job()
    job.capture()
    job.close()
    bench.rescan()
    assert "object-missing" not in bench.codes()
    bench.clock.advance(PATIENCE_SECONDS + 1)
    bench.rescan()
    assert "object-missing" in bench.codes()
    job.hand_over()
    bench.rescan()
    assert bench.codes() == set()


def test_ok__a_damaged_file_goes_to_quarantine_and_the_others_on(bench: Bench) -> None:
    job = bench.job()
    bad, good = job.capture(), job.capture()
    job.close()
    job.hand_over()
    (bench.spool.outbox / bad.file_name).write_bytes(b"rotten")
    bench.rescan()
    assert [one.sop_instance_uid for one in bench.ledger.due_objects(ARCHIVE, 5)] == [good.sop_instance_uid]
    assert (bench.spool.quarantine / bad.file_name).read_bytes() == b"rotten"
    assert bench.codes() == {"object-damaged"}
    bench.journal.close()
    bench.restart()
    bench.rescan()
    assert [one.file_name for one in bench.ledger.objects_in(Place.QUARANTINE)] == [bad.file_name]
    assert bench.codes() == {"object-damaged"}, "a restart does not make it forgotten"


def test_ok__a_damaged_fact_stops_only_its_exam(bench: Bench) -> None:
    broken = bench.job(exam_id="20261122-090000-0001")
    (bench.spool.exams / broken.exam_id / "closed.json").write_text("{")
    whole = bench.job(exam_id="20261122-100000-0002")
    whole.capture()
    whole.close()
    whole.hand_over()
    bench.rescan()
    assert len(bench.ledger.due_objects(ARCHIVE, 5)) == 1
    assert bench.codes() == {"damaged-fact"}


def test_ok__committed_files_are_kept_and_the_exam_is_settled(bench: Bench) -> None:
    job = bench.job()
    job.capture()
    job.capture("endoscope")
    job.close()
    job.hand_over()
    bench.rescan()
    bench.commit_all()
    bench.rescan()
    assert job.kept() == job.uids
    assert not job.settled.exists(), "its steps are not told yet"
    for planned in job.exam.steps:
        bench.steps.restore_final(planned.sop_instance_uid, StepState.COMPLETED)
    bench.rescan()
    assert job.settled.exists()
    before = job.settled.read_bytes()
    bench.journal.close()
    bench.restart()
    bench.rescan()
    assert job.settled.read_bytes() == before


def test_ok__a_journal_that_calls_a_kept_file_otherwise_is_mended(bench: Bench) -> None:
    """A bit of the name was flipped where SQLite has no checksum: nobody would ever take the file away."""
    job = bench.job()
    job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    bench.commit_all()
    bench.rescan()
    (path,) = bench.spool.kept.glob("*.dcm")
    with bench.journal.transaction() as db:
        db.execute("UPDATE objects SET file_name = replace(file_name, '.dcm', '.dcl')")
    bench.journal.close()
    bench.restart()
    bench.rescan()
    with bench.journal.reading() as db:
        assert [row[0] for row in db.execute("SELECT file_name FROM objects")] == [path.name]


def test_ok__a_crash_between_the_move_and_its_row(bench: Bench) -> None:
    job = bench.job()
    made = job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    bench.commit_all()
    (bench.spool.outbox / made.file_name).rename(bench.spool.kept / made.file_name)
    bench.rescan()
    assert [one.place for one in bench.ledger.objects_in(Place.KEPT)] == [Place.KEPT]


def _decide(job: Job, kind: DecisionKind, uid: str) -> None:
    job.facts.decide(job.exam_id, Decision(kind, uid, datetime.now().astimezone(), "Mayr", "it never commits"))


def test_ok__a_rebuild_obeys_decisions_and_finds_kept_files(bench: Bench) -> None:
    job = bench.job()
    kept, rejected = job.capture(), job.capture()
    job.close()
    job.hand_over()
    (bench.spool.outbox / kept.file_name).rename(bench.spool.kept / kept.file_name)
    _decide(job, DecisionKind.REJECTED, rejected.sop_instance_uid)
    bench.rescan()
    due = bench.ledger.due_objects(ARCHIVE, 5)
    assert [(one.sop_instance_uid, one.place) for one in due] == [(kept.sop_instance_uid, Place.KEPT)]
    assert bench.ledger.state_of(rejected.sop_instance_uid, "archive") is DeliveryState.RELEASED
    assert job.kept() == job.uids


@pytest.mark.parametrize("kind", DecisionKind)
@pytest.mark.parametrize(
    "events",
    [
        (),
        (DeliveryEvent.CLAIMED, DeliveryEvent.STORE_REFUSED),
        (DeliveryEvent.CLAIMED, DeliveryEvent.STORE_ACCEPTED),
        (DeliveryEvent.CLAIMED, DeliveryEvent.STORE_ACCEPTED, DeliveryEvent.COMMITMENT_ASKED),
    ],
)
def test_ok__a_decision_about_an_exam_that_is_over_withdraws_the_object(
    bench: Bench, kind: DecisionKind, events: tuple[DeliveryEvent, ...]
) -> None:
    job = bench.job()
    withdrawn, other = job.capture(), job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    for event in events:
        bench.ledger.record(withdrawn.sop_instance_uid, "archive", event)
    _decide(job, kind, withdrawn.sop_instance_uid)
    bench.rescan()
    assert bench.ledger.state_of(withdrawn.sop_instance_uid, "archive") is DeliveryState.RELEASED
    assert job.kept() == {withdrawn.sop_instance_uid}
    assert [one.sop_instance_uid for one in bench.ledger.due_objects(ARCHIVE, 5)] == [other.sop_instance_uid]
    assert bench.ledger.due_commitments(ARCHIVE, 5) == []
    assert bench.listing.queue(job.exam_id)["objects"][0]["destinations"]["archive"]["said"].endswith(kind)
    bench.commit_all()
    _tell_steps(bench, job)
    bench.rescan()
    assert job.settled.exists()


def test_ok__released_from_one_destination_it_still_goes_to_the_others(bench: Bench) -> None:
    """Also after its journal is lost; and with the last destination it is released as a whole."""
    job = Job(bench.spool, CONFIGURATION, ("archive", "gone"))
    made, other = job.capture(), job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    uid = made.sop_instance_uid
    decision = Decision(DecisionKind.RELEASED, uid, datetime.now().astimezone(), "Mayr", "it is gone")

    def states() -> dict[tuple[str, str], DeliveryState | None]:
        uids = (uid, other.sop_instance_uid)
        return {(one, name): bench.ledger.state_of(one, name) for one in uids for name in ("archive", "gone")}

    job.facts.decide(job.exam_id, replace(decision, destination="gone"))
    bench.rescan()
    expected = dict.fromkeys(states(), DeliveryState.PENDING) | {(uid, "gone"): DeliveryState.RELEASED}
    assert states() == expected
    bench.journal.close()
    for path in (bench.directory / "journal").iterdir():
        path.unlink()
    bench.restart()
    bench.rescan()
    assert states() == expected
    assert job.kept() == set(), "archive has not got it"
    assert uid in {one.sop_instance_uid for one in bench.ledger.due_objects(ARCHIVE, 5)}
    job.facts.decide(job.exam_id, replace(decision, destination="archive"))
    bench.rescan()
    bench.rescan()
    assert states() == expected | {(uid, "archive"): DeliveryState.RELEASED}
    assert job.kept() == {uid}
    assert {one.sop_instance_uid: one.is_withdrawn for one in bench.ledger.objects_in(Place.KEPT)} == {uid: True}


def test_ok__a_store_that_is_under_way_is_finished_and_said_and_not_repeated(bench: Bench) -> None:
    job = bench.job()
    made = job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    bench.ledger.record(made.sop_instance_uid, "archive", DeliveryEvent.CLAIMED)
    _decide(job, DecisionKind.RELEASED, made.sop_instance_uid)
    bench.rescan()
    bench.ledger.record(made.sop_instance_uid, "archive", DeliveryEvent.STORE_ACCEPTED)
    told = bench.listing.queue(job.exam_id)["objects"][0]["destinations"]["archive"]
    assert told["state"] == "released"
    assert told["stored_at"], "the archive has it, whatever was decided"
    assert told["said"] == "a person decided: released"
    assert bench.ledger.due_commitments(ARCHIVE, 5) == []
    _tell_steps(bench, job)
    bench.rescan()
    assert job.settled.exists()


def test_ok__an_object_that_is_damaged_or_lost_holds_its_exam_until_a_person_releases_it(bench: Bench) -> None:
    job = bench.job()
    damaged, lost = job.capture(), job.capture()
    job.close()
    job.hand_over()
    path = bench.spool.outbox / damaged.file_name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (bench.spool.outbox / lost.file_name).unlink()
    bench.rescan()
    _tell_steps(bench, job)
    bench.clock.advance(PATIENCE_SECONDS + 1)
    bench.rescan()
    assert bench.codes() == {"object-damaged", "object-missing"}
    assert not job.settled.exists()
    _decide(job, DecisionKind.RELEASED, lost.sop_instance_uid)
    bench.rescan()
    assert bench.codes() == {"object-damaged"}
    assert not job.settled.exists()
    _decide(job, DecisionKind.RELEASED, damaged.sop_instance_uid)
    bench.rescan()
    assert bench.codes() == set()
    assert job.settled.exists()
    assert (bench.spool.quarantine / damaged.file_name).exists()
    bench.restart()
    bench.rescan()
    assert bench.codes() == set()


def test_ok__the_performed_step_lists_what_it_made_also_what_was_withdrawn(bench: Bench) -> None:
    job = bench.job()
    made = job.capture()
    job.close()
    job.hand_over()
    _decide(job, DecisionKind.REJECTED, made.sop_instance_uid)
    bench.rescan()
    assert bench.steps_by_modality() == {"US": ("due", "COMPLETED")}
    closed = job.facts.closed(job.exam_id)
    assert closed is not None
    assert [one.sop_instance_uid for one in closed.instances] == [made.sop_instance_uid]


def test_ok__an_empty_exam_has_no_step_and_is_settled(bench: Bench) -> None:
    job = bench.job()
    job.close(Outcome.DISCONTINUED)
    bench.rescan()
    assert bench.steps_by_modality() == {}
    assert job.settled.exists()


def test_ok__a_step_of_which_nothing_remained_is_dropped_or_discontinued(bench: Bench) -> None:
    job = bench.job()
    job.begin("US", "1.2.3")
    job.begin("ES", "1.2.4")
    bench.rescan()
    bench.steps.mark_creation_sent(job.exam.step_of("ES").sop_instance_uid)
    job.close()
    bench.rescan()
    assert bench.steps_by_modality() == {"ES": ("due", "DISCONTINUED")}


def test_ok__without_the_old_journal_a_step_may_have_been_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    job = bench.job()
    job.begin("US", "1.2.3")
    job.close()
    bench.rescan()
    row = bench.steps.due(60)[0]
    assert (row.is_creation_sent, row.is_final_sent, row.outcome) == (True, True, Outcome.DISCONTINUED)


def test_ok__settled_exams_are_taken_over_by_a_new_journal(bench: Bench) -> None:
    job = bench.job()
    made = job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    bench.commit_all()
    bench.steps.restore_final(job.exam.step_of("US").sop_instance_uid, StepState.COMPLETED)
    bench.rescan()
    bench.journal.close()
    for path in (bench.directory / "journal").iterdir():
        path.unlink()
    bench.restart()
    bench.rescan()
    assert bench.ledger.state_of(made.sop_instance_uid, "archive") is DeliveryState.COMMITTED
    assert bench.ledger.due_objects(ARCHIVE, 5) == []
    queue = bench.listing.queue(job.exam_id)
    assert queue["steps"][0]["state"] == "completed"
    assert made.saved_at is not None and queue["objects"][0]["saved_at"] == made.saved_at.isoformat()


@pytest.mark.parametrize("moment", ["before the exam", "when it was handed over", "when it was committed"])
@pytest.mark.parametrize("has_expired", [False, True])
def test_ok__an_old_journal_learns_from_the_files_what_was_settled_since(
    bench: Bench, moment: str, has_expired: bool
) -> None:
    """Flash may give back the journal of some time ago: nothing is sent again, missed, or kept for ever."""
    directory, copies = bench.directory / "journal", bench.directory / "copies"

    def pass_moment(name: str) -> None:
        if name == moment:
            shutil.copytree(directory, copies)

    pass_moment("before the exam")
    job = bench.job()
    made = job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    pass_moment("when it was handed over")
    bench.commit_all()
    pass_moment("when it was committed")
    bench.steps.restore_final(job.exam.step_of("US").sop_instance_uid, StepState.COMPLETED)
    bench.rescan()
    assert job.settled.exists()
    bench.journal.close()
    if has_expired:
        (bench.spool.kept / made.file_name).unlink()
    shutil.rmtree(directory)
    copies.rename(directory)

    bench.restart()
    bench.rescan()
    bench.clock.advance(PATIENCE_SECONDS + 1)
    bench.rescan()
    assert bench.ledger.due_objects(ARCHIVE, 5) == []
    assert bench.steps.count_unfinished() == 0
    assert bench.codes() == set()
    expected = DeliveryState.EXPIRED if has_expired else DeliveryState.COMMITTED
    assert bench.ledger.state_of(made.sop_instance_uid, "archive") is expected
    kept = KeptLedger(bench.journal)
    kept.note_kept(0.0)
    waiting = [one.sop_instance_uid for some in kept.kept_objects(1.0, 0.0) for one in some]
    assert waiting == ([] if has_expired else [made.sop_instance_uid]), "its retention goes on"


@pytest.mark.parametrize("is_old", [False, True], ids=["a new journal", "an old journal"])
@pytest.mark.parametrize("content", ["", "{", '{"objects": [{}], "steps": []}', "[]"])
def test_ok__a_settled_exam_whose_record_is_damaged_is_done_again(bench: Bench, content: str, is_old: bool) -> None:
    """With the files that are here. What has expired stays expired, and the record is whole again at the end."""
    directory, copies = bench.directory / "journal", bench.directory / "copies"
    shutil.copytree(directory, copies)
    job = bench.job()
    made, gone = job.capture(), job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    bench.commit_all()
    bench.steps.restore_final(job.exam.step_of("US").sop_instance_uid, StepState.COMPLETED)
    bench.rescan()
    bench.journal.close()
    job.settled.write_text(content)
    (bench.spool.kept / gone.file_name).unlink()
    shutil.rmtree(directory)
    if is_old:
        copies.rename(directory)

    bench.restart()
    bench.rescan()
    bench.rescan()
    assert bench.codes() == {"record-damaged"}
    assert [one.sop_instance_uid for one in bench.ledger.due_objects(ARCHIVE, 5)] == [made.sop_instance_uid]
    with bench.journal.reading() as db:
        assert [row["creation_sent"] for row in db.execute("SELECT * FROM steps")] == [1], "it may have been told"
    assert (bench.spool.quarantine / job.settled.name).read_text() == content

    bench.restart()  # a cut here
    bench.rescan()
    bench.commit_all()
    bench.steps.restore_final(job.exam.step_of("US").sop_instance_uid, StepState.COMPLETED)
    bench.clock.advance(PATIENCE_SECONDS + 1)
    bench.rescan()
    assert bench.codes() == set()
    told = {one["sop_instance_uid"]: one["destinations"] for one in json.loads(job.settled.read_text())["objects"]}
    assert told[made.sop_instance_uid]["archive"]["state"] == "committed" and told[gone.sop_instance_uid] == {}


def test_ok__a_record_that_flash_gives_wrongly_once_is_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.spool.settled.mkdir(exist_ok=True)
    path = bench.spool.settled / "E000001-20261122-093015.json"
    path.write_text('{"objects": [], "steps": []}')
    readings = iter([b"\x00{", path.read_bytes(), b"{", b"}"])
    monkeypatch.setattr(Path, "read_bytes", lambda _path: next(readings))
    assert read_record(path) == SettledRecord()
    with pytest.raises(DamagedFactError, match=r"settled/E000001-20261122-093015\.json is damaged\."):
        read_record(path)


def test_ok__a_damaged_beginning_does_not_hold_an_exam_that_is_closed(bench: Bench) -> None:
    """What the exam made tells which steps began."""
    job = bench.job()
    job.capture()
    (bench.spool.exams / job.exam_id / "started-US.json").write_text("{")
    bench.rescan()
    assert bench.codes() == {"damaged-fact"}
    job.close()
    job.hand_over()
    bench.rescan()
    assert bench.codes() == set()
    assert len(bench.ledger.due_objects(ARCHIVE, 5)) == 1
    assert bench.steps_by_modality() == {"US": ("due", "COMPLETED")}


@pytest.mark.parametrize("is_record_old", [False, True])
def test_ok__what_archive_and_manager_said_outlives_the_journal(bench: Bench, is_record_old: bool) -> None:
    job = bench.job()
    uids = [job.capture().sop_instance_uid for _ in range(2)]
    job.close()
    job.hand_over()
    bench.rescan()
    bench.ledger.withdraw(uids[1], "released", "a person decided: released")
    for event, said in (
        (DeliveryEvent.CLAIMED, ""),
        (DeliveryEvent.STORE_ACCEPTED, "the archive changed some elements (status B000H)"),
        (DeliveryEvent.COMMITTED, ""),
    ):
        bench.ledger.record(uids[0], "archive", event, said)
    bench.steps.restore_final(job.exam.step_of("US").sop_instance_uid, StepState.ENDED_ELSEWHERE, "closed by the RIS")
    bench.rescan()
    if is_record_old:
        told = json.loads(job.settled.read_bytes())
        for one in (*told["steps"], *(one["destinations"]["archive"] for one in told["objects"])):
            del one["said"]
        job.settled.write_text(json.dumps(told))
    bench.journal.close()
    for path in (bench.directory / "journal").iterdir():
        path.unlink()
    bench.restart()
    bench.rescan()
    queue = bench.listing.queue(job.exam_id)
    words = [
        (one["destinations"]["archive"]["state"], one["destinations"]["archive"]["said"]) for one in queue["objects"]
    ]
    words += [(one["state"], one["said"]) for one in queue["steps"]]
    assert [state for state, _ in words] == ["committed", "released", "ended elsewhere"]
    assert [said for _, said in words] == (
        [""] * 3
        if is_record_old
        else ["the archive changed some elements (status B000H)", "a person decided: released", "closed by the RIS"]
    )


def test_ok__a_settled_exams_step_is_never_due_while_a_new_journal_takes_it_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.job()
    job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    bench.commit_all()
    _tell_steps(bench, job)
    bench.rescan()
    bench.journal.close()
    for path in (bench.directory / "journal").iterdir():
        path.unlink()
    bench.restart()

    def look_as_another_worker(exam: Exam, closed: Closed, steps: StepLedger) -> None:
        """What the workers of the steps read meanwhile, through a connection of their own."""
        real(exam, closed, steps)
        with closing(sqlite3.connect(bench.directory / "journal" / "journal.sqlite")) as db:
            seen.append(db.execute("SELECT state FROM steps").fetchall())

    seen: list[Any] = []
    real = bench.intake._end_steps
    monkeypatch.setattr(bench.intake, "_end_steps", look_as_another_worker)
    bench.rescan()
    assert seen == [[]]
    assert bench.steps.due(60) == []
    assert bench.steps_by_modality() == {"US": ("completed", "COMPLETED")}


def test_ok__files_that_belong_to_no_exam_and_destinations_that_are_not_configured_are_told(bench: Bench) -> None:
    job = Job(bench.spool, CONFIGURATION, ("elsewhere",))
    made = job.capture()
    (bench.spool.captured("ultrasound", job.exam_id) / made.file_name).rename(bench.spool.outbox / made.file_name)
    bench.rescan()
    bench.clock.advance(PATIENCE_SECONDS + 1)
    bench.rescan()
    assert bench.codes() == {"outbox-unknown"}
    job.close()
    bench.rescan()
    assert bench.codes() == {"no-destination"}


def _fail_for(part: str, real: Any, code: int = errno.EIO) -> Any:
    """`real`, but for paths that hold `part` the medium fails."""

    def act(path: Path, *rest: Any) -> Any:
        if part in str(path):
            raise OSError(code, "the path is not told", str(path))
        return real(path, *rest)

    return act


def _two_exams(bench: Bench) -> tuple[Job, Job]:
    jobs = bench.job(exam_id="20261122-090000-0001"), bench.job(exam_id="20261122-100000-0002")
    for job in jobs:
        job.capture()
        job.close()
        job.hand_over()
    return jobs


def _tell_steps(bench: Bench, *jobs: Job) -> None:
    for job in jobs:
        bench.steps.restore_final(job.exam.step_of("US").sop_instance_uid, StepState.COMPLETED)


def test_ok__an_unreadable_object_stops_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, whole = _two_exams(bench)
    with monkeypatch.context() as patch:
        patch.setattr("appliance.forward.intake.is_intact", _fail_for(broken.instances[0].file_name, is_intact))
        bench.rescan()
        bench.commit_all()
        _tell_steps(bench, whole)
        bench.rescan()
        assert whole.kept() == whole.uids
        assert whole.settled.exists()
        told = bench.findings.listing()
        assert [(one.code, {one.subject}) for one in told] == [("object-unreadable", broken.uids)]
        assert "the flash gives back errors" in told[0].sentence
    bench.rescan()
    assert bench.codes() == set(), "it was tried again by itself"
    assert [one.sop_instance_uid for one in bench.ledger.due_objects(ARCHIVE, 5)] == list(broken.uids)


@pytest.mark.parametrize("fact", ["exam.json", "started-US.json", "closed.json"])
def test_ok__an_unreadable_fact_stops_no_other_exam(bench: Bench, monkeypatch: pytest.MonkeyPatch, fact: str) -> None:
    broken, whole = _two_exams(bench)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", _fail_for(f"{broken.exam_id}/{fact}", Path.read_bytes))
        bench.rescan()
        assert [one.sop_instance_uid for one in bench.ledger.due_objects(ARCHIVE, 5)] == list(whole.uids)
        told = [(one.code, one.subject) for one in bench.findings.listing()]
        assert told == [("fact-unreadable", broken.exam_id)]
    bench.rescan()
    assert bench.codes() == set()
    assert len(bench.ledger.due_objects(ARCHIVE, 5)) == 2


def test_ok__an_unreadable_directory_is_told_and_the_rest_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.job()
    job.capture()
    job.close()
    bench.rescan()
    job.hand_over()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", _fail_for("", Path.iterdir))
        bench.rescan()
        assert bench.codes() == {"exams-unreadable", "outbox-unreadable"}
        assert len(bench.ledger.due_objects(ARCHIVE, 5)) == 1
    bench.rescan()
    assert bench.codes() == set()


def test_ok__an_object_that_cannot_be_moved_stops_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, whole = _two_exams(bench)
    bench.rescan()
    bench.commit_all()
    _tell_steps(bench, stuck, whole)
    with monkeypatch.context() as patch:
        failing = _fail_for(stuck.instances[0].file_name, rename_file, errno.EROFS)
        patch.setattr("appliance.forward.settle.rename_file", failing)
        bench.rescan()
        assert whole.settled.exists()
        assert not stuck.settled.exists()
        assert bench.codes() == {"object-unmoved"}
    bench.rescan()
    assert stuck.settled.exists()
    assert bench.codes() == set()


def test_ok__an_exam_whose_end_cannot_be_written_stops_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, whole = _two_exams(bench)
    bench.rescan()
    bench.commit_all()
    _tell_steps(bench, stuck, whole)
    with monkeypatch.context() as patch:
        patch.setattr("appliance.forward.settle.write_once", _fail_for(stuck.exam_id, write_once, errno.ENOSPC))
        bench.rescan()
        assert whole.settled.exists()
        assert bench.codes() == {"exam-unsettled"}
    bench.rescan()
    assert stuck.settled.exists()
    assert bench.codes() == set()


def test_ok__an_exam_closed_without_destinations_goes_wherever_one_is_configured_later(bench: Bench) -> None:
    job = Job(bench.spool, CONFIGURATION, ())
    made = job.capture()
    job.close()
    job.hand_over()
    bench.journal.close()
    bench.restart(frozenset())
    for _ in range(2):
        bench.rescan()
        assert [one.sentence for one in bench.findings.listing()] == [
            "1 exam goes nowhere: no destination is configured."
        ]
    assert job.kept() == set()
    bench.journal.close()
    bench.restart()
    bench.rescan()
    assert bench.codes() == set()
    assert [one.sop_instance_uid for one in bench.ledger.due_objects(ARCHIVE, 5)] == [made.sop_instance_uid]
    bench.journal.close()
    bench.restart(frozenset({"other"}))
    bench.rescan()
    (told,) = bench.findings.listing()
    assert told.sentence == "1 object of 1 exam must go to archive, which is not configured any more."
    bench.commit_all()
    assert bench.ledger.state_of(made.sop_instance_uid, "other") is DeliveryState.PENDING


def test_ok__a_lost_journal_sends_a_settled_exam_nowhere_else(bench: Bench) -> None:
    job = Job(bench.spool, CONFIGURATION, ())
    made = job.capture()
    job.close()
    job.hand_over()
    bench.rescan()
    bench.commit_all()
    _tell_steps(bench, job)
    bench.rescan()
    assert job.settled.exists()
    bench.journal.close()
    for path in (bench.directory / "journal").iterdir():
        path.unlink()
    bench.restart(frozenset({"archive", "new"}))
    bench.rescan()
    assert bench.ledger.state_of(made.sop_instance_uid, "archive") is DeliveryState.COMMITTED
    assert bench.ledger.state_of(made.sop_instance_uid, "new") is None


def test_ok__an_empty_exam_needs_no_destination(bench: Bench) -> None:
    Job(bench.spool, CONFIGURATION, ()).close(Outcome.DISCONTINUED)
    bench.journal.close()
    bench.restart(frozenset())
    bench.rescan()
    assert bench.codes() == set()


def test_ok__a_long_rescan_says_that_it_gets_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of gigabytes is read whole: the watchdog hears of each block, not of the end alone."""
    monkeypatch.setattr("appliance.spool.names._BLOCK", 1024)
    job = bench.job()
    job.capture(size=200)
    job.close()
    job.hand_over()
    said: list[None] = []
    intake = Intake(
        bench.spool,
        bench.ledger,
        bench.steps,
        bench.findings,
        bench.clock,
        destinations=frozenset({"archive"}),
        on_new=lambda: None,
        on_progress=lambda: said.append(None),
    )
    intake.rescan()
    assert len(bench.ledger.due_objects(ARCHIVE, 5)) == 1
    assert len(said) > 200 * 200 // 1024


def test_ok__a_rebuild_that_was_cut_off_goes_on_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told to the manager before the journal was lost is not known after a second start either."""
    bench = Bench(tmp_path)
    jobs = _two_exams(bench)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", _fail_for(f"{jobs[1].exam_id}/exam.json", Path.read_bytes))
        bench.rescan()
    assert bench.journal.is_new
    bench.journal.close()
    bench.restart()
    bench.rescan()
    assert [(row.is_creation_sent, row.is_final_sent) for row in bench.steps.due(60)] == [(True, True)] * 2
    assert not bench.journal.is_new
    later = bench.job(exam_id="20261122-110000-0003")
    later.capture()
    bench.rescan()
    (row,) = [one for one in bench.steps.due(60) if one.exam_id == later.exam_id]
    assert not row.is_creation_sent, "that one began under this journal"


def test_ok__a_removed_destination_is_one_finding_however_many_exams_wait_for_it(bench: Bench) -> None:
    jobs = _two_exams(bench)
    bench.rescan()
    bench.journal.close()
    bench.restart(frozenset({"other"}))
    bench.rescan()
    assert [(one.code, one.subject, one.sentence) for one in bench.findings.listing()] == [
        (
            "no-destination",
            "archive",
            "2 objects of 2 exams must go to archive, which is not configured any more.",
        )
    ]
    assert "appliance release EXAM --destination archive" in bench.findings.listing()[0].suggestion
    bench.commit_all()
    _tell_steps(bench, *jobs)
    bench.rescan()
    bench.rescan()
    assert bench.codes() == set()
    assert all(job.settled.exists() for job in jobs)
