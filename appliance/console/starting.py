"""`started-MODALITY.json`: the first object of this modality is durable, which is when the performed step has begun."""

from __future__ import annotations

import logging
from collections.abc import Callable

from appliance.base.clock import Clock
from appliance.exam.exam import Exam, Started
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool, list_captured

_log = logging.getLogger(__name__)


class Starts:
    """Notices, by looking into `captured/`, which steps have begun; part of the keeper's thread."""

    def __init__(self, spool: Spool, facts: ExamFacts, clock: Clock, tell_forward: Callable[[], None]) -> None:
        self._spool = spool
        self._facts = facts
        self._clock = clock
        self._tell_forward = tell_forward
        self._known: set[tuple[str, str]] = set()

    def read(self, exam_id: str) -> None:
        """What was noticed of the exam before."""
        self._known = {(exam_id, modality) for modality in self._facts.started(exam_id)}

    def notice(self, exam: Exam) -> None:
        """Write the fact for each modality whose first object is durable. What has no step, a note, begins none."""
        planned = {step.modality for step in exam.steps}
        for device, path, name in list_captured(self._spool, exam.exam_id):
            modality = next((series.modality for series in exam.series if series.device == device), None)
            if modality not in planned or (exam.exam_id, modality) in self._known or not path.exists():
                continue
            fact = Started(modality, self._clock.now().replace(microsecond=0), name.sop_instance_uid)
            if self._facts.write(exam.exam_id, f"started-{modality}", fact):
                _log.info("exam %s: %s started", exam.exam_id, modality)
                self._tell_forward()
            self._known.add((exam.exam_id, modality))
