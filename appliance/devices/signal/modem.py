"""The wires of a serial line beside its data: CTS, DSR, DCD and RI, on which old machines close a contact.

TIOCMIWAIT waits without a deadline, so the wires are looked at fifty times a second, and what changed in between is
found in the driver's counters (TIOCGICOUNT) where it has them: a pulse of a millisecond counts then too.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import DeviceGone
from appliance.devices.signal.source import Signal

_LOOK_SECONDS = 0.02
TIOCGICOUNT = 0x545D
# struct serial_icounter_struct (linux/serial.h): cts, dsr, rng, dcd, seven more counters, nine reserved.
_COUNTERS = struct.Struct("@20i")
_LINES = struct.Struct("@i")

Control = Callable[[int, int, Any], Any]


class Wire(StrEnum):
    """An input of the box's end of the line."""

    CTS = "cts"
    DSR = "dsr"
    DCD = "dcd"
    RI = "ri"


# Each wire's bit in TIOCMGET, and its place among the counters of TIOCGICOUNT. RI counts only where its pulse ends.
_BITS = {
    Wire.CTS: termios.TIOCM_CTS,
    Wire.DSR: termios.TIOCM_DSR,
    Wire.DCD: termios.TIOCM_CAR,
    Wire.RI: termios.TIOCM_RNG,
}
_PLACES = {Wire.CTS: 0, Wire.DSR: 1, Wire.RI: 2, Wire.DCD: 3}


@dataclass(frozen=True, slots=True)
class WireWish:
    """A signal is `wire` becoming active, or inactive with `is_released`."""

    wire: Wire
    is_released: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """The active wires, and how often each has changed since the line was opened, where that is counted."""

    active: frozenset[Wire]
    changes: dict[Wire, int] | None = None


def wishes_met(wishes: Sequence[WireWish], before: Look, now: Look) -> list[int]:
    """The numbers of the wishes that came true between two looks, each once.

    A wire that is as it was, and whose counter says that it changed, went there and back.
    """
    met = []
    for number, wish in enumerate(wishes):
        was, is_active = wish.wire in before.active, wish.wire in now.active
        changed = 0
        if before.changes is not None and now.changes is not None:
            changed = (now.changes[wish.wire] - before.changes[wish.wire]) & 0xFFFFFFFF
        is_edge = is_active != was and is_active is not wish.is_released
        is_pulse = is_active == was and changed > (0 if wish.wire is Wire.RI else 1)
        if is_edge or is_pulse:
            met.append(number)
    return met


class ModemSource:
    """The wires of one serial line, which nothing else uses. Opening it leaves its data alone."""

    def __init__(
        self,
        path: str,
        wishes: Sequence[WireWish],
        clock: Clock,
        name: str = "contact",
        control: Control = fcntl.ioctl,
    ) -> None:
        """`control` is the kernel's ioctl."""
        self.name = name
        self._path = path
        self._wishes = tuple(wishes)
        self._clock = clock
        self._control = control
        self._descriptor = -1
        self._before: Look | None = None
        self._never = threading.Event()

    def open(self) -> None:
        """Begin to look: how the wires are now is no signal."""
        self.close()
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            self._before = self._look()
        except OSError as error:
            self.close()
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                told = f"The {self.name}'s line has no such wires."
            else:
                told = f"The {self.name}'s serial line cannot be opened."
            raise DeviceGone(told, "Check its adapter, and its name in the configuration.") from error

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        self._before = None
        if descriptor >= 0:
            os.close(descriptor)

    def wait(self, seconds: float) -> list[Signal]:
        """What changed on the wires."""
        deadline = Deadline.after(self._clock, seconds)
        while True:
            try:
                look = self._look()
            except OSError as error:
                raise DeviceGone(
                    f"The {self.name}'s serial line is not there any more.", "Plug it in again."
                ) from error
            before, self._before = self._before or look, look
            met = wishes_met(self._wishes, before, look)
            if met or deadline.is_over():
                now = self._clock.monotonic()
                return [Signal(number, now) for number in met]
            self._clock.wait(self._never, min(_LOOK_SECONDS, deadline.remaining()))

    def _look(self) -> Look:
        (bits,) = _LINES.unpack(self._control(self._descriptor, termios.TIOCMGET, bytes(_LINES.size)))
        active = frozenset(wire for wire, bit in _BITS.items() if bits & bit)
        try:
            counted = _COUNTERS.unpack(self._control(self._descriptor, TIOCGICOUNT, bytes(_COUNTERS.size)))
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):  # this driver does not count
                return Look(active)
            raise
        return Look(active, {wire: counted[place] for wire, place in _PLACES.items()})
