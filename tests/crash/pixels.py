"""The endoscope as two grabbers: one that gives JPEG, and one that gives pixels while the machine says so.

A grabber of the kernel would need a kernel. What is different for the box begins behind it, with a frame whose every
pixel is stored.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from appliance.base.clock import Clock, Deadline
from appliance.config.devices import GrabberDevice
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.stream import StreamGrabber
from appliance.services import acquire
from tests.acquire.world import picture

SIGN = "pixels"
"""Below the run directory: while it is there the grabber gives pixels."""
SIZE = (48, 32)
_BORDER_ROWS = 8
# `picture` begins anew then.
_PICTURES = 800


def pixels_from(frame: Frame) -> Frame:
    """`frame`, which came as JPEG, as RGB."""
    return Frame(_shown(frame.data), Encoding.RGB, frame.width, frame.height, 8, frame.sequence, frame.timestamp)


def give_pixels() -> None:
    """In this process, and those that it forks, every grabber follows the sign."""
    acquire.make_source = make_source


def make_source(device: GrabberDevice, run: Path, clock: Clock) -> Any:
    return _EitherGrabber(run, str(run / device.source), device.max_frame_bytes, clock, device.name)


class _EitherGrabber(StreamGrabber):
    def __init__(self, run: Path, *given: Any) -> None:
        super().__init__(*given)
        self._sign = run / SIGN

    def read_frame(self, deadline: Deadline) -> Frame:
        frame = super().read_frame(deadline)
        return pixels_from(frame) if self._sign.exists() else frame


@cache
def shown_pixels(size: tuple[int, int] = SIZE) -> frozenset[bytes]:
    """Every picture that the machine can have shown as pixels."""
    return frozenset(_shown(picture(number, size)) for number in range(_PICTURES))


def _shown(jpeg: bytes) -> bytes:
    """Its pixels; every other picture, or so, has a black border, in which whole sectors of the file are zeros."""
    data = Image.open(io.BytesIO(jpeg)).convert("RGB").tobytes()
    border = _BORDER_ROWS * SIZE[0] * 3 if data[-1] % 2 else 0
    return bytes(border) + data[border:]
