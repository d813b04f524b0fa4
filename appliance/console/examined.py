"""What this box has examined: which entries of the worklist, and what the next exam of a study goes on with."""

from __future__ import annotations

import logging

from appliance.exam.decisions import DecisionKind
from appliance.exam.exam import Closed, Exam, StudySoFar
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.exam.item import WorklistItem

_log = logging.getLogger(__name__)


class Examined:
    """Exams that made at least one object, by entry and by study; kept small, since a box keeps months of exams."""

    def __init__(self) -> None:
        self._study_of: dict[str, str] = {}
        self._studies: dict[str, StudySoFar] = {}
        self._newest: dict[str, str] = {}  # the last exam of each of their keys

    def add(self, exam: Exam, closed: Closed) -> None:
        """Take in an exam that has ended; in the order of their opening. One without objects did not take place."""
        if not closed.instances or not exam.is_scheduled or not exam.steps:
            return  # a rejection note has no step
        for item in exam.items:
            self._study_of[item.key] = exam.study_instance_uid
            self._newest[item.key] = exam.exam_id
        self._newest[exam.study_instance_uid] = exam.exam_id
        known = self._studies.get(exam.study_instance_uid)
        self._studies[exam.study_instance_uid] = StudySoFar(
            study_instance_uid=exam.study_instance_uid,
            started_at=known.started_at if known else exam.study_began_at,
            last_series_number=max(
                (series.series_number for series in exam.series), default=known.last_series_number if known else 0
            ),
        )

    def forget(self, exam: Exam) -> None:
        """The exam's record is taken away; what a later one said stands."""
        for key in (exam.study_instance_uid, *(item.key for item in exam.items)):
            if self._newest.get(key) == exam.exam_id:
                del self._newest[key]
                self._study_of.pop(key, None)
                self._studies.pop(key, None)

    def has(self, key: str) -> bool:
        """True when an exam of this entry was made: a key stays one scheduled step's, however long it waits."""
        return key in self._study_of

    def study_so_far(self, item: WorklistItem) -> StudySoFar | None:
        """What an exam on `item` is added to: the study that its images lie in, or that it names; None for a new one.

        An entry that was examined in a group lies in the study of the entry that was chosen first.
        """
        if not item.source:
            return None
        return self._studies.get(self._study_of.get(item.key, item.study_instance_uid))


def read_examined(facts: ExamFacts) -> Examined:
    """From the files of all exams. One that cannot be read is left out: its exam's own finding tells of it."""
    examined = Examined()
    for exam_id in facts.exam_ids():
        try:
            closed = facts.closed(exam_id)
            exam = facts.exam(exam_id)
        except DamagedFactError as error:
            _log.error("%s", error.sentence)
            continue
        if closed is not None and exam is not None and not _is_rejected(facts, closed, exam_id):
            examined.add(exam, closed)
    return examined


def _is_rejected(facts: ExamFacts, closed: Closed, exam_id: str) -> bool:
    """Whether a person said of all of its images that they are another patient's."""
    decided = facts.decided(exam_id)
    rejected = {uid for uid, one in decided.items() if DecisionKind.REJECTED in one.kinds}
    return bool(closed.instances) and rejected.issuperset(one.sop_instance_uid for one in closed.instances)
