"""What the box's processes did to their files, and what they answered meanwhile, in one order.

Two trees are followed: the box's state, which the power cut hits, and the hospital's, which has a power supply of its
own. A note is a promise to somebody outside: from here on a power cut must not take it back. It stands where the
answer *began* to leave; a sync counts where it *ended*, for what was written before it began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tests.crash.model import (
    ROOT,
    FileSystem,
    Make,
    Operation,
    Resize,
    Sync,
    Write,
)


class Side(StrEnum):
    """Whose files."""

    BOX = "box"
    HOSPITAL = "hospital"


class Promise(StrEnum):
    """What was said to somebody outside, or begun with him."""

    OPENED = "opened"  # the panel was told that the exam is open
    SAVED = "saved"  # the panel, or the machine by its line's ACK, was told that the object is saved
    SYNCED = "synced"  # so much of a clip under way must be there after a power cut
    CLOSED = "closed"  # the panel was told that the exam has ended
    ASKED = "asked"  # N-ACTION left: a report on this transaction may come
    COMMITTED = "committed"  # a commitment report that names the object was answered 0000


@dataclass(frozen=True, slots=True)
class Note:
    """A promise about `subject` (a UID or an exam). `exam_id` is empty where nobody chose a patient.

    `content` is what the object's file held when it was promised; of a clip under way, up to its last sync.
    """

    promise: Promise
    subject: str
    exam_id: str = ""
    content: bytes = b""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on one side; `path` is for people and for the mutations. `at` is the wall clock's."""

    side: Side
    operation: Operation
    path: str
    who: str
    at: float


Event = Step | Note


@dataclass(slots=True)
class Record:
    """The whole job. `texts` are files that were there before it."""

    events: list[Event]
    texts: dict[str, bytes]
    findings: list[str] = field(default_factory=list)

    def positions(self) -> int:
        """A power cut may come before each event, and after the last."""
        return len(self.events) + 1


def start_state(texts: dict[str, bytes]) -> FileSystem:
    """A file system with `texts` (path → content), all of it durable."""
    system = FileSystem()
    inodes = {"": ROOT}
    for number, (path, content) in enumerate(texts.items(), start=1):
        parent = ""
        for part in path.split("/")[:-1]:
            inner = f"{parent}/{part}".lstrip("/")
            if inner not in inodes:
                inodes[inner] = -len(inodes)
                system.apply(Make(inodes[inner], inodes[parent], part, is_directory=True))
            parent = inner
        inode = -1000 - number
        system.apply(Make(inode, inodes[parent], path.rpartition("/")[2], is_directory=False))
        system.apply(Write(inode, 0, content))
        system.apply(Sync(inode, system.count))
    for inode in inodes.values():
        system.apply(Sync(inode, system.count))
    return system


def words_of(event: Event) -> str:
    """An event for people."""
    if isinstance(event, Note):
        return f"PROMISE {event.promise} {event.subject}"
    operation, detail = event.operation, ""
    if isinstance(operation, Write):
        detail = f" {len(operation.data)} bytes at {operation.offset}"
    elif isinstance(operation, Resize):
        detail = f" to {operation.size} bytes"
    return f"{event.side} {event.who or '?'}: {type(operation).__name__.lower()} {event.path}{detail}"
