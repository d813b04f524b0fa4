"""What a power cut leaves of a file system: the promises of POSIX, and nothing that merely tends to be so.

Durable is what was synced, and only that:

- fsync and fdatasync of a file make its bytes and its size durable, not its name. (ext4 happens to write the name of a
  new file too; POSIX asks for the directory's sync, and so do we.)
- fsync of a directory makes the changes of its own names durable. A directory that itself has no durable name is lost
  with everything below it, however well that was synced.

Everything else is pending, and at the cut each pending thing is kept or lost by itself:

- Of a write each sector of SECTOR bytes is kept or lost, in any combination: torn, and in any order. A sector that was
  lost holds what it held before, or zeros if the file was shorter. The size grew or not.
- Changes of different names are kept or lost independently, also within one directory; those of one name in their
  order. A rename inside a directory is one change, since no file system of the last thirty years tears that.
- A rename from one directory to another is two changes, which may be torn into *both names*, never into *neither*:
  the old name goes only where the new one came. Journalled file systems do not even leave both, but who copes with
  it copes with less; a file that loses its only durable name though nobody unlinked it is a broken file system.
- unlink and a link of the same file are different names: the unlink may be kept where the link was lost.

Content is never exchanged: a sector holds a version that this file had at this place, never a stranger's bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

SECTOR = 512
ROOT = 0


class Cut(StrEnum):
    """How the power cut treats what is pending."""

    LOSE_ALL = "everything unsynced is lost"
    KEEP_ALL = "everything unsynced is kept"
    LOSE_DATA = "names are kept, unsynced data is lost"
    LOSE_NAMES = "data is kept, unsynced names are lost"
    TEAR = "each thing by itself, writes torn at sectors"


@dataclass(frozen=True, slots=True)
class Write:
    """`data` at `offset` of a file."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """The file has `size` bytes from now on; what is added reads as zeros."""

    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """fsync or fdatasync of a file or a directory, for what happened to it before `since` (a count of operations)."""

    inode: int
    since: int


@dataclass(frozen=True, slots=True)
class Make:
    """A new file or directory under a name that is free."""

    inode: int
    parent: int
    name: str
    is_directory: bool


@dataclass(frozen=True, slots=True)
class Link:
    """One more name of a file."""

    inode: int
    parent: int
    name: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """A name is gone; also rmdir."""

    parent: int
    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    """From one name to another, which it replaces."""

    parent: int
    name: str
    new_parent: int
    new_name: str


Operation = Write | Resize | Sync | Make | Link | Unlink | Rename


@dataclass(slots=True)
class _File:
    live: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, Write | Resize]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Change:
    """One or two names change together. It cannot be kept unless all that it `requires` are."""

    number: int
    at: int
    edits: tuple[tuple[int, str, int | None], ...]
    requires: frozenset[int]
    words: str


@dataclass(frozen=True, slots=True)
class State:
    """What lies on the medium after the cut: path → content, None for a directory; and what the cut did, in words.

    `same` names for a path another one, earlier in `tree`, under which the same file lies.
    """

    tree: dict[str, bytes | None]
    same: dict[str, str]
    lost: tuple[str, ...]


class FileSystem:
    """A file system, live and durable. Operations are applied in order; `cut` looks, and changes nothing."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._live: dict[int, dict[str, int]] = {ROOT: {}}
        self._durable: dict[int, dict[str, int]] = {ROOT: {}}
        self._changes: dict[int, _Change] = {}
        self._last_change_of: dict[tuple[int, str], int] = {}
        self._next_change = 0
        self.count = 0
        """How many operations were applied."""

    # -- what a process sees

    def find(self, path: str) -> int | None:
        """The inode at `path`, relative to the root; None when there is none."""
        inode = ROOT
        for name in _parts(path):
            entries = self._live.get(inode)
            if entries is None or name not in entries:
                return None
            inode = entries[name]
        return inode

    def paths(self) -> Iterator[tuple[str, int]]:
        """Every file as a process sees it, with its inode."""
        for path, inode in _places(self._live):
            if inode in self._files:
                yield path, inode

    def path_of(self, inode: int) -> str:
        """One name of the file or directory, for people; empty for the root and for what has none any more."""
        return next((path for path, one in _places(self._live) if one == inode), "")

    def size(self, inode: int) -> int:
        return len(self._files[inode].live)

    def content(self, inode: int) -> bytes:
        """The file's bytes as every process sees them."""
        return bytes(self._files[inode].live)

    def live_tree(self) -> dict[str, bytes | None]:
        """Everything as a process sees it: what a killed process leaves, and no power cut."""
        return dict(_walk(self._live, lambda inode: bytes(self._files[inode].live)))

    # -- operations

    def apply(self, operation: Operation) -> None:
        """Let it happen. KeyError when it names what is not there."""
        self.count += 1
        match operation:
            case Write(inode, offset, data):
                file = self._files[inode]
                _write(file.live, offset, data)
                file.pending.append((self.count, operation))
            case Resize(inode, size):
                file = self._files[inode]
                _resize(file.live, size)
                file.pending.append((self.count, operation))
            case Sync(inode, since):
                if inode in self._live:
                    self._sync_directory(inode, since)
                else:
                    self._sync_file(self._files[inode], since)
            case Make(inode, parent, name, is_directory):
                if name in self._live[parent]:
                    raise KeyError(name)
                if is_directory:
                    self._live[inode], self._durable[inode] = {}, {}
                else:
                    self._files[inode] = _File()
                self._change("the new name", (parent, name, inode))
            case Link(inode, parent, name):
                if inode not in self._files or name in self._live[parent]:
                    raise KeyError(name)
                self._change("the link", (parent, name, inode))
            case Unlink(parent, name):
                if name not in self._live[parent]:
                    raise KeyError(name)
                self._change("the removal of", (parent, name, None))
            case Rename(parent, name, new_parent, new_name):
                self._rename(parent, name, new_parent, new_name)

    def _rename(self, parent: int, name: str, new_parent: int, new_name: str) -> None:
        inode = self._live[parent][name]
        if self._live[new_parent].get(new_name) == inode:
            return  # rename(2) of two names of one file does nothing
        words = f"the rename of {name} to"
        if parent == new_parent:
            self._change(words, (parent, new_name, inode), (parent, name, None))
            return
        number = self._change(words, (new_parent, new_name, inode))
        self._change("the old name after its rename,", (parent, name, None), requires=frozenset({number}))

    def _change(self, words: str, *edits: tuple[int, str, int | None], requires: frozenset[int] = frozenset()) -> int:
        self._next_change += 1
        number = self._next_change
        before = {self._last_change_of[edit[:2]] for edit in edits if edit[:2] in self._last_change_of}
        self._changes[number] = _Change(number, self.count, edits, requires | before, f"{words} {edits[0][1]}")
        for parent, name, inode in edits:
            self._last_change_of[parent, name] = number
            _edit(self._live, parent, name, inode)
        return number

    def _sync_file(self, file: _File, since: int) -> None:
        done = [operation for at, operation in file.pending if at <= since]
        file.pending = [(at, operation) for at, operation in file.pending if at > since]
        for operation in done:
            if isinstance(operation, Write):
                _write(file.durable, operation.offset, operation.data)
            else:
                _resize(file.durable, operation.size)

    def _sync_directory(self, inode: int, since: int) -> None:
        wanted = [
            change.number
            for change in self._changes.values()
            if change.at <= since and any(parent == inode for parent, _, _ in change.edits)
        ]
        chosen: set[int] = set()
        while wanted:
            number = wanted.pop()
            if number in self._changes and number not in chosen:
                chosen.add(number)
                wanted += self._changes[number].requires
        for number in sorted(chosen):
            for edit in self._changes.pop(number).edits:
                _edit(self._durable, *edit)

    # -- the power cut

    def pending(self) -> int:
        """How many things a cut now could lose."""
        return len(self._changes) + sum(len(file.pending) for file in self._files.values())

    def cut(self, cut: Cut, choose: random.Random) -> State:
        """What a power cut now leaves. The same `choose` and operations give the same state."""
        lost: list[str] = []
        durable = {parent: dict(entries) for parent, entries in self._durable.items()}
        keeps_names = _chooser({Cut.KEEP_ALL: True, Cut.LOSE_DATA: True}, cut, choose)
        kept: set[int] = set()
        for change in self._changes.values():
            if keeps_names() and all(number in kept or number not in self._changes for number in change.requires):
                kept.add(change.number)
                for edit in change.edits:
                    _edit(durable, *edit)
            else:
                lost.append(change.words)
        contents: dict[int, bytes] = {}
        names = {inode: name for entries in durable.values() for name, inode in entries.items()}
        for inode, file in self._files.items():
            if inode in names:
                contents[inode] = self._cut_file(file, cut, choose, names[inode], lost)
        first: dict[int, str] = {}
        same = {
            path: first[inode]
            for path, inode in _places(durable)
            if inode in contents and first.setdefault(inode, path) != path
        }
        return State(dict(_walk(durable, contents.__getitem__)), same, tuple(lost))

    def _cut_file(self, file: _File, cut: Cut, choose: random.Random, name: str, lost: list[str]) -> bytes:
        if not file.pending:
            return bytes(file.durable)
        if cut in (Cut.KEEP_ALL, Cut.LOSE_NAMES):
            return bytes(file.live)
        if cut in (Cut.LOSE_ALL, Cut.LOSE_DATA):
            lost.append(f"{len(file.pending)} writes of {name}")
            return bytes(file.durable)
        content = bytearray(file.durable)
        share = choose.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        for _, operation in file.pending:
            if isinstance(operation, Resize):
                if choose.random() < share:
                    _resize(content, operation.size)
                else:
                    lost.append(f"a new size of {name}")
                continue
            whole = True
            for start, piece in _sectors(operation):
                if choose.random() < share:
                    _write(content, start, piece)
                else:
                    whole = False
            if not whole:
                lost.append(f"sectors of the write at {operation.offset} of {name}")
                # The size is a thing of its own: it may have grown over sectors that never arrived.
                if choose.random() < share:
                    _resize(content, max(len(content), operation.offset + len(operation.data)))
        return bytes(content)


def _chooser(fixed: dict[Cut, bool], cut: Cut, choose: random.Random) -> Callable[[], bool]:
    if cut is not Cut.TEAR:
        return lambda: fixed.get(cut, False)
    share = choose.choice((0.0, 0.2, 0.5, 0.8, 1.0))
    return lambda: choose.random() < share


def _sectors(write: Write) -> Iterator[tuple[int, bytes]]:
    """The pieces of a write that a medium keeps or loses as one."""
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield start, write.data[start - write.offset : stop - write.offset]
        start = stop


def _write(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _edit(entries: dict[int, dict[str, int]], parent: int, name: str, inode: int | None) -> None:
    if inode is None:
        entries[parent].pop(name, None)
    else:
        entries[parent][name] = inode


def _walk(entries: dict[int, dict[str, int]], content: Callable[[int], bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Path and content of everything that is reached from the root, parents first."""
    for path, inode in _places(entries):
        yield path, None if inode in entries else content(inode)


def _places(entries: dict[int, dict[str, int]]) -> Iterator[tuple[str, int]]:
    waiting = [("", ROOT)]
    while waiting:
        prefix, directory = waiting.pop(0)
        for name, inode in sorted(entries[directory].items()):
            yield prefix + name, inode
            if inode in entries:
                waiting.append((f"{prefix}{name}/", inode))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
