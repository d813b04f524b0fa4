"""Faults put in on purpose, to see that the proof notices: in what was recorded, or in the code that recovers.

A fault of the record is exactly what the same fault of the code would have recorded: a sync that is missing is missing
there, an answer that comes early stands earlier.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from appliance.acquire import salvage
from appliance.acquire.transfers import TransferRunner
from appliance.base.uids import new_uid
from appliance.console import aftercare
from appliance.services import acquire as acquire_service
from appliance.services import recover
from tests.crash.again import First
from tests.crash.model import Link, Rename, Sync, Write
from tests.crash.record import Event, Note, Promise, Record, Side, Step
from tests.crash.recorder import is_native

_STILL = r"captured/[^/]+/[^/]+/\.part-[0-9.]+~0"
_CLIP = r"captured/[^/]+/[^/]+/\.part-[0-9.]+~[1-9][0-9]*"
_CAPTURED = r"captured/[^/]+/[^/]+"


@dataclass(frozen=True, slots=True)
class Broken:
    """A record with a fault, and the events near which the fault was put in."""

    record: Record
    places: list[int]


Mutation = Callable[[Record], Broken]


def without_sync(pattern: str) -> Mutation:
    """Every fsync of what bears this path is left out."""

    def mutate(record: Record) -> Broken:
        events: list[Event] = []
        places = []
        for event in record.events:
            if _is_sync(event, pattern):
                places.append(len(events))
            else:
                events.append(event)
        return Broken(replace(record, events=events), places)

    return mutate


def without_first_sync(pattern: str) -> Mutation:
    """Of what bears this path the first fsync is left out, but none that follows: it shows until the next."""

    def mutate(record: Record) -> Broken:
        first, following, *_ = (index for index, event in enumerate(record.events) if _is_sync(event, pattern))
        events = record.events[:first] + record.events[first + 1 :]
        return Broken(replace(record, events=events), [following - 2])

    return mutate


def named_before_synced(pattern: str) -> Mutation:
    """rename(2) or link(2) of such a file comes before its fsync, not behind it."""

    def mutate(record: Record) -> Broken:
        events = list(record.events)
        places = []
        for index, event in enumerate(record.events):
            if _is_sync(event, pattern):
                assert isinstance(event, Step)
                later = _naming_of(event.path, record.events, index)
                if later is not None:
                    events[index], events[later] = record.events[later], event
                    places.append(index)
        return Broken(replace(record, events=[_covering_all(event) for event in events]), places)

    return mutate


def _naming_of(path: str, events: list[Event], start: int) -> int | None:
    """Where the file gets its final name; None when a later sync of it comes first."""
    for number, other in enumerate(events[start + 1 :], start=start + 1):
        if isinstance(other, Step) and isinstance(other.operation, Rename | Link):
            if other.path.startswith(f"{path} ->"):
                return number
        elif isinstance(other, Step) and isinstance(other.operation, Sync) and other.path == path:
            return None
    return None


def answered_early(promise: Promise, syncs: int) -> Mutation:
    """The answer leaves before the last `syncs` syncs that came before it."""

    def mutate(record: Record) -> Broken:
        events = list(record.events)
        places = []
        for event in record.events:
            if isinstance(event, Note) and event.promise is promise:
                index, passed = events.index(event), 0
                events.pop(index)
                while passed < syncs and index > 0:
                    index -= 1
                    passed += _is_sync(events[index], ".*")
                events.insert(index, event)
                places.append(index)
        return Broken(replace(record, events=events), places)

    return mutate


def counted_before_synced() -> Mutation:
    """What is patched into the header of native frames behind a sync of them is written before that sync."""

    def mutate(record: Record) -> Broken:
        events: list[Event] = []
        places = []
        last = 0
        for event in record.events:
            if _is_native_patch(event, record) and _is_sync(events[last], re.escape(event.path)):
                events.insert(last, event)
                places.append(last)
            else:
                events.append(event)
            last = len(events) - 1 if isinstance(event, Step) else last
        return Broken(replace(record, events=events), places)

    return mutate


def _is_native_patch(event: Event, record: Record) -> TypeGuard[Step]:
    if not (isinstance(event, Step) and isinstance(event.operation, Write) and re.fullmatch(_CLIP, event.path)):
        return False
    offset = int(event.path.rpartition("~")[2])
    return event.operation.offset < offset and any(
        is_native(one.operation.data, offset)
        for one in record.events
        if isinstance(one, Step) and one.path == event.path and isinstance(one.operation, Write)
    )


def _is_sync(event: Event, pattern: str) -> bool:
    return (
        isinstance(event, Step)
        and event.side is Side.BOX
        and isinstance(event.operation, Sync)
        and re.fullmatch(pattern, event.path) is not None
    )


def _covering_all(event: Event) -> Event:
    """A sync covers everything that came before it where it stands now."""
    if isinstance(event, Step) and isinstance(event.operation, Sync):
        return replace(event, operation=replace(event.operation, since=1 << 60))
    return event


RECORDED: dict[str, Mutation] = {
    "a still's bytes are not synced": without_sync(_STILL),
    "an object's name is not synced": without_sync(_CAPTURED),
    "a still is renamed before it is synced": named_before_synced(_STILL),
    "a clip is renamed before it is synced": named_before_synced(_CLIP),
    "a clip under way is not synced": without_sync(_CLIP),
    "native frames are counted before they are synced": counted_before_synced(),
    "saved is answered before the name is synced": answered_early(Promise.SAVED, 1),
    "saved is answered before the bytes are synced": answered_early(Promise.SAVED, 2),
    "an exam's record is not synced": without_sync(r"exams/[^/]+/\.part-[0-9]+-exam\.json"),
    "an exam's facts have names that are not synced": without_sync(r"exams/[^/]+"),
    "an exam's directory has a name that is not synced": without_sync(r"exams"),
    "an exam's list is linked before it is synced": named_before_synced(r"exams/[^/]+/\.part-[0-9]+-closed\.json"),
    "the exam's end is answered before its list is synced": answered_early(Promise.CLOSED, 16),
    "a hand-over to kept is not synced": without_sync(r"kept|outbox"),
    "an act is done before its audit record is synced": without_sync(r"audit/console/.*"),
    "an image leaves before its audit record is synced": without_sync(r"audit/forward(/.*\.log)?"),
    "the journal is written without syncs": without_sync(r"journal/.*"),
    "the journal's log is not synced": without_sync(r"journal/.*-wal"),
    "a commitment report is answered before it is durable": answered_early(Promise.COMMITTED, 1),
    "commitment is asked for before that is durable": answered_early(Promise.ASKED, 1),
}


def _no_salvage(*_: Any) -> list[salvage.Salvaged]:
    return []


@dataclass(frozen=True, slots=True)
class Fault:
    """Code replaced by worse code, and the paths near whose operations that shows."""

    replacements: tuple[tuple[Any, str, Any], ...]
    near: str

    def places_in(self, record: Record) -> list[int]:
        return [
            index
            for index, event in enumerate(record.events)
            if isinstance(event, Step) and re.fullmatch(self.near, event.path)
        ]


RECOVERY: dict[str, Fault] = {
    "an image that is sent again gets another UID": Fault(
        ((TransferRunner, "_uid_of", lambda *_: new_uid()),), r"captured/ultrasound/.* -> .*"
    ),
    "nothing is salvaged": Fault(
        ((recover, "salvage_device", _no_salvage), (acquire_service, "salvage_device", _no_salvage)), _CLIP
    ),
    "a hand-over that was cut off is not completed": Fault(
        ((aftercare.Aftercare, "exams", lambda _: []),), rf"{_CAPTURED}/.* -> outbox/.*"
    ),
    "a file under two names is moved like any other": Fault(
        ((Path, "samefile", lambda *_: False),), rf"({_CAPTURED}|outbox)/.* -> (outbox|kept)/.*"
    ),
}


# Of the recovery from a state of the job, which a second power cut then hits.
RECORDED_AGAIN: dict[str, tuple[First, Mutation]] = {
    "a mended clip is not synced": (First.CLIP, without_sync(_CLIP)),
    "a mended clip of native frames is not synced": (First.NATIVE, without_sync(_CLIP)),
    "the mark of a clip cut short is not synced before its end is written": (First.CLIP, without_first_sync(_CLIP)),
    "a salvaged clip's name is not synced": (First.CLIP, without_sync(_CAPTURED)),
    "the still of a clip of one frame is renamed before it is synced": (First.ONE_FRAME, named_before_synced(_STILL)),
    "the still of a clip of one frame has a name that is not synced": (First.ONE_FRAME, without_sync(_CAPTURED)),
    "an exam's list, written at last, is linked before it is synced": (
        First.CLIP,
        named_before_synced(r"exams/[^/]+/\.part-[0-9]+-closed\.json"),
    ),
    "a repeated hand-over to the outbox is not synced": (First.HAND_OVER, without_sync(rf"outbox|kept|{_CAPTURED}")),
    "a repeated hand-over to kept is not synced": (First.OWED, without_sync(r"kept|outbox")),
    "the journal, opened again, is not synced": (First.OWED, without_sync(r"journal/.*")),
    "a repeated report is answered before it is durable": (First.OWED, answered_early(Promise.COMMITTED, 1)),
}

# What only a recovery meets that another one before it had begun.
RECOVERY_AGAIN: dict[str, tuple[First, Fault]] = {
    "the still that a salvage made of a clip is not known to the next": (
        First.ONE_FRAME,
        Fault(((salvage, "_is_saved", lambda *_: False),), rf"{_STILL} -> .*"),
    ),
}


@contextmanager
def broken(fault: Fault) -> Iterator[None]:
    """The code with this fault, inside the block."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in fault.replacements]
    for owner, name, value in fault.replacements:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
