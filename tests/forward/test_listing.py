"""The queue as the socket tells it: all of it in a few statements, what waits alone, and the yeses apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.exam.exam import Outcome, PlannedStep
from appliance.forward import listing as module
from appliance.forward.journal import Journal
from appliance.forward.ledger import Ledger, Place
from appliance.forward.listing import Listing
from appliance.forward.removed import NOT_CONFIGURED, Removed
from appliance.forward.states import DeliveryEvent as E
from appliance.forward.states import StepEvent
from appliance.forward.step_ledger import StepLedger
from appliance.spool.tree import Spool
from tests.forward.hand_clock import HandClock
from tests.forward.test_ledger import EXAM, instance


class Bench:
    def __init__(self, directory: Path) -> None:
        self.clock = HandClock()
        self.journal = Journal(directory / "journal.sqlite")
        self.ledger = Ledger(self.journal, self.clock)
        self.spool = Spool(directory)
        self.listing = Listing(self.journal, self.spool)

    def add(self, number: int, *destinations: str) -> str:
        made = instance(number)
        self.ledger.add_object(EXAM, made, destinations)
        self.ledger.place_object(made.sop_instance_uid, Place.OUTBOX)
        return made.sop_instance_uid

    def record(self, uid: str, destination: str, *events: E) -> None:
        for event in events:
            self.ledger.record(uid, destination, event)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_ok__however_many_objects_it_is_a_few_statements(bench: Bench) -> None:
    def count(objects: int) -> int:
        for number in range(objects):
            bench.add(number, "one", "two")
        said: list[str] = []
        with bench.journal.reading() as db:
            db.set_trace_callback(said.append)
            queue = bench.listing.queue()
            db.set_trace_callback(None)
        assert len(queue["objects"]) == objects
        assert all(len(one["destinations"]) == 2 for one in queue["objects"])
        return len(said)

    assert count(2) == count(300) <= 5


def test_ok__what_waits_alone_and_what_has_no_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    uids = [bench.add(number, "one") for number in range(6)]
    bench.ledger.place_object(uids[5], Place.KEPT)
    assert [one["sop_instance_uid"] for one in bench.listing.queue()["objects"]] == uids
    assert [one["sop_instance_uid"] for one in bench.listing.queue(is_waiting_only=True)["objects"]] == uids[:5]
    monkeypatch.setattr(module, "MOST_OBJECTS", 2)
    queue = bench.listing.queue(is_waiting_only=True)
    assert ([one["sop_instance_uid"] for one in queue["objects"]], queue["left_out"]) == (uids[3:5], 3)
    assert len(bench.listing.queue(EXAM)["objects"]) == 6, "one exam is told whole"
    assert bench.listing.queue("another") == {"objects": [], "steps": [], "left_out": 0}


def test_ok__what_is_damaged_waits_until_a_person_lets_go_of_it(bench: Bench) -> None:
    uid, other = bench.add(1, "one"), bench.add(2, "one")
    for each in (uid, other):
        bench.ledger.place_object(each, Place.QUARANTINE)
    bench.ledger.withdraw(uid, "released", "")
    assert [one["sop_instance_uid"] for one in bench.listing.queue(is_waiting_only=True)["objects"]] == [other]
    assert len(bench.listing.queue()["objects"]) == 2


def test_ok__since_when(bench: Bench) -> None:
    """An attempt that fails, and a round of commitment that brings nothing, are no news."""
    uid = bench.add(1, "one")
    told = lambda: bench.listing.queue()["objects"][0]["destinations"]["one"]  # noqa: E731
    moments = []
    for events in (
        (E.CLAIMED, E.STORE_FAILED),
        (E.CLAIMED, E.STORE_ACCEPTED),
        (E.COMMITMENT_ASKED, E.REPORT_MISSING),
        (E.COMMITMENT_ASKED, E.OBJECT_MISSING),
        (E.CLAIMED, E.STORE_REFUSED),
        (E.RETRY_ASKED,),
    ):
        bench.clock.advance(60)
        bench.record(uid, "one", *events)
        moments.append(told()["since"])
    never, stored, still_stored, missing, refused, again = moments
    assert never == ""
    assert stored == still_stored < missing < refused < again


def test_ok__the_yeses_are_counted_apart(bench: Bench) -> None:
    ways: dict[str, tuple[E, ...]] = {
        "pending": (),
        "stored": (E.CLAIMED, E.STORE_ACCEPTED),
        "stored_only": (E.CLAIMED, E.STORE_ACCEPTED, E.NEEDS_NO_COMMITMENT),
        "verified": (E.CLAIMED, E.STORE_ACCEPTED, E.VERIFIED),
        "committed": (E.CLAIMED, E.STORE_ACCEPTED, E.COMMITTED),
        "refused": (E.CLAIMED, E.STORE_REFUSED),
        "released": (E.WITHDRAWN,),
    }
    for number, events in enumerate(ways.values()):
        bench.record(bench.add(number, "one"), "one", *events)
    told = bench.listing.destination("one")
    assert {key: told[key] for key in ways} == dict.fromkeys(ways, 1)
    assert bench.listing.destination("two") == {
        "name": "two",
        "pending_since": "",
        **dict.fromkeys(ways, 0),
    }


def test_ok__what_is_being_sent_says_since_when(bench: Bench) -> None:
    uid = bench.add(1, "one", "two")
    bench.record(uid, "one", E.CLAIMED)
    at = bench.clock.now().isoformat()
    bench.clock.advance(20)

    def told() -> list[tuple[str, str]]:
        (one,) = bench.listing.queue()["objects"]
        return [
            (one["destinations"][name]["state"], one["destinations"][name]["sent_since"]) for name in ("one", "two")
        ]

    assert told() == [("storing", at), ("pending", "")]
    bench.record(uid, "one", E.STORE_ACCEPTED)
    assert told() == [("stored", ""), ("pending", "")]


def test_ok__the_exams_that_are_not_settled_are_counted_together(bench: Bench) -> None:
    steps = StepLedger(bench.journal, bench.clock, bench.spool)
    steps.add(EXAM, PlannedStep("US", "1.9", "1"), may_have_been_told=False)
    for number in range(3):
        bench.record(bench.add(number, "one", "two"), "two", E.CLAIMED, E.STORE_REFUSED)
    bench.record(bench.add(3, "one", "two"), "two", E.WITHDRAWN)
    bench.ledger.place_object(bench.add(4), Place.QUARANTINE)
    bench.ledger.withdraw(bench.add(5, "one"), "released", "")
    told = bench.listing.exams(EXAM, EXAM)["exams"]
    assert list(told) == [EXAM]
    assert told[EXAM]["steps"] == [{"modality": "US", "state": "due"}]
    alike = {(one["place"], one["is_decided"], *one["states"]): one["count"] for one in told[EXAM]["objects"]}
    assert alike == {
        ("outbox", False, "pending", "refused"): 3,
        ("outbox", False, "pending", "released"): 1,
        ("quarantine", False): 1,
        ("outbox", True, "released"): 1,
    }
    assert bench.listing.exams("", EXAM[:-1]) == {"exams": {}}
    with bench.journal.transaction() as db:
        db.execute("INSERT INTO settled_exams VALUES (?, 0)", (EXAM,))
    assert bench.listing.exams(EXAM, EXAM) == {"exams": {}}


def test_ok__what_keeps_a_destination_from_being_tried_stands_beside_what_was_said_of_the_object(bench: Bench) -> None:
    ways: dict[str, tuple[E, ...]] = {
        "pending": (),
        "storing": (E.CLAIMED,),
        "stored": (E.CLAIMED, E.STORE_ACCEPTED),
        "commit_requested": (E.CLAIMED, E.STORE_ACCEPTED, E.COMMITMENT_ASKED),
        "committed": (E.CLAIMED, E.STORE_ACCEPTED, E.COMMITTED),
        "refused": (E.CLAIMED, E.STORE_REFUSED),
    }
    for number, events in enumerate(ways.values()):
        uid = bench.add(number, "down", "removed", "well")
        for name in ("down", "removed", "well"):
            bench.record(uid, name, *events)

    def troubles_at(name: str, troubles: dict[str, str] | None) -> dict[str, str]:
        told = [one["destinations"][name] for one in bench.listing.queue(troubles=troubles)["objects"]]
        assert [one["state"] for one in told] == list(ways)
        return {one["state"]: one["trouble"] for one in told if one["trouble"]}

    troubles = {"down": "It refuses connections.", "well": ""}
    assert troubles_at("down", troubles) == dict.fromkeys(("pending", "stored"), "It refuses connections.")
    assert troubles_at("well", troubles) == {}
    assert troubles_at("removed", troubles) == dict.fromkeys(ways.keys() - {"committed"}, NOT_CONFIGURED)
    assert troubles_at("removed", None) == {}, "nobody asked"
    assert bench.listing.removed(["down", "well"]) == [Removed("removed", 5, 1)]
    assert [one.name for one in bench.listing.removed([])] == ["down", "removed", "well"]
    assert bench.listing.removed(["down", "removed", "well"]) == []


def test_ok__a_removed_destination_where_everything_is_done_is_history(bench: Bench) -> None:
    assert bench.listing.removed([]) == []
    bench.record(bench.add(1, "removed"), "removed", E.CLAIMED, E.STORE_ACCEPTED, E.COMMITTED)
    assert bench.listing.removed([]) == []


def test_ok__a_step_waits_for_its_manager_only_while_there_is_something_to_tell(bench: Bench) -> None:
    steps = StepLedger(bench.journal, bench.clock, bench.spool)
    for number in range(4):
        steps.add(EXAM, PlannedStep(f"M{number}", f"1.{number}", str(number)), may_have_been_told=False)
    for number in (1, 2, 3):
        steps.record(f"1.{number}", StepEvent.CREATED, "")
    for number in (2, 3):
        steps.end(EXAM, f"M{number}", Outcome.COMPLETED)
    steps.record("1.3", StepEvent.SET_COMPLETED, "")
    told = bench.listing.queue(step_trouble="It is down.")["steps"]
    assert [(one["state"], one["trouble"]) for one in told] == [
        ("due", "It is down."),
        ("in progress", ""),
        ("in progress", "It is down."),
        ("completed", ""),
    ]
