"""One serial line, opened for us alone, every wait with a deadline.

What went over the line is remembered for support where that is asked for, in memory and bounded. It may hold patient
data: a transcript is never logged or written to flash.
"""

from __future__ import annotations

import errno
import os
import select
import termios
import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

import serial

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import DeviceBusy, DeviceGone, DeviceTimeout

_READ_SIZE = 65536
_GONE = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF, errno.ENOENT})


class Direction(StrEnum):
    """Seen from the box."""

    RECEIVED = "received"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """Bytes that went one way at one moment (seconds of the monotonic clock)."""

    at: float
    direction: Direction
    data: bytes


class Transcript:
    """The last `limit` bytes of a line, both ways; noted by one thread, read by others."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._entries: deque[TranscriptEntry] = deque()
        self._lock = threading.Lock()

    def note(self, at: float, direction: Direction, data: bytes) -> None:
        data = data[-self._limit :]
        with self._lock:
            self._entries.append(TranscriptEntry(at, direction, data))
            # An entry costs more than its bytes: count 16 for it, or a million single bytes would be a lot of memory.
            self._size += len(data) + 16
            while self._size > self._limit and len(self._entries) > 1:
                self._size -= len(self._entries.popleft().data) + 16

    def entries(self, most: int | None = None) -> tuple[TranscriptEntry, ...]:
        """What is kept, the oldest first; of it the last `most` entries."""
        with self._lock:
            return tuple(
                self._entries if most is None else islice(self._entries, max(0, len(self._entries) - most), None)
            )


class Flow(StrEnum):
    """How the box asks the machine to wait: not at all, by RTS, by XOFF, or by DTR, as printers like it.

    XON and XOFF are only sent: in what comes they are data, of a picture or an XMODEM block.
    """

    NONE = "none"
    RTSCTS = "rtscts"
    XONXOFF = "xonxoff"
    DTR = "dtr"


class Parity(StrEnum):
    """The bit that is sent behind the data bits, as pyserial names it."""

    NONE = serial.PARITY_NONE
    EVEN = serial.PARITY_EVEN
    ODD = serial.PARITY_ODD


class SerialLine:
    """The near end of a machine's serial line. `name` is what sentences call the machine ("ultrasound")."""

    def __init__(
        self,
        path: str,
        clock: Clock,
        *,
        baud: int = 115200,
        data_bits: int = 8,
        parity: Parity = Parity.NONE,
        flow: Flow = Flow.NONE,
        name: str = "machine",
        transcript: Transcript | None = None,
    ) -> None:
        self.name = name
        self.transcript = transcript
        self._path = path
        self._clock = clock
        self._baud = baud
        self._data_bits = data_bits
        self._parity = parity
        self._flow = flow
        self._is_held = False
        self._port: serial.Serial | None = None

    def open(self) -> None:
        """Take the line. Raises DeviceGone when it is not there, DeviceBusy when another program has it."""
        self.close()
        try:
            self._port = serial.Serial(
                self._path,
                self._baud,
                bytesize=self._data_bits,
                parity=self._parity,
                timeout=0,
                write_timeout=0,
                exclusive=True,
                rtscts=self._flow is Flow.RTSCTS,
            )
            if self._flow is Flow.XONXOFF:
                # pyserial's own XON/XOFF would also take these bytes out of what comes.
                attributes = termios.tcgetattr(self._port.fileno())
                attributes[0] |= termios.IXOFF
                termios.tcsetattr(self._port.fileno(), termios.TCSANOW, attributes)
        except (OSError, ValueError, termios.error) as error:  # serial.SerialException is an OSError
            if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EBUSY, errno.EWOULDBLOCK):
                raise DeviceBusy(
                    f"Another program uses the {self.name}'s serial line.", "Stop that program, then try again."
                ) from error
            raise DeviceGone(
                f"The {self.name}'s serial line cannot be opened.",
                f"Check that the cable's adapter is plugged in and that its name and speed ({self._baud}) are right.",
            ) from error

    def close(self) -> None:
        """Let the line go; harmless when it is not open."""
        port, self._port = self._port, None
        self._is_held = False
        if port is not None:
            port.close()

    def read(self, seconds: float) -> bytes:
        """What has arrived (at most 64 KiB), waiting at most `seconds` for the first of it; empty when nothing came.

        Raises DeviceGone when the line vanished.
        """
        port = self._opened()
        try:
            descriptor = port.fileno()
            if not select.select([descriptor], [], [], max(0.0, seconds))[0]:
                return b""
            data = os.read(descriptor, _READ_SIZE)
        except BlockingIOError:
            return b""
        except (OSError, ValueError) as error:
            raise self._gone(error) from error
        if not data:  # readable and empty is how a terminal says that its other end hung up
            raise self._gone(None)
        if self.transcript is not None:
            self.transcript.note(self._clock.monotonic(), Direction.RECEIVED, data)
        return data

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send all of `data`. Raises DeviceTimeout when the line does not take it, DeviceGone when it vanished."""
        descriptor = self._opened().fileno()
        rest = memoryview(data)
        while True:
            rest = rest[self._write_some(descriptor, rest) :]
            if not rest:
                return
            if deadline.is_over():
                raise DeviceTimeout(
                    f"The {self.name}'s serial line takes no bytes.", "Check its cable and its flow control."
                )
            select.select([], [descriptor], [], min(deadline.remaining(), 1.0))

    def offer(self, data: bytes) -> None:
        """Send `data` as far as the line takes it now, in place of what still waits to be sent.

        For what is worth something only at this moment: invitations to a machine that may be switched off for hours,
        and must not find thousands of them when it is switched on.
        """
        descriptor = self._opened().fileno()
        try:
            termios.tcflush(descriptor, termios.TCOFLUSH)
        except termios.error as error:
            raise self._gone(None) from error
        self._write_some(descriptor, memoryview(data))

    def purge(self, quiet: float, deadline: Deadline) -> int:
        """Throw away what arrives until the line has been quiet for `quiet` seconds; how many bytes that were.

        Ends at `deadline` even when the line is not quiet.
        """
        thrown = 0
        while not deadline.is_over():
            data = self.read(min(quiet, deadline.remaining()))
            if not data:
                break
            thrown += len(data)
        return thrown

    def hold(self, is_held: bool) -> bool:
        """Ask the machine to wait, or to go on; false when this line has no way to say so. DeviceGone as `read`.

        Without being asked, the kernel does it where it can, when what arrived is not read for too long.
        """
        port = self._opened()
        if is_held == self._is_held or self._flow is Flow.NONE:
            return self._flow is not Flow.NONE
        try:
            match self._flow:
                case Flow.RTSCTS:
                    port.rts = not is_held
                case Flow.DTR:
                    port.dtr = not is_held
                case Flow.XONXOFF:
                    termios.tcflow(port.fileno(), termios.TCIOFF if is_held else termios.TCION)
        except (OSError, termios.error) as error:
            if (error.args or (None,))[0] == errno.ENOTTY:  # no such wire, as on a pseudo-terminal
                return False
            raise self._gone(error if isinstance(error, OSError) else None) from error
        self._is_held = is_held
        return True

    def _write_some(self, descriptor: int, data: memoryview) -> int:
        try:
            written = os.write(descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._gone(error) from error
        if written and self.transcript is not None:
            self.transcript.note(self._clock.monotonic(), Direction.SENT, bytes(data[:written]))
        return written

    def _opened(self) -> serial.Serial:
        if self._port is None:
            raise DeviceGone(f"The {self.name}'s serial line is not open.")
        return self._port

    def _gone(self, error: OSError | ValueError | None) -> DeviceGone:
        code = getattr(error, "errno", None)
        reason = "vanished" if error is None or code in _GONE else "failed"
        return DeviceGone(f"The {self.name}'s serial line {reason}.", "Check the cable and its adapter.")
