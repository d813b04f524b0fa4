"""Flash that stands still for ten seconds inside a sync, under a real acquire process in the middle of a clip."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread

from appliance.acquire.video import VideoRunner
from appliance.base.clock import Deadline
from appliance.base.notify import notify_watchdog
from appliance.devices.frame import Frame
from appliance.services.acquire import _SignOfLife
from tests.acquire.boxes import Box
from tests.acquire.conftest import Room
from tests.acquire.world import HandClock, HandSource, errors_of, fragments_of, make_grabber, open_exam_of
from tests.peers import DEADLINE, wait_until

STALL_SECONDS = 10


@contextmanager
def listening(path: Path) -> Iterator[list[float]]:
    """What systemd would hear at this NOTIFY_SOCKET: the moment of each WATCHDOG=1."""
    pings: list[float] = []
    over = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(0.2)

        def listen() -> None:
            while not over.is_set():
                try:
                    if "WATCHDOG=1" in listener.recv(4096).decode():
                        pings.append(time.monotonic())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield pings
        finally:
            over.set()
            thread.join(30)


def test_ok__ten_seconds_neither_stop_the_capture_nor_the_watchdog(tmp_path: Path) -> None:
    library, stall = tmp_path / "stall.so", tmp_path / "stall"
    source = Path(__file__).with_name("stall.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=DEADLINE)
    environment = {"LD_PRELOAD": str(library), "STALL_FILE": str(stall), "STALL_SECONDS": str(STALL_SECONDS)}
    box = Box(tmp_path / "b")
    try:
        box.start_machines()
        with listening(tmp_path / "n") as pings:
            box.start("endoscope", **environment, NOTIFY_SOCKET=str(tmp_path / "n"))
            exam = open_exam_of(box.facts)
            box.wait_for_state("endoscope", "idle")
            box.ask("endoscope", "POST", "/clip/start", {"exam_id": exam.exam_id})
            wait_until(lambda: any(one.stat().st_size > 300_000 for one in box.temporaries()), "the clip grows")
            (temporary,) = box.temporaries()
            stall.touch()
            wait_until(lambda: not stall.exists(), "the flash stalls")
            began, size = time.monotonic(), temporary.stat().st_size
            while time.monotonic() - began < STALL_SECONDS - 1.5:
                assert box.status("endoscope")["state"] == "recording", "whoever asks is answered meanwhile"
                time.sleep(0.5)
            assert temporary.stat().st_size == size, "nothing was written: it did stall"
            during = [ping for ping in pings if ping >= began]
            wait_until(lambda: temporary.stat().st_size > size, "it is written on")
            stalled = box.ask("endoscope", "POST", "/clip/stop", {})
            # A busy machine may lose a frame on its way here, and says so; how many, the mean below bounds.
            assert {one["code"] for one in box.status("endoscope")["findings"]} <= {"lost_frames"}
            assert box.end("endoscope") == 0
        gaps = [later - earlier for earlier, later in zip([began, *during], during, strict=False)]
        assert len(during) >= 4 and max(gaps) < 4.0, "the capture loop went on feeding the watchdog"
        path = box.spool.captured("endoscope", exam.exam_id) / stalled["file_name"]
        assert errors_of(path) == [] and len(fragments_of(path)) == stalled["frames"]
        read = dcmread(path, stop_before_pixels=True)
        assert float(read.FrameTime) * stalled["frames"] > STALL_SECONDS * 1000
        # The machine gives thirty frames a second; had those of the stall been lost, the mean would be six times that.
        assert float(read.FrameTime) < 120
    finally:
        box.close()


class StuckSource(HandSource):
    """A driver that does not come back from a read."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self.is_stuck, self.go_on = threading.Event(), threading.Event()

    def read_frame(self, deadline: Deadline) -> Frame:
        self.is_stuck.set()
        assert self.go_on.wait(60)
        return super().read_frame(deadline)


def test_fail__a_capture_loop_that_is_stuck_feeds_no_watchdog(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else feeds it, whatever else of the process is alive."""
    device, source, stop = make_grabber(), StuckSource(room.clock), threading.Event()
    runner = VideoRunner(device, source, room.keeper(device), room.gate, room.clock, room.findings)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    alive = _SignOfLife(room.clock, runner.sentence)
    with listening(tmp_path / "n") as pings:
        thread = threading.Thread(target=runner.run, args=(stop, alive))
        thread.start()
        assert source.is_stuck.wait(30)
        wait_until(lambda: pings, "it was fed before")
        before = len(pings)
        for _ in range(5):
            room.clock.turn(60.0)
            assert runner.status()["state"]
        notify_watchdog()  # the test's own, so that what came before it has surely been heard
        wait_until(lambda: len(pings) > before, "the test's own is heard")
        assert len(pings) == before + 1
        source.go_on.set()
        wait_until(lambda: len(pings) > before + 1, "it goes on when the driver does")
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
