"""What may expire, as a table and as what no input can break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.schema import Configuration, Retention
from appliance.exam.decisions import Decided, DecisionKind
from appliance.forward.retention import (
    DAY_SECONDS,
    KeptObject,
    Proof,
    Room,
    choose_expiring,
    proof_of,
    wanted_bytes_from,
)
from appliance.forward.states import FINAL_DELIVERIES, DeliveryState
from appliance.spool.room import floor_bytes_from

S, D = DeliveryState, DecisionKind
ROOMY = Room(free=1000, wanted=1000)


def _kept(
    uid: str = "1",
    *states: DeliveryState,
    days: float = 0.0,
    size: int = 10,
    is_settled: bool = True,
    decisions: tuple[DecisionKind, ...] = (),
    released_at: str = "",
) -> KeptObject:
    """Its destinations are a, b, in the order of `states`."""
    decided = Decided(frozenset(decisions), frozenset(released_at))
    there = dict(zip("abc", states, strict=False))
    return KeptObject(uid, "1.2", "E", f"{uid}.dcm", size, days * DAY_SECONDS, is_settled, there, decided)


@pytest.mark.parametrize(
    ("states", "decisions", "proof"),
    [
        ({S.COMMITTED}, (), Proof.COMMITTED),
        ({S.EXPIRED}, (), Proof.COMMITTED),
        ({S.COMMITTED, S.STORED_ONLY}, (), Proof.COMMITTED),
        ({S.COMMITTED, S.RELEASED}, (D.REJECTED,), Proof.COMMITTED),
        ({S.VERIFIED}, (), Proof.VERIFIED),
        ({S.VERIFIED, S.STORED_ONLY}, (), Proof.VERIFIED),
        ({S.STORED_ONLY}, (), None),
        ({S.STORED_ONLY}, (D.RELEASED,), Proof.RELEASED),
        ({S.RELEASED}, (D.RELEASED,), Proof.RELEASED),
        ({S.RELEASED}, (D.DISCARDED,), Proof.RELEASED),
        ({S.RELEASED}, (D.REJECTED,), None),
        ({S.RELEASED}, (D.REJECTED, D.RELEASED), Proof.RELEASED),
        ({S.COMMITTED}, (D.REASSIGNED,), None),
        ({S.RELEASED}, (D.REASSIGNED, D.RELEASED), None),
        (set(), (), None),
        (set(), (D.RELEASED,), Proof.RELEASED),
        ({S.COMMITTED, S.PENDING}, (), None),
        ({S.REFUSED}, (D.RELEASED,), None),
    ],
)
def test_ok__why_an_object_is_not_needed(
    states: set[DeliveryState], decisions: tuple[DecisionKind, ...], proof: Proof | None
) -> None:
    assert proof_of(_kept("1", *states, decisions=decisions)) is proof


@pytest.mark.parametrize(
    ("states", "released_at", "decisions", "proof"),
    [
        ((S.RELEASED,), "a", (), Proof.RELEASED),
        ((S.STORED_ONLY,), "a", (), Proof.RELEASED),
        ((S.RELEASED, S.RELEASED), "ab", (), Proof.RELEASED),
        ((S.RELEASED, S.RELEASED), "ab", (D.REJECTED,), Proof.RELEASED),
        ((S.RELEASED, S.RELEASED), "a", (D.REJECTED,), None),
        ((S.RELEASED, S.STORED_ONLY), "a", (), None),
        ((S.RELEASED, S.STORED_ONLY), "ab", (), Proof.RELEASED),
        ((S.RELEASED, S.VERIFIED), "a", (), Proof.VERIFIED),
        ((S.RELEASED, S.COMMITTED), "a", (), Proof.COMMITTED),
        ((S.RELEASED, S.PENDING), "ab", (), None),
        ((S.RELEASED, S.RELEASED), "ab", (D.REASSIGNED,), None),
        ((), "a", (), None),
    ],
)
def test_ok__what_is_released_from_single_destinations_is_needed_until_it_is_from_all(
    states: tuple[DeliveryState, ...], released_at: str, decisions: tuple[DecisionKind, ...], proof: Proof | None
) -> None:
    assert proof_of(_kept("1", *states, decisions=decisions, released_at=released_at)) is proof


@pytest.mark.parametrize(
    ("one", "is_over"),
    [
        (_kept("1", S.COMMITTED, days=13.9), False),
        (_kept("1", S.COMMITTED, days=14), True),
        (_kept("1", S.COMMITTED, days=400, is_settled=False), False),
        (_kept("1", S.VERIFIED, days=89.9), False),
        (_kept("1", S.VERIFIED, days=90), True),
        (_kept("1", S.STORED_ONLY, days=4000), False),
        (_kept("1", S.STORED_ONLY, days=90, decisions=(D.RELEASED,)), True),
        (_kept("1", S.RELEASED, days=14, decisions=(D.RELEASED,)), False),
        (_kept("1", S.RELEASED, days=90, decisions=(D.RELEASED,)), True),
        (_kept("1", S.RELEASED, days=4000, decisions=(D.REJECTED,)), False),
    ],
)
def test_ok__by_its_age(one: KeptObject, is_over: bool) -> None:
    assert choose_expiring([one], Retention(), ROOMY) == ([one] if is_over else [])


def test_ok__no_days_at_all_are_until_the_exam_is_settled() -> None:
    here = [_kept("1", S.COMMITTED), _kept("2", S.COMMITTED, is_settled=False), _kept("3", S.VERIFIED)]
    at_once = Retention(committed_days=0, unproven_days=0)
    assert choose_expiring(here, at_once, ROOMY) == [here[0], here[2]]


def test_ok__for_room_the_oldest_committed_first_and_only_as_many_as_it_takes() -> None:
    kept = [
        _kept("1", S.STORED_ONLY, days=4000),
        _kept("2", S.VERIFIED, days=80),
        _kept("3", S.COMMITTED, days=2, is_settled=False),
        _kept("4", S.COMMITTED, S.PENDING, days=2),
        _kept("5", S.RELEASED, decisions=(D.RELEASED,)),
        _kept("6", S.COMMITTED, days=1),
        _kept("7", S.COMMITTED, days=20),
    ]

    def chosen(free: int) -> str:
        return "".join(one.sop_instance_uid for one in choose_expiring(kept, Retention(), Room(free, 1000)))

    assert [chosen(free) for free in (1000, 990, 989, 980, 979, 970, 960, 0)] == [
        *("7", "7", "73", "73", "736", "736", "7362", "73625")
    ]


_kept_objects = st.lists(
    st.builds(
        KeptObject,
        sop_instance_uid=st.uuids().map(str),
        sop_class_uid=st.just("1.2"),
        exam_id=st.just("E"),
        file_name=st.just("f"),
        bytes=st.integers(1, 500),
        kept_seconds=st.sampled_from([0.0, 13.9, 14.0, 89.0, 90.0]).map(lambda days: days * DAY_SECONDS),
        is_settled=st.booleans(),
        states=st.dictionaries(st.sampled_from("ab"), st.sampled_from(DeliveryState)),
        decided=st.builds(
            Decided,
            st.sets(st.sampled_from(DecisionKind), max_size=1).map(frozenset),
            st.sets(st.sampled_from("ab")).map(frozenset),
        ),
    ),
    max_size=8,
)


@given(_kept_objects, st.integers(0, 2000))
def test_ok__nothing_goes_that_somebody_needs_and_nothing_early_without_need(kept: list[KeptObject], free: int) -> None:
    room = Room(free, 1000)
    chosen = choose_expiring(kept, Retention(), room)
    assert len({one.sop_instance_uid for one in chosen}) == len(chosen)
    early = [one for one in chosen if not one.is_settled or one.kept_seconds < 14 * DAY_SECONDS]
    for one in chosen:
        states = set(one.states.values())
        assert states <= FINAL_DELIVERIES
        assert D.REASSIGNED not in one.decided.kinds
        is_let_go = one.decided.kinds & {D.RELEASED, D.DISCARDED} or one.decided.released_at >= one.states.keys()
        assert states & {S.COMMITTED, S.EXPIRED, S.VERIFIED} or is_let_go
    if early:
        # The last one that went for room was needed for it.
        assert free + sum(one.bytes for one in chosen[:-1]) < room.wanted
    if free + sum(one.bytes for one in chosen) < room.wanted:
        left = [one for one in kept if one not in chosen]
        assert {proof_of(one) for one in left} <= {None}


def test_ok__the_largest_clip_or_film_fits_above_the_reserve() -> None:
    devices = [
        {"name": "a", "driver": "xmodem", "modality": "US", "line": "a", "max_bytes": 2048},
        {"name": "b", "driver": "grabber", "modality": "ES", "source": "b", "max_clip_bytes": 5_000_000},
        {"name": "c", "driver": "sane", "modality": "RG", "sane_device": "c", "max_bytes": 4096},
    ]
    configuration = Configuration.model_validate({"box": {"reserve_bytes": 100}, "devices": devices})
    assert wanted_bytes_from(configuration) == floor_bytes_from(configuration) + 5_000_000
    assert wanted_bytes_from(Configuration()) == floor_bytes_from(Configuration())
