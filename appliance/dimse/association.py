"""One association with a peer: opened within a deadline, always released or aborted, every failure a sentence.

An association belongs to the thread that opened it, and has none of its own: while that thread waits for an answer,
or calls `attend`, what the peer sends is read and answered; otherwise it waits in the kernel. pynetdicom negotiates and
speaks DIMSE; `line`, `upper_layer` and `transmit` say what is done differently here, and why. None of its modules is
changed.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

import pydicom.config
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.dimse_primitives import C_ECHO, N_ACTION, N_CREATE, N_SET
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation

from appliance.base.errors import ApplianceError
from appliance.base.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.config.schema import Peer
from appliance.dimse.line import Line
from appliance.dimse.status import AnswerIsNo, rejection_words
from appliance.dimse.tls import Identity, context_for, name_of
from appliance.dimse.tls_reason import TlsError, refusal_of
from appliance.dimse.transmit import MAX_DATA_BYTES, Fragments, Source
from appliance.dimse.uid_names import uid_name_of
from appliance.dimse.upper_layer import OwnedAssociation

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
SHORTEST_PDU_BYTES = 128
_LONGEST_ANSWER_SECONDS = 30.0

Message = TypeVar("Message", C_ECHO, N_ACTION, N_CREATE, N_SET)


class PeerUnreachable(ApplianceError):
    """No TCP connection, or no answer to the association request in time."""


class AssociationRefused(ApplianceError):
    """The peer rejected the association, for a reason of PS3.8 9.3.4."""


class AssociationAborted(ApplianceError):
    """The association ended before the answer came: an abort, a lost connection, or a deadline."""


class NoAcceptedContext(AnswerIsNo):
    """The peer does not accept what was to be said: the SOP class, or its transfer syntax."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opens associations: the box's AE title, and its identity for peers that want TLS."""

    ae_title: str
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its status, its Error Comment (0000,0902), and the bytes of its data set."""

    status: int
    comment: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context to propose: what about, and in which of these transfer syntaxes."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = UNCOMPRESSED


class Association(OwnedAssociation):
    """An association that we requested."""

    def __init__(self, ae: AE, peer: Peer, remote: AddressInformation) -> None:
        super().__init__(ae, "requestor", MAX_DATA_BYTES)
        self.peer = peer
        local = AddressInformation.from_tuple(("", 0) if remote.is_ipv4 else ("::0", 0))
        self.line = Line(self, peer.answer_seconds, address=local)
        self.set_socket(self.line)
        self.acceptor.ae_title = peer.ae_title
        self.acceptor.address_info = remote
        self.requestor.address_info = local
        self.requestor.ae_title = ae.ae_title
        self.requestor.maximum_length = MAX_PDU_BYTES
        self.requestor.implementation_class_uid = ae.implementation_class_uid
        self.requestor.implementation_version_name = ae.implementation_version_name
        self._message_id = 0
        self._fragments: Fragments | None = None

    def keep_proposed(self) -> None:
        """Drop accepted contexts whose transfer syntax we did not propose; the library takes what it is told."""
        proposed = {one.context_id: one.transfer_syntax for one in self.requestor.requested_contexts}
        self._accepted_cx = {
            number: one for number, one in self._accepted_cx.items() if one.transfer_syntax[0] in proposed[number]
        }

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
            f"{self.peer.ae_title} does not accept {uid_name_of(abstract_syntax)}"
            + (f" in {uid_name_of(transfer_syntax)}." if transfer_syntax else "."),
            "Ask its administrator to allow it for this box.",
        )

    def attend(self, seconds: float) -> bool:
        """Read and answer what the peer sends, for `seconds` at least; whether the association is still there."""
        end = time.monotonic() + seconds
        while self.is_established:
            left = max(0.0, end - time.monotonic())
            self.upper_layer.run_until(self._has_ended, left)
            self._follow_end()
            if left == 0:
                break
        return self.is_established

    def exchange(self, request: Message, context: PresentationContext) -> Message:
        """Send `request`, receive its response, of the same type and with a status. AssociationAborted otherwise."""
        assert context.context_id is not None
        self._check_established()
        self.dimse.send_msg(request, context.context_id)
        messages = self.dimse.msg_queue
        self._await(lambda: messages.qsize() > 0, self.peer.answer_seconds)
        _context_id, response = messages.get_nowait()
        if response is None:
            raise self._abort_for_end()
        if not isinstance(response, type(request)) or response.Status is None:
            raise self._abort_for_nonsense()
        return response

    def say(self, context: PresentationContext, message_id: int, command: bytes, source: Source | None = None) -> None:
        """Write a request of `transmit`, its data set straight from `source`; `hear` then gives its responses.

        Returns when the last byte was handed to the kernel. AssociationAborted; and what the source raises, after which
        the association is over too, since half a message has left.
        """
        self._check_established()
        assert context.context_id is not None
        if self._fragments is None:
            # 0 means that the peer sets no limit (PS3.8 D.1); one PDU of a whole object would be in memory whole.
            self._fragments = Fragments(min(self.dimse.maximum_pdu_size or MAX_PDU_BYTES, MAX_PDU_BYTES))
        layer = self.upper_layer
        if layer.awaited != message_id:
            layer.awaited = message_id
            layer.answers.clear()
        blocks = self._fragments.blocks(context.context_id, command, source)
        while True:
            try:
                block = next(blocks, None)
            except BaseException:
                self.abort()
                raise
            if block is None:
                return
            try:
                self.line.write(block, layer.take_notice)
            except TimeoutError as error:
                self.abort()
                raise AssociationAborted(
                    f"{self.peer.ae_title} took nothing for {self.peer.answer_seconds:g} seconds.",
                    "It is tried again later.",
                ) from error
            except OSError as error:
                raise self._abort_for_end() from error

    def hear(self, field: int, seconds: float | None = None) -> Reply:
        """The next response to what was said last, of Command Field `field` and with a status.

        The deadline, `answer_seconds` if not given, begins when what was said has reached the peer's side.
        AssociationAborted when it passes, or when something comes that is no such response.
        """
        answers = self.upper_layer.answers
        if not answers:
            self._await(lambda: len(answers) > 0, self.peer.answer_seconds if seconds is None else seconds)
        answer = answers.popleft()
        status = answer.status
        if answer.field != field or status is None:
            raise self._abort_for_nonsense()
        return Reply(status, answer.comment, answer.data)

    def release(self) -> None:
        self.attend(0)
        super().release()

    def _await(self, is_there: Callable[[], bool], seconds: float) -> None:
        if self.upper_layer.run_until(lambda: is_there() or self._has_ended(), seconds) and is_there():
            return
        if self._has_ended() or not self.upper_layer.is_open:
            raise self._abort_for_end()
        self.abort()
        raise AssociationAborted(
            f"{self.peer.ae_title} did not answer within {seconds:g} seconds.", "It is asked again later."
        )

    def _check_established(self) -> None:
        if not self.attend(0):
            raise self._abort_for_end()

    def _abort_for_end(self) -> AssociationAborted:
        self._follow_end()
        if self.is_established:
            self.abort()
        return AssociationAborted(
            f"{self.peer.ae_title} ended the association, or the connection was lost.", "It is tried again later."
        )

    def _abort_for_nonsense(self) -> AssociationAborted:
        self.abort()
        return AssociationAborted(
            f"{self.peer.ae_title} answered with something that is no response to what was asked."
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
    """An association with `peer`, released at the end of the block; aborted when the block raises, but not AnswerIsNo:
    an archive may undo what it was given on an association that is aborted.

    Connecting takes at most `connect_seconds`, the association `associate_seconds_of(peer)`, each answer at most
    `answer_seconds`; a connection on which nothing moves for `answer_seconds` is lost. `handlers` are pynetdicom's
    event handlers, for reports on this association. Raises PeerUnreachable, TlsError, AssociationRefused,
    AssociationAborted; NoAcceptedContext if the peer accepted none of `contexts`.
    """
    if not 0 < len(contexts) <= _MAX_CONTEXTS:
        raise ValueError(f"{len(contexts)} presentation contexts: at least one and at most {_MAX_CONTEXTS} fit")
    association = _request(peer, caller, contexts, handlers)
    try:
        yield association
        association.release()
    except AnswerIsNo:
        association.release()
        raise
    finally:
        if association.upper_layer.is_alive():
            association.abort()
        association.close()


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
    tls_context = context_for(peer, caller.identity)
    try:
        association = Association(entity, peer, remote)
    except OSError as error:
        # No socket is to be had: every descriptor of the process is in use, or memory is short.
        raise PeerUnreachable(
            f"The box cannot open a connection to {peer.ae_title}: {error.strerror}.", "It is tried again later."
        ) from error
    proposed = [build_context(one.abstract_syntax, list(one.transfer_syntaxes)) for one in contexts]
    for number, context in enumerate(proposed):
        context.context_id = 2 * number + 1
    association.requestor.requested_contexts = proposed
    for event, handler in handlers:
        association.bind(event, handler)
    if tls_context is not None:
        association.line.tls_args = (tls_context, name_of(peer))
    try:
        association.request()
    except Exception as error:  # noqa: BLE001  an answer that breaks the library's negotiation in any way
        _log.warning("%s answered nonsense to the association request (%s)", peer.ae_title, type(error).__name__)
        association.abort()
    if association.is_established:
        return _usable(association)
    association.close()
    raise _failure_of(association)


def _entity(caller: Caller, peer: Peer) -> AE:
    entity = AE(ae_title=caller.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = peer.connect_seconds
    entity.acse_timeout = associate_seconds_of(peer)
    return entity


def _usable(association: Association) -> Association:
    association.keep_proposed()
    longest = association.acceptor.maximum_length or MAX_PDU_BYTES
    if longest < SHORTEST_PDU_BYTES:
        association.abort()
        raise AssociationRefused(
            f"{association.peer.ae_title} takes PDUs of {longest} bytes only, into which no message fits.",
            "Its administrator can configure its maximum PDU length.",
        )
    return association


def associate_seconds_of(peer: Peer) -> float:
    """How long the answer to a request for an association, or for its release, is waited for (ARTIM, PS3.8 9.1.5)."""
    return min(peer.answer_seconds, _LONGEST_ANSWER_SECONDS)


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
    line = association.line
    refused = refusal_of(name, line.line_error or line.connect_error, line.has_connected) if peer.tls else None
    if refused is not None:
        return refused
    if not line.has_connected:
        return _unreachable(peer, line.connect_error)
    if association.upper_layer.is_answered_in_tls:
        return TlsError(f"{name} speaks TLS on this port.", "Configure tls = true for it, or its plain port.")
    if association.is_rejected:
        answer = association.acceptor.primitive
        assert isinstance(answer, A_ASSOCIATE)
        words = rejection_words(answer.result_source or 0, answer.diagnostic or 0)
        lasting = "for now" if answer.result == 2 else "permanently, in its own word"
        return AssociationRefused(
            f"{name} refused the association {lasting}: {words}.",
            "Compare the AE titles that are configured here and there." if answer.result_source == 1 else "",
        )
    if association.rejected_contexts and not association.accepted_contexts:
        return NoAcceptedContext(
            f"{name} takes the association, but nothing that was to be said on it.",
            "Ask its administrator to allow what the box is configured for; `appliance test NAME` lists each service.",
        )
    perhaps = "" if peer.tls else " If this lasts, ask whether that port wants TLS."
    return AssociationAborted(f"{name} did not complete the association.", f"It is tried again later.{perhaps}")
