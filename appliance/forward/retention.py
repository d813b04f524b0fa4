"""Which of the kept objects may go, and in which order: a decision without files, journal or clock.

What an archive has committed is kept as a cache, and longer what else may go: what a person released or discarded, and
what C-FIND found at a destination without commitment. What an archive stored, and no more is known of it, never goes by
itself: it waits for a person. Where flash runs short objects go before their time, the oldest first, until a clip or a
film of the largest size that is configured fits above what a capture needs to begin. Nothing goes that is not final at
every destination, nothing that is damaged, and nothing whose decision needs its file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.config.devices import Device, GrabberDevice, PrinterDevice, TextDevice
from appliance.config.schema import Configuration, Retention
from appliance.exam.decisions import UNDECIDED, Decided, DecisionKind
from appliance.forward.states import FINAL_DELIVERIES, DeliveryState
from appliance.spool.room import floor_bytes_from

DAY_SECONDS = 86_400.0


class Proof(StrEnum):
    """Why the box's copy is not needed: the best of an object's reasons."""

    COMMITTED = "committed"
    """An archive took responsibility."""
    RELEASED = "released"
    """A person let go of it, at once or at each of its destinations."""
    VERIFIED = "verified"
    """C-FIND found it at a destination where no commitment is to be had."""


@dataclass(frozen=True, slots=True)
class KeptObject:
    """An object whose file lies in `kept/`. `kept_seconds` is for how long; `states` are those of its deliveries, by
    destination."""

    sop_instance_uid: str
    sop_class_uid: str
    exam_id: str
    file_name: str
    bytes: int
    kept_seconds: float
    is_settled: bool
    states: Mapping[str, DeliveryState]
    decided: Decided = UNDECIDED


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
    states = set(one.states.values())
    if not states <= FINAL_DELIVERIES or DecisionKind.REASSIGNED in one.decided.kinds:
        return None
    if states & {DeliveryState.COMMITTED, DeliveryState.EXPIRED}:
        return Proof.COMMITTED
    is_released_everywhere = bool(states) and one.states.keys() <= one.decided.released_at
    if is_released_everywhere or one.decided.kinds & {DecisionKind.RELEASED, DecisionKind.DISCARDED}:
        return Proof.RELEASED
    return Proof.VERIFIED if DeliveryState.VERIFIED in states else None


def choose_expiring(kept: Sequence[KeptObject], retention: Retention, room: Room) -> list[KeptObject]:
    """What is to go now, of `kept` with what lies there longest first: whose time is over, and what room needs.

    By its age nothing goes whose exam is not settled, since somebody is still at work on it; for room it may.
    """
    proofs = {one.sop_instance_uid: proof_of(one) for one in kept}
    chosen = [one for one in kept if is_over(one, proofs[one.sop_instance_uid], retention)]
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


def is_over(one: KeptObject, proof: Proof | None, retention: Retention) -> bool:
    """Whether its time is over, for whatever room there is."""
    if proof is None or not one.is_settled:
        return False
    days = retention.committed_days if proof is Proof.COMMITTED else retention.unproven_days
    return one.kept_seconds >= days * DAY_SECONDS


def wanted_bytes_from(configuration: Configuration) -> int:
    """The free flash that lets every configured device capture its largest object: that, above what a capture needs."""
    largest = max(map(_largest_object, configuration.devices), default=0)
    return floor_bytes_from(configuration) + largest


def _largest_object(device: Device) -> int:
    match device:
        case GrabberDevice():
            return device.max_clip_bytes
        case PrinterDevice():
            return device.max_pixels
        case TextDevice():
            return device.page_bytes
        case _:
            return device.max_bytes
