"""What each of the box's processes takes: processor time and memory, as the kernel counts them (proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_SERVICES = tuple(f"appliance.services.{name}" for name in ("acquire", "console", "export", "forward", "recover"))
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """`seconds` of processor time since its start, `memory_bytes` resident."""

    pid: int
    name: str
    seconds: float
    memory_bytes: int


def read_processes(proc: Path = _PROC) -> list[Process]:
    """The box's processes by name. What ends meanwhile, or may not be looked at, is left out."""
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            place = next((number for number, word in enumerate(words) if word in _SERVICES), None)
            if place is None:
                continue
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        name = " ".join(filter(None, (words[place].rpartition(".")[2], *words[place + 1 : place + 2])))
        ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
        found.append(Process(int(entry.name), name, ticks / _TICKS, pages * _PAGE_BYTES))
    return sorted(found, key=lambda one: (one.name, one.pid))
