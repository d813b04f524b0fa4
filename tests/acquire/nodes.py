"""A grabber below /dev for the acquire room's tests: the real source on a fake kernel, in the real runner."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from appliance.acquire.drivers import make_source
from appliance.acquire.runner import State
from appliance.acquire.video import VideoRunner
from appliance.config.devices import GrabberDevice
from appliance.devices.video.layout import LINE_BYTES_PER_PIXEL, PixelFormat
from appliance.devices.video.v4l2_stream import V4l2Grabber
from tests.acquire.world import make_grabber, picture
from tests.devices.v4l2_fake import FakeKernel, FakeMode, RealTime
from tests.peers import DEADLINE, wait_until

if TYPE_CHECKING:
    from tests.acquire.conftest import Room

SIZE = (32, 24)
WHOLE = (64, 48)  # of what is cut


def noise(number: int, length: int) -> bytes:
    return np.random.default_rng(number).integers(16, 235, length, dtype=np.uint8).tobytes()


def solid_jpeg(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", SIZE, (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


@cache
def lit_jpeg(number: int) -> bytes:
    """A picture that is nowhere dark."""
    pixels = np.random.default_rng(number).integers(100, 255, (WHOLE[1], WHOLE[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


class Node:
    """A runner in its thread on a fake node, and a driver that gives a frame each 10 ms while it is asked to."""

    def __init__(self, room: Room, pixels: PixelFormat, **changes: object) -> None:
        self.room = room
        clock = RealTime()
        self.kernel = FakeKernel(clock, FakeMode(pixels, {SIZE: (30,)}), path="/dev/video7")
        device = make_grabber(source="/dev/video7", **{"formats": (pixels.name,), **changes})
        device = GrabberDevice.model_validate(device.model_dump())
        source = make_source(device, room.spool.state, clock)
        assert isinstance(source, V4l2Grabber)
        source._kernel = self.kernel
        self.runner = VideoRunner(device, source, room.keeper(device, clock), room.gate, clock, room.findings)
        self.given: dict[bytes, int] = {}
        self.frame: Callable[[int], bytes] = lambda number: picture(number % 40, SIZE)
        if not pixels.is_jpeg:
            length = SIZE[0] * LINE_BYTES_PER_PIXEL[pixels] * SIZE[1]
            length = length * 3 // 2 if pixels is PixelFormat.NV12 else length
            self.frame = lambda number: noise(number, length)
        self.is_giving = threading.Event()
        self.is_giving.set()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self.runner.run, args=(self._stop, lambda: None), daemon=True),
            threading.Thread(target=self._give, daemon=True),
        ]

    def _give(self) -> None:
        number = 0
        while not self._stop.wait(0.01):
            if self.is_giving.is_set():
                data = self.frame(number)
                self.given[data] = number
                self.kernel.deliver(data)
                number += 1

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for(self, state: State) -> None:
        wait_until(lambda: self.runner.state is state, f"the state is {state}")

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()
        assert self.room.is_idle()
        assert not self.kernel.is_open
