"""What every source of signals gives: which of its signals came, and when; and the debounce before one counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a source, by its number there. `at` is a moment of the monotonic clock, in seconds."""

    number: int
    at: float


class SignalSource(Protocol):
    """A pedal, a chip's lines, a serial line's wires or its bytes. Used by one thread."""

    @property
    def name(self) -> str:
        """What sentences call it, as "the footswitch"."""
        ...

    def open(self) -> None:
        """Take it. DeviceGone when it is not there or is none, DeviceBusy when another program has it."""
        ...

    def close(self) -> None:
        """Let it go; harmless when it is not open."""
        ...

    def wait(self, seconds: float) -> list[Signal]:
        """What came, waiting at most `seconds` for the first of it. DeviceGone when it vanished."""
        ...


class Debounce:
    """Lets one signal through, and those that follow within `seconds` of it count as its bouncing contacts."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = float("-inf")

    def accepts(self, at: float) -> bool:
        """Whether the signal at this moment counts."""
        if at - self._last < self._seconds:
            return False
        self._last = at
        return True
