"""The frame of every printer language: bytes in as they come, events out, whatever the pieces in which they came.

A language is a coroutine that takes bytes and waits where there are none yet. Each count that comes over the wire is
checked by the language before it is taken; what is only skipped is not kept. The decoder reads no line and no clock.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Generator

from appliance.devices.printer.page import Doubt, Event
from appliance.devices.printer.paper import Paper

# A part of a language: it yields when it needs more bytes.
Wait = Generator[None, None, None]
WaitFor = Generator[None, None, bytes]

# The most that a language may take at once.
MOST_TAKEN = 1 << 19
ESC = 0x1B
# What comes between pages and belongs to none: NUL, LF, FF, CR. Whether an ESC begins a page, its language knows: a
# reset that follows the last page does not.
_BETWEEN = b"\x00\x0a\x0c\x0d\x1b"

_TEXT = re.compile(rb"[\x20-\x7e\x80-\xff]+")


class PrinterDecoder(ABC):
    """One printer of one language. `feed` takes what arrived, `pause` says that nothing has come for long enough."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self._buffer = bytearray()
        self._at = 0
        self._is_inside = False  # of a command, when it waits
        self._reset()
        self._language = self._decode()
        next(self._language)

    def feed(self, data: bytes) -> list[Event]:
        """Take what arrived; the events in order. Any bytes will do."""
        if data:
            self._buffer += data
            next(self._language)
            del self._buffer[: self._at]
            self._at = 0
        return self.paper.take_events()

    def pause(self) -> list[Event]:
        """The machine is silent: a page that has begun ends here, in the middle of a command too."""
        if self._is_inside:
            self.paper.doubt(Doubt.BROKEN_OFF)
        self._flush()
        # Before the reset: a sheet that lies sideways can be turned back only when it is empty.
        self.paper.end_job()
        self._buffer.clear()
        self._at = 0
        self._reset()
        self._language = self._decode()
        next(self._language)
        return self.paper.take_events()

    @abstractmethod
    def _reset(self) -> None:
        """Everything as when the printer was switched on."""

    def _flush(self) -> None:
        """Print what is held back until a line is complete."""
        return

    @abstractmethod
    def _command(self) -> Wait:
        """Take one command, or a run of text; there is a byte at least."""

    def _decode(self) -> Wait:
        while True:
            self._is_inside = False
            while self._at >= len(self._buffer):
                yield
            if self._buffer[self._at] not in _BETWEEN:
                self.paper.begin()
            self._is_inside = True
            yield from self._command()

    # -- for the languages ---------------------------------------------------------------------------------------------

    def _take(self, count: int) -> WaitFor:
        """The next `count` bytes, at most MOST_TAKEN."""
        if count > MOST_TAKEN:
            raise ValueError(f"{count} bytes are more than a language may take at once")
        while len(self._buffer) - self._at < count:
            yield
        data = bytes(self._buffer[self._at : self._at + count])
        self._at += count
        return data

    def _take_byte(self) -> Generator[None, None, int]:
        while self._at >= len(self._buffer):
            yield
        byte = self._buffer[self._at]
        self._at += 1
        return byte

    def _take_word(self) -> Generator[None, None, int]:
        """Two bytes, the low one first."""
        data = yield from self._take(2)
        return int.from_bytes(data, "little")

    def _skip(self, count: int) -> Wait:
        """Pass over `count` bytes, however many, without keeping them."""
        while count:
            here = min(count, len(self._buffer) - self._at)
            self._at += here
            count -= here
            if count:
                yield

    def _skip_until(self, ends: bytes) -> Wait:
        """Pass over everything in front of the first byte that is one of `ends`."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] in ends:
                    return
                self._at += 1
            yield

    def _take_text(self) -> bytes:
        """What is here of a run of printable bytes, 20H to 7EH and from 80H on; at least the first byte is one.

        How far it goes depends on the pieces that came: what is printed of it must not. Where a page ends within the
        run, the run's next byte begins the next page, as it does when it comes alone.
        """
        match = _TEXT.match(self._buffer, self._at)
        assert match is not None
        self._at = match.end()
        return match[0]
