"""What an exam costs the flash, and that sparing it loses nothing: what is recorded together is cut off together."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.config.schema import Destination
from appliance.dimse.store import StoreStatus
from appliance.forward.retention import DAY_SECONDS
from appliance.forward.states import DeliveryState
from tests.forward import archive_world
from tests.forward.archive_world import Archive, CutJournal, FakeAssociation, World
from tests.forward.hospital_job import Job

NAME = "one"
ONE = Destination(name=NAME, ae_title="ONE", host="h", port=104, commitment_seconds=600, retry_longest_seconds=60)
MOST_ACTS = 10  # two of them now and then: transactions are forgotten, the time of work is saved
MOST_SYNCS = 15
MOST_JOURNAL_BYTES = 6_000  # for each still, in pages of 1024 bytes and their headers


@dataclass
class Wear:
    """What was written: `acts` of the journal, each one sync and `journal` bytes in all, and all other `syncs`."""

    acts: list[int] = field(default_factory=list)
    syncs: list[Path] = field(default_factory=list)

    @property
    def journal(self) -> int:
        return sum(self.acts)


@pytest.fixture
def wear(monkeypatch: pytest.MonkeyPatch) -> Wear:
    wear = Wear()
    real = CutJournal.transaction
    fsync = os.fsync

    @contextmanager
    def transaction(journal: CutJournal) -> Iterator[sqlite3.Connection]:
        is_outermost = not journal._connection.in_transaction
        log = journal._path.with_name(journal._path.name + "-wal")
        before = log.stat().st_size if log.exists() else 0
        with real(journal) as db:
            yield db
        if is_outermost and (grown := log.stat().st_size - before):
            wear.acts.append(grown)

    def sync(descriptor: int) -> None:
        wear.syncs.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(archive_world.CutJournal, "transaction", transaction)
    monkeypatch.setattr(os, "fsync", sync)
    return wear


@pytest.fixture
def world() -> Iterator[World]:
    world = World([ONE])
    with world.journal.reading() as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")  # so that the log's growth is what was written
    yield world
    world.end()


def closed_exam(world: World, stills: int, number: int = 1) -> Job:
    job = Job(world.spool, world.configuration, (NAME,), f"20261122-093000-{number:04d}")
    for _ in range(stills):
        job.capture()
    job.close()
    job.hand_over()
    world.jobs.append(job)
    return job


def rescan(world: World) -> None:
    world.intake.rescan()
    world.settlement.settle()
    world.expiry.expire()


def work_off(world: World, job: Job, looks: int = 6) -> None:
    for _ in range(looks):
        rescan(world)
        world.deliveries[NAME].work()
    world.clock.advance(15 * DAY_SECONDS)
    rescan(world)
    assert {world.state(uid, NAME) for uid in job.uids} == {DeliveryState.EXPIRED}


def archive_of(world: World) -> Archive:
    archive = world.archives[NAME]
    archive.action = "report first"
    return archive


def test_ok__an_exam_costs_so_many_writes_however_many_its_stills(world: World, wear: Wear) -> None:
    archive_of(world)
    work_off(world, closed_exam(world, 1, 1))  # what is written once, by the first exam alone
    costs = []
    for number, stills in ((2, 5), (3, 20)):
        job = closed_exam(world, stills, number)
        wear.acts.clear()
        wear.syncs.clear()
        work_off(world, job, looks=3)
        costs.append((len(wear.acts), len(wear.syncs)))
    assert costs[0] == costs[1]
    acts, syncs = costs[1]
    assert acts <= MOST_ACTS
    assert syncs <= MOST_SYNCS
    assert 0 < wear.journal / 20 <= MOST_JOURNAL_BYTES


def test_ok__nothing_to_do_writes_nothing(world: World, wear: Wear) -> None:
    archive_of(world)
    work_off(world, closed_exam(world, 2))
    world.deliveries[NAME].work()  # forgets transactions, now and then
    wear.acts.clear()
    for _ in range(5):
        rescan(world)
        world.deliveries[NAME].work()
    assert wear.acts == []


def test_ok__a_cut_at_any_point_of_a_visit_loses_no_object_and_sends_none_under_another_identifier() -> None:
    repeated, point, is_cut = 0, 0, True
    while is_cut:
        world = World([ONE])
        try:
            job, archive = closed_exam(world, 2), archive_of(world)
            rescan(world)
            point += 1
            world.power.left = point
            is_cut = not world.run(world.deliveries[NAME].work)
            world.power.left = 0
            world.clock.advance(700)
            work_off(world, job, looks=3)
            assert set(archive.sent) == archive.responsible_for == job.uids
            assert max(map(archive.sent.count, job.uids)) <= 2, "one cut, one repetition"
            repeated += len(archive.sent) - len(job.uids)
        finally:
            world.end()
    assert point > 10
    assert repeated > 2, "a cut fell between the archive's answers and their record"


def test_ok__what_a_cut_lets_the_archive_have_again_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a slow archive the last seconds, before a large object nothing."""
    job, archive = closed_exam(world, 10), archive_of(world)

    def store(association: FakeAssociation, path: Path) -> StoreStatus:
        world.clock.advance(6.0)
        if len(archive.sent) == 7:
            world.power.left = 1
        return world._store(association, path)

    monkeypatch.setattr("appliance.forward.visit.store_object", store)
    rescan(world)
    assert not world.run(world.deliveries[NAME].work)
    states = [world.state(uid, NAME) for uid in archive.sent]
    assert states == [DeliveryState.STORED] * 6 + [DeliveryState.PENDING]
    monkeypatch.setattr("appliance.forward.visit.LARGE_BYTES", 0)
    archive.sent.clear()

    def store_in_no_time(association: FakeAssociation, path: Path) -> StoreStatus:
        states = [world.state(uid, NAME) for uid in archive.sent]
        assert states == [DeliveryState.STORED] * len(states), "recorded before the large one is begun"
        return world._store(association, path)

    monkeypatch.setattr("appliance.forward.visit.store_object", store_in_no_time)
    world.deliveries[NAME].work()
    work_off(world, job)


def test_ok__what_was_moved_and_not_synced_is_told_and_moved_for_good_by_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = closed_exam(world, 2)
    archive_of(world)
    rescan(world)
    world.deliveries[NAME].work()

    def fail(_directory: Path) -> None:
        raise OSError(errno.EIO, "flash")

    with monkeypatch.context() as patch:
        patch.setattr("appliance.forward.settle.sync_directory", fail)
        rescan(world)
    assert {one.code for one in world.findings.listing()} == {"moves-undurable"}
    assert not job.settled.exists()
    rescan(world)
    assert world.findings.listing() == []
    assert job.settled.exists()
    assert job.kept() == job.uids
