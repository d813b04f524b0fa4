"""One association with an archive: objects are stored, looked for, and asked for, and every answer is recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from appliance.base.clock import Clock, Deadline
from appliance.base.errors import Finding, ended_sentence, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_finding_from, reason_of
from appliance.base.uids import new_uid
from appliance.config.schema import Destination
from appliance.dimse.association import Association, AssociationAborted, NoAcceptedContext
from appliance.dimse.commitment import HOLD_SECONDS, MOST_ASKED, Reference, request_commitment
from appliance.dimse.find import FindRefused, find_instances
from appliance.dimse.status import ActionVerdict, AnswerIsNo, StoreVerdict, store_verdict
from appliance.dimse.store import DamagedContent, StoreStatus, UnreadableObject, UnsendableObject, store_object
from appliance.forward.ledger import LARGE_BYTES, DueLook, DueObject, Ledger, Place
from appliance.forward.patience import Patience
from appliance.forward.states import DeliveryEvent, DeliveryState
from appliance.forward.transactions import Transactions
from appliance.forward.worker import Worker
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

_HOLD_LOOK_SECONDS = 0.2
# So long what the archive accepted may wait to be recorded, with what it accepts meanwhile; behind a large one never.
_UNRECORDED_SECONDS = 10.0

Noted = Callable[[DueObject, DeliveryState | None], None]


class DestinationBusy(AnswerIsNo):
    """The archive answered that it cannot take objects now."""


class Records:
    """What visits write down: one destination's part of the ledger, and what people are told."""

    def __init__(
        self,
        destination: Destination,
        *,
        spool: Spool,
        ledger: Ledger,
        transactions: Transactions,
        findings: FindingBoard,
        clock: Clock,
    ) -> None:
        self.destination = destination
        self.spool = spool
        self.ledger = ledger
        self.transactions = transactions
        self.findings = findings
        self.clock = clock
        self.patience = Patience(destination)

    def record(self, sop_instance_uid: str, event: DeliveryEvent, said: str = "", **given: Any) -> DeliveryState | None:
        """`Ledger.record` at this destination."""
        return self.ledger.record(sop_instance_uid, self.destination.name, event, said, **given)


class Visit:
    """The work on one association that is open. Every method raises AssociationAborted when it is over."""

    def __init__(self, records: Records, association: Association, worker: Worker) -> None:
        """What takes longer ends early when `worker` stops."""
        self._records = records
        self._destination = records.destination
        self._association = association
        self._worker = worker
        self._accepted: list[tuple[DueObject, StoreStatus]] = []
        self._record_by = Deadline.after(records.clock, 0.0)

    @property
    def is_stopping(self) -> bool:
        """Nothing new is to be begun."""
        return self._worker.is_stopping

    # -- storing

    def store(self, batch: Sequence[DueObject], noted: Noted) -> None:
        """Send objects and record what the archive said of each. DestinationBusy when it has no room now.

        Each that is over is given to `noted` with its state. What is accepted is recorded together, which spares the
        flash; a power cut before that lets the archive have once more what it took in the last seconds: the same bytes
        under the same identifier.
        """
        try:
            for one in batch:
                if self.is_stopping:
                    return
                if self._record_by.is_over() or one.bytes > LARGE_BYTES:
                    self._record_accepted(noted)
                self._store(one, noted)
        finally:
            self._record_accepted(noted)

    def _store(self, one: DueObject, noted: Noted) -> None:
        records = self._records
        uid = one.sop_instance_uid
        directory = records.spool.kept if one.place is Place.KEPT else records.spool.outbox
        if records.record(uid, DeliveryEvent.CLAIMED) is None:
            return
        try:
            status = store_object(self._association, directory / one.file_name)
        except (FileNotFoundError, DamagedContent):
            self._leave_to_rescan(uid)
            return
        except (NoAcceptedContext, UnreadableObject, UnsendableObject) as error:
            noted(one, records.record(uid, DeliveryEvent.STORE_REFUSED, error.sentence))
            return
        except OSError as error:
            said = f"its file cannot be read: {reason_of(error)}"
            records.record(uid, DeliveryEvent.STORE_FAILED, said, wait=records.patience.after_failures)
            again = "It is tried again by itself."
            records.findings.report(
                flash_finding_from(error, "object-unreadable", "An object cannot be read to be sent", again, uid)
            )
            return
        except AssociationAborted as error:
            records.record(uid, DeliveryEvent.STORE_FAILED, error.sentence, wait=records.patience.after_failures)
            raise
        match status.verdict:
            case StoreVerdict.RETRY:
                records.record(uid, DeliveryEvent.STORE_FAILED, status.said, wait=records.patience.after_failures)
                # Not one object after the other: what is out of resources for one has none for the next.
                raise DestinationBusy(
                    f"{self._destination.name} did not take an object: {ended_sentence(status.said)}",
                    "It is tried again later.",
                )
            case StoreVerdict.REFUSED:
                noted(one, records.record(uid, DeliveryEvent.STORE_REFUSED, status.said))
            case StoreVerdict.STORED | StoreVerdict.STORED_WITH_WARNING:
                if not self._accepted:
                    self._record_by = Deadline.after(records.clock, _UNRECORDED_SECONDS)
                self._accepted.append((one, status))

    def _leave_to_rescan(self, uid: str) -> None:
        """Damaged, moved or taken out: the rescan sets it aside, finds it, or tells."""
        # Not so if a person withdrew it a moment ago.
        if self._records.record(uid, DeliveryEvent.CLAIM_VOID) is not None:
            self._records.ledger.place_object(uid, Place.AWAITED)

    def _record_accepted(self, noted: Noted) -> None:
        """In one act. Where the flash fails, none of it is recorded: it is stored once more."""
        records = self._records
        accepted, self._accepted = self._accepted, []
        if not accepted:
            return
        with records.ledger.journal.transaction():
            states = [self._record_stored(one.sop_instance_uid, status) for one, status in accepted]
        for (one, status), state in zip(accepted, states, strict=True):
            records.findings.clear("object-unreadable", one.sop_instance_uid)
            # Not the archive's own comment, which may quote what it changed: a patient's name.
            warned = f" ({store_verdict(status.code)[1]})" if _is_warned(status) else ""
            _log.info("object %s is stored at %s%s", one.sop_instance_uid, self._destination.name, warned)
            noted(one, state)

    def _record_stored(self, uid: str, status: StoreStatus) -> DeliveryState | None:
        records = self._records
        is_looked_for = self._destination.verify_by_find and not self._destination.commitment
        # An archive needs a moment before C-FIND finds what it was just given.
        wait = records.patience.after_failures if is_looked_for else None
        state = records.record(uid, DeliveryEvent.STORE_ACCEPTED, status.said if _is_warned(status) else "", wait=wait)
        if not self._destination.commitment and not is_looked_for:
            state = records.record(uid, DeliveryEvent.NEEDS_NO_COMMITMENT) or state
        return state

    # -- looking

    def look(self, looks: Sequence[DueLook]) -> None:
        """Look for stored objects by C-FIND, series by series, and record which are there."""
        groups: dict[tuple[str, str], list[DueLook]] = {}
        for one in looks:
            groups.setdefault((one.study_instance_uid, one.series_instance_uid), []).append(one)
        for (study, series), members in groups.items():
            uids = [one.sop_instance_uid for one in members]
            try:
                found = find_instances(self._association, study, series or None, uids)
            except (NoAcceptedContext, FindRefused) as error:
                self._records.findings.report(finding_from(error, "find-refused", self._destination.name))
                self._record_unanswered(uids, error.sentence)
                continue
            self._records.findings.clear("find-refused", self._destination.name)
            for one in members:
                self._record_look(one, is_found=one.sop_instance_uid in found)

    def _record_unanswered(self, uids: Sequence[str], said: str) -> None:
        if self._destination.commitment:
            return  # it is asked for again, and looked for with the next round
        for uid in uids:
            self._records.record(uid, DeliveryEvent.NOT_VERIFIED, said, wait=self._records.patience.after_failures)

    def _record_look(self, one: DueLook, *, is_found: bool) -> None:
        records, uid = self._records, one.sop_instance_uid
        if is_found and self._destination.commitment:
            said = f"not committed after {self._destination.commitment_rounds} requests, but C-FIND finds it there"
            records.record(uid, DeliveryEvent.FOUND, said, wait=records.patience.after_look)
        elif is_found:
            records.record(uid, DeliveryEvent.VERIFIED)
            _log.info("object %s is found at %s, which does not commit", uid, self._destination.name)
        elif self._destination.commitment or one.rounds + 1 >= self._destination.commitment_rounds:
            said = "C-FIND does not find it there: it is stored again"
            records.record(uid, DeliveryEvent.NOT_FOUND, said, wait=records.patience.after_failures)
            _log.warning("object %s is not found at %s: it is stored again", uid, self._destination.name)
        else:
            said = "C-FIND does not find it there yet"
            records.record(uid, DeliveryEvent.NOT_VERIFIED, said, wait=records.patience.after_failures)

    # -- asking

    def ask(self) -> None:
        """Ask for commitment of what is stored, in one transaction that is durable before it leaves."""
        records = self._records
        transaction_uid = new_uid()
        members = records.transactions.open(transaction_uid, self._destination, MOST_ASKED)
        if not members:
            return
        references = [Reference(one.sop_class_uid, one.sop_instance_uid) for one in members]
        _log.info(
            "%s is asked to commit %d objects, transaction %s", self._destination.name, len(members), transaction_uid
        )
        try:
            answer = request_commitment(self._association, transaction_uid, references)
        except NoAcceptedContext as error:
            self._record_not_taken(transaction_uid, error.sentence, is_at_once=False)
            return
        except AssociationAborted as error:
            # Whether the archive has the request is not known. A report on it still counts when it comes.
            wait = records.patience.after_failures
            records.transactions.end(transaction_uid, DeliveryEvent.COMMITMENT_NOT_TAKEN, error.sentence, wait)
            raise
        if answer.verdict is ActionVerdict.ACCEPTED:
            records.findings.clear("commitment-not-taken", self._destination.name)
            self._hold(transaction_uid)
            # Mostly the report has come meanwhile. A cut in between makes the next run ask again a little sooner.
            if records.transactions.is_open(transaction_uid):
                records.transactions.mark_taken(transaction_uid)
        else:
            self._record_not_taken(
                transaction_uid, answer.said, is_at_once=answer.verdict is ActionVerdict.NEW_TRANSACTION
            )

    def _record_not_taken(self, transaction_uid: str, said: str, *, is_at_once: bool) -> None:
        def wait(rounds: int) -> float:
            return 0.0 if is_at_once and rounds == 1 else self._records.patience.after_failures(rounds)

        self._records.transactions.end(transaction_uid, DeliveryEvent.COMMITMENT_NOT_TAKEN, said, wait)
        self._records.findings.report(
            Finding(
                "commitment-not-taken",
                f"{self._destination.name} stores, but does not take requests for commitment: {ended_sentence(said)}",
                "Let its administrator allow storage commitment for this box.",
                self._destination.name,
            )
        )

    def _hold(self, transaction_uid: str) -> None:
        """Keep the association a little for a report on it; other work ends the wait, a wake-up alone does not."""
        end = self._records.clock.monotonic() + HOLD_SECONDS
        while (
            self._records.clock.monotonic() < end
            and self._records.transactions.is_open(transaction_uid)
            and not self._worker.is_stopping
            and self._association.attend(_HOLD_LOOK_SECONDS)
            and self._records.ledger.seconds_to_next(self._destination) != 0.0
        ):
            pass


def _is_warned(status: StoreStatus) -> bool:
    return status.verdict is StoreVerdict.STORED_WITH_WARNING
