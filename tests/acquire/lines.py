"""A machine at the far end of a pty, and the box's runner at the near one, in a thread of its own."""

from __future__ import annotations

import os
import threading
import tty
from pathlib import Path

from appliance.acquire.gate import ExamGate
from appliance.acquire.lines import LineRunner
from appliance.acquire.runner import State
from appliance.base.clock import SystemClock
from appliance.base.paths import Paths
from appliance.config.devices import LineDevice
from appliance.config.schema import Box
from appliance.exam.exam import Exam
from appliance.services.acquire import make_runner
from tests.acquire.conftest import Room
from tests.acquire.world import make_configuration, open_exam_of
from tests.peers import DEADLINE, wait_until

CLOCK = SystemClock()


class FarEnd:
    """The machine; `begin` is the box being switched on: a new runner, which knows nothing of one before."""

    def __init__(self, room: Room, directory: Path, device: LineDevice) -> None:
        self.room, self.device = room, device
        self.configuration = make_configuration().model_copy(update={"devices": (device,)})
        self.paths = Paths.below(directory / "box")
        self.paths.run.mkdir(parents=True)
        self.far = self.near = -1
        self.alive = 0
        self.is_clock_trusted = True
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.plug()

    def plug(self) -> None:
        self.far, self.near = os.openpty()
        tty.setraw(self.near)
        os.set_blocking(self.far, False)
        link = self.paths.run / self.device.line
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self.near))

    def unplug(self) -> None:
        for descriptor in (self.far, self.near):
            os.close(descriptor)
        self.far = self.near = -1

    def begin(self, box: Box | None = None) -> LineRunner:
        """`box` in place of the room's."""
        configuration = self.configuration.model_copy(update={"box": box or self.room.box})
        made = make_runner(
            self.paths, configuration, self.device, self.room.spool, self.room.facts, self.room.findings, CLOCK
        )
        assert isinstance(made, LineRunner)
        made.gate = self.room.gate = ExamGate(self.room.facts, CLOCK, lambda: self.is_clock_trusted)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=made.run, args=(self._stop, self._sign), daemon=True)
        self._thread.start()
        wait_until(lambda: made.state is not State.UNPLUGGED, "the line is open")
        return made

    def _sign(self) -> None:
        self.alive += 1

    def stop(self) -> None:
        if self._thread is not None:
            self._stop.set()
            self._thread.join(DEADLINE)
            assert not self._thread.is_alive()
            self._thread = None

    def open_exam(self, number: int = 1) -> Exam:
        return open_exam_of(self.room.facts, number, self.configuration)

    def objects(self, exam: Exam | None) -> list[Path]:
        """The device's, of `exam` or of none, in the order in which they were saved."""
        return [path for path, _ in self.room.objects(self.device.name, exam.exam_id if exam else None)]

    def wait_for_finding(self, code: str, words: str) -> None:
        wait_until(lambda: words in self.room.finding(code), f"{code}: {words}")

    def close(self) -> None:
        self.stop()
        if self.far >= 0:
            self.unplug()
        assert self.room.is_idle(), "a ticket was left over"
        assert self.room.temporaries() == []
