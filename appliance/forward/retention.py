"""Which of the kept objects may go, and in which order: a decision without files, journal or clock.

What an archive has committed is kept as a cache, and longer what went only to destinations without commitment. Where
flash runs short objects go before their time, the oldest first, until a clip or a film of the largest size that is
configured fits above what a capture needs to begin; but only what is committed, or else what DESIGN.md excepts: what a
person released or discarded, and what C-FIND found at a destination without commitment. Nothing goes that is not final
at every destination, nothing that is damaged, and nothing whose decision needs its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.config.schema import Configuration, GrabberDevice, Retention
from appliance.exam.decisions import DecisionKind
from appliance.forward.states import FINAL_DELIVERIES, DeliveryState
from appliance.spool.room import floor_bytes_from

DAY_SECONDS = 86_400.0


class Proof(StrEnum):
    """Why the box's copy is not needed: the best of an object's reasons."""

    COMMITTED = "committed"
    """An archive took responsibility."""
    RELEASED = "released"
    """A person let go of it."""
    VERIFIED = "verified"
    """C-FIND found it wherever no commitment is to be had."""
    STORED_ONLY = "stored only"
    """An archive answered that it has it, and that is all that can be known."""


@dataclass(frozen=True, slots=True)
class KeptObject:
    """An object whose file lies in `kept/`. `kept_seconds` is for how long; `states` are those of its deliveries."""

    sop_instance_uid: str
    sop_class_uid: str
    exam_id: str
    file_name: str
    bytes: int
    kept_seconds: float
    is_settled: bool
    states: frozenset[DeliveryState]
    decisions: frozenset[DecisionKind] = frozenset()


@dataclass(frozen=True, slots=True)
class Room:
    """Free flash, and how much of it the next captures want, both in bytes."""

    free: int
    wanted: int


# Proofs that let an object go before its time, in this order; within one the oldest first.
_FOR_ROOM = ((Proof.COMMITTED,), (Proof.RELEASED, Proof.VERIFIED))


def proof_of(one: KeptObject) -> Proof | None:
    """Why `one` is not needed here; None when it is.

    A reassigned object is made anew from its file, however long that takes, and the console takes it away then. That
    one is rejected says only that nobody is to use it: uncommitted, it stays until a person releases it.
    """
    if not one.states <= FINAL_DELIVERIES or DecisionKind.REASSIGNED in one.decisions:
        return None
    if one.states & {DeliveryState.COMMITTED, DeliveryState.EXPIRED}:
        return Proof.COMMITTED
    if one.decisions & {DecisionKind.RELEASED, DecisionKind.DISCARDED}:
        return Proof.RELEASED
    if not one.states or DeliveryState.RELEASED in one.states:
        return None
    return Proof.VERIFIED if one.states == {DeliveryState.VERIFIED} else Proof.STORED_ONLY


def choose_expiring(kept: Sequence[KeptObject], retention: Retention, room: Room) -> list[KeptObject]:
    """What is to go now, of `kept` in the order in which it was taken in: whose time is over, and what room needs.

    By its age nothing goes whose exam is not settled, since somebody is still at work on it; for room it may.
    """
    proofs = {one.sop_instance_uid: proof_of(one) for one in kept}
    chosen = [one for one in kept if one.is_settled and _is_over(one, proofs[one.sop_instance_uid], retention)]
    free = room.free + sum(one.bytes for one in chosen)
    known = {one.sop_instance_uid for one in chosen}
    for tier in _FOR_ROOM:
        for one in kept:
            if free >= room.wanted:
                return chosen
            if proofs[one.sop_instance_uid] in tier and one.sop_instance_uid not in known:
                chosen.append(one)
                free += one.bytes
    return chosen


def _is_over(one: KeptObject, proof: Proof | None, retention: Retention) -> bool:
    if proof is None:
        return False
    days = retention.committed_days if proof is Proof.COMMITTED else retention.unproven_days
    return one.kept_seconds >= days * DAY_SECONDS


def wanted_bytes_from(configuration: Configuration) -> int:
    """The free flash that lets every configured device capture its largest object: that, above what a capture needs."""
    largest = [
        device.max_clip_bytes if isinstance(device, GrabberDevice) else device.max_bytes
        for device in configuration.devices
    ]
    return floor_bytes_from(configuration) + max(largest, default=0)
