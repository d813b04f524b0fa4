"""The layer that fails: a small C library, compiled here, preloaded into the process that does the job."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path

_SOURCE = Path(__file__).with_name("flash.c")
_PRELOAD = "LD_PRELOAD"


class _How(Enum):
    """What flash.c does, by its numbers."""

    ONCE = 1
    PATH = 2
    READONLY = 3
    FULL = 4
    FLIP = 5


class Kind(StrEnum):
    """In what way the flash fails at its n-th operation."""

    EIO = "eio"  # this operation fails
    EBADMSG = "ebadmsg"  # a bad place: this operation, and each that follows on this path
    EROFS = "erofs"  # read-only from here on
    ENOSPC = "enospc"  # full from here on; for every second n nobody can see that before
    FLIP_READ = "flip-read"  # one bit of what is read is another one
    FLIP_WRITE = "flip-write"  # one bit of what is written is another one


_HOW = {
    Kind.EIO: (_How.ONCE, errno.EIO),
    Kind.EBADMSG: (_How.PATH, errno.EBADMSG),
    Kind.EROFS: (_How.READONLY, errno.EROFS),
    Kind.ENOSPC: (_How.FULL, errno.ENOSPC),
    Kind.FLIP_READ: (_How.FLIP, 0),
    Kind.FLIP_WRITE: (_How.FLIP, 0),
}
# Operations as flash.c tells them apart: looks, reads, changes, changes that need room, syncs.
_STRUCK = {
    Kind.EIO: "lrcgs",
    Kind.EBADMSG: "lrcgs",
    Kind.EROFS: "cgs",
    Kind.ENOSPC: "g",
    Kind.FLIP_READ: "r",
    Kind.FLIP_WRITE: "g",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that has ended: `effect` is one of `lrcgs`, `result` is -1 for a failure, `other` a new name."""

    effect: str
    result: int
    call: str
    path: str
    other: str

    def is_struck_by(self, kind: Kind) -> bool:
        """Whether `kind` can do anything at this operation."""
        if kind in (Kind.FLIP_READ, Kind.FLIP_WRITE):
            return self.call in ("read", "write") and self.effect in _STRUCK[kind] and self.result > 0
        return self.effect in _STRUCK[kind]


def build_layer(directory: Path) -> Path:
    """Compile the layer into `directory`."""
    target = directory / "flash.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", target, _SOURCE], check=True)
    return target


def environment_with(library: Path) -> dict[str, str]:
    """What a process needs to run on the layer; its hashes are alike in every run, so that operations keep numbers."""
    return {**os.environ, _PRELOAD: str(library), "PYTHONHASHSEED": "0"}


def is_loaded() -> bool:
    """Whether this process was started with the layer."""
    return hasattr(ctypes.CDLL(None), "flash_arm")


class Flash:
    """The layer below this process, which was started with it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.flash_fired.restype = ctypes.c_char_p
        self._library.flash_count.restype = ctypes.c_long
        os.environ.pop(_PRELOAD, None)  # no child of ours is meant
        self.begin_trace()

    def begin_trace(self) -> None:
        """Note operations in a file of this process's own."""
        self._trace = os.memfd_create("flash-trace")
        self._library.flash_trace(self._trace)

    def watch(self, directory: Path) -> None:
        """From now on this tree lies on the flash."""
        self._library.flash_watch(os.fsencode(directory))

    def arm(self, kind: Kind | None, at: int = 0) -> None:
        """Count anew; at operation `at` the flash fails as `kind` says, which also chooses a bit by `at`."""
        how, number = _HOW[kind] if kind else (None, 0)
        os.ftruncate(self._trace, 0)
        os.lseek(self._trace, 0, os.SEEK_SET)
        self._library.flash_arm(
            ctypes.c_long(at), how.value if how else 0, number, ctypes.c_ulong(at * 7919), int(at % 2 == 0)
        )

    def heal(self) -> None:
        self._library.flash_heal()

    def count(self) -> int:
        return int(self._library.flash_count())

    def fired(self) -> str:
        """The first call that failed, and its path; empty when none did."""
        return os.fsdecode(self._library.flash_fired())

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """What happens inside is the test's own: it is not counted and does not fail."""
        self._library.flash_quiet(1)
        try:
            yield
        finally:
            self._library.flash_quiet(-1)

    def operations(self) -> list[Operation]:
        """All since `arm`, in their order."""
        size = os.lseek(self._trace, 0, os.SEEK_CUR)
        found = []
        for line in os.pread(self._trace, size, 0).decode().splitlines():
            effect, result, call, path, *other = line.split(" ")
            found.append(Operation(effect, int(result), call, path, other[0] if other else ""))
        return found
