"""What the box's processes did to their files, and what they answered meanwhile, in one order.

Two trees are followed: the box's state, which the power cut hits, and the hospital's, which has a power supply of its
own. A note is a promise to somebody outside: from here on a power cut must not take it back. It stands where the
answer *began* to leave; a sync counts where it *ended*, for what was written before it began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tests.crash.model import ROOT, FileSystem, Link, Make, Operation, Resize, Sync, Write

Tree = dict[str, bytes | None]
"""Path → content, None for a directory."""


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
    CUT_SHORT = "cut short"  # the clip was under way at a power cut: nobody may take it for one that came to its end


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
    """A whole job, or a whole recovery, and what was there before it: the trees of both sides, and the promises.

    `same` names the box's files of two names, as `model.State` does; `after` are the seeds of the power cuts before.
    """

    events: list[Event]
    box: Tree
    hospital: Tree = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    after: tuple[int, ...] = ()
    findings: list[str] = field(default_factory=list)

    def positions(self) -> int:
        """A power cut may come before each event, and after the last."""
        return len(self.events) + 1

    def systems(self) -> dict[Side, FileSystem]:
        """The file systems before the first event."""
        return {Side.BOX: start_state(self.box, self.same), Side.HOSPITAL: start_state(self.hospital, {})}


def start_state(tree: Tree, same: Mapping[str, str]) -> FileSystem:
    """A file system with `tree`, all of it durable. A directory need not be named before what is in it."""
    system = FileSystem()
    inodes = {"": ROOT}

    def make(path: str, *, is_directory: bool) -> int:
        directory, _, name = path.rpartition("/")
        parent = inodes[directory] if directory in inodes else make(directory, is_directory=True)
        inodes[path] = -len(inodes)
        system.apply(Make(inodes[path], parent, name, is_directory))
        return inodes[path]

    for path, content in tree.items():
        if path in same:
            directory, _, name = path.rpartition("/")
            system.apply(Link(inodes[same[path]], inodes[directory], name))
        elif content is not None:
            system.apply(Write(make(path, is_directory=False), 0, content))
        elif path not in inodes:
            make(path, is_directory=True)
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
