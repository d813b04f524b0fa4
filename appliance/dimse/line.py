"""The connection of an association: never blocking, never waiting without a deadline that counts progress.

pynetdicom 3.0.4 sends without a timeout, or with one for the whole; here every wait begins anew with each byte that
moves. Plain or inside TLS, of an association that we requested or of one that somebody asked us for.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import sys
import termios
import time
from collections.abc import Callable

from pynetdicom import evt
from pynetdicom.association import Association as LibraryAssociation
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

# The longest PDU that is taken from a peer. We announce less (PS3.8 D.1) for data; an association's answer is short.
LONGEST_PDU_BYTES = 1024 * 1024
_READ_BYTES = 64 * 1024
# A peer that sends a byte now and then moves, and yet would keep us for days.
_TRICKLE_STALLS, _LEAST_BYTES_PER_SECOND = 10, 1000
_LOOK_SECONDS = 0.25
# What waits in the kernel for a peer as near as this stays in the processor's cache, and still outruns a gigabit line;
# for one further away the kernel finds out how much must be under way.
_NEAR_MICROSECONDS = 500
_NEAR_SEND_BYTES = 64 * 1024
_TCP_INFO_RTT = struct.Struct("=68xI")  # tcpi_rtt in struct tcp_info of linux/tcp.h, microseconds


class Line(AssociationSocket):
    """The connection. Its deadlines count progress: they begin anew with each byte that the peer's side takes."""

    def __init__(
        self,
        association: LibraryAssociation,
        stall_seconds: float,
        *,
        address: AddressInformation | None = None,
        connection: socket.socket | None = None,
    ) -> None:
        """One that is yet to connect, from our `address`; or a `connection` that somebody made, encrypted or not."""
        super().__init__(association, connection, address)
        self.connect_error: OSError | None = None
        self.line_error: OSError | None = None
        self.has_connected = connection is not None
        self._stall_seconds = stall_seconds
        self._received = bytearray()
        self._space = memoryview(bytearray(_READ_BYTES))
        self._is_lost = False
        if connection is not None:
            self._set_up(connection)

    def connect(self, primitive: T_CONNECT) -> None:
        super().connect(primitive)
        if self.socket is not None:
            self.has_connected = True
            self._set_up(self.socket)
            if 0 < _round_trip_microseconds(self.socket) <= _NEAR_MICROSECONDS:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _NEAR_SEND_BYTES)

    def _set_up(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _shutdown_socket(self) -> None:
        # The library tells why connecting failed in its log only; while it handles that, this is called.
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and not self.has_connected:
            self.connect_error = error
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()  # the library does not when shutting it down fails, as it does once the peer has gone

    def write(self, data: memoryview, on_input: Callable[[], None] | None = None) -> None:
        """Hand all of `data` to the kernel; `on_input` is called when the peer says something meanwhile, and reads it.

        TimeoutError when its side took nothing for the deadline, OSError when the connection is lost. The line is then
        of no more use: half a PDU may have left.
        """
        assert self.socket is not None
        while_blocked = select.POLLOUT | (select.POLLIN if on_input else 0)
        try:
            while data:
                if on_input and self.ready:
                    on_input()
                try:
                    data = data[self.socket.send(data) :]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    self._wait_or_raise(while_blocked)
                except ssl.SSLWantReadError:
                    self._wait_or_raise(select.POLLIN)
        except OSError as error:
            self._hear_last(error)
            raise
        except BaseException:
            self._is_lost = True
            raise

    def send(self, bytestream: bytes) -> None:
        try:
            if self._is_lost:
                raise ConnectionError("the line is lost")
            self.write(memoryview(bytestream))
            evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})
        except OSError:
            self.event_queue.put("Evt17")

    @property
    def ready(self) -> bool:
        return self.is_readable(0)

    def is_readable(self, seconds: float) -> bool:
        """Whether there is something to read, or the end of the connection, within `seconds` without progress."""
        if self._received:
            return True
        if self.socket is None or not self._is_connected:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        if seconds:
            # A peer with Nagle's delay on waits for this acknowledgement; the kernel forgets the wish again and again.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return self._wait(select.POLLIN, seconds)

    def is_next(self, pdu_type: int) -> bool:
        """Whether the next PDU, of which something is there, is of this type."""
        try:
            return bool(self._received or self._read_some()) and self._received[0] == pdu_type
        except OSError:
            return False  # the reading of it will say the same

    def recv(self, nr_bytes: int) -> bytearray:
        if nr_bytes > LONGEST_PDU_BYTES:
            raise ConnectionError(f"a PDU of {nr_bytes} bytes was announced")
        end = time.monotonic() + _TRICKLE_STALLS * self._stall_seconds + nr_bytes / _LEAST_BYTES_PER_SECOND
        while len(self._received) < nr_bytes and self._read_some():
            if time.monotonic() > end:
                raise TimeoutError("a PDU that does not end")
        data = self._received[:nr_bytes]
        del self._received[:nr_bytes]
        return data

    def _hear_last(self, error: OSError) -> None:
        """What cannot be written any more may have its reason in what the peer said last, a TLS alert for instance."""
        self._is_lost = True
        try:
            if self.is_readable(0):
                self._read_some()
        except OSError as last:
            error = last
        self.line_error = self.line_error or error

    def _read_some(self) -> int:
        try:
            return self._read_once()
        except OSError as error:
            self.line_error = self.line_error or error
            raise

    def _read_once(self) -> int:
        assert self.socket is not None
        while True:
            try:
                count = self.socket.recv_into(self._space)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait_or_raise(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait_or_raise(select.POLLOUT)
            else:
                self._received += self._space[:count]
                return count

    def _wait_or_raise(self, events: int) -> None:
        if not self._wait(events, self._stall_seconds):
            raise TimeoutError(f"nothing moved for {self._stall_seconds:g} seconds")

    def _wait(self, events: int, seconds: float) -> bool:
        """Until one of `events`; false when for `seconds` neither came nor did the peer's side take a byte of ours."""
        assert self.socket is not None
        poll = select.poll()
        poll.register(self.socket, events)
        waiting = self._unacknowledged() if seconds else 0
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            if poll.poll(1000 * (min(left, _LOOK_SECONDS) if waiting else left)):
                return True
            before, waiting = waiting, self._unacknowledged() if waiting else 0
            if waiting < before:
                end = time.monotonic() + seconds
            elif time.monotonic() >= end:
                return False

    def _unacknowledged(self) -> int:
        # SIOCOUTQ of Linux: what the peer's kernel has not taken yet. It tells a slow line from one that stands still.
        assert self.socket is not None
        return int(struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def _round_trip_microseconds(connection: socket.socket) -> int:
    """What the kernel measured while it connected; 0 when it could not."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_RTT.size)
    return int(_TCP_INFO_RTT.unpack(told)[0])
