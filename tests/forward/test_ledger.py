"""The ledger under crashes, repeated, late and reordered reports, and clocks that jump: a state machine drives it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.config.schema import Destination
from appliance.dimse.commitment import CommitmentReport
from appliance.exam.exam import Instance
from appliance.forward.journal import MIGRATIONS, Journal
from appliance.forward.ledger import Ledger, Place
from appliance.forward.listing import Listing
from appliance.forward.states import DeliveryEvent, DeliveryState, backoff_seconds
from appliance.forward.transactions import Transactions
from appliance.spool.tree import Spool
from tests.forward.hand_clock import HandClock

EXAM = "20261122-093000-0001"
DESTINATIONS = tuple(
    Destination(name=name, ae_title=name.upper(), host="h", port=104, retry_longest_seconds=60, commitment_seconds=600)
    for name in ("one", "two")
)


def instance(number: int) -> Instance:
    uid = f"1.2.{number}"
    return Instance("1.2.840.1", uid, "1.2.840.2", "1.2.3", "us", "US", f"{uid}~0~{'0' * 64}.dcm", 8)


def backoff(failures: int) -> float:
    return backoff_seconds(failures, 5, 60)


class LedgerMachine(RuleBasedStateMachine):
    """The model knows only what may be believed: which store each transaction asked about, and who said yes."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.clock = HandClock()
        self.runs = 0
        self.committed: set[tuple[str, str]] = set()
        self.refused: set[tuple[str, str]] = set()
        self.stores: dict[tuple[str, str], int] = {}
        self.transactions: dict[str, tuple[str, dict[str, int]]] = {}
        self.objects: list[str] = []
        self.reopen()

    def reopen(self) -> None:
        self.runs += 1
        self.journal = Journal(self.directory / "journal" / "journal.sqlite")
        self.ledger = Ledger(self.journal, self.clock)
        self.asked = Transactions(self.ledger)

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.directory)

    @precondition(lambda self: len(self.objects) < 3)
    @rule()
    def arrive(self) -> None:
        made = instance(len(self.objects))
        self.ledger.add_object(EXAM, made, [destination.name for destination in DESTINATIONS])
        self.ledger.place_object(made.sop_instance_uid, Place.OUTBOX)
        self.objects.append(made.sop_instance_uid)

    @rule()
    def take_in_again(self) -> None:
        """The rescan of a new run."""
        for number in range(len(self.objects)):
            self.ledger.add_object(EXAM, instance(number), [destination.name for destination in DESTINATIONS])

    @rule(
        destination=st.sampled_from(DESTINATIONS),
        result=st.sampled_from(
            [*[DeliveryEvent.STORE_ACCEPTED] * 5, DeliveryEvent.STORE_FAILED, DeliveryEvent.STORE_REFUSED, None]
        ),
    )
    def send(self, destination: Destination, result: DeliveryEvent | None) -> None:
        """One visit; `result` None is a crash in the middle of the first object."""
        for one in self.ledger.due_objects(destination, 10):
            key = (one.sop_instance_uid, destination.name)
            assert key not in self.committed, "what is committed is stored again"
            assert self.ledger.record(*key, DeliveryEvent.CLAIMED) is DeliveryState.STORING
            if result is None:
                self.crash()
                return
            self.ledger.record(*key, result, wait=backoff if result is DeliveryEvent.STORE_FAILED else None)
            if result is DeliveryEvent.STORE_ACCEPTED:
                self.stores[key] = self.stores.get(key, 0) + 1
            if result is DeliveryEvent.STORE_REFUSED:
                self.refused.add(key)

    @rule(
        destination=st.sampled_from(DESTINATIONS),
        answer=st.sampled_from(["taken", "taken", "taken", "not taken", "crash"]),
    )
    def ask(self, destination: Destination, answer: str) -> None:
        uid = f"9.{len(self.transactions)}"
        members = self.asked.open(uid, destination, 10)
        if not members:
            return
        asked = {one.sop_instance_uid: self.stores[one.sop_instance_uid, destination.name] for one in members}
        self.transactions[uid] = (destination.name, asked)
        if answer == "taken":
            self.asked.mark_taken(uid)
        elif answer == "crash":
            self.crash()
            for one in members:
                assert self.ledger.state_of(one.sop_instance_uid, destination.name) is DeliveryState.STORED
        else:
            self.asked.end(uid, DeliveryEvent.COMMITMENT_NOT_TAKEN, "no", backoff)

    @precondition(lambda self: getattr(self, "transactions", None))
    @rule(data=st.data(), reason=st.sampled_from([0x0110, 0x0112, 0x0119, 0x0131, 0x0213, 0x7777]))
    def report(self, data: st.DataObject, reason: int) -> None:
        """Of any transaction, old or new, for any part of it, and perhaps of objects that it never held."""
        uid = data.draw(st.sampled_from(sorted(self.transactions)))
        name, asked = self.transactions[uid]
        good = data.draw(st.sets(st.sampled_from([*sorted(asked), "6.6.6"])))
        bad = data.draw(st.sets(st.sampled_from(sorted(asked)))) - good
        before = {one: self.ledger.state_of(one, name) for one in asked}
        is_open = self.asked.is_open(uid)
        self.asked.apply_report(CommitmentReport(name, uid, frozenset(good), dict.fromkeys(bad, reason)), backoff)
        for one in asked:
            key = (one, name)
            if one not in good and not is_open:
                assert self.ledger.state_of(*key) is before[one], "a failure of long ago counts"
            believable = before[one] in {DeliveryState.STORED, DeliveryState.COMMIT_REQUESTED}
            if one in good and believable and self.stores[key] == asked[one]:
                self.committed.add(key)
            if self.ledger.state_of(*key) is DeliveryState.REFUSED:
                self.refused.add(key)

    @rule()
    def report_on_nothing_of_ours(self) -> None:
        self.asked.apply_report(CommitmentReport("ONE", "0.0", frozenset(self.objects), {}), backoff)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def lose_patience(self, destination: Destination) -> None:
        self.clock.advance(700)
        for uid in self.asked.overdue(destination):
            self.asked.end(uid, DeliveryEvent.REPORT_MISSING, "late", None)
        states = {self.ledger.state_of(uid, destination.name) for uid in self.objects}
        assert DeliveryState.COMMIT_REQUESTED not in states

    @rule(seconds=st.sampled_from([10.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-86_400.0, -30.0, 30.0, 86_400.0]))
    def clock_is_set(self, seconds: float) -> None:
        self.clock.set_wall(seconds)

    @rule()
    def crash(self) -> None:
        self.journal.close()
        self.reopen()

    @invariant()
    def committed_is_what_was_reported_and_stays(self) -> None:
        for uid in getattr(self, "objects", ()):
            for destination in DESTINATIONS:
                key = (uid, destination.name)
                assert (self.ledger.state_of(*key) is DeliveryState.COMMITTED) == (key in self.committed)

    @invariant()
    def a_file_is_finished_only_when_every_destination_has_committed(self) -> None:
        finished = {one.sop_instance_uid for one in self.ledger.finished_in_outbox()} if self.runs else set()
        everywhere = {uid for uid in self.objects if all((uid, one.name) in self.committed for one in DESTINATIONS)}
        assert finished == everywhere

    @invariant()
    def nothing_is_given_up(self) -> None:
        """Whatever is neither committed nor refused comes up again by itself, however the clock was set."""
        for destination in DESTINATIONS:
            for uid in self.objects:
                state = self.ledger.state_of(uid, destination.name)
                assert state is not DeliveryState.STORING, "a claim of nobody"
                waits = {DeliveryState.PENDING, DeliveryState.STORED, DeliveryState.COMMIT_REQUESTED}
                if state in waits:
                    assert self.ledger.seconds_to_next(destination) is not None


LedgerMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_ok__ledger_machine = pytest.mark.filterwarnings("default")(LedgerMachine.TestCase)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: HandClock) -> Ledger:
    ledger = Ledger(Journal(tmp_path / "journal.sqlite"), clock)
    ledger.add_object(EXAM, instance(1), ["one"])
    ledger.place_object("1.2.1", Place.OUTBOX)
    return ledger


def test_ok__a_warning_is_kept_to_the_end(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record("1.2.1", "one", DeliveryEvent.CLAIMED)
    ledger.record("1.2.1", "one", DeliveryEvent.STORE_ACCEPTED, "the archive changed some elements (status B000H)")
    asked = Transactions(ledger)
    asked.open("9.1", DESTINATIONS[0], 5)
    asked.apply_report(CommitmentReport("ONE", "9.1", frozenset({"1.2.1"}), {}), backoff)
    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        assert db.execute("SELECT state, warning FROM deliveries").fetchall() == [
            ("committed", "the archive changed some elements (status B000H)")
        ]


def test_ok__backoff_doubles_and_a_clock_put_back_does_not_lengthen_it(ledger: Ledger, clock: HandClock) -> None:
    for expected in (5, 10, 20, 40, 60, 60):
        assert ledger.due_objects(DESTINATIONS[0], 5)
        ledger.record("1.2.1", "one", DeliveryEvent.CLAIMED)
        ledger.record("1.2.1", "one", DeliveryEvent.STORE_FAILED, "down", wait=backoff)
        clock.advance(expected - 0.5)
        assert not ledger.due_objects(DESTINATIONS[0], 5)
        clock.advance(1)
    ledger.record("1.2.1", "one", DeliveryEvent.CLAIMED)
    ledger.record("1.2.1", "one", DeliveryEvent.STORE_FAILED, "down", wait=backoff)
    clock.set_wall(-86_400)
    assert ledger.due_objects(DESTINATIONS[0], 5)


def test_ok__what_is_awaited_or_quarantined_is_not_due(ledger: Ledger) -> None:
    for place in (Place.AWAITED, Place.QUARANTINE):
        ledger.place_object("1.2.1", place)
        assert not ledger.due_objects(DESTINATIONS[0], 5)
        assert ledger.seconds_to_next(DESTINATIONS[0]) is None


@pytest.mark.parametrize("has_ended", [True, False])
def test_ok__what_was_claimed_before_is_void_at_the_start(tmp_path: Path, clock: HandClock, has_ended: bool) -> None:
    """Of a process that is dead, and of an earlier part of this one."""
    journal = Journal(tmp_path / "journal.sqlite")
    before = Ledger(journal, clock)
    before.add_object(EXAM, instance(1), ["one"])
    before.place_object("1.2.1", Place.OUTBOX)
    before.record("1.2.1", "one", DeliveryEvent.CLAIMED)
    assert before.state_of("1.2.1", "one") is DeliveryState.STORING
    if has_ended:
        journal.close()
        journal = Journal(tmp_path / "journal.sqlite")
    after = Ledger(journal, clock)
    assert after.state_of("1.2.1", "one") is DeliveryState.PENDING
    assert len(after.due_objects(DESTINATIONS[0], 5)) == 1
    journal.close()


def test_ok__a_claim_is_seen_is_nobody_elses_and_costs_the_flash_nothing(ledger: Ledger, tmp_path: Path) -> None:
    log = tmp_path / "journal.sqlite-wal"
    before = log.read_bytes()
    assert ledger.record("1.2.1", "one", DeliveryEvent.CLAIMED) is DeliveryState.STORING
    (told,) = Listing(ledger.journal, Spool(tmp_path)).queue()["objects"]
    assert told["destinations"]["one"]["state"] == "storing"
    assert ledger.record("1.2.1", "one", DeliveryEvent.CLAIMED) is None
    assert not ledger.due_objects(DESTINATIONS[0], 5)
    assert ledger.seconds_to_next(DESTINATIONS[0]) is None
    assert ledger.record("1.2.1", "one", DeliveryEvent.CLAIM_VOID) is DeliveryState.PENDING
    assert log.read_bytes() == before
    ledger.record("1.2.1", "one", DeliveryEvent.CLAIMED)
    ledger.record("1.2.1", "one", DeliveryEvent.STORE_ACCEPTED)
    (told,) = Listing(ledger.journal, Spool(tmp_path)).queue()["objects"]
    assert (told["destinations"]["one"]["state"], told["destinations"]["one"]["attempts"]) == ("stored", 1)


def test_ok__after_a_restart_a_report_that_was_missed_is_asked_for_soon(tmp_path: Path, clock: HandClock) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    ledger = Ledger(journal, clock)
    asked = Transactions(ledger)
    for number, taken in ((1, True), (2, False)):
        ledger.add_object(EXAM, instance(number), ["one"])
        ledger.place_object(f"1.2.{number}", Place.OUTBOX)
        ledger.record(f"1.2.{number}", "one", DeliveryEvent.CLAIMED)
        ledger.record(f"1.2.{number}", "one", DeliveryEvent.STORE_ACCEPTED)
        asked.open(f"9.{number}", DESTINATIONS[0], 5)
        if taken:
            asked.mark_taken(f"9.{number}")
    journal.close()
    ledger = Ledger(Journal(path), clock)
    asked = Transactions(ledger)
    assert ledger.state_of("1.2.2", "one") is DeliveryState.STORED
    assert ledger.state_of("1.2.1", "one") is DeliveryState.COMMIT_REQUESTED
    assert asked.overdue(DESTINATIONS[0]) == []
    clock.advance(11)
    assert asked.overdue(DESTINATIONS[0]) == ["9.1"]


def test_ok__a_yes_from_before_the_object_was_missed_is_not_believed(ledger: Ledger) -> None:
    one = DESTINATIONS[0]
    asked = Transactions(ledger)

    def store_and_ask(transaction: str) -> None:
        ledger.record("1.2.1", "one", DeliveryEvent.CLAIMED)
        ledger.record("1.2.1", "one", DeliveryEvent.STORE_ACCEPTED)
        asked.open(transaction, one, 5)

    def say_yes(transaction: str) -> DeliveryState | None:
        asked.apply_report(CommitmentReport("ONE", transaction, frozenset({"1.2.1"}), {}), backoff)
        return ledger.state_of("1.2.1", "one")

    store_and_ask("9.1")
    asked.end("9.1", DeliveryEvent.REPORT_MISSING, "late", None)
    asked.open("9.2", one, 5)
    asked.apply_report(CommitmentReport("ONE", "9.2", frozenset(), {"1.2.1": 0x0112}), lambda _: 0.0)
    store_and_ask("9.3")
    assert say_yes("9.1") is DeliveryState.COMMIT_REQUESTED, "it spoke of the copy that the archive has lost since"
    asked.end("9.3", DeliveryEvent.REPORT_MISSING, "late", None)
    assert say_yes("9.3") is DeliveryState.COMMITTED, "late, but of the copy that is there"
    assert say_yes("9.3") is DeliveryState.COMMITTED, "twice"


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty page"])
def test_ok__a_damaged_journal_is_set_aside(tmp_path: Path, damage: str, clock: HandClock) -> None:
    path = tmp_path / "journal" / "journal.sqlite"
    journal = Journal(path)
    ledger = Ledger(journal, clock)
    for number in range(200):
        ledger.add_object(EXAM, instance(number), ["one"])
    journal.close()
    data = path.read_bytes()
    page = 4096
    path.write_bytes(
        {
            "garbage": b"\xff" * len(data),
            "truncated": data[: 2 * page],
            "empty page": data[:page] + bytes(page) + data[2 * page :],
        }[damage]
    )
    journal = Journal(path)
    assert journal.is_new
    assert Ledger(journal, clock).objects_in(Place.AWAITED) == []
    assert [one.name for one in path.parent.iterdir() if one.is_dir()] == ["damaged-1"]
    assert (path.parent / "damaged-1" / path.name).exists()


def test_ok__settings_and_a_journal_of_a_newer_release(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    with journal.transaction() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert journal.is_new
    journal.mark_whole()
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE something_new (a TEXT)")
        db.execute("PRAGMA user_version = 999")
    assert not Journal(path).is_new
