"""Signals in what goes over a serial line: byte patterns. The box only listens; it answers nothing."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.base.clock import Clock
from appliance.devices.serial.line import SerialLine
from appliance.devices.signal.pattern import BytePattern, PatternFinder
from appliance.devices.signal.source import Signal

# A command comes in one go: what was half said so long ago is no beginning.
_FORGET_SECONDS = 2.0


class HeardSource:
    """The patterns on one line."""

    def __init__(self, line: SerialLine, patterns: Sequence[BytePattern], clock: Clock) -> None:
        self._line = line
        self._clock = clock
        self._finder = PatternFinder(patterns)
        self._heard_at = float("-inf")

    @property
    def name(self) -> str:
        return self._line.name

    def open(self) -> None:
        """As `SerialLine.open`."""
        self._finder.forget()
        self._line.open()

    def close(self) -> None:
        self._line.close()

    def wait(self, seconds: float) -> list[Signal]:
        """The patterns whose last byte came."""
        data = self._line.read(seconds)
        if not data:
            return []
        now = self._clock.monotonic()
        if now - self._heard_at > _FORGET_SECONDS:
            self._finder.forget()
        self._heard_at = now
        return [Signal(number, now) for number in self._finder.feed(data)]
