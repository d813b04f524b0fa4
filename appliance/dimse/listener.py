"""Where archives report on associations of their own, and where anyone may verify that the box is there.

Whoever asks for another AE title than the box's is refused, whatever he wants (PS3.8 9.3.4): he means somebody else.

Anyone may connect, so everything is bounded: how many are connected and how many of them have an association, how long
a PDU and a message may be, and how long it may take until there is an association, and until the next whole message.
When all places are taken, the connection that has been there longest without an association makes room. Each has one
thread, which waits in the kernel; whoever is overdue is cut off from outside.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AddressInformation, AssociationServer

from appliance.base.errors import ApplianceError
from appliance.base.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.config.schema import Listener
from appliance.dimse.association import MAX_PDU_BYTES, Caller
from appliance.dimse.certificate import PeerCertificate
from appliance.dimse.commitment import COMMITMENT_CONTEXT, OnReport, report_handlers
from appliance.dimse.echo import VERIFICATION_CONTEXT
from appliance.dimse.line import Line
from appliance.dimse.tls import Identity
from appliance.dimse.tls_reason import TlsError, refusal_of_caller
from appliance.dimse.upper_layer import OwnedAssociation
from appliance.dimse.visits import MOST_CONNECTIONS, TurnedAway, Visit, Visits

_log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest message that is taken: a report of MAX_REFERENCES objects is half of that."""
STALL_SECONDS = 30.0
"""Within this an association must stand, and something move."""
MESSAGE_STALLS = 4
"""Within so many times this a message must be complete."""
# Never deflated: a few bytes could become any number of them.
LISTENER_CONTEXTS = (VERIFICATION_CONTEXT, COMMITMENT_CONTEXT)
# A-ASSOCIATE-RJ (PS3.8 9.3.4): result, source, reason.
LIMIT_EXCEEDED = (0x02, 0x03, 0x02)  # transient, the presentation service, local limit exceeded
OTHER_TITLE = (0x01, 0x01, 0x07)  # permanent, the service user, called AE title not recognized
OTHER_VERSION = (0x01, 0x02, 0x02)  # permanent, ACSE, protocol version not supported: the state machine's own (AE-6)
# Who reads no answers shall not have many of them wait for him.
_SEND_BUFFER_BYTES = 16_384
_LOOK_SECONDS = 0.5
_END_SECONDS = 5.0


class CannotListen(ApplianceError):
    """The listener's port cannot be bound."""


class WrongTitle(ApplianceError):
    """Somebody called the box by another AE title."""


OnRefused = Callable[[str, ApplianceError], None]
"""Told the address of whoever was refused by TLS, or since he called somebody else, and why."""


class _Accepted(OwnedAssociation):
    """An association that somebody asked us for."""

    def __init__(self, server: _Server, visit: Visit, certificate: PeerCertificate | None) -> None:
        super().__init__(server.ae, "acceptor", MAX_MESSAGE_BYTES)
        self.certificate = certificate
        self.set_socket(Line(self, server.stall_seconds, connection=visit.connection))
        # What the library's own request handler sets, which knows only the library's association.
        self.acceptor.maximum_length = MAX_PDU_BYTES
        self.acceptor.ae_title = server.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(server.server_address)
        self.acceptor.implementation_class_uid = server.ae.implementation_class_uid
        self.acceptor.implementation_version_name = server.ae.implementation_version_name
        self.acceptor.supported_contexts = deepcopy(server.contexts)
        self.requestor.address_info = AddressInformation.from_tuple(visit.connection.getpeername())
        for event, handler in server.report_handlers:
            self.bind(event, handler)
        # Who hears that he is released may come back at once, and finds the place that was his.
        self._end_association: Callable[[], None] = lambda: server.visits.end_association(visit)

    def _give_way(self) -> None:
        self._end_association()

    def serve(
        self, address: str, may_associate: Callable[[], bool], seconds: float, on_message: Callable[[], None]
    ) -> None:
        """From the request to the end, which comes when nothing moves for `seconds`. `on_message` hears of each one.

        WrongTitle when the request was for somebody else, and was refused.
        """
        self.bind(evt.EVT_DIMSE_RECV, lambda _event: on_message())
        self.upper_layer.start()
        try:
            # Sta13: it was no request, and was answered by an abort (PS3.8 9.2.3, AA-1).
            self.upper_layer.run_until(lambda: self._has_ended() or self._state == "Sta13", seconds)
            request = self.upper_layer.receive_pdu()
            if not isinstance(request, A_ASSOCIATE):
                return
            self.requestor.primitive = request
            own, called = self.acceptor.ae_title, request.called_ae_title.strip()
            if called != own:
                self.acse.send_reject(*OTHER_TITLE)
                raise WrongTitle(
                    f"{request.calling_ae_title.strip()} at {address} was refused: it calls the box {called}, "
                    f"and the box's AE title is {own}.",
                    f"If that is an archive whose reports are awaited, let its administrator call the box {own}.",
                )
            if not may_associate():
                self.acse.send_reject(*LIMIT_EXCEEDED)
                return
            self.acse.negotiate_association()
            messages = self.dimse.msg_queue
            while self.is_established:
                on_message()
                if not self.upper_layer.run_until(lambda: messages.qsize() > 0 or self._has_ended(), seconds):
                    return
                if messages.qsize():
                    context_id, message = messages.get_nowait()
                    if message is not None:
                        self._serve_request(message, context_id or 0)
                self._follow_end()
        finally:
            if self.is_established:
                self.abort()
            self.kill()

    @property
    def _state(self) -> str:
        return self.upper_layer.state_machine.current_state


class _Server(AssociationServer):
    """One port. Everything that takes time happens in the thread of each visit."""

    request_queue_size = MOST_CONNECTIONS

    def __init__(
        self,
        entity: AE,
        address: tuple[str, int],
        *,
        visits: Visits,
        identity: Identity | None,
        handlers: list[tuple[Any, Callable[[Any], Any]]],
        on_refused: OnRefused,
        stall_seconds: float,
    ) -> None:
        super().__init__(entity, address, entity.ae_title, entity.supported_contexts)
        self.visits = visits
        self.report_handlers = handlers
        self._identity = identity
        self._on_refused = on_refused
        self.stall_seconds = stall_seconds
        self._turned_away = TurnedAway()
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self.serve_forever, name="listener", daemon=True)
        self._thread.start()

    def serve_forever(self, poll_interval: float = _LOOK_SECONDS) -> None:
        """Until `stop`. While nobody is here, nothing at all is done."""
        assert self.socket is not None
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        poll.register(self._stopped, select.POLLIN)
        while True:
            ready = poll.poll(None if self.visits.is_nobody_here() else 1000 * poll_interval)
            if any(descriptor == self._stopped.fileno() for descriptor, _ in ready):
                return
            if ready:
                self._handle_request_noblock()  # type: ignore[attr-defined]
            self.visits.end_overdue()
            self._turned_away.tell(time.monotonic())

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, as it comes: a handshake here would keep all others waiting."""
        assert self.socket is not None
        try:
            connection, address = self.socket.accept()
        except OSError:
            time.sleep(_LOOK_SECONDS)  # no descriptor is to be had: it still waits, and would be asked for without end
            raise
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let the connection in, with a thread of its own, or close it."""
        visit = Visit(request, str(client_address[0]), time.monotonic() + self.stall_seconds)
        if not self.visits.may_enter(visit):
            self._turned_away.add(visit.address)
            self.shutdown_request(request)
            return
        visit.thread = threading.Thread(target=self._receive, args=(visit,), name="listener-visit", daemon=True)
        visit.thread.start()

    def _receive(self, visit: Visit) -> None:
        try:
            visit.connection.settimeout(self.stall_seconds)
            visit.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            association = _Accepted(self, visit, self._encrypt(visit))

            def stay() -> None:
                visit.overdue_at = time.monotonic() + MESSAGE_STALLS * self.stall_seconds

            association.serve(visit.address, lambda: self.visits.may_associate(visit), self.stall_seconds, stay)
        except TlsError as error:
            why = error.sentence.rstrip(".")  # a whole sentence where the box's own files are at fault
            said = f"{visit.address} was refused at the listener's TLS port: {why}."
            self._on_refused(visit.address, TlsError(said, error.suggestion))
        except WrongTitle as error:
            self._on_refused(visit.address, error)
        except Exception as error:  # noqa: BLE001  from a stranger's bytes; nobody else is to suffer
            _log.info("a connection from %s ends: %s", visit.address, type(error).__name__)
        finally:
            self.visits.leave(visit)
            visit.cut_off()
            visit.connection.close()

    def _encrypt(self, visit: Visit) -> PeerCertificate | None:
        """The handshake, if this is the TLS port, and whose certificate it brought. TlsError when it fails."""
        if self._identity is None:
            return None
        try:
            connection = self._identity.server_context().wrap_socket(
                visit.connection, server_side=True, do_handshake_on_connect=False
            )
            visit.connection = connection
            connection.do_handshake()
        except OSError as error:
            raise refusal_of_caller(error) from error
        return self._identity.accepted_certificate(connection)

    def stop(self) -> None:
        """Accept nothing more."""
        self._stop.close()
        self._thread.join(_END_SECONDS)
        self._stopped.close()
        self.server_close()


class CommitmentListener:
    """The configured ports, plain and TLS, either or both."""

    def __init__(
        self,
        listener: Listener,
        caller: Caller,
        on_report: OnReport,
        *,
        on_refused: OnRefused | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        """Listen from now on, as who we call others. A connection on which nothing moves for `stall_seconds` is ended.

        CannotListen when a port is taken, the host is not ours, or the TLS port has no identity.
        """
        entity = AE(ae_title=caller.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.acse_timeout = stall_seconds
        entity.dimse_timeout = stall_seconds
        entity.maximum_pdu_size = MAX_PDU_BYTES
        for context in LISTENER_CONTEXTS:
            # An archive asks for the association and is SCP of the commitment: role selection (PS3.4 J.3.3).
            may_choose = context == COMMITMENT_CONTEXT or None
            syntaxes = list(context.transfer_syntaxes)
            entity.add_supported_context(context.abstract_syntax, syntaxes, scu_role=may_choose, scp_role=may_choose)
        self._visits = Visits()
        self._servers: list[_Server] = []
        if listener.tls_port and caller.identity is None:
            raise CannotListen("The listener's TLS port needs the box's certificate.", "Configure [tls].")
        for port, own in ((listener.port, None), (listener.tls_port, caller.identity)):
            if port is None:
                continue
            try:
                self._servers.append(
                    _Server(
                        entity,
                        (listener.host, port),
                        visits=self._visits,
                        identity=own,
                        handlers=[*report_handlers(on_report)],
                        on_refused=on_refused or (lambda _address, error: _log.warning("%s", error)),
                        stall_seconds=stall_seconds,
                    )
                )
            except OSError as error:
                self.stop()
                raise CannotListen(
                    f"Cannot listen for commitment reports on {listener.host}:{port} ({error.strerror}).",
                    "Check the configured listener; another process may have the port.",
                ) from error

    def stop(self) -> None:
        """Stop listening and end what is open."""
        for server in self._servers:
            server.stop()
        self._visits.end()
