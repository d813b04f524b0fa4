"""Time is passed in: the wall clock for what is written down, the monotonic clock for every deadline."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """What the product asks of time; tests pass a clock that they turn by hand."""

    def now(self) -> datetime:
        """Wall-clock time, aware, in the box's own time zone."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; only differences mean something."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait at most `seconds` for `event`; true when it was set."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(0.0, seconds))


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock by which something must have happened."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        return cls(clock, clock.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - self.clock.monotonic())

    def is_over(self) -> bool:
        return self.clock.monotonic() >= self.at

    def sooner(self, seconds: float) -> Deadline:
        """This deadline, or one `seconds` from now if that is earlier."""
        return Deadline(self.clock, min(self.at, self.clock.monotonic() + seconds))
