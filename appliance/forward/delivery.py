"""Bringing objects to one destination: stored, then committed. Each has a worker and a trouble of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.uids import new_uid
from appliance.config.schema import Destination
from appliance.dimse.association import (
    Association,
    AssociationAborted,
    Caller,
    Context,
    NoAcceptedContext,
    open_association,
)
from appliance.dimse.commitment import COMMITMENT_CONTEXT, Reference, report_handlers, request_commitment
from appliance.dimse.echo import VERIFICATION_CONTEXT
from appliance.dimse.status import ActionVerdict, StoreVerdict
from appliance.dimse.store import UnreadableObject, store_object
from appliance.forward.flash import reason_of
from appliance.forward.ledger import DueObject, Ledger, Place
from appliance.forward.reports import ReportDesk
from appliance.forward.states import DeliveryEvent, DeliveryState, backoff_seconds
from appliance.forward.troubles import Troubles
from appliance.forward.worker import LONGEST_SLEEP_SECONDS, Worker
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

# Each class and transfer syntax is a presentation context of its own, and 128 fit into an association.
_BATCH_OBJECTS = 100
_BATCH_REFERENCES = 500
# Some archives report only on the association that asked; the others find theirs free again soon.
_HOLD_SECONDS = 3.0
_HOLD_LOOK_SECONDS = 0.2


class DestinationBusy(ApplianceError):
    """The archive answered that it cannot take objects now."""


class Delivery:
    """The work of one destination."""

    def __init__(
        self,
        destination: Destination,
        caller: Caller,
        *,
        spool: Spool,
        ledger: Ledger,
        troubles: Troubles,
        desk: ReportDesk,
        findings: FindingBoard,
        clock: Clock,
    ) -> None:
        self.destination = destination
        self._caller = caller
        self._spool = spool
        self._ledger = ledger
        self._troubles = troubles
        self._desk = desk
        self._findings = findings
        self._clock = clock
        self._peer = f"destination {destination.name}"
        self.worker = Worker(self._peer, self.work, clock)

    @property
    def trouble(self) -> str:
        """Why nothing arrives there now, in a sentence; empty while all is well."""
        known = self._troubles.of(self._peer)
        return known.sentence if known else ""

    def work(self) -> float:
        """Store and ask for commitment as far as something is due; the seconds until something will be."""
        destination = self.destination
        for transaction_uid in self._ledger.overdue_transactions(destination):
            _log.warning("%s did not report on transaction %s in time", destination.name, transaction_uid)
            self._ledger.end_transaction(
                transaction_uid, DeliveryEvent.REPORT_MISSING, "the archive did not report in time", None
            )
        left = self._troubles.seconds_left(self._peer, destination.retry_longest_seconds)
        if left > 0:
            return left
        due = self._ledger.due_objects(destination, _BATCH_OBJECTS)
        waiting = self._ledger.due_commitments(destination, _BATCH_REFERENCES)
        if not destination.commitment:
            for one in waiting:
                self._record(one, DeliveryEvent.NEEDS_NO_COMMITMENT)
            waiting = []
        if not due and not waiting:
            seconds = self._ledger.seconds_to_next(destination)
            return LONGEST_SLEEP_SECONDS if seconds is None else max(seconds, 0.05)
        try:
            self._visit(due)
        except ApplianceError as error:
            delay = self._troubles.add(
                self._peer, error.sentence, destination.retry_first_seconds, destination.retry_longest_seconds
            )
            self._findings.report(finding_from(error, "destination-trouble", destination.name))
            return delay
        return 0.0

    def _visit(self, due: Sequence[DueObject]) -> None:
        """One association: what is due is sent, and what was stored is asked for."""
        contexts = _contexts_for(due)
        if self.destination.commitment:
            contexts.append(COMMITMENT_CONTEXT)
        if not due:
            # An archive that only does not take commitment must not look like one that takes nothing.
            contexts.append(VERIFICATION_CONTEXT)
        handlers: list[Any] = report_handlers(self._desk.hear)
        with open_association(self.destination, self._caller, contexts, handlers) as association:
            for one in due:
                if self.worker.is_stopping:
                    return
                self._send(association, one)
            if self.destination.commitment:
                self._ask(association)

    def _send(self, association: Association, one: DueObject) -> None:
        directory = self._spool.kept if one.place is Place.KEPT else self._spool.outbox
        path = directory / one.file_name
        if self._record(one, DeliveryEvent.CLAIMED) is None:
            return
        try:
            status = store_object(association, path)
        except FileNotFoundError:
            # Moved or taken out: the rescan finds it, or tells.
            self._record(one, DeliveryEvent.CLAIM_VOID)
            self._ledger.place_object(one.sop_instance_uid, Place.AWAITED)
            return
        except (NoAcceptedContext, UnreadableObject) as error:
            self._refuse(one, error.sentence)
            return
        except OSError as error:
            said = f"its file cannot be read from flash ({reason_of(error)})"
            self._record(one, DeliveryEvent.STORE_FAILED, said)
            self._findings.report(Finding("object-unreadable", f"An object: {said}.", "", one.sop_instance_uid))
            return
        except AssociationAborted as error:
            self._record(one, DeliveryEvent.STORE_FAILED, error.sentence)
            raise
        if status.verdict is StoreVerdict.RETRY:
            self._record(one, DeliveryEvent.STORE_FAILED, status.said)
            # Not one object after the other: what is out of resources for one has none for the next.
            raise DestinationBusy(
                f"{self.destination.name} did not take an object: {status.said}.", "It is tried again later."
            )
        self._clear_trouble()
        if status.verdict is StoreVerdict.REFUSED:
            self._refuse(one, status.said)
        else:
            warning = status.said if status.verdict is StoreVerdict.STORED_WITH_WARNING else ""
            self._record(one, DeliveryEvent.STORE_ACCEPTED, warning)
            self._findings.clear("object-unreadable", one.sop_instance_uid)
            _log.info("object %s is stored at %s", one.sop_instance_uid, self.destination.name)
            if not self.destination.commitment:
                self._record(one, DeliveryEvent.NEEDS_NO_COMMITMENT)

    def _refuse(self, one: DueObject, said: str) -> None:
        self._record(one, DeliveryEvent.STORE_REFUSED, said)
        self._findings.report(
            Finding(
                "object-refused",
                f"{self.destination.name} refused an object: {said}",
                "It stays saved. Ask the archive's administrator, then press Try again.",
                one.sop_instance_uid,
            )
        )

    def retry(self, sop_instance_uid: str | None = None) -> int:
        """What was refused (all, or this object) is tried again since a person says so; how many objects that is."""
        refused = [uid for uid in self._ledger.refused(self.destination) if sop_instance_uid in (None, uid)]
        for uid in refused:
            self._ledger.record(uid, self.destination.name, DeliveryEvent.RETRY_ASKED)
            self._findings.clear("object-refused", uid)
        self.worker.wake()
        return len(refused)

    def _ask(self, association: Association) -> None:
        """Ask for commitment of what is stored, in one transaction that is durable before it leaves."""
        members = self._ledger.due_commitments(self.destination, _BATCH_REFERENCES)
        if not members:
            return
        transaction_uid = new_uid()
        self._ledger.open_transaction(transaction_uid, self.destination, members)
        references = [Reference(one.sop_class_uid, one.sop_instance_uid) for one in members]
        _log.info(
            "%s is asked to commit %d objects, transaction %s", self.destination.name, len(members), transaction_uid
        )
        try:
            answer = request_commitment(association, transaction_uid, references)
        except NoAcceptedContext as error:
            self._not_taken(transaction_uid, error.sentence, is_at_once=False)
            return
        except AssociationAborted as error:
            # Whether the archive has the request is not known. A report on it still counts when it comes.
            self._ledger.end_transaction(
                transaction_uid, DeliveryEvent.COMMITMENT_NOT_TAKEN, error.sentence, self._backoff
            )
            raise
        self._clear_trouble()
        if answer.verdict is ActionVerdict.ACCEPTED:
            self._ledger.mark_transaction_taken(transaction_uid)
            self._findings.clear("commitment-not-taken", self.destination.name)
            self._hold(association, transaction_uid)
        else:
            self._not_taken(transaction_uid, answer.said, is_at_once=answer.verdict is ActionVerdict.NEW_TRANSACTION)

    def _not_taken(self, transaction_uid: str, said: str, *, is_at_once: bool) -> None:
        wait = None if is_at_once else self._backoff
        self._ledger.end_transaction(transaction_uid, DeliveryEvent.COMMITMENT_NOT_TAKEN, said, wait)
        self._findings.report(
            Finding(
                "commitment-not-taken",
                f"{self.destination.name} stores, but does not take requests for commitment: {said}",
                "Let its administrator allow storage commitment for this box.",
                self.destination.name,
            )
        )

    def _hold(self, association: Association, transaction_uid: str) -> None:
        """Keep the association a little for a report on it; other work ends the wait."""
        end = self._clock.monotonic() + _HOLD_SECONDS
        while (
            self._clock.monotonic() < end
            and association.is_established
            and self._ledger.is_open_transaction(transaction_uid)
            and not self.worker.wait_awake(_HOLD_LOOK_SECONDS)
        ):
            pass

    def _clear_trouble(self) -> None:
        self._troubles.clear(self._peer)
        self._findings.clear("destination-trouble", self.destination.name)

    def _record(self, one: DueObject, event: DeliveryEvent, said: str = "") -> DeliveryState | None:
        wait = self._backoff if event is DeliveryEvent.STORE_FAILED else None
        return self._ledger.record(one.sop_instance_uid, self.destination.name, event, said, wait=wait)

    def _backoff(self, failures: int) -> float:
        return backoff_seconds(failures, self.destination.retry_first_seconds, self.destination.retry_longest_seconds)


def _contexts_for(due: Sequence[DueObject]) -> list[Context]:
    """A context for each class and transfer syntax of its own, so that the archive says of each whether it takes it."""
    kinds = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in due)
    return [Context(sop_class, (syntax,)) for sop_class, syntax in kinds]
