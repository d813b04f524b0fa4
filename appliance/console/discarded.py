"""Taking away what was discarded, a day after: `discarded/DEVICE/EXAM/`, and what people decided in no exam."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

from appliance.base.clock import Clock, Deadline
from appliance.base.durable import remove_file
from appliance.base.findings import FindingBoard
from appliance.base.flash import telling_of_flash
from appliance.exam.decisions import Decision
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.names import ObjectName
from appliance.spool.tree import UNASSIGNED, Spool, list_objects

_log = logging.getLogger(__name__)

LIES = timedelta(days=1)
# A clock that is put forward takes nothing away at once.
LEAST_SECONDS = 3600.0
_LOOK_SECONDS = 60.0
_KINDS = ("discarded", "reassigned")


class DiscardedObjects:
    """Part of the keeper's thread. What was discarded from an exam stays for as long as that has not ended."""

    def __init__(self, spool: Spool, facts: ExamFacts, findings: FindingBoard, clock: Clock) -> None:
        self._spool = spool
        self._facts = facts
        self._findings = findings
        self._clock = clock
        self._next_look = Deadline.after(clock, 0.0)
        self._seen: dict[Path, float] = {}

    def work(self) -> None:
        """`remove`, if it is time for it."""
        if self._next_look.is_over():
            self._next_look = Deadline.after(self._clock, _LOOK_SECONDS)
            self.remove()

    def remove(self) -> None:
        """Take away what lay long enough. What flash does not let go is told, and tried again."""
        with telling_of_flash(self._findings, "discarded-unremoved", "What was discarded cannot be taken away"):
            top = self._spool.state / "discarded"
            seen = {}
            for directory in sorted(top.glob("*/*")) if top.is_dir() else ():
                for path, name in list_objects(directory):
                    seen[path] = self._seen.get(path, self._clock.monotonic())
                    if self._is_over(seen[path], directory.name, name):
                        remove_file(path)
                        self._forget(directory.name, name)
                        _log.info("what was discarded is taken away: %s", name.sop_instance_uid)
                is_over = directory.name != UNASSIGNED and not (self._spool.exams / directory.name).exists()
                if is_over and next(directory.iterdir(), None) is None:
                    directory.rmdir()
            self._seen = seen

    def _is_over(self, seen_at: float, exam_id: str, name: ObjectName) -> bool:
        if self._clock.monotonic() - seen_at < LEAST_SECONDS:
            return False
        has_record = exam_id == UNASSIGNED or (self._spool.exams / exam_id).exists()
        if exam_id != UNASSIGNED and has_record and not (self._spool.exams / exam_id / "closed.json").exists():
            return False
        for kind in _KINDS:
            try:
                decision = self._facts.read(exam_id, f"{kind}-{name.sop_instance_uid}", Decision)
            except DamagedFactError:
                return True  # when it was decided nobody knows; it lay here for an hour at least
            if decision is not None:
                return abs(self._clock.now() - decision.decided_at) > LIES
        return True

    def _forget(self, exam_id: str, name: ObjectName) -> None:
        """A decision of no exam goes with its object; an exam's decisions go with the exam."""
        if exam_id == UNASSIGNED:
            for kind in _KINDS:
                remove_file(self._spool.exams / UNASSIGNED / f"{kind}-{name.sop_instance_uid}.json")
