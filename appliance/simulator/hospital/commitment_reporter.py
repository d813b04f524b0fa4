"""The thread that reports on commitments: each after a delay, again until the box took it.

On a new association, unless a fault wants the one that asked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from pynetdicom.association import Association

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError
from appliance.simulator.hospital.commitment_ledger import CommitmentLedger, Transaction, TransactionState
from appliance.simulator.hospital.commitment_report import Report, failures_from_references, reports_under_faults
from appliance.simulator.hospital.faults import Fault, FaultBoard

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 1000

# Sends one report, on a new association or on the one given; ApplianceError when the box did not take it.
Deliver = Callable[[Report, Association | None], None]

# Whichever of these is in force changes a report, and has one of its times used by it.
_REPORT_FAULTS = (
    Fault.COMMITMENT_FAILS,
    Fault.COMMITMENT_PARTIAL,
    Fault.COMMITMENT_STRANGER,
    Fault.COMMITMENT_TWICE,
    Fault.COMMITMENT_UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class ReportTiming:
    """Seconds and counts of the reports."""

    delay: float = 1.5
    first_pause: float = 1.0
    longest_pause: float = 30.0
    attempts: int = 20

    def pause_after(self, attempts: int) -> float:
        """Seconds to the next attempt, doubling from one to the next."""
        return float(min(self.first_pause * 2 ** min(max(0, attempts - 1), 30), self.longest_pause))


class CommitmentReporter:
    """Takes transactions that are in the ledger and reports each when it is due."""

    def __init__(
        self,
        ledger: CommitmentLedger,
        *,
        class_of: Callable[[str], str | None],
        deliver: Deliver,
        faults: FaultBoard,
        clock: Clock,
        timing: ReportTiming,
        retrieve_ae: str,
        on_failure: Callable[[], None],
    ) -> None:
        """`class_of` tells as what an object is held; `on_failure` is called when the thread cannot go on.

        What the ledger has pending is queued for its delay.
        """
        self._ledger = ledger
        self._class_of = class_of
        self._deliver = deliver
        self._faults = faults
        self._clock = clock
        self._timing = timing
        self._retrieve_ae = retrieve_ae
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._askers: dict[str, Association] = {}
        self._woken = threading.Event()
        self._stopping = False
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name="commitment-reporter", daemon=True)
        for uid in ledger.pending():
            self._due[uid] = clock.monotonic() + timing.delay

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 15.0) -> None:
        """End the thread, at most after the report that it is sending."""
        self._stopping = True
        self._woken.set()
        self._thread.join(seconds)

    def has_failed(self) -> bool:
        """Has the thread ended by itself?"""
        return self._has_failed

    def may_take(self) -> bool:
        """Is there room in the queue?"""
        with self._lock:
            return len(self._due) < QUEUE_LIMIT

    def queue(self, transaction_uid: str, asker: Association | None = None) -> None:
        """Report on a transaction of the ledger, for which `asker` asked, after the delay."""
        delay = self._timing.delay + (self._faults.strike(Fault.COMMITMENT_LATE) or 0.0)
        with self._lock:
            if asker is not None:
                self._askers[transaction_uid] = asker
            self._due[transaction_uid] = self._clock.monotonic() + delay
        self._woken.set()

    def report_first(self, transaction_uid: str) -> bool:
        """Report at once, before the request is answered, where a fault wants that; is it done?"""
        if self._faults.strike(Fault.COMMITMENT_FIRST) is None:
            return False
        return self._seconds_to_retry(transaction_uid) is None

    def report_due(self) -> float:
        """Report on everything that is due now; seconds until something is, at most a minute."""
        while not self._stopping:
            with self._lock:
                if not self._due:
                    return 60.0
                uid = min(self._due, key=self._due.__getitem__)
                wait = self._due[uid] - self._clock.monotonic()
                if wait <= 0:
                    del self._due[uid]  # before the attempt: it may be asked for again meanwhile
            if wait > 0:
                return min(wait, 60.0)
            again = self._seconds_to_retry(uid)
            if again is not None:
                with self._lock:
                    self._due.setdefault(uid, self._clock.monotonic() + again)
        return 0.0

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._woken.clear()
                self._clock.wait(self._woken, self.report_due())
        finally:
            if not self._stopping:
                self._has_failed = True
                self._on_failure()

    def _seconds_to_retry(self, uid: str) -> float | None:
        """Try one report; None when this transaction is over."""
        transaction = self._ledger.read(uid)
        if transaction is None:
            logger.error("commitment %s: its file is gone, no report", uid)
            return None
        if self._faults.strike(Fault.NO_COMMITMENT) is not None:
            self._forget_asker(uid)
            self._ledger.write(replace(transaction, state=TransactionState.SILENCED))
            return None
        faults = {fault: value for fault in _REPORT_FAULTS if (value := self._faults.strike(fault)) is not None}
        failures = failures_from_references(transaction.references, self._class_of)
        reports = reports_under_faults(uid, transaction.references, failures, self._retrieve_ae, faults)
        tried = replace(transaction, attempts=transaction.attempts + 1, event_type=reports[-1].event_type)
        try:
            asker = self._asker_of(uid)
            for report in reports:
                self._deliver(report, asker)
        except ApplianceError as error:
            return self._seconds_after_failure(tried, error)
        self._forget_asker(uid)
        self._ledger.write(replace(tried, state=TransactionState.REPORTED))
        logger.info("commitment %s: reported, %d of %d failed", uid, len(failures), len(transaction.references))
        return None

    def _asker_of(self, uid: str) -> Association | None:
        """The association that asked, while it is open and a fault wants the report there."""
        with self._lock:
            asker = self._askers.get(uid)
        if asker is None or not asker.is_established:
            return None
        return asker if self._faults.strike(Fault.COMMITMENT_SAME_ASSOCIATION) is not None else None

    def _forget_asker(self, uid: str) -> None:
        with self._lock:
            self._askers.pop(uid, None)

    def _seconds_after_failure(self, tried: Transaction, error: ApplianceError) -> float | None:
        if tried.attempts >= self._timing.attempts:
            self._forget_asker(tried.transaction_uid)
            self._ledger.write(replace(tried, state=TransactionState.GIVEN_UP))
            logger.error("commitment %s: given up after %d attempts: %s", tried.transaction_uid, tried.attempts, error)
            return None
        self._ledger.write(tried)
        pause = self._timing.pause_after(tried.attempts)
        logger.warning("commitment %s: %s Again in %.1f s.", tried.transaction_uid, error, pause)
        return pause
