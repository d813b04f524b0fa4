"""Contacts on the box's own pins: lines of a GPIO chip of the kernel (linux/gpio.h, the interface of version 2).

A thin layer of our own over two calls, as for the grabbers: what libgpiod does in between is not needed for an edge.
The kernel debounces where that is wished for, and says when the edge was.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.base.clock import Clock
from appliance.devices.errors import DeviceBusy, DeviceGone
from appliance.devices.signal.source import Signal

# _IOWR(0xB4, 0x07, struct gpio_v2_line_request)
GET_LINE = 0xC250B407
# struct gpio_v2_line_event: timestamp in ns of CLOCK_MONOTONIC, id, offset, seqno, line_seqno, six words of padding.
EVENT = struct.Struct("@Q4I6I")
FLAG_ACTIVE_LOW, FLAG_INPUT, FLAG_EDGE_RISING = 1 << 1, 1 << 2, 1 << 4
FLAG_PULL_UP, FLAG_PULL_DOWN, FLAG_NO_BIAS = 1 << 8, 1 << 9, 1 << 10
_ATTRIBUTE_FLAGS = 1
MAX_LINES = 10  # each line's flags are an attribute, and a request has room for ten

Control = Callable[[int, int, Any], Any]


class Bias(StrEnum):
    """What holds a line that nothing drives; as is: what the board does."""

    AS_IS = "as-is"
    PULL_UP = "pull-up"
    PULL_DOWN = "pull-down"
    NONE = "none"


_BIAS_FLAGS = {Bias.AS_IS: 0, Bias.PULL_UP: FLAG_PULL_UP, Bias.PULL_DOWN: FLAG_PULL_DOWN, Bias.NONE: FLAG_NO_BIAS}


class LineAttribute(ctypes.Structure):
    """struct gpio_v2_line_attribute; the union's 64 bits are `flags` here."""

    _fields_ = [("id", ctypes.c_uint32), ("padding", ctypes.c_uint32), ("flags", ctypes.c_uint64)]


class ConfigAttribute(ctypes.Structure):
    """struct gpio_v2_line_config_attribute: which of the requested lines the attribute is of, by bits."""

    _fields_ = [("attr", LineAttribute), ("mask", ctypes.c_uint64)]


class LineConfig(ctypes.Structure):
    """struct gpio_v2_line_config"""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("num_attrs", ctypes.c_uint32),
        ("padding", ctypes.c_uint32 * 5),
        ("attrs", ConfigAttribute * 10),
    ]


class LineRequest(ctypes.Structure):
    """struct gpio_v2_line_request; `fd` is the kernel's answer, from which events are read."""

    _fields_ = [
        ("offsets", ctypes.c_uint32 * 64),
        ("consumer", ctypes.c_char * 32),
        ("config", LineConfig),
        ("num_lines", ctypes.c_uint32),
        ("event_buffer_size", ctypes.c_uint32),
        ("padding", ctypes.c_uint32 * 5),
        ("fd", ctypes.c_int32),
    ]


@dataclass(frozen=True, slots=True)
class LineWish:
    """A signal is line `offset` becoming active; with `is_active_low` that is its falling to ground."""

    offset: int
    is_active_low: bool = False
    bias: Bias = Bias.AS_IS


def request_from(wishes: Sequence[LineWish]) -> LineRequest:
    """What the kernel is asked for: each line as an input whose activation is told."""
    request = LineRequest(num_lines=len(wishes), consumer=b"modality-bridge")
    request.config.flags = FLAG_INPUT | FLAG_EDGE_RISING
    request.config.num_attrs = len(wishes)
    for place, wish in enumerate(wishes):
        request.offsets[place] = wish.offset
        low = FLAG_ACTIVE_LOW if wish.is_active_low else 0
        attribute = request.config.attrs[place]
        attribute.attr.id = _ATTRIBUTE_FLAGS
        # The kernel sees "rising" as it sees the line: inactive to active.
        attribute.attr.flags = FLAG_INPUT | FLAG_EDGE_RISING | low | _BIAS_FLAGS[wish.bias]
        attribute.mask = 1 << place
    return request


def offsets_in(data: bytes) -> list[tuple[int, float]]:
    """The line and the moment (seconds) of each event; what is no whole event is left out."""
    whole = len(data) - len(data) % EVENT.size
    return [(event[2], event[0] / 1e9) for event in EVENT.iter_unpack(data[:whole])]


class GpioSource:
    """Lines of one chip, at most `MAX_LINES`."""

    def __init__(
        self,
        path: str,
        wishes: Sequence[LineWish],
        clock: Clock,
        name: str = "contact",
        control: Control = fcntl.ioctl,
    ) -> None:
        """`control` is the kernel's ioctl."""
        if not 1 <= len(wishes) <= MAX_LINES:
            raise ValueError(f"1 to {MAX_LINES} lines of a chip, not {len(wishes)}")
        self.name = name
        self._path = path
        self._wishes = tuple(wishes)
        self._clock = clock
        self._control = control
        self._descriptor = -1

    def open(self) -> None:
        """Take the lines."""
        self.close()
        request = request_from(self._wishes)
        try:
            chip = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._control(chip, GET_LINE, request)
            finally:
                os.close(chip)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise DeviceBusy(f"Another program uses the {self.name}'s pin.", "Stop that program.") from error
            raise DeviceGone(
                f"The {self.name}'s pin cannot be used.", "Check the chip and the line in the configuration."
            ) from error
        self._descriptor = int(request.fd)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def wait(self, seconds: float) -> list[Signal]:
        """The edges that came."""
        try:
            if not select.select([self._descriptor], [], [], max(0.0, seconds))[0]:
                return []
            data = os.read(self._descriptor, EVENT.size * 16)
        except (OSError, ValueError) as error:
            raise DeviceGone(f"The {self.name}'s pin is not there any more.", "Check the box.") from error
        if not data:
            raise DeviceGone(f"The {self.name}'s pin is not there any more.", "Check the box.")
        now = self._clock.monotonic()
        return [
            Signal(number, min(at, now))
            for offset, at in offsets_in(data)
            for number, wish in enumerate(self._wishes)
            if wish.offset == offset
        ]
