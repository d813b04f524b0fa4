"""Whether the wall clock can be believed. One process judges and writes it down; every process can ask.

The kernel runs the wall clock and the time since boot (CLOCK_BOOTTIME) at one speed, also while a time server slews
them: their difference changes only when somebody sets the clock. So "it was right, and nobody has set it since" is one
number, the difference at a moment at which the clock was right. It stands in `clock.json` of the console's run
directory, which the console alone writes and which is void after a boot. Whoever wants to know compares it with the
difference now.

The clock is right when the kernel says that a time server keeps it (every NTP daemon tells the kernel), when the
hardware clock set it at boot, or when a person said so. It is not when somebody set it since.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from appliance.base.durable import replace_file

# A time server that keeps the clock may step it by less than this without anybody hearing of it; a leap second is less.
STEP_SECONDS = 1.5
# What other processes bear until the console has seen such a step and written it down.
_TOLERANCE_SECONDS = 2.0
# A hardware clock loses seconds in a month; this much the clock may be behind what was written before the boot.
_BEHIND = timedelta(minutes=1)
# adjtimex(2): the kernel counts up to this (NTP_PHASE_LIMIT) while nobody keeps the clock, and begins there at boot.
_MOST_ERROR_MICROSECONDS = 16_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HARDWARE_CLOCKS = Path("/sys/class/rtc")
_LIBC = ctypes.CDLL(None)


class Source(StrEnum):
    """Who says that the clock is right."""

    NETWORK = "time server"
    HARDWARE = "hardware clock"
    PERSON = "person"


class Doubt(StrEnum):
    """Why the clock is not believed."""

    NEVER_SET = "never set"
    BEHIND = "behind"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The clock was right while it was `offset` seconds before the time since boot, says `source`."""

    source: Source
    offset: float


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What can be known of the clock at one moment. `offset` is the wall clock less the time since boot, in seconds."""

    now: datetime
    offset: float
    is_synchronized: bool
    is_set_by_hardware: bool


@dataclass(frozen=True)
class ClockRecord:
    """`clock.json`: what the console saw last in this boot, and when the clock was right, if it ever was."""

    boot_id: str
    offset: float
    anchor: Anchor | None


_RECORD = TypeAdapter(ClockRecord)


def is_right(anchor: Anchor | None, offset: float) -> bool:
    """Whether the clock was right once, and nobody has set it since."""
    return anchor is not None and abs(offset - anchor.offset) <= _TOLERANCE_SECONDS


def anchor_from(reading: ClockReading, before: ClockRecord | None, newest: datetime | None) -> Anchor | None:
    """When the clock was right, as it is known now. `before` is what this boot has seen before, None at its first look.

    What set the clock at boot counts at the first look only: later it says nothing of who set it meanwhile. `newest` is
    the latest moment that this box wrote down with a clock that it believed; a hardware clock whose battery is empty
    begins before it.
    """
    known = before.anchor if before else None
    if reading.is_synchronized:
        is_as_it_was = known and known.source is Source.NETWORK and abs(reading.offset - known.offset) < STEP_SECONDS
        return known if is_as_it_was else Anchor(Source.NETWORK, reading.offset)
    if before is None and reading.is_set_by_hardware and not is_behind(reading.now, newest):
        return Anchor(Source.HARDWARE, reading.offset)
    return known


def doubt_from(reading: ClockReading, anchor: Anchor | None, newest: datetime | None) -> Doubt | None:
    """Why the clock is not to be believed; None when it is."""
    if is_right(anchor, reading.offset):
        return None
    if anchor is not None:
        return Doubt.CHANGED
    return Doubt.BEHIND if is_behind(reading.now, newest) else Doubt.NEVER_SET


def is_behind(now: datetime, newest: datetime | None) -> bool:
    """Whether the clock shows a moment that is over, by what this box itself has written."""
    return newest is not None and now < newest - _BEHIND


class ClockTrust:
    """`clock.json`, as every process reads it."""

    def __init__(self, directory: Path, read_offset: Callable[[], float] | None = None, boot_id: str = "") -> None:
        """`directory` is the console's below run; a test gives its own `read_offset` and `boot_id`."""
        self.path = directory / "clock.json"
        self.read_offset = read_offset or offset_now
        self.boot_id = boot_id or _BOOT_ID.read_text().strip()

    def is_trusted(self) -> bool:
        """Whether the wall clock can be believed now. False while the console has not yet judged it in this boot."""
        record = self.read()
        return record is not None and is_right(record.anchor, self.read_offset())

    def read(self) -> ClockRecord | None:
        """What the console wrote in this boot; None when it wrote nothing that can be read: no capture fails for it."""
        try:
            record = _RECORD.validate_json(self.path.read_bytes())
        except (OSError, ValidationError):
            return None
        return record if record.boot_id == self.boot_id else None

    def write(self, offset: float, anchor: Anchor | None) -> ClockRecord:
        """For the console alone, and for what stands in for it before it starts. OSError."""
        record = ClockRecord(self.boot_id, offset, anchor)
        replace_file(self.path, _RECORD.dump_json(record), mode=0o644)
        return record

    def take_word(self) -> ClockRecord:
        """A person says that the clock is right as it is now. As `write`."""
        offset = self.read_offset()
        return self.write(offset, Anchor(Source.PERSON, offset))


def offset_now() -> float:
    """The wall clock less the time since boot, in seconds."""
    while True:
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        wall = time.time()
        after = time.clock_gettime(time.CLOCK_BOOTTIME)
        # Whoever is put aside for seconds between the two would see a step that was none.
        if after - before < STEP_SECONDS / 4:
            return wall - before


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)); the kernel writes no more than 208 bytes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("most_error", ctypes.c_long),
        ("rest", ctypes.c_char * 512),
    )


def is_synchronized() -> bool:
    """Whether a time server keeps the clock, as systemd judges it: the kernel's greatest possible error is below 16 s.

    Not by STA_UNSYNC, which chrony leaves set where it is not to touch the hardware clock; nor by timesyncd's stamp,
    which the other daemons do not write. False where the kernel does not answer (a unit with ProtectClock=).
    """
    timex = _Timex()
    answer: int = _LIBC.adjtimex(ctypes.byref(timex))
    error: int = timex.most_error
    return answer != -1 and error < _MOST_ERROR_MICROSECONDS


def is_set_by_hardware(clocks: Path = _HARDWARE_CLOCKS) -> bool:
    """Whether the kernel took the time from a hardware clock at boot (rtc, `hctosys`)."""
    return any(path.read_text().strip() == "1" for path in clocks.glob("*/hctosys"))
