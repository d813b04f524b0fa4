"""The hospital's end of each connection, where bytes can stall, drip, or end in the middle.

It stands above TLS, where there is some: what it cuts is always a PDU (PS3.8 9.3).
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import struct
import threading

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from appliance.simulator.hospital.faults import Fault, FaultBoard

logger = logging.getLogger(__name__)

_HEADER_BYTES = 6  # PDU type, reserved, length (PS3.8 9.3.1)
_DATA = 0x04  # P-DATA-TF
# A-ABORT of the service provider, reason not specified (PS3.8 9.3.8).
_ABORT = bytes.fromhex("07 00 00000004 00 00 02 00")
_DRAIN_SECONDS = 1.0
_HANDSHAKE_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_HANGUP = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class LineCut(ConnectionError):
    """We ended the connection ourselves, or the box left a connection that stood still."""


class FaultyLine(AssociationSocket):
    """The library's socket, with the faults of `faults` that show in bytes."""

    def __init__(self, association: Association, connection: socket.socket, faults: FaultBoard) -> None:
        super().__init__(association, client_socket=connection)
        self._faults = faults
        self._connection = connection
        self._received = 0
        self._has_stalled = False
        self._slow: float | None = None  # bytes a second
        self._cut_next_body = False

    def recv(self, nr_bytes: int) -> bytearray:
        """The library asks for a PDU's header and then for its body."""
        self._stand_still_if_told()
        if self._slow is None and self._faults.has(Fault.SLOW_LINE):
            self._slow = self._faults.strike(Fault.SLOW_LINE)
        if self._cut_next_body:
            self._abort_after(nr_bytes // 2)
        received = bytearray()
        while len(received) < nr_bytes:
            wanted = nr_bytes - len(received)
            if self._slow:
                # What the kernel takes in advance would make the line look quick.
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            data = self._connection.recv(min(wanted, 65_536))
            if not data:
                return received
            received += data
            self._received += len(data)
            if self._slow:
                self._pause(len(data) / self._slow)
            self._stand_still_if_told()
        is_data_header = nr_bytes == _HEADER_BYTES and received[0] == _DATA and not self._cut_next_body
        self._cut_next_body = is_data_header and self._faults.strike(Fault.ABORT_IN_PDU) is not None
        return received

    def send(self, bytestream: bytes) -> None:
        try:
            self._stand_still_if_told()
            if bytestream[0] == _DATA and self._faults.strike(Fault.CUT_IN_ANSWER) is not None:
                self._connection.sendall(bytestream[: len(bytestream) // 2])
                self._reset()
            pause = self._faults.strike(Fault.ONE_BYTE_A_SECOND)
            if pause is not None:
                self._drip(bytestream, pause)
                return
        except OSError:
            self.event_queue.put("Evt17")  # transport connection closed, as the library's own send tells it
            return
        super().send(bytestream)

    def _drip(self, bytestream: bytes, pause: float) -> None:
        generation = self._faults.generation
        for index in range(len(bytestream)):
            if self._faults.generation != generation:  # the rest at once: nobody wants to wait for it any more
                self._connection.sendall(bytestream[index:])
                return
            self._pause(pause)
            self._connection.sendall(bytestream[index : index + 1])

    def _stand_still_if_told(self) -> None:
        if not self._has_stalled:
            after = self._faults.in_force().get(Fault.STALL)
            if after is None or self._received < after or self._has_box_left(0.0):
                return
            if self._faults.strike(Fault.STALL) is None:
                return
            self._has_stalled = True
        # A box that leaves is not seen behind bytes that nobody reads: another choice of faults ends it, too.
        generation = self._faults.generation
        while self._faults.generation == generation:
            self._pause(_LOOK_SECONDS)
        raise LineCut("the fault is over")

    def _pause(self, seconds: float) -> None:
        """Wait, as long as the box stays. LineCut when it left."""
        if self._has_box_left(seconds):
            raise LineCut("the box left")

    def _has_box_left(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._connection, _HANGUP)
        return bool(poll.poll(seconds * 1000))

    def _abort_after(self, count: int) -> None:
        """Read `count` bytes of a PDU's body, then end the association. LineCut always."""
        with contextlib.suppress(OSError):
            while count > 0:
                data = self._connection.recv(count)
                if not data:
                    break
                count -= len(data)
            self._connection.sendall(_ABORT)
            self._connection.settimeout(_DRAIN_SECONDS)
            # Closed with bytes unread, TCP would reset, and the abort might never be read.
            while self._connection.recv(65_536):
                pass
        raise LineCut("cut in the middle of a PDU")

    def _reset(self) -> None:
        """End the connection by a TCP reset. LineCut always."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()
        raise LineCut("cut in the middle of an answer")


class _Reception(RequestHandler):
    """One connection that was accepted, in a thread of its own until its association has one."""

    server: Listener

    def handle(self) -> None:
        if self.server.tls is not None and not self._encrypt(self.server.tls):
            return
        super().handle()

    def _encrypt(self, tls: ssl.SSLContext) -> bool:
        self.request.settimeout(_HANDSHAKE_SECONDS)
        try:
            self.request = tls.wrap_socket(self.request, server_side=True)
        except OSError as error:  # SSLError is one
            logger.warning("association: no TLS with %s (%s)", self.client_address[0], error)
            self.request.close()
            return False
        self.request.settimeout(None)
        return True

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.socket = None
        # The library's own socket has told of the connection already, and ours tells of it, too.
        association.dul.event_queue.get_nowait()
        association.set_socket(FaultyLine(association, self.request, self.server.faults))
        return association


class Listener(ThreadedAssociationServer):
    """One port of the hospital; with `tls`, every connection on it is encrypted."""

    daemon_threads = True

    def __init__(
        self,
        ae: AE,
        address: tuple[str, int],
        ae_title: str,
        contexts: list[PresentationContext],
        ssl_context: None = None,
        *,
        evt_handlers: list[EventHandlerType],
        faults: FaultBoard,
        tls: ssl.SSLContext | None,
    ) -> None:
        """The library's `ssl_context` would shake hands in the thread that accepts; `tls` does so in each one's own."""
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers, _Reception)
        self.faults = faults
        self.tls = tls
        # Accepted sockets inherit it on Linux. With Nagle's algorithm each answer of a query waits 40 ms for the
        # acknowledgement of the one before.
        assert self.socket is not None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self) -> None:
        """Accept connections, in a thread, until `shutdown`."""
        threading.Thread(target=self.serve_forever, name=f"listener {self.server_address[1]}", daemon=True).start()
