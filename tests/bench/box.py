"""The demo that is measured: started with a large film, an exam open, every key of its machines in reach."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from appliance.base.asking import Asker
from tests.bench.processes import WORLD, cpu_seconds, find_parts
from tests.bench.tables import BenchError
from tests.services.demo_box import Demo, logs_of, prepare_site, running_demo

# A sheet of 14 by 17 inches.
FILM = {"resolution_dpi": 300, "width_mm": 356.0, "height_mm": 432.0}
CLIP_SECONDS = 5.0
_SETTLED_SHARE = 0.35
_SETTLE_SECONDS = 40.0
_DELIVERY_SECONDS = 90.0


@dataclass
class Box:
    """A running demo with its processes by name; `pids` of the box alone and of all, the simulated world included."""

    demo: Demo
    console: Asker
    machines: Asker
    pids: dict[str, int]
    exam_id: str

    @property
    def own(self) -> dict[str, int]:
        return {name: pid for name, pid in self.pids.items() if name not in WORLD}

    @property
    def acquires(self) -> dict[str, int]:
        return {name: pid for name, pid in self.pids.items() if name.startswith("acquire ")}

    def captured(self, device: str) -> Path:
        """Where the open exam's objects of `device` lie."""
        return self.demo.directory / "captured" / device / self.exam_id

    def tap(self, device: str, action: str) -> dict[str, Any]:
        """One tap on the panel; its answer, which comes when the object is durable."""
        return self.console.ask("POST", f"/api/devices/{device}/{action}", {"exam_id": self.exam_id}, seconds=60.0)

    def record_clip(self) -> dict[str, Any]:
        self.tap("endoscope", "clip/start")
        time.sleep(CLIP_SECONDS)
        return self.tap("endoscope", "clip/stop")

    def print_ultrasound(self) -> dict[str, Any]:
        """Press Print at the machine; the object that came of it, with `bytes`."""
        before = {one["sop_instance_uid"] for one in self._captured_by("ultrasound")}
        answer = self.machines.ask("POST", "/ultrasound/print", {"format": "png"}, seconds=60.0)
        if not answer["acknowledged"]:
            raise BenchError(f"The serial image was not kept: {answer['sentence']}")
        new = [one for one in self._captured_by("ultrasound") if one["sop_instance_uid"] not in before]
        if len(new) != 1:
            raise BenchError("The serial image is not in the exam.")
        return new[0]

    def deliver(self) -> list[dict[str, Any]]:
        """End the exam and wait until all of it is committed, and has expired: its objects."""
        self.console.ask("POST", "/api/exam/close", {"exam_id": self.exam_id, "outcome": "COMPLETED"}, seconds=60.0)
        end = time.monotonic() + _DELIVERY_SECONDS
        while time.monotonic() < end:
            objects = list(self.console.ask("GET", f"/api/queue?exam_id={self.exam_id}")["objects"])
            states = [told["state"] for one in objects for told in one["destinations"].values()]
            if states and all(state == "expired" for state in states):
                return objects
            time.sleep(0.5)
        raise BenchError(f"The exam was not committed and expired within {_DELIVERY_SECONDS:g} s.")

    def open_exam(self) -> None:
        """The next exam, of another scheduled patient."""
        self.exam_id = _open_exam(self.console)

    def check_alive(self) -> None:
        """A process that died and was started again would make its numbers lies."""
        if find_parts(self.demo.process.pid) != self.pids:
            raise BenchError(f"A process of the demo died meanwhile.\n{logs_of(self.demo.directory)[-3000:]}")

    def _captured_by(self, device: str) -> list[dict[str, Any]]:
        return [one for one in self.console.ask("GET", "/api/exam")["captured"] if one["device"] == device]


@contextlib.contextmanager
def running_box(directory: Path) -> Iterator[Box]:
    """The demo, settled, with an exam open; stopped at the end of the block."""
    directory.mkdir(parents=True)
    _ask_for_large_film_and_no_copies(prepare_site(directory))
    with running_demo(directory) as demo:
        _ = demo.panel  # printed when every process is ready
        console, machines = demo.console(), demo.machines()
        pids = find_parts(demo.process.pid)
        if len(pids) != 3 + 2 + len(WORLD):
            raise BenchError(f"The demo has other processes than expected: {', '.join(pids)}.")
        _wait_until_settled(pids)
        console.ask("POST", "/api/worklist/refresh", {}, seconds=20.0)
        try:
            yield Box(demo, console, machines, pids, _open_exam(console))
        finally:
            console.close()
            machines.close()


def _open_exam(console: Asker) -> str:
    items = console.ask("GET", "/api/worklist")["items"]
    key = next(item["key"] for item in items if not item["missing"])
    return str(console.ask("POST", "/api/exams", {"key": key}, seconds=20.0)["exam_id"])


def _ask_for_large_film_and_no_copies(file: Path) -> None:
    site = tomlkit.parse(file.read_text(encoding="utf-8"))
    film = next(device for device in site["devices"] if device["driver"] == "sane")
    film.update(FILM)
    site["retention"]["committed_days"] = 0  # type: ignore[index]
    file.write_text(tomlkit.dumps(site), encoding="utf-8")


def _wait_until_settled(pids: dict[str, int]) -> None:
    """The endoscope paints its pictures when it is first looked at; what is measured meanwhile is the painting."""
    end = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < end:
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        time.sleep(1.0)
        if all(cpu_seconds(pid) - before[name] < _SETTLED_SHARE for name, pid in pids.items()):
            return
    raise BenchError(f"The demo's processes did not come to rest within {_SETTLE_SECONDS:g} s.")
