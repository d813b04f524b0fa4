"""Files that leave the box, records that say so, and a power cut at every step of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from appliance.base.findings import FindingBoard
from appliance.config.schema import Configuration
from appliance.exam.audit import AuditTrail
from appliance.exam.audit_gate import AuditGate
from appliance.exam.audit_record import list_segments, read_segment
from appliance.forward import expiry, kept
from appliance.forward.expiry import LOOK_SECONDS, Expiry
from appliance.forward.intake import Intake
from appliance.forward.journal import Journal
from appliance.forward.kept import KeptLedger
from appliance.forward.ledger import Ledger, Place
from appliance.forward.listing import Listing
from appliance.forward.retention import DAY_SECONDS
from appliance.forward.settle import Settlement
from appliance.forward.states import DeliveryEvent, DeliveryState
from appliance.forward.step_ledger import StepLedger
from appliance.forward.transactions import Transactions
from appliance.spool.settled import early_path, expired_path
from appliance.spool.tree import Spool
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import Job

S = DeliveryState
WANTED = 1000
_MEMORY = Path("/dev/shm")


class Bench:
    """Intake, settlement and expiry over one spool; `restart` is what a new process finds."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.directory = directory
        self.spool = Spool(directory)
        self.spool.make()
        self.clock = HandClock()
        self.free = WANTED
        destinations = [{"name": name, "ae_title": "A", "host": "h", "port": 104} for name in names]
        self.configuration = Configuration.model_validate(
            {
                "retention": {"facts_days": 100},
                "destinations": destinations,
                "devices": [{"name": "ultrasound", "driver": "xmodem", "modality": "US", "line": "a"}],
            }
        )
        self.restart()

    def restart(self, *, is_journal_lost: bool = False) -> None:
        path = self.directory / "journal" / "journal.sqlite"
        if is_journal_lost:
            self.journal.close()
            for part in path.parent.iterdir():
                part.unlink()
        names = [one.name for one in self.configuration.destinations]
        self.findings = FindingBoard()
        self.journal = Journal(path)
        self.ledger = Ledger(self.journal, self.clock)
        steps, listing = StepLedger(self.journal, self.clock, self.spool), Listing(self.journal, self.spool)
        self.steps = steps
        self.intake = Intake(
            *(self.spool, self.ledger, steps, self.findings, self.clock),
            destinations=frozenset(names),
            on_new=lambda: None,
        )
        given: dict[str, Any] = {"listing": listing, "intake": self.intake, "findings": self.findings}
        self.expiry = Expiry(
            *(self.spool, self.ledger, self.configuration.retention, WANTED),
            clock=self.clock,
            audit=AuditGate(AuditTrail(self.directory / "audit", "forward", self.clock), self.findings),
            is_clock_trusted=lambda: True,
            free_bytes=lambda _directory: self.free,
            **given,
        )
        given["seconds_of_work"] = self.expiry.seconds_of_work
        self.settlement = Settlement(self.spool, self.ledger, steps, clock=self.clock, **given)

    def rescan(self) -> None:
        self.intake.rescan()
        self.settlement.settle()
        self.expiry.expire()

    def days(self, days: float) -> None:
        self.clock.advance(days * DAY_SECONDS)

    def job(self, objects: int = 2, number: int = 1) -> Job:
        names = tuple(one.name for one in self.configuration.destinations)
        job = Job(self.spool, self.configuration, names, f"20261122-093000-{number:04d}")
        for _ in range(objects):
            job.capture()
        job.close()
        job.hand_over()
        self.intake.rescan()
        return job

    def commit(self, *uids: str) -> None:
        events = (
            *(DeliveryEvent.CLAIMED, DeliveryEvent.STORE_ACCEPTED),
            *(DeliveryEvent.COMMITMENT_ASKED, DeliveryEvent.COMMITTED),
        )
        for uid in uids:
            for destination in self.configuration.destinations:
                for event in events:
                    self.ledger.record(uid, destination.name, event)

    def tell_steps(self) -> None:
        with self.journal.transaction() as db:
            db.execute("UPDATE steps SET state = 'completed'")

    def settled_job(self, number: int = 1) -> Job:
        job = self.job(number=number)
        self.commit(*job.uids)
        self.tell_steps()
        self.rescan()
        assert job.settled.exists()
        return job

    def states(self) -> dict[str, DeliveryState]:
        with self.journal.reading() as db:
            rows = db.execute("SELECT sop_instance_uid, state FROM deliveries").fetchall()
        return {row[0]: DeliveryState(row[1]) for row in rows}

    def codes(self) -> set[str]:
        return {finding.code for finding in self.findings.listing()}

    def rows(self) -> int:
        tables = ("objects", "deliveries", "transactions", "transaction_members", "steps", "settled_exams")
        with self.journal.reading() as db:
            return sum(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

    def audited(self) -> list[str]:
        lines = [line for path in list_segments(self.directory / "audit" / "forward") for line in read_segment(path)[0]]
        return [uid for line in lines for uid in line.record.objects]


@pytest.fixture
def place() -> Iterator[Path]:
    """In memory where there is such a place: what is cut here are processes, and fsync would only cost time."""
    directory = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def bench(place: Path) -> Bench:
    return Bench(place, "archive")


def test_ok__committed_objects_go_after_their_days_and_are_told_to_the_audit_trail(bench: Bench) -> None:
    job = bench.settled_job()
    bench.days(13.9)
    bench.rescan()
    assert job.kept() == job.uids
    bench.days(0.2)
    bench.rescan()
    assert job.kept() == set()
    assert set(bench.states().values()) == {S.EXPIRED}
    assert set(bench.audited()) == job.uids
    assert not early_path(bench.spool, job.exam_id).exists(), "the settled exam's record tells it"
    assert bench.codes() == set()


def test_ok__it_looks_now_and_then(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> bool:
        looks.append(bench.clock.monotonic())
        return len(looks) < 2 or len(looks) > 3

    looks: list[float] = []
    monkeypatch.setattr(bench.expiry, "expire", look)
    for _ in range(10):
        bench.expiry.work()
        bench.clock.advance(LOOK_SECONDS / 4)
    began = looks[0]
    assert [(at - began) / LOOK_SECONDS for at in looks] == [0, 1, 1.25, 1.5]


def test_ok__much_goes_in_several_looks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "MOST_AT_ONCE", 1)
    job = bench.settled_job()
    bench.days(15)
    assert bench.expiry.expire() is False
    assert len(job.kept()) == 1
    assert bench.expiry.expire() is True
    assert job.kept() == set()


def test_ok__what_was_only_stored_stays_until_a_person_releases_it(bench: Bench) -> None:
    job = bench.job()
    for uid in job.uids:
        for event in (DeliveryEvent.CLAIMED, DeliveryEvent.STORE_ACCEPTED, DeliveryEvent.NEEDS_NO_COMMITMENT):
            bench.ledger.record(uid, "archive", event)
    bench.tell_steps()
    bench.free = 0
    bench.rescan()
    bench.days(4000)
    bench.rescan()
    assert job.kept() == job.uids
    one, *others = sorted(job.uids)
    (bench.spool.exams / job.exam_id / f"released-{one}@archive.json").write_text("{}")
    bench.days(1)
    bench.rescan()
    assert job.kept() == set(others)
    assert set(bench.states().values()) == {S.STORED_ONLY}, "nothing was committed, and nothing says so"


def test_ok__when_flash_runs_short_the_oldest_go_also_of_an_exam_whose_step_nobody_hears(bench: Bench) -> None:
    job = bench.job(3)
    oldest, *rest = (one.sop_instance_uid for one in job.instances)
    bench.commit(oldest, *rest)
    bench.rescan()
    assert not job.settled.exists()
    bench.free = WANTED - 1
    bench.rescan()
    assert job.kept() == set(rest)
    record = json.loads(early_path(bench.spool, job.exam_id).read_bytes())
    assert [one["sop_instance_uid"] for one in record["objects"]] == [oldest]
    bench.free = WANTED
    bench.restart(is_journal_lost=True)
    bench.rescan()
    assert bench.states()[oldest] is S.EXPIRED, "nothing that expired is taken for lost, or stored again"
    bench.clock.advance(60)
    bench.commit(*rest)
    bench.rescan()
    assert bench.codes() == set()
    bench.tell_steps()
    bench.rescan()
    assert job.settled.exists()
    assert not early_path(bench.spool, job.exam_id).exists()


def test_ok__a_destination_that_is_new_does_not_ask_for_what_has_expired(bench: Bench, place: Path) -> None:
    job = Job(bench.spool, bench.configuration, ())  # none was configured at its end
    made = job.capture()
    job.close()
    job.hand_over()
    bench.intake.rescan()
    bench.commit(made.sop_instance_uid)
    bench.free = 0
    bench.rescan()
    assert job.kept() == set()
    bench.journal.close()
    for is_journal_lost in (False, True):
        again = Bench(place, "archive", "another")
        if is_journal_lost:
            again.restart(is_journal_lost=True)
        again.rescan()
        with again.journal.reading() as db:
            found = db.execute("SELECT destination, state FROM deliveries").fetchall()
        assert [tuple(row) for row in found] == [("archive", "expired")]
        assert again.ledger.objects_in(Place.AWAITED) == []
        again.journal.close()


def test_ok__a_decision_since_the_exam_was_settled_keeps_its_object(bench: Bench) -> None:
    job = bench.settled_job()
    needed = job.instances[0].sop_instance_uid
    (bench.spool.exams / job.exam_id / f"reassigned-{needed}.json").write_text("{}")
    bench.days(1000)
    bench.free = 0
    bench.rescan()
    assert job.kept() == {needed}


def test_ok__of_an_exam_that_is_over_a_mark_stays_for_the_console_and_no_row(bench: Bench) -> None:
    job = bench.settled_job()
    other = bench.job(1, number=2)
    transactions = Transactions(bench.ledger)
    (destination,) = bench.configuration.destinations
    for event in (DeliveryEvent.CLAIMED, DeliveryEvent.STORE_ACCEPTED):
        bench.ledger.record(*other.uids, "archive", event)
    transactions.open("1.2.3", destination, 10)
    with bench.journal.transaction() as db:
        db.execute("INSERT INTO transactions VALUES ('1.2.4', 'archive', 0, 1, 0, 0)")
        db.executemany("INSERT INTO transaction_members VALUES ('1.2.4', ?, 1)", [(uid,) for uid in job.uids])
    bench.days(99)
    bench.rescan()
    assert job.kept() == set()
    assert not expired_path(bench.spool, job.exam_id).exists()
    bench.days(2)
    bench.rescan()
    assert expired_path(bench.spool, job.exam_id).exists()
    assert set(bench.states()) == other.uids
    assert transactions.destination_of("1.2.4") is None
    assert transactions.destination_of("1.2.3") == "archive"
    for is_journal_lost in (False, True):  # before the console takes it away
        bench.restart(is_journal_lost=is_journal_lost)
        bench.rescan()
        assert set(bench.states()) == other.uids


def test_ok__an_exam_stays_while_a_damaged_object_of_it_lies_in_quarantine(bench: Bench) -> None:
    job = bench.job()
    damaged, good = job.instances
    (bench.spool.outbox / damaged.file_name).rename(bench.spool.quarantine / damaged.file_name)
    bench.restart(is_journal_lost=True)
    bench.rescan()
    bench.commit(good.sop_instance_uid)
    bench.tell_steps()
    bench.rescan()
    assert not job.settled.exists()
    (bench.spool.exams / job.exam_id / f"released-{damaged.sop_instance_uid}.json").write_text("{}")
    bench.rescan()
    assert job.settled.exists()
    assert bench.codes() == set()
    for _ in range(2):
        bench.days(200)
        bench.rescan()
    assert (bench.spool.quarantine / damaged.file_name).exists()
    assert not expired_path(bench.spool, job.exam_id).exists()
    (bench.spool.quarantine / damaged.file_name).unlink()
    bench.rescan()
    assert expired_path(bench.spool, job.exam_id).exists()
    assert bench.rows() == 0


def test_fail__flash_that_fails_is_told_and_the_others_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = bench.settled_job(number=1), bench.settled_job(number=2)
    bench.days(15)
    stuck = bench.spool.kept / one.instances[0].file_name

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise OSError(5, os.strerror(5))
        real(path, missing_ok)

    real = Path.unlink
    monkeypatch.setattr(Path, "unlink", unlink)
    bench.rescan()
    assert other.kept() == {one.instances[0].sop_instance_uid, one.instances[1].sop_instance_uid}
    assert bench.codes() == {"objects-unexpired"}
    assert all(bench.states()[uid] is S.COMMITTED for uid in one.uids)
    monkeypatch.undo()
    bench.rescan()
    assert other.kept() == set()
    assert bench.codes() == set()


class Cut(BaseException):
    """The power is gone."""


def _cuts(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, at: int) -> bool:
    """`act`, cut off before or after the `at`-th of its changes; false when it has not so many."""
    left = at

    def around(change: Callable[..., Any]) -> Callable[..., Any]:
        def cuttable(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Cut
            done = change(*given, **named)
            left -= 1
            if left == 0:
                raise Cut
            return done

        return cuttable

    with monkeypatch.context() as patch:
        for name in ("replace_file", "write_once", "sync_directory"):
            patch.setattr(expiry, name, around(getattr(expiry, name)))
        patch.setattr(Path, "unlink", around(Path.unlink))
        patch.setattr(Ledger, "expire", around(Ledger.expire))
        try:
            act()
        except Cut:
            return True
    return False


@pytest.mark.parametrize("is_journal_lost", [False, True])
@pytest.mark.parametrize("is_settled", [False, True])
def test_ok__a_power_cut_at_every_step(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_settled: bool,
    is_journal_lost: bool,
) -> None:
    for at in count(1):
        bench = Bench(place / str(at), "archive")
        job = bench.settled_job() if is_settled else bench.job()
        bench.commit(*job.uids)
        bench.rescan()
        bench.free = 0
        was_cut = _cuts(bench.expiry.expire, monkeypatch, at)
        left = job.kept()
        bench.free = WANTED
        bench.restart(is_journal_lost=is_journal_lost)
        bench.clock.advance(3600)
        bench.rescan()
        gone = job.uids - left
        assert job.kept() == left
        awaited = {one.sop_instance_uid for one in bench.ledger.objects_in(Place.AWAITED)}
        assert not awaited, "what has expired looks lost"
        assert all(bench.states()[uid] in {S.EXPIRED, S.COMMITTED} for uid in gone), "it is stored again"
        bench.commit(*left)  # those that a rebuilt journal of an exam that was not settled sends again
        bench.free = 0
        bench.rescan()
        assert job.kept() == set()
        assert set(bench.states().values()) == {S.EXPIRED}
        bench.journal.close()
        if not was_cut:
            assert at > 8
            return


def test_ok__what_is_kept_is_read_in_slices_and_the_oldest_committed_of_all_go_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_ROWS", 2)
    monkeypatch.setattr(expiry, "MOST_AT_ONCE", 3)
    jobs = [bench.job(2, number=number) for number in range(1, 5)]
    uids = [one.sop_instance_uid for job in jobs for one in job.instances]
    bench.ledger.withdraw(uids[0], "released", "a person decided: released")
    for uid in uids[1:]:
        bench.commit(uid)
        bench.rescan()
        bench.clock.advance(1)
    slices = list(KeptLedger(bench.journal).kept_objects(bench.expiry.seconds_of_work(), 0.0))
    assert [len(one) for one in slices] == [2, 2, 2, 2]
    assert [one.sop_instance_uid for each in slices for one in each] == uids
    bench.free = -1_000_000  # all of it is not enough
    gone = []
    while bench.expiry.expire() is False:
        gone.append(set(uids) - {uid for job in jobs for uid in job.kept()})
    assert gone == [set(uids[1:4]), set(uids[1:7])], "what was released goes last, though it is the oldest"
    assert not any(job.kept() for job in jobs)
