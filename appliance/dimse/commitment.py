"""Storage commitment, push model (PS3.4 Annex J): asking by N-ACTION, hearing by N-EVENT-REPORT."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import decode
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from appliance.config.schema import Destination
from appliance.dimse.association import Association, Context, encoded_for
from appliance.dimse.certificate import PeerCertificate
from appliance.dimse.status import REPORT_NOT_TAKEN, REPORT_TAKEN, ActionVerdict, action_verdict
from appliance.dimse.upper_layer import OwnedAssociation

_log = logging.getLogger(__name__)

COMMITMENT_CONTEXT = Context(str(StorageCommitmentPushModel))

_REQUEST_COMMITMENT = 1  # Action Type ID (PS3.4 J.3.2)
ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""Event Type ID (PS3.4 J.3.3)."""
MOST_ASKED = 500
"""The most objects of one request."""
HOLD_SECONDS = 3.0
"""How long the association that asked stays open for a report. Some archives report only there; the others find theirs
free again soon."""
AFTER_RESTART_SECONDS = 10.0
"""How long a report is still awaited after the box restarted: it may have found nobody listening."""
_UNEXPLAINED = 0x0110  # Failure Reason (PS3.3 C.14.1.1) of an item that has none: processing failure
_FAILED_SEQUENCE = b"\x08\x00\x98\x11"  # (0008,1198), little endian
MAX_REFERENCES = 10_000
"""The most objects that a report may name; a request never has as many (listener.MAX_MESSAGE_BYTES)."""
_UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 9.1; it is logged, whoever sent it
_ITEM = b"\xfe\xff\x00\xe0"  # (FFFE,E000), little endian
# Reports come on several associations; the objects that one becomes are a hundred times its bytes.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Reference:
    """One object: its class and its instance."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What an archive reported. `failed` maps a SOP Instance UID to its Failure Reason (0008,1197).

    Who says so: `asked` is the name of the destination to which we opened the association ourselves, which has proven
    who it is; None on an association of the reporter's own, where `calling_ae` is what it calls itself and
    `certificate` what it has shown, None without TLS.
    """

    calling_ae: str
    transaction_uid: str
    committed: frozenset[str]
    failed: dict[str, int] = field(default_factory=dict)
    asked: str | None = None
    certificate: PeerCertificate | None = None


OnReport = Callable[[CommitmentReport], bool]
"""Called for each report, from a thread of its own; true when its result is durable (or was before)."""


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
    if not _UID.fullmatch(transaction_uid):
        raise ValueError("the report has no Transaction UID")
    good = information.get("ReferencedSOPSequence") or []
    bad = information.get("FailedSOPSequence") or []
    if len(good) + len(bad) > MAX_REFERENCES:
        raise ValueError(f"the report has {len(good) + len(bad)} references")
    failed = {
        str(item.get("ReferencedSOPInstanceUID") or ""): int(item.get("FailureReason") or _UNEXPLAINED) for item in bad
    }
    committed = {str(item.get("ReferencedSOPInstanceUID") or "") for item in good}
    return CommitmentReport(calling_ae, transaction_uid, frozenset(committed - failed.keys() - {""}), failed)


def report_handlers(on_report: OnReport) -> list[tuple[Any, Callable[[Any], Any]]]:
    """Handlers that hear reports on an association, the one that asked or one that the archive opened."""

    def hear(event: evt.Event) -> tuple[int, None]:
        association, request = event.assoc, event.request
        assert isinstance(request, N_EVENT_REPORT)
        peer = association.acceptor if association.is_requestor else association.requestor
        try:
            with _one_at_a_time:
                information = _information_in(request.EventInformation, event.context.transfer_syntax)
                said = report_from(information, peer.ae_title.strip())
        except Exception as error:  # noqa: BLE001  a stranger's bytes; the sender hears that it failed
            _log.warning("a commitment report of %s cannot be read (%s)", peer.ae_title, type(error).__name__)
            return REPORT_NOT_TAKEN, None
        if isinstance(association, Association):
            asked = association.peer
            report = replace(said, asked=asked.name if isinstance(asked, Destination) else asked.ae_title)
        else:
            assert isinstance(association, OwnedAssociation)
            report = replace(said, certificate=association.certificate)
        return (REPORT_TAKEN if on_report(report) else REPORT_NOT_TAKEN), None

    return [(evt.EVT_DIMSE_RECV, _complete_event_type), (evt.EVT_N_EVENT_REPORT, hear)]


def _information_in(encoded: BytesIO | None, syntax: UID) -> Dataset:
    """The data set of a report. ValueError when it has more items than a report may have, or is deflated."""
    data = encoded.getvalue() if encoded is not None else b""
    # Before they become objects. Deflated, a few bytes could become any number of them.
    if data.count(_ITEM) > MAX_REFERENCES or syntax.is_deflated:
        raise ValueError("the report has too many items, or is deflated")
    return decode(BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian)


def _complete_event_type(event: evt.Event) -> None:
    """Give a report without Event Type ID one: the library would leave it unanswered. Its two sequences tell which."""
    message = event.message
    if not isinstance(message, N_EVENT_REPORT_RQ) or message.command_set.get("EventTypeID") is not None:
        return
    has_failures = message.data_set is not None and _FAILED_SEQUENCE in message.data_set.getvalue()
    message.command_set.EventTypeID = FAILURES_EXIST if has_failures else ALL_COMMITTED
