"""Whether somebody is still there: a forgotten exam takes the next patient's images.

After a time without a touch or a capture the panel asks whether this is still the patient; after a longer one it warns,
and then the exam is ended and released. A device at work is somebody, and so is a footswitch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError
from appliance.config.schema import Panel
from appliance.console.current import CurrentExam
from appliance.exam.exam import Outcome
from appliance.exam.reasons import UNSPECIFIED

_log = logging.getLogger(__name__)

WARN_SECONDS = 120.0
_AT_WORK = frozenset({"recording", "receiving", "scanning"})


class Stage(StrEnum):
    """What is asked of whoever is there."""

    NOTHING = ""
    ASK = "ask"
    WARN = "warn"


class Presence:
    """Watches the open exam; `look` belongs to the keeper's rounds, the others to requests."""

    def __init__(
        self,
        panel: Panel,
        clock: Clock,
        *,
        current: Callable[[], CurrentExam | None],
        count_captured: Callable[[str], int],
        states: Callable[[], list[str]],
        close: Callable[[str, Outcome, str, str], None],
    ) -> None:
        """`states()` are those of the devices; `close(exam_id, outcome, reason, why)` begins to end the exam."""
        self._panel = panel
        self._clock = clock
        self._current = current
        self._count_captured = count_captured
        self._states = states
        self._close = close
        self._lock = threading.Lock()
        self._exam_id = ""
        self._captured = 0
        self._is_asked = False
        self._confirmed_at = self._active_at = clock.monotonic()

    def note_touch(self, *, is_confirmed: bool) -> None:
        """Somebody touched the panel; `is_confirmed`: and said that it is still the same patient."""
        with self._lock:
            if is_confirmed:
                self._is_asked = False
            self._take_activity(self._clock.monotonic())

    def view(self) -> dict[str, Any]:
        """The stage, and in how many seconds the exam is ended."""
        with self._lock:
            left = self._seconds_left()
            if self._exam_id == "":
                return {"stage": Stage.NOTHING, "seconds": 0}
            if left is not None and left <= WARN_SECONDS:
                return {"stage": Stage.WARN, "seconds": max(0, round(left))}
            return {"stage": Stage.ASK if self._is_asked else Stage.NOTHING, "seconds": 0}

    def look(self) -> None:
        """Notice what was captured, and end an exam that was forgotten."""
        current = self._current()
        exam_id = current.exam.exam_id if current and not current.is_closing else ""
        captured = self._count_captured(exam_id) if exam_id else 0
        with self._lock:
            now = self._clock.monotonic()
            if exam_id != self._exam_id:
                self._exam_id, self._captured = exam_id, captured
                self._confirmed_at = self._active_at = now
                self._is_asked = False
            if captured != self._captured:
                self._captured = captured
                self._take_activity(now)
            left = self._seconds_left()
            after = self._panel.ask_patient_seconds
            is_to_ask = bool(after) and now - self._confirmed_at >= after
        if not exam_id or not (is_to_ask or (left is not None and left <= WARN_SECONDS)):
            return
        if _AT_WORK.intersection(self._states()):
            with self._lock:
                self._take_activity(self._clock.monotonic())
            return
        with self._lock:
            self._is_asked = self._is_asked or is_to_ask
        if left is not None and left <= 0:
            self._end(exam_id, captured)

    def _end(self, exam_id: str, captured: int) -> None:
        outcome, reason = (Outcome.COMPLETED, "") if captured else (Outcome.DISCONTINUED, UNSPECIFIED.code)
        minutes = round(self._panel.close_exam_seconds / 60)
        _log.warning("exam %s was forgotten and is ended", exam_id)
        try:
            self._close(exam_id, outcome, reason, f"Ended by the box: nobody was there for {minutes} minutes.")
        except ApplianceError as error:
            _log.error("the forgotten exam %s could not be ended: %s", exam_id, error.sentence)

    def _take_activity(self, now: float) -> None:
        # Once it was asked, only an answer counts: whoever touches the glass may not have read it.
        if not self._is_asked:
            self._confirmed_at = now
        self._active_at = now

    def _seconds_left(self) -> float | None:
        after = self._panel.close_exam_seconds
        return self._active_at + after - self._clock.monotonic() if after else None
