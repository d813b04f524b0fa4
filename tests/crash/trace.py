"""From strace's text to calls: who did what, in the order in which the kernel ended it; strings are bytes again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# What changes a file, its names, or its durability; what moves descriptors; what answers somebody.
SYSTEM_CALLS = (
    "open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,lseek,"
    "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,copy_file_range,splice,"
    "truncate,ftruncate,fallocate,fsync,fdatasync,sync_file_range,msync,sync,syncfs,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "clone,clone3,fork,vfork,execve"
)
LONGEST_STRING = 64 * 1024 * 1024

_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?|0x[0-9a-f]+)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_UNFINISHED = " <unfinished ...>"
_BIRTHS = frozenset({"clone", "clone3", "fork", "vfork"})


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. `began` and `ended` count the lines: what others did in between is not ordered with it.

    `process` is the thread group; `result` is -1 for every failure and for a call that never returned.
    """

    process: int
    name: str
    arguments: str
    result: int
    began: int
    ended: int
    at: float

    def strings(self) -> list[bytes]:
        """The string arguments, whole."""
        found = []
        for match in _STRING.finditer(self.arguments):
            if match[2]:
                raise ValueError(f"strace cut off a string of {self.name}")
            found.append(bytes.fromhex(match[1].replace("\\x", "")))
        return found

    def plain(self) -> list[str]:
        """The arguments with every string replaced by nothing, split at commas of the outermost level."""
        parts, depth, start = [], 0, 0
        text = _STRING.sub('""', self.arguments)
        for index, letter in enumerate(text):
            if letter in "{[(":
                depth += 1
            elif letter in "}])":
                depth -= 1
            elif letter == "," and depth == 0:
                parts.append(text[start:index].strip())
                start = index + 1
        return [*parts, text[start:].strip()]


@dataclass(frozen=True, slots=True)
class Birth:
    """A process that another one made; its descriptors are copies."""

    parent: int
    child: int
    began: int


def calls_from(lines: Iterable[str]) -> Iterator[Call | Birth]:
    """Every call at its end. A process's birth comes before the first call of the child."""
    raw = list(_raw_calls(lines))
    thread_group: dict[int, int] = {}
    births: dict[int, Birth] = {}
    for thread, name, arguments, result, began, _ended, _at in raw:
        if name in _BIRTHS and result > 0:
            group = thread_group.get(thread, thread)
            if "CLONE_THREAD" in arguments:
                thread_group[result] = group
            else:
                births[result] = Birth(group, result, began)
    for thread, name, arguments, result, began, ended, at in raw:
        group = thread
        while group in thread_group and thread_group[group] != group:
            group = thread_group[group]
        if group in births:
            yield births.pop(group)
        yield Call(group, name, arguments, result, began, ended, at)


def _raw_calls(lines: Iterable[str]) -> Iterator[tuple[int, str, str, int, int, int, float]]:
    begun: dict[int, tuple[str, int]] = {}
    for number, line in enumerate(lines):
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        thread, at, text = int(match[1]), float(match[2]), match[3]
        began = number
        if text.endswith(_UNFINISHED):
            begun[thread] = (text.removesuffix(_UNFINISHED), number)
            continue
        resumed = _RESUMED.match(text)
        if resumed is not None:
            if thread not in begun:
                continue
            head, began = begun.pop(thread)
            text = head + resumed[1]
        call = _CALL.match(text)
        if call is not None:
            result = int(call[3], 0) if call[3] != "?" else -1
            yield thread, call[1], call[2], result, began, number, at
    for thread, (text, began) in begun.items():
        # It was killed inside: what it sent may have arrived.
        name, _, arguments = text.partition("(")
        yield thread, name, arguments, -1, began, began, 0.0
