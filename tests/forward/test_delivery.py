"""One destination's work: several associations at a time, troubles that stay its own, commitment that does not come."""

from __future__ import annotations

import errno
import hashlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.config.schema import Destination
from appliance.dimse.association import AssociationRefused, Context, PeerUnreachable, open_association
from appliance.dimse.commitment import CommitmentReport
from appliance.dimse.status import StoreVerdict
from appliance.dimse.store import StoreStatus
from appliance.exam.exam import Instance
from appliance.forward import delivery as module
from appliance.forward.api import retry_json
from appliance.forward.ledger import Place
from appliance.forward.listing import Listing
from appliance.forward.states import DeliveryEvent, DeliveryState
from appliance.forward.worker import LONGEST_SLEEP_SECONDS
from tests.forward.archive_world import FakeAssociation, World
from tests.forward.hand_clock import HandClock
from tests.forward.hospital_job import Job
from tests.peers import wait_until

S = DeliveryState


def destination(name: str = "one", **given: object) -> Destination:
    values = {"name": name, "ae_title": name.upper(), "host": "127.0.0.1", "port": 104, "retry_longest_seconds": 60}
    return Destination.model_validate(values | {"commitment_seconds": 600} | given)


Make = Callable[..., World]


@pytest.fixture
def make() -> Iterator[Make]:
    worlds = []

    def make(*destinations: Destination, objects: int = 1, clock: Any = None) -> World:
        world = World(destinations, clock)
        worlds.append(world)
        job = Job(world.spool, world.configuration, tuple(one.name for one in destinations))
        for _ in range(objects):
            job.capture()
        job.close()
        job.hand_over()
        world.jobs.append(job)
        world.intake.rescan()
        return world

    yield make
    for world in worlds:
        world.end()


def codes(world: World) -> dict[str, str]:
    return {finding.code: finding.sentence for finding in world.findings.listing()}


def state(world: World, name: str = "one") -> DeliveryState | None:
    return world.state(world.jobs[0].instances[0].sop_instance_uid, name)


def run_workers(world: World, until: Callable[[], object], what: str) -> None:
    workers = [worker for delivery in world.deliveries.values() for worker in delivery.workers]
    for worker in workers:
        worker.start()
    try:
        wait_until(until, what)
    finally:
        for worker in workers:
            worker.stop()
        assert [worker for worker in workers if not worker.join(20)] == []


def states(world: World, name: str) -> list[DeliveryState | None]:
    return [world.state(uid, name) for uid in world.jobs[0].uids]


def test_ok__as_many_associations_as_configured_and_no_object_twice(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make(destination(concurrency=3, commitment=False), objects=24, clock=SystemClock())
    together = threading.Barrier(3)
    first = threading.local()

    def store(association: FakeAssociation, path: Path) -> StoreStatus:
        if not hasattr(first, "is_over"):
            first.is_over = True
            together.wait(30)  # goes on only when three are storing at a time
        return world._store(association, path)

    monkeypatch.setattr("appliance.forward.visit.store_object", store)
    run_workers(world, lambda: set(states(world, "one")) == {S.STORED_ONLY}, "everything is stored")
    assert sorted(world.archives["one"].sent) == sorted(world.jobs[0].uids)


def test_ok__an_archive_that_stalls_delays_no_other(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(destination("one"), destination("two", commitment=False), objects=3, clock=SystemClock())
    release = threading.Event()

    def store(association: FakeAssociation, path: Path) -> StoreStatus:
        if association.archive.destination.name == "one":
            assert release.wait(60)
        return world._store(association, path)

    monkeypatch.setattr("appliance.forward.visit.store_object", store)

    def is_done() -> bool:
        if set(states(world, "two")) != {S.STORED_ONLY}:
            return False
        assert not release.is_set()
        assert S.STORED not in states(world, "one")
        release.set()
        return True

    run_workers(world, is_done, "the other one has everything")


def test_ok__two_workers_that_meet_the_same_trouble_count_it_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(destination(concurrency=2), objects=4)
    delivery = world.deliveries["one"]
    opened = []

    @contextmanager
    def fail(*_given: object) -> Iterator[FakeAssociation]:
        opened.append(len(opened))
        if len(opened) == 1:
            delivery.work(1)  # while the first one is connecting
        raise PeerUnreachable("ONE does not answer.")
        yield

    monkeypatch.setattr(module, "open_association", fail)
    delivery.work(0)
    assert len(opened) == 2
    known = world.troubles.of("destination one")
    assert known is not None
    assert known.failures == 1
    assert world.clock.wait(threading.Event(), 5.1) is False
    assert delivery.work(1) == LONGEST_SLEEP_SECONDS, "only the first one tries whether it is over"
    assert len(opened) == 2
    monkeypatch.setattr(module, "open_association", world._open)
    delivery.workers[1]._wake.clear()
    delivery.work(0)
    assert delivery.trouble == ""
    assert delivery.workers[1]._wake.is_set(), "and wakes the others"


def test_ok__an_archive_that_takes_one_association_less_than_configured_is_in_no_trouble(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make(destination(concurrency=2, commitment=False), objects=6)
    delivery = world.deliveries["one"]
    seats = threading.Semaphore(1)
    waits: list[float] = []

    @contextmanager
    def take_one(peer: Destination, *_rest: object) -> Iterator[FakeAssociation]:
        if not seats.acquire(blocking=False):
            raise AssociationRefused("The local limit is exceeded.")
        with world._open(peer) as association:
            waits.append(delivery.work(1))  # the other one tries meanwhile
            yield association
        seats.release()

    monkeypatch.setattr(module, "open_association", take_one)
    while S.PENDING in states(world, "one"):
        delivery.work(0)
    assert set(states(world, "one")) == {S.STORED_ONLY}
    assert sorted(world.archives["one"].sent) == sorted(world.jobs[0].uids)
    assert delivery.trouble == ""
    assert codes(world) == {}
    assert waits[0] == 5.0


def test_ok__more_kinds_than_an_association_has_contexts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(destination(verify_by_find=True))
    nothing = hashlib.sha256(b"").hexdigest()
    for number in range(200):
        uid = f"1.2.{number}"
        made = Instance(f"1.2.840.{number}", uid, "1.2.840.10008.1.2.1", "1.3", "us", "US", f"{uid}~0~{nothing}.dcm", 8)
        world.ledger.add_object(world.jobs[0].exam_id, made, ["one"])
        world.ledger.place_object(uid, Place.OUTBOX)
        (world.spool.outbox / made.file_name).touch()
    proposed: list[set[str]] = []

    @contextmanager
    def note(peer: Destination, _caller: object, contexts: list[Context], *rest: object) -> Iterator[FakeAssociation]:
        assert len(contexts) <= 128
        proposed.append({one.abstract_syntax for one in contexts})
        with world._open(peer) as association:
            yield association

    monkeypatch.setattr(module, "open_association", note)
    for _ in range(6):
        world.deliveries["one"].work()
    assert set.union(*proposed) >= {f"1.2.840.{number}" for number in range(200)}
    assert len(world.archives["one"].sent) == 201


def test_ok__no_socket_to_be_had_is_a_trouble(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(destination())
    monkeypatch.setattr(module, "open_association", open_association)

    def fail(*_given: object, **_named: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", fail)
        assert world.deliveries["one"].work() > 0
    assert "Too many open files" in codes(world)["destination-trouble"]
    assert state(world) is S.PENDING


def ask_in_vain(world: World, rounds: int) -> None:
    for _ in range(rounds):
        world.clock.wait(threading.Event(), 700)
        world.deliveries["one"].work()
        world.deliveries["one"].work()


def test_ok__commitment_that_does_not_come_is_looked_for_and_said(make: Make) -> None:
    world = make(destination(verify_by_find=True, commitment_rounds=2))
    archive, delivery = world.archives["one"], world.deliveries["one"]
    delivery.work()
    assert len(archive.asked) == 1
    ask_in_vain(world, 1)
    assert len(archive.asked) == 2, "asked again without storing again"
    assert not archive.shown, "not looked for yet"
    assert "commitment-missing" not in codes(world)
    ask_in_vain(world, 2)
    assert archive.shown == archive.holds
    assert len(archive.sent) == 1
    assert state(world) in {S.STORED, S.COMMIT_REQUESTED}, "found is not committed"
    assert codes(world)["commitment-missing"] == (
        "one has not committed 1 object after 2 requests. C-FIND finds 1 of them there."
    )
    world.restart()
    delivery = world.deliveries["one"]
    delivery.work()
    assert "commitment-missing" in codes(world), "a restart does not make it forgotten"
    assert world.desk.hear(CommitmentReport("ONE", next(iter(archive.asked)), frozenset(archive.holds), {}))
    delivery.work()
    assert state(world) is S.COMMITTED
    assert codes(world) == {}


def test_ok__after_the_rounds_it_is_asked_for_at_the_longest_interval(make: Make) -> None:
    world = make(destination(commitment_rounds=2))
    clock, delivery, archive = world.clock, world.deliveries["one"], world.archives["one"]
    assert isinstance(clock, HandClock)
    delivery.work()
    for _ in range(2):
        clock.advance(601)
        delivery.work()
    assert len(archive.asked) == 2
    clock.advance(59)
    delivery.work()
    assert len(archive.asked) == 2
    clock.advance(2)
    delivery.work()
    assert len(archive.asked) == 3


def test_ok__what_c_find_does_not_find_is_stored_again(make: Make) -> None:
    world = make(destination(verify_by_find=True, commitment_rounds=2))
    archive = world.archives["one"]
    world.deliveries["one"].work()
    archive.holds.clear()
    ask_in_vain(world, 4)
    assert len(archive.sent) == 2
    assert archive.holds == world.jobs[0].uids


def test_ok__where_c_find_is_refused_asking_goes_on(make: Make) -> None:
    world = make(destination(verify_by_find=True, commitment_rounds=1))
    archive = world.archives["one"]
    archive.find = "refused"
    world.deliveries["one"].work()
    ask_in_vain(world, 6)
    assert len(archive.asked) == 4
    assert len(archive.sent) == 1
    assert {"find-refused", "commitment-missing"} <= codes(world).keys()
    archive.action = "report first"
    ask_in_vain(world, 2)
    assert state(world) is S.COMMITTED
    assert codes(world) == {}, "what cannot be asked for is not needed any more"


def test_ok__an_archive_without_commitment_is_verified_or_stored_only(make: Make) -> None:
    world = make(destination("plain", commitment=False), destination("shown", commitment=False, verify_by_find=True))
    for name in ("plain", "shown"):
        world.deliveries[name].work()
    assert state(world, "plain") is S.STORED_ONLY
    assert state(world, "shown") is S.STORED, "an archive needs a moment"
    world.clock.wait(threading.Event(), 6)
    world.deliveries["shown"].work()
    assert state(world, "shown") is S.VERIFIED
    world.settlement.settle()
    assert world.jobs[0].settled.exists()


def test_ok__what_is_not_there_without_commitment_is_stored_again_after_its_rounds(make: Make) -> None:
    world = make(destination(commitment=False, verify_by_find=True, commitment_rounds=3))
    archive = world.archives["one"]
    archive.store = "not kept"
    world.deliveries["one"].work()
    for looks in (1, 2):
        world.clock.wait(threading.Event(), 61)
        world.deliveries["one"].work()
        assert len(archive.sent) == 1, looks
    archive.store = "0000"
    for _ in range(3):
        world.clock.wait(threading.Event(), 61)
        world.deliveries["one"].work()
    assert len(archive.sent) == 2
    assert state(world) is S.VERIFIED


def test_ok__a_destination_that_lost_its_commitment_by_configuration_is_stored_only(make: Make) -> None:
    world = make(destination())
    world.deliveries["one"].work()
    assert state(world) is S.COMMIT_REQUESTED
    plain = world.configuration.model_copy(update={"destinations": (destination(commitment=False),)})
    world.configuration = plain
    world.restart()
    world.clock.wait(threading.Event(), 11)
    world.deliveries["one"].work()
    assert state(world) is S.STORED_ONLY


@pytest.mark.parametrize(
    ("reason", "code", "then"),
    [
        (0x0119, "commitment-refused", S.REFUSED),
        (0x0122, "commitment-refused", S.REFUSED),
        (0x0213, "commitment-out-of-resources", S.STORED),
        (0x0110, "", S.STORED),
        (0x0112, "", S.PENDING),
    ],
)
def test_ok__failures_that_somebody_must_hear_of(make: Make, reason: int, code: str, then: DeliveryState) -> None:
    world = make(destination())
    delivery, archive = world.deliveries["one"], world.archives["one"]
    delivery.work()
    (transaction,) = archive.asked
    uid = world.jobs[0].instances[0].sop_instance_uid
    assert world.desk.hear(CommitmentReport("ONE", transaction, frozenset(), {uid: reason}))
    assert state(world) is then
    archive.is_up = False
    for _ in range(2):
        delivery = world.deliveries["one"]
        delivery.work()
        assert set(codes(world)) - {"destination-trouble"} == ({code} if code else set())
        world.restart()
    if then is S.REFUSED:
        assert world.deliveries["one"].retry() == 1
        archive.is_up = True
        world.deliveries["one"].work()
        assert "commitment-refused" not in codes(world)
        assert len(archive.sent) == 2


def test_ok__refused_by_two_archives_is_told_of_both_in_their_words(make: Make) -> None:
    world = make(destination("one"), destination("two"), objects=3)
    for name, answer in (("one", "C000"), ("two", "0122")):
        world.archives[name].store = answer
        world.deliveries[name].work()
        world.deliveries[name].work()
    told = {one.subject: one.sentence for one in world.findings.listing()}
    assert "refused 3 objects: the archive cannot understand the object (status C000H)" in told["one"]
    assert "refused 3 objects: the archive does not support this class of object (status 0122H)" in told["two"]
    world.archives["one"].store = "0000"
    uid = world.jobs[0].instances[1].sop_instance_uid
    deliveries = list(world.deliveries.values())
    assert retry_json(deliveries, "one", uid) == {"retried": 1}
    assert world.state(uid, "one") is S.PENDING
    assert world.state(uid, "two") is S.REFUSED
    assert retry_json(deliveries, None, None) == {"retried": 5}
    with pytest.raises(ApplianceError, match="No destination is called three"):
        retry_json(deliveries, "three", None)
    with pytest.raises(ApplianceError, match=r"No object 1\.2\.3 is known there"):
        retry_json(deliveries, None, "1.2.3")


def test_ok__a_person_who_tries_again_waits_for_nothing(make: Make) -> None:
    world = make(destination())
    archive, delivery = world.archives["one"], world.deliveries["one"]
    archive.is_up = False
    delivery.work()
    world.restart()
    assert "destination-trouble" in codes(world), "a restart does not make it forgotten"
    delivery = world.deliveries["one"]
    archive.is_up = True
    assert delivery.work() > 1
    assert archive.sent == []
    assert delivery.retry() == 0
    delivery.work()
    assert len(archive.sent) == 1
    assert delivery.trouble == ""


def test_ok__an_object_in_hand_is_no_other_workers(make: Make) -> None:
    world = make(destination(concurrency=4), objects=10)
    delivery = world.deliveries["one"]
    with delivery._batch() as first, delivery._batch() as second, delivery._batch() as third, delivery._batch() as last:
        batches = [first, second, third, last]
        assert [len(batch) for batch in batches] == [3, 3, 3, 1]
        assert len({one.sop_instance_uid for batch in batches for one in batch}) == 10
    with delivery._batch() as first:
        for one in first:
            world.ledger.record(one.sop_instance_uid, "one", DeliveryEvent.CLAIMED)
        with delivery._batch() as second:
            assert not {one.sop_instance_uid for one in second} & {one.sop_instance_uid for one in first}
    # A worker that let go without a word, its flash failed in the middle: another one takes them, in time.
    with delivery._batch() as again:
        assert {one.sop_instance_uid for one in first} <= {one.sop_instance_uid for one in again}


def test_ok__a_destination_at_which_nothing_is_due_any_more_is_in_no_trouble(make: Make) -> None:
    world = make(destination("one"), destination("two"), objects=2)
    world.archives["one"].store = "A700"
    world.deliveries["one"].work()
    (sentence,) = codes(world).values()
    assert sentence == "one did not take an object: the archive is out of resources (status A700H)."
    for number, uid in enumerate(world.jobs[0].uids):
        assert world.deliveries["one"].trouble, f"{2 - number} still wait"
        world.ledger.withdraw(uid, "released", "a person decided: released")
        world.deliveries["one"].work()
    assert world.deliveries["one"].trouble == ""
    assert codes(world) == {}


def test_ok__a_warning_is_logged_without_the_archives_own_comment(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The comment may quote what was changed, and that be a name; it is shown and kept, and never logged."""
    world = make(destination(commitment=False))
    said = "the archive changed some elements (status B000H): Patient's Name was SOKOLOVA^ANNA"

    def store(association: FakeAssociation, path: Path) -> StoreStatus:
        return StoreStatus(0xB000, "Patient's Name was SOKOLOVA^ANNA", StoreVerdict.STORED_WITH_WARNING, said)

    monkeypatch.setattr("appliance.forward.visit.store_object", store)
    caplog.set_level(logging.INFO)
    world.deliveries["one"].work()
    (uid,) = world.jobs[0].uids
    assert f"object {uid} is stored at one (the archive changed some elements (status B000H))" in caplog.messages
    assert "SOKOLOVA" not in caplog.text
    for is_journal_lost in (False, True):
        world.settlement.settle()
        if is_journal_lost:
            world.restart(is_journal_lost=True)
            world.intake.rescan()
        assert state(world) is S.STORED_ONLY
        (one,) = Listing(world.journal, world.spool).queue()["objects"]
        assert one["destinations"]["one"]["said"] == said
