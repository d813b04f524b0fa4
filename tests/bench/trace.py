"""System calls that write, of running processes, by strace: how many bytes and syncs, and to which files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.tables import BenchError

_WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range")
_SYNCS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync", "msync")
# `fsync(7</a/file>) = 0`, as strace prints it with -y.
_CALL = re.compile(r"^(?P<name>\w+)\((?:\d+<(?P<path>/[^>]*)>)?.* = (?P<result>\d+)$")
_ATTACH_SECONDS = 10.0


@dataclass
class Trace:
    """Of regular files below one directory. `logged` bytes went to the demo's logs, which a box gives to journald."""

    written: int = 0
    writes: int = 0
    logged: int = 0
    file_syncs: int = 0
    directory_syncs: int = 0


@contextlib.contextmanager
def tracing(pids: Iterable[int], below: Path) -> Iterator[Trace]:
    """Trace `pids`, all threads, while the block lasts; the result is filled in at its end."""
    program = shutil.which("strace")
    if program is None:
        raise BenchError("strace is missing: apt-get install strace")
    wanted = list(pids)
    trace = Trace()
    with tempfile.TemporaryDirectory(prefix="bench-trace-") as name:
        # One file for each thread: no call is printed in two halves.
        command = [
            program,
            "-ff",
            "-q",
            "-y",
            "-s",
            "0",
            "-o",
            f"{name}/t",
            "-e",
            f"trace={','.join(_WRITES + _SYNCS)}",
        ]
        command += [argument for pid in wanted for argument in ("-p", str(pid))]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _wait_until_attached(process, wanted)
            yield trace
        finally:
            process.send_signal(signal.SIGINT)  # strace detaches and lets them run
            _, said = process.communicate(timeout=15)
        files = list(Path(name).iterdir())
        if not files:
            raise BenchError(f"strace gave nothing: {said.strip()}")
        for file in files:
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                _count(trace, line, str(below) + os.sep)


def _count(trace: Trace, line: str, below: str) -> None:
    match = _CALL.match(line)
    if match is None:
        return
    name, path = match["name"], match["path"] or ""
    if name in _SYNCS:
        if path and Path(path).is_dir():
            trace.directory_syncs += 1
        else:
            trace.file_syncs += 1
    elif path.startswith(f"{below}log{os.sep}"):
        trace.logged += int(match["result"])
    elif path.startswith(below):
        trace.written += int(match["result"])
        trace.writes += 1


def _wait_until_attached(process: subprocess.Popen[str], pids: list[int]) -> None:
    end = time.monotonic() + _ATTACH_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BenchError(f"strace ended: {process.stderr.read().strip() if process.stderr else ''}")
        tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
        if all("\nTracerPid:\t0\n" not in (task / "status").read_text() for task in tasks):
            return
        time.sleep(0.02)
    raise BenchError("strace does not attach; is ptrace forbidden here?")
