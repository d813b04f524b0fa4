"""The layer itself, on one small file: what fails is what was asked for, and only below the watched directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.flash.layer import environment_with

_SCRIPT = """
import os, sys
from pathlib import Path
from tests.flash.layer import Flash, Kind
top, kind, at = Path(sys.argv[1]), Kind(sys.argv[2]), int(sys.argv[3])
flash = Flash()
flash.watch(top / "flash")
(top / "flash").mkdir()
flash.arm(kind, at)
def do(what):
    try:
        return what()
    except OSError as error:
        return error.strerror
file = top / "flash" / "a"
print(do(lambda: os.open(file, os.O_RDWR | os.O_CREAT)))       # 1: open
fd = os.open(top / "flash" / "b", os.O_RDWR | os.O_CREAT)      # 2: open
print(do(lambda: os.write(fd, b"abcd")))                       # 3: write
print(do(lambda: os.fsync(fd)))                                # 4: fsync
print(do(lambda: os.pread(fd, 4, 0)))                          # 5: read
print(do(lambda: os.rename(top / "flash" / "b", top / "flash" / "c")))  # 6
print(do(lambda: os.pread(fd, 4, 0)))                          # 7: read
(top / "elsewhere").write_bytes(b"x")
flash.heal()
print(do(lambda: os.pread(fd, 4, 0)))                          # 8: read
print(flash.count(), flash.fired())
"""

_WELL = ["4", "None", "b'abcd'", "None", "b'abcd'", "b'abcd'"]
_READ_ONLY, _FULL, _BAD = "Read-only file system", "No space left on device", "Bad message"


@pytest.mark.parametrize(
    ("kind", "at", "told", "fired"),
    [
        ("eio", 3, ["Input/output error", "None", "b''", "None", "b''", "b''"], "write b"),
        ("ebadmsg", 5, ["4", "None", _BAD, "None", _BAD, "b'abcd'"], "read b"),
        ("erofs", 3, [_READ_ONLY, _READ_ONLY, "b''", _READ_ONLY, "b''", "b''"], "write b"),
        ("enospc", 3, ["2", "None", "b'ab'", _FULL, "b'ab'", "b'ab'"], "write b"),
        ("flip-write", 3, None, "write b"),
        ("flip-read", 5, None, "read b"),
        ("flip-read", 4, _WELL, ""),
    ],
)
def test_ok__the_armed_operation_fails_as_it_was_asked(
    library: Path, tmp_path: Path, kind: str, at: int, told: list[str] | None, fired: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, tmp_path, kind, str(at)],
        env=environment_with(library),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    _opened, *said, last = done.stdout.splitlines()
    assert last.rstrip() == f"8 {fired}".rstrip()
    if told is not None:
        assert said == told
        return
    wrong = said if kind == "flip-write" else [said[2]]
    differing = [one for one in wrong if one.startswith("b'") and one != "b'abcd'"]
    assert len(differing) == (3 if kind == "flip-write" else 1)
    assert len(set(differing)) == 1
