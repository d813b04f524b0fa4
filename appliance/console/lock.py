"""The panel's lock: who unlocked it with a PIN, and for how long nobody touched it.

Without operators in the configuration there is no lock. A locked panel shows no patient and no picture; devices go on
saving what they capture, and an emergency can be begun without a PIN, until its exam ends or the panel is left alone.
Wrong PINs make the next try of that operator wait, longer each time; that is forgotten at a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError
from appliance.base.pins import is_pin
from appliance.config.schema import Operator
from appliance.exam.audit import Act, Effect
from appliance.exam.audit_gate import AuditGate

_FREE_TRIES = 3
_FIRST_WAIT_SECONDS = 15.0
_LONGEST_WAIT_SECONDS = 900.0


@dataclass(slots=True)
class _Tries:
    """An operator's wrong PINs in a row, and until when no further one is looked at."""

    wrong: int = 0
    wait: Deadline | None = None


class PanelLock:
    """One for the box. Safe between threads; one PIN is looked at at a time, since each takes much memory."""

    def __init__(self, operators: Sequence[Operator], idle_seconds: float, clock: Clock, audit: AuditGate) -> None:
        """`idle_seconds` without a touch lock the panel; 0: it is locked by hand alone."""
        self._operators = {operator.name: operator for operator in operators}
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._audit = audit
        self._lock = threading.RLock()
        self._at_a_time = threading.Lock()
        self._tries: dict[str, _Tries] = {}
        self._operator = ""
        self._is_emergency = False
        self._touched_at = clock.monotonic()

    @property
    def operator(self) -> str:
        """The PN of who unlocked the panel; empty while it is locked, and where there are no operators."""
        with self._lock:
            return self._operator

    def is_locked(self) -> bool:
        with self._lock:
            self._look()
            return bool(self._operators) and not self._operator and not self._is_emergency

    def view(self) -> dict[str, Any]:
        """Who may unlock the panel, and who did."""
        with self._lock:
            return {
                "is_locked": self.is_locked(),
                "operators": list(self._operators),
                "operator": self._operator,
            }

    def note_touch(self) -> None:
        """Somebody is there."""
        with self._lock:
            self._look()
            self._touched_at = self._clock.monotonic()

    def unlock(self, name: str, pin: str) -> None:
        """ApplianceError when it is not this operator's PIN, or too many were wrong before."""
        with self._at_a_time:
            operator = self._operators.get(name)
            if operator is None:
                raise ApplianceError("There is no such operator.")
            tries = self._tries.setdefault(name, _Tries())
            if tries.wait is not None and not tries.wait.is_over():
                seconds = max(1, round(tries.wait.remaining()))
                raise ApplianceError(f"Too many PINs were wrong. Wait {seconds} s.", "Then try again.")
            if not is_pin(pin, operator.pin):
                self._count_wrong(name, tries)
                raise ApplianceError("This is not the PIN.", "Try again.")
            del self._tries[name]
            self._audit.record(Act.LOGIN, actor=name, detail="At the panel.")
            with self._lock:
                self._operator, self._is_emergency = name, False
                self._touched_at = self._clock.monotonic()

    def _count_wrong(self, name: str, tries: _Tries) -> None:
        tries.wrong += 1
        beyond = tries.wrong - _FREE_TRIES
        if beyond >= 0:
            # Bounded before it is doubled: a row of wrong ones has no end.
            seconds = min(_FIRST_WAIT_SECONDS * 2 ** min(beyond, 10), _LONGEST_WAIT_SECONDS)
            tries.wait = Deadline.after(self._clock, seconds)
        detail = f"Wrong PIN, {tries.wrong} in a row."
        self._audit.record(Act.LOGIN, actor=name, outcome=Effect.MINOR_FAILURE, detail=detail)

    def lock(self) -> None:
        with self._lock:
            self._operator, self._is_emergency = "", False

    def begin_emergency(self) -> None:
        """Let whoever is there work without a PIN: a patient does not wait for one."""
        with self._lock:
            if self.is_locked():
                self._is_emergency = True
                self._audit.record(Act.LOGIN, actor="panel", detail="Without a PIN, for an emergency.")
            self._touched_at = self._clock.monotonic()

    def end_emergency(self) -> None:
        """Its exam has ended."""
        with self._lock:
            self._is_emergency = False

    def _look(self) -> None:
        if self._idle_seconds and self._clock.monotonic() - self._touched_at >= self._idle_seconds:
            self.lock()
