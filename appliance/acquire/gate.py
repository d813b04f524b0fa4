"""Whose frame is it? Decided at its first byte, by the files of the exams; and what is still under way for whom.

A capture registers *before* it reads which exam is open, and an exam's closing is written *before* the captures are
asked to drain. So either the capture sees the closing, or the draining sees the capture: none falls in between.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError
from appliance.exam.exam import Closed, Exam
from appliance.exam.facts import DamagedFactError, ExamFacts

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2


class WrongExamError(ApplianceError):
    """The exam that a capture was meant for is not the open one."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One capture under way. `exam` is None for a frame that comes while nobody chose a patient.

    Until `is_decided` the exams' files have not been read for it, and it may turn out to be any exam's.
    """

    captured_at: datetime
    is_clock_trusted: bool = True  # at that moment
    exam: Exam | None = None
    is_decided: bool = False

    @property
    def unassigned(self) -> Ticket:
        """A ticket for the same moment and for no exam."""
        return Ticket(self.captured_at, self.is_clock_trusted)

    @property
    def exam_id(self) -> str | None:
        return self.exam.exam_id if self.exam else None


class ExamGate:
    """Gives out tickets and waits for them."""

    def __init__(self, facts: ExamFacts, clock: Clock, is_clock_trusted: Callable[[], bool] = lambda: True) -> None:
        """`is_clock_trusted` says whether the box believes its wall clock now."""
        self._facts = facts
        self._clock = clock
        self._is_clock_trusted = is_clock_trusted
        self._under_way: set[Ticket] = set()
        self._changed = threading.Condition()

    def admit(self, expected_exam_id: str | None = None, began: float | None = None) -> Ticket:
        """A ticket for the exam that is open now; `end` it, whatever happens.

        `began` is the monotonic moment of the capture's first byte, if that was earlier than now. WrongExamError when
        the panel asked for an exam that is not open any more. Nobody can capture into an exam whose record is damaged;
        what comes by itself is unassigned then. OSError when the facts cannot be read.
        """
        elapsed = 0.0 if began is None else self._clock.monotonic() - began
        ticket = Ticket(self._clock.now() - timedelta(seconds=max(0.0, elapsed)), self._is_clock_trusted())
        with self._changed:
            self._under_way.add(ticket)
        try:
            exam_id = self._facts.open_exam_id()
            if expected_exam_id is not None and expected_exam_id != exam_id:
                raise WrongExamError(
                    "This exam is not open any more; nothing was captured.", "Choose the patient again."
                )
            ticket.exam = self._exam_of(exam_id, expected_exam_id)
            ticket.is_decided = True
        except BaseException:
            self.end(ticket)
            raise
        return ticket

    def _exam_of(self, exam_id: str | None, expected_exam_id: str | None) -> Exam | None:
        if exam_id is None:
            return None
        try:
            return self._facts.exam(exam_id)
        except DamagedFactError:
            if expected_exam_id is not None:
                raise
            _log.error("the record of exam %s is damaged; what is captured now is unassigned", exam_id)
            return None

    def open_exam_id(self) -> str | None:
        """The exam that is open now, for who captures nothing yet. OSError when the facts cannot be read."""
        return self._facts.open_exam_id()

    def end(self, ticket: Ticket) -> None:
        """The capture is durable, or failed. Harmless when it was ended before."""
        with self._changed:
            self._under_way.discard(ticket)
            self._changed.notify_all()

    @contextmanager
    def admitting(self, expected_exam_id: str | None = None) -> Iterator[Ticket]:
        """`admit` and `end` around a block."""
        ticket = self.admit(expected_exam_id)
        try:
            yield ticket
        finally:
            self.end(ticket)

    def recently_closed(self, count: int) -> list[tuple[str, Closed]]:
        """The last exams that have ended, with their lists. One whose list is damaged is passed over: OSError only."""
        found: list[tuple[str, Closed]] = []
        for exam_id in reversed(self._facts.exam_ids()):
            try:
                closed = self._facts.closed(exam_id)
            except DamagedFactError as error:
                _log.error("%s", error.sentence)
                continue
            if closed is not None:
                found.append((exam_id, closed))
            if len(found) == count:
                break
        return found

    def drain(self, exam_id: str, seconds: float, finish: Callable[[], None] = lambda: None) -> bool:
        """Wait until nothing is under way for `exam_id`; false when `seconds` were not enough.

        `finish` ends what goes on until somebody ends it: a clip. It is called in each round, since a clip that was
        admitted a moment ago may only now have begun. A ticket from before the draining, whose exam is not decided yet,
        counts as the exam's; one from after it sees the closing.
        """
        deadline = Deadline.after(self._clock, seconds)
        with self._changed:
            undecided = {ticket for ticket in self._under_way if not ticket.is_decided}
        while True:
            finish()
            with self._changed:
                undecided = {ticket for ticket in undecided & self._under_way if not ticket.is_decided}
                if not undecided and all(ticket.exam_id != exam_id for ticket in self._under_way):
                    return True
                if deadline.is_over():
                    return False
                self._changed.wait(min(_LOOK_SECONDS, deadline.remaining()))
