"""An association without the library's threads: who waits for something on it runs it meanwhile.

pynetdicom 3.0.4 gives each association two threads that poll their queues. The one can take a response that the
other's caller waits for; a deadline begins when a message is queued, not when it has left; and an association that
nobody uses keeps the processor busy all the same. Here an association belongs to the thread that opened it. The
library's state machine (PS3.8 9.2), its PDUs and its messages are all used as they are: only who calls them differs.
"""

from __future__ import annotations

import logging
import queue
from collections import deque
from collections.abc import Callable
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association as LibraryAssociation
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, N_EVENT_REPORT
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from appliance.dimse.certificate import PeerCertificate
from appliance.dimse.line import Line
from appliance.dimse.transmit import Assembler, Message, check_items

_log = logging.getLogger(__name__)

_P_DATA_TF = 0x04
_ASSOCIATE_PDUS = (0x01, 0x02)  # A-ASSOCIATE-RQ and -AC
_TLS_RECORDS = (0x15, 0x16)  # alert and handshake (RFC 8446 5.1): no PDU type is as high
_MOST_UNASKED = 64
_MOST_AHEAD = 1024  # answers that come while we still speak


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

    def __init__(self, association: LibraryAssociation, longest_data: int) -> None:
        super().__init__(association)
        self.is_answered_in_tls = False
        self.awaited: int | None = None
        self.answers: deque[Message] = deque()
        self._arrived: deque[Message] = deque()
        self._assembler = Assembler(longest_data)

    @property
    def line(self) -> Line:
        """The connection."""
        assert isinstance(self.socket, Line)
        return self.socket

    @property
    def _peer_name(self) -> str:
        peer = self.assoc.acceptor if self.assoc.is_requestor else self.assoc.requestor
        return peer.ae_title or str(peer.address_info.address if peer.address_info else "")

    @property
    def is_open(self) -> bool:
        """Whether an association is established (Sta6, PS3.8 9.2.1)."""
        return self.state_machine.current_state == "Sta6" and not self._kill_thread

    def start(self) -> None:
        self.assoc._dul_ready.set()
        self._act_next()  # Evt5, on a connection that somebody made to us

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
        """Read a PDU that came while a message is being written; what wants an answer waits until that is out.

        ConnectionError when the peer ended the association.
        """
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
            _log.warning("%s broke the protocol (%s)", self._peer_name, type(error).__name__)
            self.assoc.is_aborted = True
            self.assoc.is_established = False
            self._kill_thread = True
            self.line._shutdown_socket()

    def _read_pdu_data(self) -> None:
        # P-DATA changes no state while there is an association (DT-2, AR-6: PS3.8 9.2.2), so it needs no event.
        state = self.state_machine.current_state
        if state not in ("Sta6", "Sta7") or not self.line.is_next(_P_DATA_TF):
            self.is_answered_in_tls |= any(self.line.is_next(kind) for kind in _TLS_RECORDS)
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
            _log.warning("%s sent what is no message: %s", self._peer_name, error)
            self.event_queue.put("Evt19")
            return
        for message in messages:
            if message.is_answer_to(self.awaited):
                self.answers.append(message)
            elif state == "Sta6":  # while we release, nothing is served any more
                self._arrived.append(message)
        if len(self._arrived) > _MOST_UNASKED or len(self.answers) > _MOST_AHEAD:
            self.event_queue.put("Evt19")

    def _decode_pdu(self, bytestream: bytearray) -> Any:
        if bytestream[0] in _ASSOCIATE_PDUS:
            check_items(bytestream)
        return super()._decode_pdu(bytestream)

    def _deliver(self, message: Message) -> None:
        try:
            self.assoc.dimse.receive_primitive(message.primitive())
        except Exception as error:  # noqa: BLE001  as above
            _log.warning("%s sent what is no message (%s)", self._peer_name, type(error).__name__)
            self.event_queue.put("Evt19")
            self._act_next()


class OwnedAssociation(LibraryAssociation):
    """An association of either side that belongs to the thread which runs it."""

    certificate: PeerCertificate | None = None
    """What the other side has shown, on an association that it asked for in TLS."""

    def __init__(self, entity: AE, mode: str, longest_data: int) -> None:
        super().__init__(entity, mode)
        self.upper_layer = self.dul = UpperLayer(self, longest_data)
        self.dimse = Messages(self)
        self.acse_timeout = entity.acse_timeout  # of the layer that is there now

    # The library parks its reactor with this flag, and there is none.
    @property
    def _is_paused(self) -> bool:
        return True

    @_is_paused.setter
    def _is_paused(self, _value: bool) -> None:
        return

    def close(self) -> None:
        """Close the connection, if that did not happen: the library leaves that to its threads, or to nobody."""
        self.upper_layer.line._shutdown_socket()

    def _has_ended(self) -> bool:
        return self.upper_layer.to_user_queue.qsize() > 0

    def _give_way(self) -> None:
        """Called before a release is agreed to."""

    def _follow_end(self) -> None:
        """Agree to a release, or take note of an abort, that came while nothing was asked (PS3.8 7.2 and 7.3)."""
        if not self.is_established:
            return
        if self.acse.is_release_requested():
            self._give_way()
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.kill()
        elif self.acse.is_aborted() or not self.upper_layer.is_open:
            self.is_aborted = True
            self.kill()
