"""What the kernel tells of a running process: memory, processor time, bytes sent to the disk. All from proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.tables import BenchError

_TICKS = os.sysconf("SC_CLK_TCK")
_SERVICES = "appliance.services."
# What belongs to the simulated world and would be other computers on a real site.
WORLD = ("hospital", "machines")


@dataclass(frozen=True)
class Memory:
    """Bytes. `rss` counts shared pages in full, `pss` in proportion; `peak` is the highest rss since `reset_peak`."""

    rss: int
    pss: int
    peak: int


def find_parts(supervisor: int) -> dict[str, int]:
    """The demo's processes by name, the box's first: children of `supervisor` that run a module of the services."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue  # it ended while it was looked at
        if parent != supervisor or arguments[1:2] != ["-m"] or not arguments[2].startswith(_SERVICES):
            continue
        service = arguments[2].removeprefix(_SERVICES)
        found[f"{service} {arguments[3]}" if service == "acquire" else service] = int(entry.name)
    order = sorted(found, key=lambda name: (name in WORLD, name))
    return {name: found[name] for name in order}


def memory_of(pid: int) -> Memory:
    """BenchError when the kernel does not tell it, since a table of zeros says nothing."""
    status = _fields(Path(f"/proc/{pid}/status"))
    rollup = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    return Memory(_bytes_in(status, "VmRSS"), _bytes_in(rollup, "Pss"), _bytes_in(status, "VmHWM"))


def reset_peak(pid: int) -> None:
    """Let VmHWM begin anew from what is resident now (proc_pid_clear_refs(5), value 5)."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    except OSError as error:
        raise BenchError(f"The peak of process {pid} cannot be reset: {error.strerror}.") from error


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def bytes_written(pids: Iterable[int]) -> int:
    """What was sent towards the disk so far, counted where pages become dirty, less what was deleted in time.

    Whole pages of 4 KiB; a filesystem without a disk (tmpfs) counts nothing.
    """
    total = 0
    for pid in pids:
        counted = _fields(Path(f"/proc/{pid}/io"))
        total += int(counted["write_bytes"]) - int(counted["cancelled_write_bytes"])
    return total


def _fields(path: Path) -> Mapping[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _bytes_in(fields: Mapping[str, str], name: str) -> int:
    try:
        return int(fields[name].removesuffix(" kB")) * 1024
    except KeyError:
        raise BenchError(f"This kernel does not tell {name}.") from None
