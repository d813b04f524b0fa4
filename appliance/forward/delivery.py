"""Bringing objects to one destination: stored, then committed; with associations and a trouble of its own."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.config.schema import Destination
from appliance.dimse.association import Caller, Context, open_association
from appliance.dimse.commitment import COMMITMENT_CONTEXT, report_handlers
from appliance.dimse.echo import VERIFICATION_CONTEXT
from appliance.dimse.find import FIND_CONTEXT
from appliance.dimse.store import MOST_STORED, contexts_for
from appliance.exam.audit_gate import AuditGate
from appliance.exam.facts import ExamFacts
from appliance.forward.ledger import DueLook, DueObject, Ledger
from appliance.forward.reports import ReportDesk
from appliance.forward.standing import read_standing, tell_standing
from appliance.forward.states import DeliveryEvent, DeliveryState
from appliance.forward.transactions import Transactions
from appliance.forward.transfer_audit import TransferAudit
from appliance.forward.troubles import Troubles
from appliance.forward.under_way import UnderWay
from appliance.forward.visit import DestinationBusy, Records, Visit
from appliance.forward.worker import LONGEST_SLEEP_SECONDS, Worker
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

_BATCH_LOOKS = 500
_MOST_CONTEXTS = 128  # of one association (PS3.8 9.3.2.2)
_PRUNE_SECONDS = 3600.0
_LOOK_SECONDS = 1.0


class Delivery:
    """The work of one destination: `concurrency` workers, of which the first also looks after deadlines."""

    def __init__(
        self,
        destination: Destination,
        caller: Caller,
        *,
        spool: Spool,
        ledger: Ledger,
        transactions: Transactions,
        troubles: Troubles,
        desk: ReportDesk,
        findings: FindingBoard,
        audit: AuditGate,
        clock: Clock,
    ) -> None:
        self.destination = destination
        self._caller = caller
        self._ledger = ledger
        self._transactions = transactions
        self._troubles = troubles
        self._desk = desk
        self._findings = findings
        self._clock = clock
        self._records = Records(
            destination, spool=spool, ledger=ledger, transactions=transactions, findings=findings, clock=clock
        )
        self._audit = TransferAudit(audit, destination, ExamFacts(spool.exams), ledger.journal)
        self._peer = f"destination {destination.name}"
        self.calls = UnderWay(clock)
        """Associations that are being opened, each with what is to be sent on it."""
        self._in_hand: set[str] = set()
        self._associated: set[int] = set()
        self._alone_failures = [0] * destination.concurrency
        self._alone_until = [0.0] * destination.concurrency
        self._lock = threading.Lock()
        self._prune_at = clock.monotonic()
        if known := troubles.of(self._peer):
            findings.report(
                Finding("destination-trouble", known.sentence, "It is tried again later.", destination.name)
            )
        self.workers = tuple(
            Worker(f"{self._peer} {number + 1}", partial(self.work, number), clock, findings=findings)
            for number in range(destination.concurrency)
        )

    @property
    def trouble(self) -> str:
        """Why nothing arrives there now, in a sentence; empty while all is well."""
        known = self._troubles.of(self._peer)
        return known.sentence if known else ""

    @property
    def seconds_left(self) -> float:
        """Until the destination is tried again; 0 while all is well."""
        return self._troubles.seconds_left(self._peer, self.destination.retry_longest_seconds)

    def wake(self) -> None:
        """Something may be due."""
        for worker in self.workers:
            worker.wake()

    def work(self, number: int = 0) -> float:
        """What the worker `number` does: store, look and ask as far as something is due; seconds until it will be."""
        is_first = number == 0
        if is_first:
            self._look_after_deadlines()
        left = self.seconds_left
        if left > 0:
            return left
        if not is_first and self.trouble:
            return LONGEST_SLEEP_SECONDS  # the first one tries whether it is over, and wakes the others
        left = self._alone_until[number] - self._clock.monotonic()
        if left > 0:
            return left
        with self._batch() as batch:
            looks = self._due_looks() if is_first else []
            is_asked = is_first and self.destination.commitment and self._ledger.due_commitments(self.destination, 1)
            if not batch and not looks and not is_asked:
                # What others have in hand is due and not for this one: it looks again, and not at once.
                least = _LOOK_SECONDS if self._in_hand or not is_first else 0.05
                seconds = self._ledger.seconds_to_next(self.destination)
                return LONGEST_SLEEP_SECONDS if seconds is None else max(seconds, least)
            try:
                self._visit(number, batch, looks)
            except ApplianceError as error:
                return self._give_up_for_now(number, error)
        return 0.0

    def _look_after_deadlines(self) -> None:
        name = self.destination.name
        for transaction_uid in self._transactions.overdue(self.destination):
            _log.warning("%s did not report on transaction %s in time", name, transaction_uid)
            said = "the archive did not report in time"
            wait = self._records.patience.after_silence
            self._transactions.end(transaction_uid, DeliveryEvent.REPORT_MISSING, said, wait)
        if not self.destination.commitment and not self.destination.verify_by_find:
            for one in self._ledger.due_commitments(self.destination, _BATCH_LOOKS):
                self._records.record(one.sop_instance_uid, DeliveryEvent.NEEDS_NO_COMMITMENT)
        if self._clock.monotonic() >= self._prune_at:
            self._prune_at = self._clock.monotonic() + _PRUNE_SECONDS
            self._transactions.prune(self.destination)
        if self.trouble and not self._in_hand and self._ledger.seconds_to_next(self.destination) is None:
            self._clear_trouble()  # nothing is to be done there any more: what waited was released
        tell_standing(self._findings, self.destination, read_standing(self._ledger.journal, self.destination))

    def _due_looks(self) -> list[DueLook]:
        return self._ledger.due_looks(self.destination, _BATCH_LOOKS) if self.destination.verify_by_find else []

    @contextmanager
    def _batch(self) -> Iterator[list[DueObject]]:
        """Due objects that are no other worker's while the block lasts: a fair share, and what fits one association."""
        with self._lock:
            # What failed in the middle, the flash under it: nobody has it in hand, and nobody would take it again.
            self._ledger.void_claims(self.destination, self._in_hand)
            due = self._ledger.due_objects(self.destination, MOST_STORED * len(self.workers))
            share = min(math.ceil(len(due) / len(self.workers)), MOST_STORED)
            free = [one for one in due if one.sop_instance_uid not in self._in_hand]
            batch = _fitting(free[:share], self.destination)
            uids = {one.sop_instance_uid for one in batch}
            self._in_hand |= uids
        try:
            yield batch
        finally:
            with self._lock:
                self._in_hand -= uids

    def _visit(self, number: int, batch: Sequence[DueObject], looks: Sequence[DueLook]) -> None:
        """One association: what is due is sent, looked for, and asked for."""
        contexts = [*_contexts_for(batch, self.destination), VERIFICATION_CONTEXT]
        # Verification is proposed always: an archive that accepts nothing of ours must not look like one that is down.
        if self.destination.commitment:
            contexts.append(COMMITMENT_CONTEXT)
        if looks:
            contexts.append(FIND_CONTEXT)
        handlers: list[Any] = report_handlers(self._desk.hear)
        with ExitStack() as stack:
            with self.calls.trying(one.sop_instance_uid for one in batch):
                opening = open_association(self.destination, self._caller, contexts, handlers)
                association = stack.enter_context(opening)
            self._associated.add(number)
            self._alone_failures[number] = 0
            try:
                self._talk(Visit(self._records, association, self.workers[number]), batch, looks)
            finally:
                self._associated.discard(number)

    def _talk(self, visit: Visit, batch: Sequence[DueObject], looks: Sequence[DueLook]) -> None:
        with self._audit.transferring(batch) as transfer:

            def note(one: DueObject, state: DeliveryState | None) -> None:
                transfer.note(one, state)
                self._clear_trouble()

            visit.store(batch, note)
        if visit.is_stopping:
            return
        visit.look(looks)
        if self.destination.commitment:
            visit.ask()
        self._clear_trouble()

    def _give_up_for_now(self, number: int, error: ApplianceError) -> float:
        left = self.seconds_left
        if left > 0:
            return left  # another worker has met the same trouble meanwhile: that is one failure, not two
        destination = self.destination
        if self._associated - {number} and not isinstance(error, DestinationBusy):
            # The archive talks to another worker: it may not want so many associations. The others go on.
            self._alone_failures[number] += 1
            delay = self._records.patience.after_failures(self._alone_failures[number])
            self._alone_until[number] = self._clock.monotonic() + delay
            _log.info("%s: one association more did not come about: %s", destination.name, error.sentence)
            return delay
        delay = self._troubles.add(
            self._peer, error.sentence, destination.retry_first_seconds, destination.retry_longest_seconds
        )
        self._findings.report(finding_from(error, "destination-trouble", destination.name))
        return delay

    def _clear_trouble(self) -> None:
        if self.trouble:
            self._troubles.clear(self._peer)
            self.wake()
        self._findings.clear("destination-trouble", self.destination.name)

    def knows(self, sop_instance_uid: str) -> bool:
        """True when the object is one that goes there."""
        return self._ledger.state_of(sop_instance_uid, self.destination.name) is not None

    def retry(self, sop_instance_uid: str | None = None) -> int:
        """A person did something about it: what was refused (all, or this object) is tried again, and what waits for
        its next attempt, or for the destination's, is tried now. How many objects were refused.
        """
        refused = [uid for uid in self._ledger.refused(self.destination) if sop_instance_uid in (None, uid)]
        for uid in refused:
            self._records.record(uid, DeliveryEvent.RETRY_ASKED)
        self._ledger.hasten(self.destination, sop_instance_uid)
        self._troubles.hasten(self._peer)
        self._alone_until = [0.0] * len(self.workers)
        self.wake()
        return len(refused)


def _contexts_for(batch: Sequence[DueObject], destination: Destination) -> list[Context]:
    """What to propose for `batch`: each class in each transfer syntax in which its objects may go there."""
    kinds = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in batch)
    return contexts_for(kinds, destination.transfer_syntaxes)


def _fitting(due: Sequence[DueObject], destination: Destination) -> list[DueObject]:
    """As many as one association has contexts for, beside those for verification, commitment and C-FIND."""
    fitting = list(due)
    while len(_contexts_for(fitting, destination)) > _MOST_CONTEXTS - 3:
        fitting.pop()
    return fitting
