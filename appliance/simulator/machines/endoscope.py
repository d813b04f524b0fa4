"""The endoscope's grabber: a ring of coded frames, sent at thirty a second to everybody who is connected.

The ring is painted once, in order, when the first reader comes; until it is full, what is painted is shown to and fro.
A reader that is slow misses frames, and nobody waits for it. Without readers nothing happens at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.base.clock import Clock
from appliance.devices.video.stream import FRAME_HEADER, FRAME_MARK

_log = logging.getLogger(__name__)

FRAMES_PER_SECOND = 30
RING_LENGTH = 90
_MOST_READERS = 16
_LOW_PRIORITY = 10


class VideoFault(StrEnum):
    """What can be wrong with the endoscope's video."""

    TORN = "torn"  # frames stop in the middle, without their end marker
    FREEZE = "freeze"  # the same picture again and again
    NO_SIGNAL = "no-signal"  # no frames
    BLACK = "black"  # frames without a picture


class FrameRing:
    """The coded frames of one loop, painted in the background as soon as somebody asks for the first."""

    def __init__(self, length: int, make_painter: Callable[[], Callable[[int], bytes]]) -> None:
        self._length = length
        self._make_painter = make_painter
        self._frames: list[bytes] = []
        self._thread: threading.Thread | None = None
        self._first = threading.Event()
        self._stop = threading.Event()
        self._index = -1
        self._step = 1

    def next_frame(self) -> bytes | None:
        """The frame to show now; None before the first is painted."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._paint, name="endoscope-painter", daemon=True)
            self._thread.start()
        painted = len(self._frames)
        if painted == 0:
            return None
        if painted == self._length:
            self._index = (self._index + 1) % painted
        else:
            if not 0 <= self._index + self._step < painted:
                self._step = -self._step
            self._index = min(max(self._index + self._step, 0), painted - 1)
        return self._frames[self._index]

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _paint(self) -> None:
        # Everything else on this computer goes first: the box's own processes are starting at this moment.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
        paint_frame = self._make_painter()
        for index in range(self._length):
            if self._stop.is_set():
                return
            self._frames.append(paint_frame(index))


@dataclass(slots=True)
class _Reader:
    """One connection and what it has not taken yet of the frame it is being sent."""

    connection: socket.socket
    pending: list[memoryview] = field(default_factory=list)


class VideoServer:
    """Serves the listener `listener` until `stop`. `make_black` gives the frame of the fault *black*."""

    def __init__(self, listener: socket.socket, ring: FrameRing, make_black: Callable[[], bytes], clock: Clock) -> None:
        self._listener = listener
        self._ring = ring
        self._make_black = make_black
        self._clock = clock
        self._readers: dict[int, _Reader] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._lock = threading.Lock()
        self._fault: VideoFault | None = None
        self._fault_frames = 0
        self._last: bytes | None = None
        self._sequence = 0
        self._dropped = 0

    def set_fault(self, fault: VideoFault | None, frames: int) -> None:
        """Let the next `frames` frames be wrong; None ends a fault at once."""
        with self._lock:
            self._fault, self._fault_frames = (fault, frames) if frames > 0 else (None, 0)

    def status(self) -> dict[str, object]:
        with self._lock:
            fault = self._fault
        return {
            "readers": len(self._readers),
            "frames": self._sequence,
            "dropped": self._dropped,
            "fault": fault,
        }

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set and `wake` called."""
        self._listener.setblocking(False)
        self._wake_reader.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        due = self._clock.monotonic()
        while not stop.is_set():
            if not self._readers:
                self._serve_ready(None)
                due = self._clock.monotonic()
                continue
            now = self._clock.monotonic()
            if now < due:
                self._serve_ready(due - now)
                continue
            self._send_next_frame(now)
            # A computer that was busy for a while misses frames, as a camera's reader does; they are not made up for.
            due = max(due + 1 / FRAMES_PER_SECOND, now)
        for reader in list(self._readers.values()):
            self._drop_reader(reader)
        self._selector.close()
        self._listener.close()
        self._ring.close()

    def wake(self) -> None:
        """Let `run` look at its stop event."""
        self._wake_writer.send(b"\0")

    def _serve_ready(self, seconds: float | None) -> None:
        for key, events in self._selector.select(seconds):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wake_reader:
                self._wake_reader.recv(64)
            else:
                reader = self._readers[key.fd]
                if events & selectors.EVENT_WRITE:
                    self._send_pending(reader)
                elif events & selectors.EVENT_READ and not self._is_alive(reader):
                    self._drop_reader(reader)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:  # it went away again
            return
        if len(self._readers) >= _MOST_READERS:
            connection.close()
            return
        connection.setblocking(False)
        # The buffer stays at the kernel's size, about one frame: a larger one would only hold old frames.
        self._readers[connection.fileno()] = _Reader(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _send_next_frame(self, now: float) -> None:
        data = self._next_data()
        if data is None:
            return
        header = FRAME_HEADER.pack(FRAME_MARK, len(data), self._sequence, int(now * 1e9))
        self._sequence += 1
        for reader in list(self._readers.values()):
            if reader.pending:
                self._dropped += 1
                continue
            reader.pending = [memoryview(header), memoryview(data)]
            self._send_pending(reader)

    def _next_data(self) -> bytes | None:
        with self._lock:
            fault = self._fault
            if fault is not None:
                self._fault_frames -= 1
                if self._fault_frames == 0:
                    self._fault = None
        if fault is VideoFault.NO_SIGNAL:
            return None
        if fault is VideoFault.BLACK:
            return self._make_black()
        if fault is VideoFault.FREEZE and self._last is not None:
            return self._last
        self._last = self._ring.next_frame()
        if fault is VideoFault.TORN and self._last is not None:
            return self._last[: len(self._last) * 2 // 3]
        return self._last

    def _send_pending(self, reader: _Reader) -> None:
        try:
            while reader.pending:
                sent = reader.connection.send(reader.pending[0])
                reader.pending[0] = reader.pending[0][sent:]
                if not reader.pending[0]:
                    del reader.pending[0]
        except BlockingIOError:
            self._selector.modify(reader.connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            return
        except OSError:
            self._drop_reader(reader)
            return
        self._selector.modify(reader.connection, selectors.EVENT_READ)

    def _is_alive(self, reader: _Reader) -> bool:
        try:
            return reader.connection.recv(4096) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _drop_reader(self, reader: _Reader) -> None:
        del self._readers[reader.connection.fileno()]
        with contextlib.suppress(KeyError):
            self._selector.unregister(reader.connection)
        reader.connection.close()
