"""Storage commitment, push model (PS3.4 Annex J): asking by N-ACTION, hearing by N-EVENT-REPORT."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.dsutils import decode
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from appliance.base.errors import ApplianceError
from appliance.config.schema import Listener
from appliance.dimse.association import MAX_PDU_BYTES, Association, Context, encoded_for, set_up_connection
from appliance.dimse.status import ActionVerdict, action_verdict

_log = logging.getLogger(__name__)

COMMITMENT_CONTEXT = Context(str(StorageCommitmentPushModel))

_REQUEST_COMMITMENT = 1  # Action Type ID (PS3.4 J.3.2)
_ALL_COMMITTED, _FAILURES_EXIST = 1, 2  # Event Type ID (PS3.4 J.3.3)
_SUCCESS, _PROCESSING_FAILURE = 0x0000, 0x0110
_STALL_SECONDS = 30.0
_MOST_ASSOCIATIONS = 16
MAX_REFERENCES = 100_000


@dataclass(frozen=True, slots=True)
class Reference:
    """One object: its class and its instance."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What an archive reported. `failed` maps a SOP Instance UID to its Failure Reason (0008,1197)."""

    calling_ae: str
    transaction_uid: str
    committed: frozenset[str]
    failed: dict[str, int] = field(default_factory=dict)


OnReport = Callable[[CommitmentReport], bool]
"""Called for each report, from a thread of its own; true when its result is durable (or was before)."""


class CannotListen(ApplianceError):
    """The listener's port cannot be bound."""


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """The archive's answer to a request."""

    code: int
    verdict: ActionVerdict
    said: str


def request_commitment(association: Association, transaction_uid: str, references: Sequence[Reference]) -> ActionAnswer:
    """Send N-ACTION for `references` under `transaction_uid`, which must be durable before: the report may overtake
    the answer. NoAcceptedContext; AssociationAborted, after which the archive may or may not have the request.
    """
    context = association.context_for(str(StorageCommitmentPushModel))
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_reference_item(reference) for reference in references]
    request = N_ACTION()
    request.MessageID = association.next_message_id()
    request.RequestedSOPClassUID = StorageCommitmentPushModel
    request.RequestedSOPInstanceUID = UID(StorageCommitmentPushModelInstance)
    request.ActionTypeID = _REQUEST_COMMITMENT
    request.ActionInformation = encoded_for(context, information)
    answer = association.exchange(request, context)
    code = int(answer.Status or 0)
    verdict, words = action_verdict(code)
    comment = str(getattr(answer, "ErrorComment", None) or "").strip()
    return ActionAnswer(code, verdict, f"{words}: {comment}" if comment and code else words)


def _reference_item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def report_from(information: Dataset, calling_ae: str) -> CommitmentReport:
    """The report in an event's information. The two sequences count, not the Event Type ID, which some leave out.

    An object that is in both is failed. ValueError without a Transaction UID or with too many references.
    """
    transaction_uid = str(information.get("TransactionUID") or "")
    if not transaction_uid:
        raise ValueError("the report has no Transaction UID")
    good = information.get("ReferencedSOPSequence") or []
    bad = information.get("FailedSOPSequence") or []
    if len(good) + len(bad) > MAX_REFERENCES:
        raise ValueError(f"the report has {len(good) + len(bad)} references")
    failed = {
        str(item.get("ReferencedSOPInstanceUID") or ""): int(item.get("FailureReason") or _PROCESSING_FAILURE)
        for item in bad
    }
    committed = {str(item.get("ReferencedSOPInstanceUID") or "") for item in good}
    return CommitmentReport(calling_ae, transaction_uid, frozenset(committed - failed.keys() - {""}), failed)


def report_handlers(on_report: OnReport) -> list[tuple[Any, Callable[[Any], Any]]]:
    """Handlers that hear reports on an association, the one that asked or one that the archive opened."""

    def hear(event: evt.Event) -> tuple[int, None]:
        peer = event.assoc.acceptor if event.assoc.is_requestor else event.assoc.requestor
        try:
            report = report_from(event.event_information, peer.ae_title.strip())
        except Exception as error:  # noqa: BLE001  a stranger's bytes; the sender hears that it failed
            _log.warning("a commitment report of %s cannot be read (%s)", peer.ae_title, type(error).__name__)
            return _PROCESSING_FAILURE, None
        return (_SUCCESS if on_report(report) else _PROCESSING_FAILURE), None

    return [(evt.EVT_DIMSE_RECV, _complete_event_type), (evt.EVT_N_EVENT_REPORT, hear)]


def _complete_event_type(event: evt.Event) -> None:
    """Give a report without Event Type ID the one that its content says; the library would leave it unanswered."""
    message = event.message
    if not isinstance(message, N_EVENT_REPORT_RQ) or message.command_set.get("EventTypeID") is not None:
        return
    context = event.assoc._accepted_cx.get(message.context_id or 0)
    if context is None or message.data_set is None:
        return
    syntax = context.transfer_syntax[0]
    data = decode(BytesIO(message.data_set.getvalue()), syntax.is_implicit_VR, syntax.is_little_endian)
    message.command_set.EventTypeID = _FAILURES_EXIST if data.get("FailedSOPSequence") else _ALL_COMMITTED


class CommitmentListener:
    """Where archives report on associations of their own, and where anyone may verify that we are here."""

    def __init__(self, listener: Listener, ae_title: str, on_report: OnReport) -> None:
        """Listen from now on. CannotListen when the port is taken or the host is not ours."""
        if listener.port is None:
            raise CannotListen("The listener has no port.", "Configure listener.port.")
        entity = AE(ae_title=ae_title)
        entity.acse_timeout = _STALL_SECONDS
        entity.dimse_timeout = _STALL_SECONDS
        entity.network_timeout = 2 * _STALL_SECONDS
        entity.maximum_associations = _MOST_ASSOCIATIONS
        entity.maximum_pdu_size = MAX_PDU_BYTES
        entity.add_supported_context(Verification)
        # The archive asks for the association and is SCP of the commitment: role selection (PS3.4 J.3.3).
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers: list[Any] = [(evt.EVT_CONN_OPEN, _set_up_accepted), *report_handlers(on_report)]
        try:
            self._server = entity.start_server((listener.host, listener.port), block=False, evt_handlers=handlers)
        except OSError as error:
            raise CannotListen(
                f"Cannot listen for commitment reports on {listener.host}:{listener.port} ({error.strerror}).",
                "Check the configured listener; another process may have the port.",
            ) from error

    def stop(self) -> None:
        """Stop listening and end what is open."""
        assert self._server is not None
        self._server.shutdown()


def _set_up_accepted(event: evt.Event) -> None:
    wrapped = event.assoc.dul.socket
    assert wrapped is not None and wrapped.socket is not None
    set_up_connection(wrapped.socket, _STALL_SECONDS)
