"""Commitment transactions: no object in two, what is asked when, and what is forgotten without harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.config.schema import Destination
from appliance.dimse.commitment import CommitmentReport
from appliance.forward import transactions as module
from appliance.forward.journal import Journal
from appliance.forward.ledger import Ledger, Place
from appliance.forward.states import DeliveryEvent, DeliveryState
from appliance.forward.transactions import REMEMBERED_SECONDS, Transactions
from tests.forward.hand_clock import HandClock
from tests.forward.test_ledger import EXAM, backoff, instance

ONE = Destination(name="one", ae_title="ONE", host="h", port=104)
TWO = Destination(name="two", ae_title="TWO", host="h", port=104)


class Bench:
    def __init__(self, path: Path) -> None:
        self.clock = HandClock()
        self.journal = Journal(path)
        self.ledger = Ledger(self.journal, self.clock)
        self.transactions = Transactions(self.ledger)

    def store(self, number: int, *destinations: Destination) -> str:
        made = instance(number)
        uid = made.sop_instance_uid
        self.ledger.add_object(EXAM, made, [one.name for one in destinations])
        self.ledger.place_object(uid, Place.OUTBOX)
        for one in destinations:
            self.ledger.record(uid, one.name, DeliveryEvent.CLAIMED)
            self.ledger.record(uid, one.name, DeliveryEvent.STORE_ACCEPTED)
        return uid

    def open(self, transaction: str, destination: Destination = ONE) -> list[str]:
        return [one.sop_instance_uid for one in self.transactions.open(transaction, destination, 500)]

    def report(self, transaction: str, *good: str, **bad: int) -> None:
        failed = {f"1.2.{key[1:]}": reason for key, reason in bad.items()}
        self.transactions.apply_report(CommitmentReport("ONE", transaction, frozenset(good), failed), backoff)

    def count(self, table: str) -> int:
        with self.journal.reading() as db:
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "journal.sqlite")


def test_ok__no_object_is_in_two_open_transactions(bench: Bench) -> None:
    uids = [bench.store(number, ONE, TWO) for number in range(3)]
    assert bench.open("9.1") == uids
    assert bench.open("9.2") == []
    assert bench.transactions.destination_of("9.2") is None, "no empty transaction"
    assert bench.open("9.3", TWO) == uids, "another destination's is its own"


def test_ok__a_new_identifier_is_tried_at_once_but_not_for_ever(bench: Bench) -> None:
    bench.store(1, ONE)
    bench.open("9.1")
    bench.report("9.1", _1=0x0131)
    assert bench.open("9.2") == ["1.2.1"]
    bench.report("9.2", _1=0x0131)
    assert bench.open("9.3") == [], "an archive that refuses every identifier is not asked in a circle"
    bench.clock.advance(61)
    assert bench.open("9.4") == ["1.2.1"]


def test_ok__what_could_change_nothing_is_forgotten_after_a_week(bench: Bench) -> None:
    done, open_one = bench.store(1, ONE), bench.store(2, ONE)
    bench.open("9.1")
    bench.report("9.1", done)
    assert bench.ledger.state_of(open_one, "one") is DeliveryState.STORED
    bench.clock.advance(61)
    bench.open("9.2")
    bench.report("9.2", open_one)
    assert bench.transactions.prune(ONE) == 0, "it may still be reported on"
    bench.store(3, ONE)
    bench.open("9.3")
    bench.clock.advance(REMEMBERED_SECONDS + 1)
    assert bench.transactions.prune(TWO) == 0
    assert bench.transactions.prune(ONE) == 2
    assert bench.transactions.is_open("9.3")
    assert (bench.count("transactions"), bench.count("transaction_members")) == (1, 1)
    assert bench.transactions.destination_of("9.1") is None
    before = bench.ledger.state_of(done, "one")
    bench.report("9.1", done)
    bench.report("9.1", _1=0x0112)
    assert bench.ledger.state_of(done, "one") is before is DeliveryState.COMMITTED


def test_ok__what_was_asked_in_vain_is_remembered_while_it_may_still_be_answered(bench: Bench) -> None:
    uid = bench.store(1, ONE)
    bench.open("9.1")
    bench.transactions.end("9.1", DeliveryEvent.REPORT_MISSING, "late", None)
    bench.clock.advance(REMEMBERED_SECONDS + 1)
    assert bench.transactions.prune(ONE) == 0
    bench.report("9.1", uid)
    assert bench.ledger.state_of(uid, "one") is DeliveryState.COMMITTED


@pytest.mark.parametrize("step", [0, -86_400])
def test_ok__an_archive_that_never_answers_does_not_fill_the_flash(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """The oldest are forgotten, also when the clock is put back from one to the next."""
    monkeypatch.setattr(module, "MOST_REMEMBERED", 5)
    uid = bench.store(1, ONE)
    for number in range(20):
        assert bench.open(f"9.{number}") == [uid]
        bench.transactions.end(f"9.{number}", DeliveryEvent.REPORT_MISSING, "late", None)
        bench.clock.advance(1)
        bench.clock.set_wall(step)
    assert bench.transactions.prune(ONE) == 15
    bench.report("9.3", uid)
    assert bench.ledger.state_of(uid, "one") is DeliveryState.STORED, "forgotten: asked again instead"
    bench.report("9.17", uid)
    assert bench.ledger.state_of(uid, "one") is DeliveryState.COMMITTED


def _silence(rounds: int) -> float:
    return 60.0 if rounds >= 3 else 0.0


@pytest.mark.parametrize(("wait", "is_due"), [(None, True), (_silence, False)])
def test_ok__after_silence_the_wait_counts_rounds(
    bench: Bench, wait: Callable[[int], float] | None, is_due: bool
) -> None:
    bench.store(1, ONE)
    for number in range(3):
        assert bench.open(f"9.{number}") == ["1.2.1"]
        bench.transactions.end(f"9.{number}", DeliveryEvent.REPORT_MISSING, "late", wait)
    assert bool(bench.open("9.9")) == is_due
