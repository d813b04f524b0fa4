"""A frame grabber in another process that sends JPEG frames over a unix stream socket.

Each frame is `>4sIQQ`: the mark MJPG, the length, the sequence number, the moment of capture in nanoseconds of
CLOCK_MONOTONIC; then so many bytes of JPEG. The grabber drops frames for a reader that is slow, so that what is read is
always recent; the gap in the sequence numbers tells how many.
"""

from __future__ import annotations

import socket
import struct

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import DeviceGone, DeviceTimeout, NoSignal
from appliance.devices.frame import Frame
from appliance.devices.video.jpeg_frame import frame_from_jpeg
from appliance.devices.video.layout import Area

FRAME_HEADER = struct.Struct(">4sIQQ")
FRAME_MARK = b"MJPG"
_CHECK_UPSTREAM = "Check that the grabber is plugged in; the box connects again by itself."


class StreamGrabber:
    """A `VideoSource` at the socket `path`. Frames longer than `max_frame_bytes` are not believed.

    Frames come out whole: with their Huffman tables, without what lay behind their end marker. `crop` and `masks` are
    done to a frame where it is used (`pixels.stored_from`).
    """

    def __init__(
        self,
        path: str,
        max_frame_bytes: int,
        clock: Clock,
        name: str = "grabber",
        *,
        crop: Area | None = None,
        masks: tuple[Area, ...] = (),
    ) -> None:
        self.name = name
        self._crop, self._masks = crop, masks
        self._path = path
        self._max_frame_bytes = max_frame_bytes
        self._clock = clock
        self._socket: socket.socket | None = None
        # What has arrived of the next frame; a deadline may pass in the middle of it.
        self._header = bytearray()
        self._body = bytearray()
        self._filled = 0

    @property
    def compromise(self) -> str:
        """None: such a socket has one picture."""
        return ""

    def open(self, deadline: Deadline) -> None:
        """Connect. Raises DeviceGone when no grabber listens, DeviceTimeout when it does not take the connection."""
        self.close()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(0.001, deadline.remaining()))
            connection.connect(self._path)
        except TimeoutError as error:
            connection.close()
            raise DeviceTimeout(f"The {self.name}'s video does not answer.", _CHECK_UPSTREAM) from error
        except OSError as error:
            connection.close()
            raise DeviceGone(f"The {self.name}'s video is not there.", _CHECK_UPSTREAM) from error
        self._socket = connection

    def close(self) -> None:
        """Let the grabber go; harmless when it is not open."""
        connection, self._socket = self._socket, None
        self._header, self._body, self._filled = bytearray(), bytearray(), 0
        if connection is not None:
            connection.close()

    def read_frame(self, deadline: Deadline) -> Frame:
        """The next frame, as `VideoSource.read_frame`. What arrived before a deadline counts for the next call."""
        if self._filled == 0 and len(self._header) < FRAME_HEADER.size:
            while len(self._header) < FRAME_HEADER.size:
                self._header += self._receive(FRAME_HEADER.size - len(self._header), deadline)
        mark, length, sequence, nanoseconds = FRAME_HEADER.unpack(self._header)
        if mark != FRAME_MARK or length > self._max_frame_bytes:
            self.close()  # where the next frame begins is not known any more
            raise DeviceGone(f"The {self.name}'s video lost its framing.", _CHECK_UPSTREAM)
        if len(self._body) != length:
            self._body = bytearray(length)
        while self._filled < length:
            self._filled += self._receive_into(memoryview(self._body)[self._filled :], deadline)
        data = bytes(self._body)
        self._header.clear()
        self._filled = 0
        return frame_from_jpeg(data, sequence, nanoseconds / 1e9, self.name, self._crop, self._masks)

    def _receive(self, size: int, deadline: Deadline) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self._receive_into(memoryview(buffer), deadline)])

    def _receive_into(self, view: memoryview, deadline: Deadline) -> int:
        if self._socket is None:
            raise DeviceGone(f"The {self.name}'s video is not open.")
        try:
            self._socket.settimeout(max(0.001, deadline.remaining()))
            count = self._socket.recv_into(view)
        except TimeoutError as error:
            raise NoSignal(
                f"No picture comes from the {self.name}.",
                "Check that the machine is on and its video cable is plugged in.",
            ) from error
        except OSError as error:
            self.close()
            raise DeviceGone(f"The {self.name}'s video broke off.", _CHECK_UPSTREAM) from error
        if count == 0:
            self.close()
            raise DeviceGone(f"The {self.name}'s video ended.", _CHECK_UPSTREAM)
        return count
