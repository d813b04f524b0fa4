"""The gate between a service and its audit trail: what flash does not take now waits, and nothing else does.

An image is worth more than the note about it: a trail that cannot be written stops no examination. The records wait in
memory with the time of their act, a finding says so, and they are written in their order as soon as flash takes them.
What a power cut takes from memory meanwhile is lost; that is what the finding warns of.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Unpack

from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard
from appliance.base.flash import FAILING, advice_of, reason_of
from appliance.exam.audit import AuditTrail, Particulars
from appliance.exam.audit_record import Act, Effect, Record

UNWRITTEN_CODE = "audit-unwritten"
UNREAD_CODE = "audit-unread"
MOST_WAITING = 1000


class AuditGate:
    """Records acts for a service that must go on whatever becomes of the records. Safe between threads."""

    def __init__(self, trail: AuditTrail, findings: FindingBoard) -> None:
        self.process = trail.process
        self._trail = trail
        self._findings = findings
        self._lock = threading.Lock()
        self._waiting: deque[Record] = deque()
        self._lost = 0

    def record(self, act: Act, **particulars: Unpack[Particulars]) -> None:
        """Write down that `act` was done now; durable when it returns, unless a finding says that it waits."""
        records = self._trail.records_of(act, **particulars)
        with self._lock:
            self._waiting.extend(records)
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self._lost += 1
            self._write()

    def flush(self) -> None:
        """Try again what waits, if anything does."""
        with self._lock:
            if self._waiting:
                self._write()

    def _write(self) -> None:
        try:
            while self._waiting:
                self._trail.append(self._waiting[0])
                self._waiting.popleft()
            if self._lost:
                said = f"Flash took no records for a while: {self._lost} did not fit into memory and are lost."
                self._trail.record(Act.RECORDS_DROPPED, actor=self.process, outcome=Effect.SERIOUS_FAILURE, detail=said)
                self._lost = 0
        except OSError as error:
            lost = f" {self._lost} are lost." if self._lost else ""
            self._findings.report(
                Finding(
                    UNWRITTEN_CODE,
                    f"What is done here cannot be written down ({reason_of(error)}): "
                    f"{len(self._waiting)} audit records wait in memory.{lost}",
                    f"Images are not affected. Do not switch the box off if you can help it. {advice_of(error)}",
                    self.process,
                )
            )
        else:
            self._findings.clear(UNWRITTEN_CODE, self.process)
        if self._trail.unreadable:
            self._findings.report(
                Finding(
                    UNREAD_CODE,
                    f"Earlier records of what was done here cannot be read: {self._trail.unreadable}. "
                    "New ones are written behind them.",
                    f"Images are not affected. `appliance audit` shows what is there. {FAILING}",
                    self.process,
                )
            )
        else:
            self._findings.clear(UNREAD_CODE, self.process)
