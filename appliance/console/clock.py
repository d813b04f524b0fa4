"""The box's clock, judged: looked at in each round of the console, written down for all processes, told to people.

The console is the one that judges, since it lives as long as the box and shows what it finds on the panel.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from appliance.base.clock import Clock
from appliance.base.clock_trust import (
    STEP_SECONDS,
    Anchor,
    ClockReading,
    ClockRecord,
    ClockTrust,
    Doubt,
    Source,
    anchor_from,
    doubt_from,
    is_set_by_hardware,
    is_synchronized,
)
from appliance.base.errors import Finding, counted
from appliance.base.findings import FindingBoard
from appliance.base.flash import reason_of
from appliance.exam.facts import DamagedFactError, ExamFacts

_log = logging.getLogger(__name__)

UNTRUSTED_CODE = "clock-untrusted"
_UNWRITTEN_CODE = "clock-unwritten"

_SAYS = {
    Source.NETWORK: "a time server keeps it right",
    Source.HARDWARE: "the hardware clock set it when the box started",
    Source.PERSON: "somebody said that it is right",
}


class ClockWatch:
    """Looks at the clock; thread-safe."""

    def __init__(
        self,
        trust: ClockTrust,
        clock: Clock,
        findings: FindingBoard,
        newest: datetime | None,
        *,
        is_synchronized: Callable[[], bool] = is_synchronized,
        is_set_by_hardware: Callable[[], bool] = is_set_by_hardware,
    ) -> None:
        """`newest` is the latest moment that was written down with a clock that was believed (`newest_moment`)."""
        self._trust = trust
        self._clock = clock
        self._findings = findings
        self._newest = newest
        self._is_synchronized = is_synchronized
        self._is_set_by_hardware = is_set_by_hardware
        self._lock = threading.Lock()
        self._record = trust.read()
        self._is_written = True

    def look(self) -> None:
        """Judge the clock, log what set it, and keep `clock.json` and the finding as they must be."""
        with self._lock:
            self._look()

    def take_word(self) -> None:
        """A person says that the clock is right. OSError when that cannot be written down."""
        with self._lock:
            self._look()  # what set it until now is logged as that
            self._record = self._trust.take_word()
            _log.warning("a person said that the clock is right: %s", self._clock.now().isoformat(sep=" "))
            self._look()

    def view(self) -> dict[str, Any]:
        """The clock as `appliance clock` and the panel show it."""
        with self._lock:
            reading = self._read()
            anchor = anchor_from(reading, self._record, self._newest)
            doubt = doubt_from(reading, anchor, self._newest)
        now = reading.now.isoformat(timespec="seconds")
        if doubt is None and anchor is not None:
            said = {"sentence": f"The box's clock is believed: {_SAYS[anchor.source]}.", "suggestion": ""}
            return {"now": now, "is_trusted": True, "source": str(anchor.source), **said}
        finding = finding_from_doubt(doubt or Doubt.NEVER_SET, reading, anchor)
        said = {"sentence": finding.sentence, "suggestion": finding.suggestion}
        return {"now": now, "is_trusted": False, "source": "", **said}

    def _read(self) -> ClockReading:
        is_first = self._record is None
        return ClockReading(
            now=self._clock.now(),
            offset=self._trust.read_offset(),
            is_synchronized=self._is_synchronized(),
            is_set_by_hardware=is_first and self._is_set_by_hardware(),
        )

    def _look(self) -> None:
        reading, before = self._read(), self._record
        anchor = anchor_from(reading, before, self._newest)
        step = reading.offset - before.offset if before else 0.0
        if abs(step) >= STEP_SECONDS:
            old = reading.now - timedelta(seconds=step)
            _log.warning("the clock was set from %s to %s", old.isoformat(sep=" "), reading.now.isoformat(sep=" "))
        if before is None or abs(step) >= STEP_SECONDS or anchor != before.anchor or not self._is_written:
            self._write(reading.offset, anchor)
        doubt = doubt_from(reading, anchor, self._newest)
        if doubt is None:
            self._findings.clear(UNTRUSTED_CODE)
        else:
            self._findings.report(finding_from_doubt(doubt, reading, anchor))

    def _write(self, offset: float, anchor: Anchor | None) -> None:
        self._record = ClockRecord(self._trust.boot_id, offset, anchor)
        try:
            self._trust.write(offset, anchor)
            self._is_written = True
        except OSError as error:
            self._is_written = False
            sentence = f"Whether the box's clock is right could not be written down ({reason_of(error)})."
            suggestion = (
                "Images are saved, and marked as of a time that may be wrong; restart the box, or call support."
            )
            self._findings.report(Finding(_UNWRITTEN_CODE, sentence, suggestion))
        else:
            self._findings.clear(_UNWRITTEN_CODE)


def newest_moment(facts: ExamFacts) -> datetime | None:
    """When the newest exam was opened with a clock that was believed; None when there is none that can be read."""
    for exam_id in reversed(facts.exam_ids()):
        try:
            exam = facts.exam(exam_id)
        except DamagedFactError as error:
            _log.error("%s", error.sentence)
            continue
        if exam is not None and exam.is_clock_trusted:
            return exam.opened_at
    return None


def finding_from_doubt(doubt: Doubt, reading: ClockReading, anchor: Anchor | None) -> Finding:
    """What people are told while the clock is not believed: its day and not its time, so that it is told once."""
    match doubt:
        case Doubt.BEHIND:
            sentence = "The box's clock is wrong: it is behind an exam that was made here."
        case Doubt.CHANGED:
            step = reading.offset - anchor.offset if anchor else 0.0
            way = "forward" if step > 0 else "back"
            sentence = f"The box's clock may be wrong: it was put {way} by {_span_text(abs(step))}."
        case Doubt.NEVER_SET:
            sentence = "The box's clock may be wrong: nothing has set it since the box started."
    return Finding(
        UNTRUSTED_CODE,
        f"{sentence} It says that today is {reading.now:%Y-%m-%d}.",
        "Images are saved, and marked; the worklist is that of this day. Have the time server checked; if the time is "
        "right (`appliance clock`), say so with `appliance clock trust`.",
    )


def _span_text(seconds: float) -> str:
    """In one or two units: `20 s`, `4 min`, `3 h 5 min`, `400 days`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole < 86_400 else counted(whole // 86_400, "day")
