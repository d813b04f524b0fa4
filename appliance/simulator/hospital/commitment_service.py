"""The Storage Commitment SCP's half that is asked (PS3.4 J.3.2); the reporter answers later, on its own association."""

from __future__ import annotations

import logging
from typing import cast

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.events import Event

from appliance.simulator.hospital.commitment_ledger import CommitmentLedger, Reference, Transaction
from appliance.simulator.hospital.commitment_reporter import CommitmentReporter
from appliance.simulator.hospital.sop_classes import COMMITMENT_INSTANCE
from appliance.simulator.hospital.status import status_from_refusal
from appliance.simulator.hospital.step_rules import NO_SUCH_INSTANCE, PROCESSING_FAILURE, Refusal
from appliance.simulator.hospital.uid_names import is_uid

logger = logging.getLogger(__name__)

REQUEST_COMMITMENT = 1
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
RESOURCE_LIMITATION = 0x0213


class CommitmentService:
    """Answers N-ACTION: a request is durable before 0000 is answered."""

    def __init__(self, ledger: CommitmentLedger, reporter: CommitmentReporter) -> None:
        self._ledger = ledger
        self._reporter = reporter

    def answer_action(self, event: Event) -> tuple[Dataset, Dataset | None]:
        """A request that repeats a known transaction word for word is reported on again, any other is refused."""
        information = event.action_information
        information.decode()
        if cast(N_ACTION, event.request).RequestedSOPInstanceUID != COMMITMENT_INSTANCE:
            return _refused(Refusal(NO_SUCH_INSTANCE, "Not the storage commitment instance"))
        if event.action_type != REQUEST_COMMITMENT:
            return _refused(Refusal(NO_SUCH_ACTION, "The only action type is 1"))
        try:
            transaction = transaction_from_information(information)
        except ValueError as error:
            return _refused(Refusal(INVALID_ARGUMENT, str(error)))
        if not self._reporter.may_take():
            return _refused(Refusal(RESOURCE_LIMITATION, "Too many commitments are waiting"))
        known = self._ledger.read(transaction.transaction_uid)
        if known is not None and known.references != transaction.references:
            return _refused(Refusal(PROCESSING_FAILURE, "This transaction UID is in use"))
        self._ledger.write(transaction)
        logger.info("commitment %s: asked for %d objects", transaction.transaction_uid, len(transaction.references))
        if not self._reporter.report_first(transaction.transaction_uid):
            self._reporter.queue(transaction.transaction_uid, event.assoc)
        return status_from_refusal(None), None


def transaction_from_information(information: Dataset) -> Transaction:
    """The transaction of an N-ACTION (PS3.4 Table J.3-1). ValueError says what is missing, in a comment's length."""
    uid = str(information.get("TransactionUID", ""))
    if not is_uid(uid):
        raise ValueError("No valid Transaction UID")
    sequence = information.get(Tag("ReferencedSOPSequence"))
    if sequence is None or not sequence.value:
        raise ValueError("No item in Referenced SOP Sequence")
    references = tuple(
        Reference(str(item.get("ReferencedSOPClassUID", "")), str(item.get("ReferencedSOPInstanceUID", "")))
        for item in sequence.value
    )
    if not all(is_uid(each.sop_class_uid) and is_uid(each.sop_instance_uid) for each in references):
        raise ValueError("A referenced object without valid UIDs")
    return Transaction(uid, references)


def _refused(refusal: Refusal) -> tuple[Dataset, Dataset | None]:
    logger.warning("commitment: refused, %04XH %s", refusal.status, refusal.comment)
    return status_from_refusal(refusal), None
