"""One association with a peer: opened within a deadline, always released or aborted, every failure a sentence.

pynetdicom negotiates and speaks DIMSE. Its requestor's association is subclassed here for three of its properties
(3.0.4): its reactor thread can take a response that a sender waits for; it queues a whole object in memory before the
first byte leaves; and its sockets have no timeout. None of its modules is changed.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

import pydicom.config
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association as LibraryAssociation
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_ACTION, N_CREATE, N_SET
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation, AssociationSocket

from appliance.base.errors import ApplianceError
from appliance.base.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.config.schema import Peer
from appliance.dimse.status import rejection_words

if TYPE_CHECKING:
    from appliance.dimse.tls import Identity

_log = logging.getLogger(__name__)

# The library's settings are global to the process. Identifiers hold patients, and its PDU printers cost half a core.
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
# A peer's value that breaks its VR is taken as it is; a warning would print the value, which may be a name.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
MAX_PDU_BYTES = 131_072
_MAX_CONTEXTS = 128  # odd numbers of one byte (PS3.8 9.3.2.2)
_QUEUED_PDUS = 16
_REACTOR_SECONDS = 2.0
# What waits in the kernel counts as sent for our deadlines; on a line of 8 kB/s this much takes half a minute.
_SEND_BUFFER_BYTES = 262_144


Message = TypeVar("Message", C_ECHO, C_STORE, N_ACTION, N_CREATE, N_SET)


class PeerUnreachable(ApplianceError):
    """No TCP connection, or no answer to the association request in time."""


class AssociationRefused(ApplianceError):
    """The peer rejected the association, for a reason of PS3.8 9.3.4."""


class AssociationAborted(ApplianceError):
    """The association ended before the answer came: an abort, a lost connection, or a deadline."""


class NoAcceptedContext(ApplianceError):
    """The peer does not accept what was to be said: the SOP class, or its transfer syntax."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opens associations: the box's AE title, and its identity for peers that want TLS."""

    ae_title: str
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context to propose: what about, and in which of these transfer syntaxes."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = UNCOMPRESSED


class _Checkpoint(threading.Event):
    """Where the reactor thread waits while a sender speaks.

    `is_parked` is true only while the reactor cannot leave: it looks at the flag again after every wake-up. The
    library's own event lets it leave between a sender's look and the sender's message, and take the response.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_parked = False

    def wait(self, timeout: float | None = None) -> bool:
        while not self.is_set():
            self.is_parked = True
            super().wait(timeout)
            self.is_parked = False
        return True


class _Connection(AssociationSocket):
    """The library's socket, which remembers why connecting failed: the library prints that into its log only."""

    def _shutdown_socket(self) -> None:
        error = sys.exc_info()[1]
        association = self.assoc
        if isinstance(association, Association) and isinstance(error, OSError) and not association.has_connected:
            association.connect_error = error
        super()._shutdown_socket()


class Association(LibraryAssociation):
    """An association that we requested."""

    def __init__(self, ae: AE, peer: Peer) -> None:
        super().__init__(ae, "requestor")
        self.peer = peer
        self.has_connected = False
        self.connect_error: OSError | None = None
        self._message_id = 0
        checkpoint = _Checkpoint()
        checkpoint.set()
        self._checkpoint = checkpoint
        self._reactor_checkpoint = checkpoint

    # The library sets and reads this flag from several threads; here it says what is true.
    @property
    def _is_paused(self) -> bool:
        return self._kill or self._checkpoint.is_parked

    @_is_paused.setter
    def _is_paused(self, _value: bool) -> None:
        return

    def next_message_id(self) -> int:
        """A fresh Message ID (PS3.7 E.1: two bytes)."""
        self._message_id = self._message_id % 65_535 + 1
        return self._message_id

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> PresentationContext:
        """The accepted context for `abstract_syntax` (and exactly this transfer syntax). NoAcceptedContext if none."""
        for context in self.accepted_contexts:
            if context.abstract_syntax == abstract_syntax and transfer_syntax in (None, context.transfer_syntax[0]):
                return context
        raise NoAcceptedContext(
            f"{self.peer.ae_title} does not accept {abstract_syntax}"
            + (f" in transfer syntax {transfer_syntax}." if transfer_syntax else "."),
            "Ask its administrator to allow it for this box.",
        )

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """While inside, answers are the caller's: the reactor is parked. AssociationAborted when it is over already."""
        self._checkpoint.clear()
        try:
            while not self._is_paused:
                time.sleep(0.0005)
            self._check_established()
            yield
        finally:
            self._checkpoint.set()

    def _send_object(self, request: C_STORE, context: PresentationContext) -> None:
        """Send a C-STORE request whose data set is a file, a bounded number of PDUs ahead of the line.

        Returns when the last PDU was handed to the kernel, so that the wait for the response begins then. The socket's
        own timeout ends an association on which nothing moves; as long as something moves, this waits.
        """
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        assert context.context_id is not None
        # 0 means that the peer sets no limit (PS3.8 D.1); one PDU of a whole object would be in memory whole.
        longest = min(self.dimse.maximum_pdu_size or MAX_PDU_BYTES, MAX_PDU_BYTES)
        for data in message.encode_msg(context.context_id, longest):
            self._wait_until_queued_below(_QUEUED_PDUS)
            self.dul.send_pdu(data)
        self._wait_until_queued_below(1)

    def receive(self, seconds: float) -> Any:
        """The next DIMSE message, within `seconds`. AssociationAborted otherwise; the association is then over."""
        self.dimse_timeout = seconds
        _context_id, message = self.dimse.get_msg(block=True)
        if message is None:
            self._check_established()
            self.abort()
            raise AssociationAborted(
                f"{self.peer.ae_title} did not answer within {seconds:g} seconds.", "It is asked again later."
            )
        return message

    def exchange(self, request: Message, context: PresentationContext) -> Message:
        """Send `request`, receive its response, of the same type and with a status. AssociationAborted otherwise."""
        with self.speaking():
            assert context.context_id is not None
            if isinstance(request, C_STORE) and request._dataset_path is not None:
                self._send_object(request, context)
            else:
                self.dimse.send_msg(request, context.context_id)
            response = self.receive(self.peer.answer_seconds)
        if not isinstance(response, type(request)) or response.Status is None:
            self.abort()
            raise AssociationAborted(
                f"{self.peer.ae_title} answered with something that is no response to what was asked."
            )
        return response

    def _wait_until_queued_below(self, limit: int) -> None:
        while self.dul.to_provider_queue.qsize() >= limit:
            self._check_established()
            time.sleep(0.0005)

    def _check_established(self) -> None:
        # Sta6: association established and ready for data transfer (PS3.8 9.2.1).
        if self.is_established and self.dul.state_machine.current_state == "Sta6":
            return
        raise AssociationAborted(
            f"{self.peer.ae_title} ended the association, or the connection was lost.", "It is tried again later."
        )


def encoded_for(context: PresentationContext, dataset: Dataset) -> BytesIO:
    """`dataset` in the context's transfer syntax. ValueError when it cannot be encoded."""
    syntax = context.transfer_syntax[0]
    encoded = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if encoded is None:
        raise ValueError("a data set of ours cannot be encoded")
    return BytesIO(encoded)


@contextmanager
def open_association(
    peer: Peer,
    caller: Caller,
    contexts: Sequence[Context],
    handlers: Sequence[tuple[Any, Callable[[Any], Any]]] = (),
) -> Iterator[Association]:
    """An association with `peer`, released at the end of the block, aborted when the block raises.

    Connecting takes at most `connect_seconds`, each answer at most `answer_seconds`; a connection on which nothing
    moves for `answer_seconds` is lost. `handlers` are pynetdicom's event handlers, for reports on this association.
    Raises PeerUnreachable, AssociationRefused, NoAcceptedContext (none of `contexts` was accepted), AssociationAborted.
    """
    if not 0 < len(contexts) <= _MAX_CONTEXTS:
        raise ValueError(f"{len(contexts)} presentation contexts: at least one and at most {_MAX_CONTEXTS} fit")
    association = _request(peer, caller, contexts, handlers)
    try:
        yield association
        association.release()
    finally:
        if association.dul.is_alive():
            association.abort()
        association.join(_REACTOR_SECONDS)


def _request(
    peer: Peer, caller: Caller, contexts: Sequence[Context], handlers: Sequence[tuple[Any, Callable[[Any], Any]]]
) -> Association:
    # AE.associate() of the library builds its own class; this is what it does, for ours.
    entity = _entity(caller, peer)
    try:
        remote = AddressInformation.from_addr_port(peer.host, peer.port)
    except OSError as error:
        raise PeerUnreachable(
            f"The address of {peer.ae_title}, {peer.host}, is not known ({error.strerror}).",
            "Check the configured host and the network's name service.",
        ) from error
    local = AddressInformation.from_tuple(("", 0) if remote.is_ipv4 else ("::0", 0))
    association = Association(entity, peer)
    association.set_socket(_Connection(association, address=local))
    association.acceptor.ae_title = peer.ae_title
    association.acceptor.address_info = remote
    association.requestor.address_info = local
    association.requestor.ae_title = caller.ae_title
    association.requestor.maximum_length = MAX_PDU_BYTES
    association.requestor.implementation_class_uid = entity.implementation_class_uid
    association.requestor.implementation_version_name = entity.implementation_version_name
    proposed = []
    for number, wanted in enumerate(contexts):
        context = build_context(wanted.abstract_syntax, list(wanted.transfer_syntaxes))
        context.context_id = 2 * number + 1
        proposed.append(context)
    association.requestor.requested_contexts = proposed
    association.bind(evt.EVT_CONN_OPEN, _set_up_socket)
    for event, handler in handlers:
        association.bind(event, handler)
    association.request()
    if association.is_established:
        association.start()
        return association
    raise _failure_of(association)


def _entity(caller: Caller, peer: Peer) -> AE:
    entity = AE(ae_title=caller.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = peer.connect_seconds
    entity.acse_timeout = min(peer.answer_seconds, 30.0)
    entity.dimse_timeout = peer.answer_seconds
    entity.network_timeout = 2 * peer.answer_seconds
    return entity


def _set_up_socket(event: evt.Event) -> None:
    association = event.assoc
    assert isinstance(association, Association)
    association.has_connected = True
    wrapped = association.dul.socket
    assert wrapped is not None and wrapped.socket is not None
    set_up_connection(wrapped.socket, association.peer.answer_seconds)


def set_up_connection(connection: socket.socket, stall_seconds: float) -> None:
    """Give a connection its deadline (one on which nothing moves for `stall_seconds` is lost), and no Nagle delay."""
    connection.settimeout(stall_seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


def _unreachable(peer: Peer, error: OSError | None) -> PeerUnreachable:
    name = f"{peer.ae_title} at {peer.host}"
    if isinstance(error, ConnectionRefusedError):
        return PeerUnreachable(
            f"{name} refuses connections on port {peer.port}.",
            "The host is there: check that the service runs on it, and the configured port.",
        )
    if error is None or error.errno in (None, errno.ETIMEDOUT):
        return PeerUnreachable(
            f"{name}:{peer.port} does not answer within {peer.connect_seconds:g} seconds.",
            "Check that it is switched on, the network, and the configured host and port.",
        )
    return PeerUnreachable(
        f"{name}:{peer.port} cannot be reached: {os.strerror(error.errno)}.",
        "Check the box's network, and the configured host and port.",
    )


def _failure_of(association: Association) -> ApplianceError:
    peer = association.peer
    name = f"{peer.ae_title} at {peer.host}:{peer.port}"
    if not association.has_connected:
        return _unreachable(peer, association.connect_error)
    if association.is_rejected:
        answer = association.acceptor.primitive
        assert isinstance(answer, A_ASSOCIATE)
        words = rejection_words(answer.result_source or 0, answer.diagnostic or 0)
        lasting = "for now" if answer.result == 2 else "for good"
        return AssociationRefused(
            f"{name} refused the association {lasting}: {words}.",
            "Compare the AE titles that are configured here and there." if answer.result_source == 1 else "",
        )
    if association.rejected_contexts and not association.accepted_contexts:
        return NoAcceptedContext(
            f"{name} accepts none of the {len(association.rejected_contexts)} services that were proposed.",
            "Ask its administrator to allow them for this box.",
        )
    return AssociationAborted(f"{name} did not complete the association.", "It is tried again later.")
