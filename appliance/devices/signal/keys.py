"""Footswitches, remotes and keys: the events of an input device of the kernel (linux/input.h, evdev).

A reader of our own, some forty lines: an event is 24 bytes (16 on a 32-bit system) that have not changed for decades,
and the library for it is compiled at its installation. The device is taken for us alone (EVIOCGRAB): a pedal that calls
itself a keyboard must not type into the panel.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.base.clock import Clock
from appliance.devices.errors import DeviceBusy, DeviceGone
from appliance.devices.signal.source import Signal

# struct input_event: two longs of time, type, code, value.
EVENT = struct.Struct("@llHHi")
_EV_SYN, _EV_KEY = 0, 1
_SYN_REPORT, _SYN_DROPPED = 0, 3
_RELEASED, _PRESSED = 0, 1  # 2 is the repetition of a key that is held
# Of the kernel's group 'E', numbers 0x90 and 0xa0, written with an int.
EVIOCGRAB, EVIOCSCLOCKID = 0x40044590, 0x400445A0
_CLOCK_MONOTONIC = 1
_READ_EVENTS = 64

Control = Callable[[int, int, Any], Any]


@dataclass(frozen=True, slots=True)
class KeyPress:
    """A key went down; `at` in seconds of the clock that the device's events have."""

    code: int
    at: float


class KeyDecoder:
    """Presses in the bytes of an input device, in whatever pieces they come.

    A key that is held counts once. After the kernel has dropped events (SYN_DROPPED) nothing counts until its next
    report is over, and which keys are down is not known any more.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._down: set[int] = set()
        self._is_dropping = False

    def feed(self, data: bytes) -> list[KeyPress]:
        """The presses that are whole with `data`."""
        data = self._rest + data
        end = len(data) - len(data) % EVENT.size
        self._rest = data[end:]
        pressed = []
        for seconds, micros, kind, code, value in EVENT.iter_unpack(data[:end]):
            if kind == _EV_SYN:
                if code == _SYN_DROPPED:
                    self._is_dropping = True
                    self._down.clear()
                elif code == _SYN_REPORT:
                    self._is_dropping = False
            elif kind == _EV_KEY and not self._is_dropping:
                if value == _PRESSED and code not in self._down:
                    self._down.add(code)
                    pressed.append(KeyPress(code, seconds + micros / 1e6))
                elif value == _RELEASED:
                    self._down.discard(code)
        return pressed


class KeySource:
    """One input device. A press gives the number of the first of `wanted` that has its code; an empty one has all."""

    def __init__(
        self,
        path: str,
        wanted: Sequence[frozenset[int]],
        clock: Clock,
        name: str = "footswitch",
        control: Control = fcntl.ioctl,
    ) -> None:
        """`control` is the kernel's ioctl."""
        self.name = name
        self._path = path
        self._wanted = tuple(wanted)
        self._clock = clock
        self._control = control
        self._descriptor = -1
        self._decoder = KeyDecoder()
        self._has_moments = False

    def open(self) -> None:
        """Take it for us alone."""
        self.close()
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._control(self._descriptor, EVIOCGRAB, 1)
        except OSError as error:
            self.close()
            if error.errno == errno.EBUSY:
                raise DeviceBusy(f"Another program has taken the {self.name}.", "Stop that program.") from error
            raise DeviceGone(
                f"The {self.name} cannot be used.", "Check that it is plugged in, and its name in the configuration."
            ) from error
        self._decoder = KeyDecoder()
        try:
            self._control(self._descriptor, EVIOCSCLOCKID, struct.pack("@i", _CLOCK_MONOTONIC))
            self._has_moments = True
        except OSError:
            self._has_moments = False  # then the moment is that of reading

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def wait(self, seconds: float) -> list[Signal]:
        """The presses that came."""
        try:
            if not select.select([self._descriptor], [], [], max(0.0, seconds))[0]:
                return []
            data = os.read(self._descriptor, EVENT.size * _READ_EVENTS)
        except BlockingIOError:
            return []
        except (OSError, ValueError) as error:
            raise self._gone() from error
        if not data:
            raise self._gone()
        now = self._clock.monotonic()
        return [
            Signal(number, min(press.at, now) if self._has_moments else now)
            for press in self._decoder.feed(data)
            for number in self._numbers_of(press.code)
        ]

    def _numbers_of(self, code: int) -> list[int]:
        return [number for number, codes in enumerate(self._wanted) if not codes or code in codes][:1]

    def _gone(self) -> DeviceGone:
        return DeviceGone(f"The {self.name} is not there any more.", "Plug it in again.")
