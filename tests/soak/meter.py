"""Memory and file descriptors of each service over the month, and what lies on flash: all of it must stay flat."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import WORLD, find_parts, memory_of
from tests.bench.tables import MIB, BenchError, Table
from tests.services.demo_box import Demo

# A process takes what it needs for its work in its first seconds.
_GROWN_UP_SECONDS = 6.0
_PARTS = 5
_MOST_GROWTH_BYTES = 16 * MIB
_MOST_MORE_DESCRIPTORS = 8


@dataclass(frozen=True)
class Sample:
    """Of one process at a moment; `at` is the part of the month that has gone by, from 0 to 1."""

    at: float
    rss: int
    descriptors: int


@dataclass
class Meter:
    """Samples by service."""

    demo: Demo
    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def look(self, at: float) -> None:
        """Take a sample of every process that has been running for a while."""
        for name, pid in find_parts(self.demo.process.pid).items():
            if name in WORLD:
                continue
            # It may be killed while it is looked at.
            with contextlib.suppress(OSError, BenchError, KeyError):
                if _age_seconds(pid) > _GROWN_UP_SECONDS:
                    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
                    self.samples[name].append(Sample(at, memory_of(pid).rss, descriptors))

    def table(self) -> Table:
        """Medians in each fifth of the month."""
        table = Table(
            "processes",
            "Memory in MiB and file descriptors, medians of each fifth of the month",
            f"processes older than {_GROWN_UP_SECONDS:g} s; each was killed now and then",
            ("service", *(f"{number + 1}/{_PARTS}" for number in range(_PARTS))),
        )
        for name in sorted(self.samples):
            cells = []
            for part in self._parts(name):
                rss = statistics.median(sample.rss for sample in part) / MIB if part else 0.0
                descriptors = statistics.median(sample.descriptors for sample in part) if part else 0
                cells.append(f"{rss:.1f} {descriptors:.0f}" if part else "-")
            table.rows.append((name, *cells))
        return table

    def growths(self) -> list[str]:
        """A sentence for each service that was not flat between the month's second fifth and its last."""
        found = []
        for name in sorted(self.samples):
            parts = self._parts(name)
            first, last = parts[1] or parts[0], parts[-1] or parts[-2]
            if not first or not last:
                found.append(f"{name} was not seen often enough to tell whether it is flat")
                continue
            grown = statistics.median(s.rss for s in last) - statistics.median(s.rss for s in first)
            more = statistics.median(s.descriptors for s in last) - statistics.median(s.descriptors for s in first)
            if grown > _MOST_GROWTH_BYTES:
                found.append(f"{name} grew by {grown / MIB:.1f} MiB")
            if more > _MOST_MORE_DESCRIPTORS:
                found.append(f"{name} holds {more:.0f} file descriptors more")
        return found

    def _parts(self, name: str) -> list[list[Sample]]:
        parts: list[list[Sample]] = [[] for _ in range(_PARTS)]
        for sample in self.samples[name]:
            parts[min(_PARTS - 1, int(sample.at * _PARTS))].append(sample)
        return parts


def _age_seconds(pid: int) -> float:
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
