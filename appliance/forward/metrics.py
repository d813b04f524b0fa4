"""What a hospital's monitoring asks of a box: how much waits at whom and since when, what is refused, room, clock.

Nothing of it names a patient or an exam. Counters begin with the process, as OpenMetrics has it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from appliance.base.board import read_temperature
from appliance.base.clock import Clock
from appliance.base.openmetrics import Family, Kind, Sample, text_from
from appliance.base.version import VERSION
from appliance.exam.answers import DamagedAnswerError, read_answer
from appliance.exam.facts import ExamFacts
from appliance.exam.waiting import read_waiting
from appliance.forward.states import DeliveryEvent
from appliance.spool.tree import Spool, free_bytes

_STATES: Final = ("pending", "stored", "stored_only", "verified", "committed", "refused", "released")
_COUNTED: Final[Mapping[DeliveryEvent, str]] = {
    DeliveryEvent.STORE_ACCEPTED: "stored",
    DeliveryEvent.STORE_REFUSED: "store_refused",
    DeliveryEvent.STORE_FAILED: "store_failed",
    DeliveryEvent.COMMITTED: "committed",
    DeliveryEvent.COMMITMENT_REFUSED: "commitment_refused",
    DeliveryEvent.REPORT_MISSING: "commitment_missing",
    DeliveryEvent.VERIFIED: "verified",
}


@dataclass(frozen=True, slots=True)
class Metrics:
    """Thread-safe; everything is read when it is asked for. `events` are the ledger's since the process began."""

    spool: Spool
    worklist: Path
    sources: Sequence[str]
    events: Counter[tuple[str, DeliveryEvent]]
    clock: Clock
    is_clock_trusted: Callable[[], bool]

    def text(self, status: Mapping[str, Any]) -> str:
        """The exposition; `status` is what forward's socket answers to /status. OSError when flash gives nothing."""
        now = self.clock.now()
        return text_from(
            (
                Family("appliance", Kind.INFO, "The software's release.", (Sample(1, {"version": VERSION}),)),
                *_of_destinations(status["destinations"], now),
                Family("appliance_deliveries", Kind.COUNTER, "What became of objects.", self._counters(status)),
                _steps_due(status["steps"]),
                *self._of_worklists(now),
                *self._of_box(status["findings"]),
                *_of_process(),
            )
        )

    def _counters(self, status: Mapping[str, Any]) -> tuple[Sample, ...]:
        names = [one["name"] for one in status["destinations"]]
        return tuple(
            Sample(self.events[name, event], {"destination": name, "event": word})
            for name in names
            for event, word in _COUNTED.items()
        )

    def _of_worklists(self, now: datetime) -> Iterator[Family]:
        answers = []
        for source in self.sources:
            try:
                answers.append(read_answer(self.worklist, source))
            except DamagedAnswerError:
                continue  # a finding says so
        ages = [(one.source, _seconds_since(one.answered_at, now)) for one in answers if one.answered_at]
        up = tuple(Sample(not one.trouble, {"source": one.source}) for one in answers if one.answered_at)
        samples = tuple(Sample(age, {"source": source}) for source, age in ages)
        text = "Since the worklist source answered last."
        yield Family("appliance_worklist_age_seconds", Kind.GAUGE, text, samples, "seconds")
        yield Family("appliance_worklist_up", Kind.GAUGE, "1: the source answered when it was asked last.", up)

    def _of_box(self, findings: Iterable[Mapping[str, Any]]) -> Iterator[Family]:
        codes = Counter(str(one["code"]) for one in findings)
        found = tuple(Sample(count, {"code": code}) for code, count in sorted(codes.items()))
        yield Family("appliance_findings", Kind.GAUGE, "What is wrong at the forward process, by code.", found)
        waiting = read_waiting(self.spool, ExamFacts(self.spool.exams))
        text = "Exams that are over and have something to be sent."
        yield Family("appliance_exams_waiting", Kind.GAUGE, text, (Sample(waiting.exams),))
        free = (Sample(free_bytes(self.spool.state)),)
        yield Family("appliance_flash_free_bytes", Kind.GAUGE, "Free on the state's file system.", free, "bytes")
        trusted = (Sample(self.is_clock_trusted()),)
        yield Family("appliance_clock_trusted", Kind.GAUGE, "1: the box's clock is believed.", trusted)
        celsius = read_temperature()
        warmth = () if celsius is None else (Sample(celsius),)
        yield Family("appliance_temperature_celsius", Kind.GAUGE, "Of the board's warmest zone.", warmth, "celsius")


def _of_destinations(destinations: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[Family]:
    objects = tuple(
        Sample(one[state], {"destination": one["name"], "state": state}) for one in destinations for state in _STATES
    )
    yield Family("appliance_objects", Kind.GAUGE, "How far objects are at each archive.", objects)
    waits = tuple(
        Sample(_seconds_since(one["pending_since"], now) if one["pending_since"] else 0, {"destination": one["name"]})
        for one in destinations
    )
    text = "Since the oldest object waits to be stored; 0 where none does."
    yield Family("appliance_oldest_pending_seconds", Kind.GAUGE, text, waits, "seconds")
    up = tuple(Sample(not one["trouble"], {"destination": one["name"]}) for one in destinations)
    yield Family("appliance_destination_up", Kind.GAUGE, "0: nothing can be sent there now.", up)


def _steps_due(steps: Mapping[str, Any]) -> Family:
    return Family("appliance_steps_due", Kind.GAUGE, "Performed steps that are to be told.", (Sample(steps["due"]),))


def _of_process() -> Iterator[Family]:
    seconds = (Sample(time.process_time()),)
    yield Family("process_cpu_seconds", Kind.COUNTER, "Processor time of the forward process.", seconds, "seconds")


def _seconds_since(moment: str, now: datetime) -> float:
    return max(0.0, round((now - datetime.fromisoformat(moment)).total_seconds(), 1))
