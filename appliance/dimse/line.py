"""An association that we requested, without the library's threads: who waits for something on it runs it meanwhile.

pynetdicom 3.0.4 gives each association two threads that look at their queues a thousand times a second. The one can
take a response that the other's caller waits for; a deadline begins when a message is queued, not when it has left;
and an association that nobody uses costs 6 % of a core. Here an association belongs to the thread that opened it. The
library's state machine (PS3.8 9.2), its PDUs and its messages are all used as they are: only who calls them differs.
"""

from __future__ import annotations

import fcntl
import logging
import queue
import select
import socket
import ssl
import struct
import sys
import termios
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pynetdicom import evt
from pynetdicom.association import Association as LibraryAssociation
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, N_EVENT_REPORT
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from appliance.dimse.transmit import Assembler, Message

_log = logging.getLogger(__name__)

# The longest PDU that is taken from a peer. We announce less (PS3.8 D.1) for data; an association's answer is short.
LONGEST_PDU_BYTES = 1024 * 1024
_P_DATA_TF = 0x04
_READ_BYTES = 64 * 1024
_LOOK_SECONDS = 0.25
_MOST_UNASKED = 64


class Line(AssociationSocket):
    """The connection. Its deadlines count progress: they begin anew with each byte that the peer's side takes."""

    def __init__(self, association: LibraryAssociation, address: AddressInformation, stall_seconds: float) -> None:
        super().__init__(association, address=address)
        self.connect_error: OSError | None = None
        self.has_connected = False
        self._stall_seconds = stall_seconds
        self._received = bytearray()
        self._space = memoryview(bytearray(_READ_BYTES))
        self._is_lost = False

    def connect(self, primitive: T_CONNECT) -> None:
        super().connect(primitive)
        if self.socket is not None:
            self.has_connected = True
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _shutdown_socket(self) -> None:
        # The library tells why connecting failed in its log only; while it handles that, this is called.
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and not self.has_connected:
            self.connect_error = error
        super()._shutdown_socket()

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
        while len(self._received) < nr_bytes and self._read_some():
            pass
        data = self._received[:nr_bytes]
        del self._received[:nr_bytes]
        return data

    def _read_some(self) -> int:
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


class Messages(DIMSEServiceProvider):
    """The library's DIMSE provider, which here gets whole messages and serves a report where it is read."""

    def receive_primitive(self, primitive: P_DATA) -> None:
        message = DIMSEMessage()
        if not message.decode_msg(primitive, self.assoc):
            raise ValueError("a message that is none")
        evt.trigger(self.assoc, evt.EVT_DIMSE_RECV, {"message": message})
        said = message.message_to_primitive()
        context_id = message.context_id or 0
        if isinstance(said, N_EVENT_REPORT) and said.is_valid_request:
            self.assoc._serve_request(said, context_id)
        elif said is None or isinstance(said, C_CANCEL) or self.msg_queue.qsize() >= _MOST_UNASKED:
            raise ValueError("a message that nobody asked for")
        else:
            self.msg_queue.put((context_id, said))


class UpperLayer(DULServiceProvider):
    """The upper layer of one association, run by the thread that the association belongs to."""

    def __init__(self, association: LibraryAssociation) -> None:
        super().__init__(association)
        self.awaited: int | None = None
        self.answers: deque[Message] = deque()
        self._arrived: deque[Message] = deque()
        self._assembler = Assembler()

    @property
    def line(self) -> Line:
        """The connection."""
        assert isinstance(self.socket, Line)
        return self.socket

    @property
    def is_open(self) -> bool:
        """Whether an association is established (Sta6, PS3.8 9.2.1)."""
        return self.state_machine.current_state == "Sta6" and not self._kill_thread

    def start(self) -> None:
        self.assoc._dul_ready.set()

    def is_alive(self) -> bool:
        return not self._kill_thread

    def stop_dul(self) -> bool:
        # An abort or a release's answer has left; closing over unread data would overtake it with a reset.
        turns = 100
        while turns and self._turn():
            turns -= 1
        self._kill_thread = True
        self.line._shutdown_socket()
        return True

    def send_pdu(self, primitive: Any) -> None:
        if self._kill_thread:
            return
        if isinstance(primitive, P_DATA) and not self.is_open:
            raise ConnectionError("there is no association any more")
        super().send_pdu(primitive)
        while not self._kill_thread and (self._process_recv_primitive() or self.event_queue.qsize()):
            self._act(self.event_queue.get_nowait())

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:
        if wait:
            self.run_until(lambda: self.to_user_queue.qsize() > 0, timeout or 0.0)
        return super().receive_pdu(wait=False)

    def run_until(self, is_there: Callable[[], bool], seconds: float) -> bool:
        """Read, and answer what is to be answered, until `is_there`.

        False when the association is over, or when the line stood still for `seconds`: the time begins when what was
        said has reached the peer's side, and anew with everything that comes.
        """
        while not is_there():
            if self._kill_thread or (not self._turn() and not self.line.is_readable(seconds)):
                return is_there()
        return True

    def take_notice(self) -> None:
        """Read what came while a message is being written; what wants an answer waits until that is out.

        ConnectionError when the peer ended the association.
        """
        while self.line.ready:
            self._receive()
            if not self.is_open:
                raise ConnectionError("the peer ended the association")

    def _turn(self) -> bool:
        """One turn of what is the library's loop; false when there was nothing to do."""
        if self._kill_thread:
            return False
        if self._arrived:
            self._deliver(self._arrived.popleft())
            return True
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        if self._process_recv_primitive():
            return self._act_next()
        return self._receive()

    def _receive(self) -> bool:
        is_something = self._is_transport_event()
        return self._act_next() or is_something

    def _act_next(self) -> bool:
        try:
            self._act(self.event_queue.get_nowait())
        except queue.Empty:
            return False
        return True

    def _act(self, event: str) -> None:
        try:
            self.state_machine.do_action(event)
        except Exception as error:  # noqa: BLE001  a stranger's PDU may break the library's decoders in any way
            _log.warning("%s broke the protocol (%s)", self.assoc.acceptor.ae_title, type(error).__name__)
            self.assoc.is_aborted = True
            self.assoc.is_established = False
            self._kill_thread = True
            self.line._shutdown_socket()

    def _read_pdu_data(self) -> None:
        # P-DATA changes no state while there is an association (DT-2, AR-6: PS3.8 9.2.2), so it needs no event.
        state = self.state_machine.current_state
        if state not in ("Sta6", "Sta7") or not self.line.is_next(_P_DATA_TF):
            super()._read_pdu_data()
            return
        try:
            header = self.line.recv(6)
            size = int.from_bytes(header[2:6], "big") if len(header) == 6 else 0
            body = self.line.recv(size)
            if len(header) < 6 or len(body) < size:
                raise ConnectionError("the connection ended within a PDU")
        except OSError:
            self.event_queue.put("Evt17")
            return
        try:
            messages = self._assembler.add(body)
        except ValueError as error:
            _log.warning("%s sent what is no message: %s", self.assoc.acceptor.ae_title, error)
            self.event_queue.put("Evt19")
            return
        for message in messages:
            if message.is_answer_to(self.awaited):
                self.answers.append(message)
            elif state == "Sta6":  # while we release, nothing is served any more
                self._arrived.append(message)
        if len(self._arrived) > _MOST_UNASKED:
            self.event_queue.put("Evt19")

    def _deliver(self, message: Message) -> None:
        try:
            self.assoc.dimse.receive_primitive(message.primitive())
        except Exception as error:  # noqa: BLE001  as above
            _log.warning("%s sent what is no message (%s)", self.assoc.acceptor.ae_title, type(error).__name__)
            self.event_queue.put("Evt19")
            self._act_next()
