"""Memory and processor time of each process: idle, with the panel's picture, in stills, clip, films and delivery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from appliance.base.asking import Asker
from tests.bench.box import CLIP_SECONDS, Box
from tests.bench.processes import Memory, cpu_seconds, memory_of, reset_peak
from tests.bench.tables import MIB, Table

IDLE_SECONDS = 5.0
_SAMPLE_SECONDS = 0.5
_PICTURES_PER_SECOND = 10.0


@dataclass(frozen=True)
class Usage:
    """Of one process in one phase: the highest samples and the kernel's own peak; `cpu` is a share of one core."""

    before: Memory
    memory: Memory
    cpu: float


class LoadMeter:
    """Collects phases; the tables have a column for each."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self.phases: dict[str, dict[str, Usage]] = {}
        self.seconds: dict[str, float] = {}

    def measure(self, phase: str, act: Callable[[], Any], *, is_timed: bool = False) -> Any:
        """What `act` gives, while every process is watched. PSS is sampled, since the kernel keeps no peak of it.

        Nothing is sampled in the midst of an act that measures times itself: only before and after.
        """
        pids = self._box.pids
        for pid in pids.values():
            reset_peak(pid)
        samples: dict[str, list[Memory]] = {name: [memory_of(pid)] for name, pid in pids.items()}
        done = threading.Event()

        def sample() -> None:
            while not done.wait(_SAMPLE_SECONDS):
                for name, pid in pids.items():
                    samples[name].append(memory_of(pid))

        watcher = threading.Thread(target=sample, name="memory-samples")
        began = time.monotonic()
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        if not is_timed:
            watcher.start()
        try:
            answer = act()
        finally:
            seconds = time.monotonic() - began
            done.set()
            if not is_timed:
                watcher.join()
        spent = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        for name, pid in pids.items():
            samples[name].append(memory_of(pid))
        self._box.check_alive()
        self.phases[phase] = {
            name: Usage(
                seen[0],
                Memory(max(m.rss for m in seen), max(m.pss for m in seen), max(m.peak for m in seen)),
                spent[name] / seconds,
            )
            for name, seen in samples.items()
        }
        self.seconds[phase] = seconds
        return answer

    def memory_table(self) -> Table:
        """RSS peak / PSS in each phase, and the peak over all."""
        names = list(self._box.pids)
        rows = []
        for name in names:
            used = [phase[name].memory for phase in self.phases.values()]
            rows.append(
                (
                    name,
                    *(f"{memory.peak / MIB:.1f} / {memory.pss / MIB:.1f}" for memory in used),
                    f"{max(memory.peak for memory in used) / MIB:.1f}",
                )
            )
        own = [[phase[name].memory.pss for name in self._box.own] for phase in self.phases.values()]
        rows.append(("box, sum of PSS", *(f"{sum(values) / MIB:.1f}" for values in own), ""))
        return Table(
            "memory",
            "Resident memory (MiB): highest RSS / highest PSS",
            "RSS: VmHWM, reset before each phase; PSS: smaps_rollup each 0.5 s, in stills only before and after",
            ("", *self.phases, "peak RSS"),
            rows,
            values={
                phase: {name: asdict(usage.memory) for name, usage in used.items()}
                for phase, used in self.phases.items()
            },
        )

    def cpu_table(self) -> Table:
        """Percent of one core."""
        rows = [(name, *(f"{phase[name].cpu * 100:.1f}" for phase in self.phases.values())) for name in self._box.pids]
        own = [sum(phase[name].cpu for name in self._box.own) for phase in self.phases.values()]
        rows.append(("box, sum", *(f"{share * 100:.1f}" for share in own)))
        rows.append(("seconds measured", *(f"{seconds:.1f}" for seconds in self.seconds.values())))
        return Table(
            "cpu",
            "Processor time (% of one core)",
            "user and system time from /proc/PID/stat, steps of 10 ms; without children (scanimage)",
            ("", *self.phases),
            rows,
            values={phase: {name: usage.cpu for name, usage in used.items()} for phase, used in self.phases.items()},
        )


def rest() -> None:
    time.sleep(IDLE_SECONDS)


def watch_picture(box: Box) -> int:
    """Ask for the live picture as an open panel does, over the console; the number of pictures."""
    asker, count = Asker(box.demo.paths.console_socket, "The console"), 0
    due = time.monotonic()
    end = due + CLIP_SECONDS
    while time.monotonic() < end:
        asker.ask_bytes("/api/devices/endoscope/preview")
        count += 1
        due += 1 / _PICTURES_PER_SECOND
        time.sleep(max(0.02, due - time.monotonic()))
    asker.close()
    return count
