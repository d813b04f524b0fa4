"""From the system calls of the box's processes to a record: files by descriptors, and promises by what was sent."""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.compose.pixels import SEQUENCE_DELIMITER
from tests.crash.model import Link, Make, Operation, Rename, Resize, Sync, Unlink, Write
from tests.crash.record import Note, Promise, Record, Side, Step
from tests.crash.trace import Birth, Call, calls_from


@dataclass(slots=True)
class _Handle:
    """An open file description; `side` is None for everything that is not followed. `opened` is a line's number."""

    side: Side | None
    opened: int = -1
    inode: int = 0
    offset: int = 0
    is_append: bool = False


_PUBLISHED = re.compile(r"(?P<uid>[0-9.]{1,64})~(?P<offset>[0-9]+)~[0-9a-f]{64}(?:~[0-9]+)?\.dcm\Z")
CLIP = re.compile(r"\.part-(?P<uid>[0-9.]{1,64})~(?P<offset>[1-9][0-9]*)\Z")
_SAVED = re.compile(rb'"sop_instance_uid":"([0-9.]+)","kind":"\w+","exam_id":(null|"[^"]*"),"file_name":"([^"]+)"')
_LOGGED_TRANSFER = re.compile(rb"saved transfer ([0-9.]+) for exam (\S+),")
_LOGGED_COMMITTED = re.compile(rb"object ([0-9.]+) is committed at")
_EXAM = re.compile(rb'"exam_id":"(E[0-9]{6}-[0-9]{8}-[0-9]{6})"')
_TRANSACTION = re.compile(rb"\x08\x00\x95\x11.{4}([0-9.]{10,64})", re.DOTALL)
# Command Field (0000,0100) of an N-EVENT-REPORT-RSP and its Status (0000,0900), PS3.7 10.3.1.2 and 9.3.1.2.
_REPORT_ANSWER = b"\x00\x00\x00\x01\x02\x00\x00\x00\x00\x81"
_SUCCESS = b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00"
_ACK = b"\x06"
_ITEM = 8
# Pixel Data whose length is known: native (PS3.5 7.1.2).
_NATIVE = (b"\xe0\x7f\x10\0OB\0\0", b"\xe0\x7f\x10\0OW\0\0")
_VOICE = b"PROMISE "


def voiced(promise: Promise, subject: str, exam_id: str = "", count: int = 0) -> bytes:
    """What a process of the role `recovery` writes anywhere at the moment in which it promises something."""
    return _VOICE + json.dumps([promise, subject, exam_id, count]).encode()


class Recorder:
    """Follows the calls of one strace, and makes events of them."""

    def __init__(self, roots: dict[Side, Path], record: Record, roles: dict[int, str]) -> None:
        """`record` has no events yet. `roles` says what each process is: `acquire endoscope`, `console`, ..., and
        `recovery` for one that is all of them and says its promises as `voiced` does."""
        self._roots = {side: os.fsencode(root) for side, root in roots.items()}
        self.systems = record.systems()
        self.record = record
        self._tables: dict[int, dict[int, _Handle]] = {}
        self._roles = dict(roles)
        self._counts = {side: [(-1, system.count)] for side, system in self.systems.items()}
        self._next_inode = 1
        self._transfers: dict[int, tuple[str, str]] = {}
        self._committed: set[str] = set()
        self._said: set[tuple[Promise, str]] = set()
        self._lines: list[int] = []

    def follow(self, lines: Iterable[str]) -> Record:
        """All events of `lines`. ValueError for a call that changes a followed file and is not known here."""
        for call in calls_from(lines):
            if isinstance(call, Birth):
                self._tables[call.child] = dict(self._tables.get(call.parent, {}))
            else:
                self._take(call)
        return self.record

    # -- events

    def _step(self, side: Side, operation: Operation, path: str, call: Call) -> None:
        self.systems[side].apply(operation)
        self._counts[side].append((call.ended, self.systems[side].count))
        self.record.events.append(Step(side, operation, path, self._roles.get(call.process, ""), call.at))
        self._lines.append(call.ended)

    def _note(self, note: Note, line: int) -> None:
        """`note` stands behind what had ended when the line `line` was printed."""
        if note.promise is not Promise.SYNCED:
            if (note.promise, note.subject) in self._said:
                return
            self._said.add((note.promise, note.subject))
        index = bisect_right(self._lines, line)
        self.record.events.insert(index, note)
        self._lines.insert(index, line)

    def _count_at(self, side: Side, began: int) -> int:
        """How many operations had ended when the line `began` was printed."""
        return next(number for ended, number in reversed(self._counts[side]) if ended <= began)

    # -- calls

    def _take(self, call: Call) -> None:
        name = call.name
        if name == "execve":
            if call.result == 0:
                self._tables[call.process] = {}
        elif name in {"sendto", "sendmsg", "write", "writev"} and self._handle_of(call).side is None:
            self._listen(call)
        elif call.result >= 0:
            self._change(call)

    def _handle_of(self, call: Call) -> _Handle:
        first = call.plain()[0]
        number = int(first) if first.lstrip("-").isdigit() else -1
        return self._tables.get(call.process, {}).get(number, _Handle(None))

    def _change(self, call: Call) -> None:
        name = call.name
        if name in {"open", "openat", "creat"}:
            self._open(call)
        elif name in {"close", "dup", "dup2", "dup3", "fcntl", "close_range"}:
            self._move_descriptor(call)
        elif name == "lseek":
            self._handle_of(call).offset = call.result
        elif name in {"write", "writev", "pwrite64", "pwritev", "pwritev2"}:
            self._write(call)
        elif name in {"ftruncate", "fallocate"}:
            handle, plain = self._handle_of(call), call.plain()
            if handle.side is not None:
                if name == "fallocate":
                    size = max(self.systems[handle.side].size(handle.inode), int(plain[2]) + int(plain[3]))
                    if plain[1] != "0":
                        raise ValueError(f"fallocate with mode {plain[1]}")
                else:
                    size = int(plain[1])
                self._step(handle.side, Resize(handle.inode, size), self._path_of(handle), call)
        elif name in {"fsync", "fdatasync"}:
            self._sync(call)
        elif name in {
            "rename",
            "renameat",
            "renameat2",
            "link",
            "linkat",
            "unlink",
            "unlinkat",
            "rmdir",
            "mkdir",
            "mkdirat",
        }:
            self._change_names(call)
        elif name in {
            "truncate",
            "sendfile",
            "copy_file_range",
            "splice",
            "msync",
            "sync_file_range",
            "sync",
            "syncfs",
        }:
            paths = [path for path in call.strings() if self._locate(path) is not None]
            if paths or self._handle_of(call).side is not None:
                raise ValueError(f"{name} on a followed file is not known here")

    def _open(self, call: Call) -> None:
        table = self._tables.setdefault(call.process, {})
        table.pop(call.result, None)
        (path,) = call.strings()
        located = self._locate(path)
        if located is None:
            table[call.result] = _Handle(None, call.ended)
            return
        side, inner = located
        system, flags = self.systems[side], call.plain()[1 if call.name == "open" else 2]
        inode = system.find(inner)
        if inode is None:
            inode = self._make(side, inner, is_directory=False, call=call)
        elif "O_TRUNC" in flags and system.size(inode):
            self._step(side, Resize(inode, 0), inner, call)
        table[call.result] = _Handle(side, call.ended, inode, is_append="O_APPEND" in flags)

    def _move_descriptor(self, call: Call) -> None:
        table, plain = self._tables.setdefault(call.process, {}), call.plain()
        if call.name == "close":
            handle = table.get(int(plain[0]))
            # The number is free before close(2) returns: another thread may have been given it meanwhile.
            if handle is not None and handle.opened < call.began:
                del table[int(plain[0])]
        elif call.name == "close_range":
            first, last = int(plain[0]), int(plain[1], 0)
            if "CLOEXEC" not in plain[2]:
                for number in [one for one in table if first <= one <= last]:
                    del table[number]
        elif call.name != "fcntl" or plain[1].startswith("F_DUPFD"):
            handle = table.get(int(plain[0]))
            table.pop(call.result, None)
            if handle is not None:
                table[call.result] = handle

    def _write(self, call: Call) -> None:
        handle = self._handle_of(call)
        if handle.side is None:
            return
        data = b"".join(call.strings())[: call.result]
        system = self.systems[handle.side]
        if call.name.startswith("pwrite"):
            offset = int(call.plain()[3])
        else:
            offset = system.size(handle.inode) if handle.is_append else handle.offset
            handle.offset = offset + len(data)
        if data:
            self._step(handle.side, Write(handle.inode, offset, data), self._path_of(handle), call)

    def _sync(self, call: Call) -> None:
        handle = self._handle_of(call)
        if handle.opened < 0:
            raise ValueError(f"{call.name} of a descriptor that nobody opened, in line {call.ended}")
        if handle.side is None:
            return
        since = self._count_at(handle.side, call.began)
        path = self._path_of(handle)
        self._step(handle.side, Sync(handle.inode, since), path, call)
        clip = CLIP.match(path.rpartition("/")[2])
        if clip is not None and handle.side is Side.BOX and call.name == "fdatasync":
            content = self.systems[Side.BOX].content(handle.inode)
            whole = end_of_frames(content, int(clip["offset"]))
            exam_id = path.split("/")[-2]
            self._note(Note(Promise.SYNCED, clip["uid"], exam_id, content[:whole], int(clip["offset"])), call.ended)

    def _change_names(self, call: Call) -> None:
        located = [self._locate(path) for path in call.strings()]
        if all(one is None for one in located):
            return
        sides = {one[0] for one in located if one is not None}
        if None in located or len(sides) != 1:
            raise ValueError(f"{call.name} between a followed tree and another")
        side = sides.pop()
        inner = [one[1] for one in located if one is not None]
        parent, name = self._parent(side, inner[0])
        if call.name.startswith("mkdir"):
            self._make(side, inner[0], is_directory=True, call=call)
        elif call.name.startswith("rename"):
            target = self._parent(side, inner[1])
            self._step(side, Rename(parent, name, *target), f"{inner[0]} -> {inner[1]}", call)
        elif call.name.startswith("link"):
            inode = self.systems[side].find(inner[0])
            assert inode is not None
            self._step(side, Link(inode, *self._parent(side, inner[1])), f"{inner[0]} -> {inner[1]}", call)
        else:
            self._step(side, Unlink(parent, name), inner[0], call)

    def _make(self, side: Side, inner: str, *, is_directory: bool, call: Call) -> int:
        self._next_inode += 1
        parent, name = self._parent(side, inner)
        self._step(side, Make(self._next_inode, parent, name, is_directory), inner, call)
        return self._next_inode

    # -- places

    def _locate(self, path: bytes) -> tuple[Side, str] | None:
        for side, root in self._roots.items():
            if path == root:
                return side, ""
            if path.startswith(root + b"/"):
                return side, os.fsdecode(path[len(root) + 1 :])
        return None

    def _parent(self, side: Side, inner: str) -> tuple[int, str]:
        directory, _, name = inner.rpartition("/")
        inode = self.systems[side].find(directory)
        if inode is None:
            raise ValueError(f"{directory} is not known")
        return inode, name

    def _path_of(self, handle: _Handle) -> str:
        assert handle.side is not None
        return self.systems[handle.side].path_of(handle.inode)

    # -- what is said

    def _listen(self, call: Call) -> None:
        """Something leaves the process, over a socket, a serial line, or into the log."""
        data, role = b"".join(call.strings()), self._roles.get(call.process, "")
        if role.startswith("acquire"):
            for uid, exam, file_name in _SAVED.findall(data):
                exam_id = "" if exam == b"null" else exam.strip(b'"').decode()
                self._promise_saved(call.began, uid.decode(), exam_id, file_name.decode())
            for uid, exam in _LOGGED_TRANSFER.findall(data):
                self._transfers[call.process] = (uid.decode(), "" if exam == b"none" else exam.decode())
            if data == _ACK and call.process in self._transfers:
                self._promise_saved(call.began, *self._transfers.pop(call.process))
        elif role == "recovery" and data.startswith(_VOICE):
            self._promise_voiced(call.began, *json.loads(data.removeprefix(_VOICE)))
        elif role == "console":
            for exam in _EXAM.findall(data):
                self._promise_opened(call.began, exam.decode())
            if b'"instances":' in data and b'"outcome":' in data:
                body = json.loads(data[data.index(b"{") :])
                self._note(Note(Promise.CLOSED, body["exam_id"], body["exam_id"], count=body["instances"]), call.began)
        elif role == "forward":
            self._committed |= {uid.decode() for uid in _LOGGED_COMMITTED.findall(data)}
            for transaction in _TRANSACTION.findall(data):
                self._note(Note(Promise.ASKED, transaction.decode()), call.began)
            if _REPORT_ANSWER in data and _SUCCESS in data:
                for uid in sorted(self._committed):
                    self._note(Note(Promise.COMMITTED, uid), call.began)

    def _promise_voiced(self, line: int, promise: str, subject: str, exam_id: str, count: int) -> None:
        match Promise(promise):
            case Promise.OPENED:
                self._promise_opened(line, exam_id)
            case Promise.SAVED:
                self._promise_saved(line, subject, exam_id)
            case other:
                self._note(Note(other, subject, exam_id, count=count), line)

    def _promise_opened(self, line: int, exam_id: str) -> None:
        inode = self.systems[Side.BOX].find(f"exams/{exam_id}/exam.json")
        content = self.systems[Side.BOX].content(inode) if inode is not None else b""
        self._note(Note(Promise.OPENED, exam_id, exam_id, content), line)

    def _promise_saved(self, line: int, uid: str, exam_id: str, file_name: str = "") -> None:
        system = self.systems[Side.BOX]
        found = [
            (path, inode)
            for path, inode in system.paths()
            if (match := _PUBLISHED.match(path.rpartition("/")[2])) and match["uid"] == uid
        ]
        if not found:
            self.record.findings.append(f"object {uid} was called saved while no file bore its name")
            return
        path, inode = found[0]
        if file_name and not path.endswith(file_name):
            self.record.findings.append(f"object {uid} was called {file_name} but is {path}")
        self._note(Note(Promise.SAVED, uid, exam_id, system.content(inode)), line)


def end_of_frames(content: bytes, offset: int) -> int:
    """Where what a sync has made durable ends: behind the last whole fragment, or the frames that are counted."""
    if not is_native(content, offset):
        return end_of_fragments(content, offset)
    header = content[:offset]
    rows, columns = (int.from_bytes(_value_of(header, tag), "little") for tag in (b"\x10\0US", b"\x11\0US"))
    return offset + int(_value_of(header, b"\x08\0IS")) * rows * columns * 3


def is_native(content: bytes, offset: int) -> bool:
    """Whether the clip whose frames begin at `offset` is one of pixels."""
    return content[offset - 12 : offset - 4] in _NATIVE


def is_clip_ended(content: bytes, offset: int) -> bool:
    """Whether its end was written: the delimiter, or the length of native pixels, which comes behind all of them."""
    if is_native(content, offset):
        return 0 < int.from_bytes(content[offset - 4 : offset], "little") == len(content) - offset
    end = end_of_fragments(content, offset)
    return content[end : end + len(SEQUENCE_DELIMITER)] == SEQUENCE_DELIMITER


def _value_of(header: bytes, element: bytes) -> bytes:
    """Of an element of group 0028, by its number and VR (explicit, a length of two bytes)."""
    at = header.rindex(b"\x28\0" + element) + 6
    return header[at + 2 : at + 2 + int.from_bytes(header[at : at + 2], "little")]


def end_of_fragments(content: bytes, offset: int) -> int:
    """Where the last whole fragment of an encapsulated stream ends (PS3.5 A.4)."""
    at = offset
    while at + _ITEM <= len(content) and content[at : at + 4] == b"\xfe\xff\x00\xe0":
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        if at + _ITEM + length > len(content):
            break
        at += _ITEM + length
    return at
