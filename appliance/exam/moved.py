"""What a person decided about several objects at once, or about a series: facts of exams beside single decisions.

`moved.json` lies in the exam that the objects are moved to, and is the first fact of that exam: it holds the whole of
it, so that a restart at any moment makes the same exam with the same objects. What belonged to no exam has its single
decisions in `exams/unassigned/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Closing, Exam, Outcome
from appliance.exam.reasons import WRONG_ENTRY

MOVED = "moved"
DESCRIBED = re.compile(r"\Adescribed-(?P<device>[a-z][a-z0-9-]{0,23})-(?P<number>[1-9][0-9]{0,4})\Z")


@dataclass(frozen=True)
class MovedObject:
    """An object and the one that takes its place in the right exam, which is made by the same `device`."""

    sop_instance_uid: str
    new_sop_instance_uid: str
    device: str
    file_name: str


@dataclass(frozen=True)
class Moved:
    """`moved.json`: objects of the exam `from_exam_id` belong to `exam`, in whose directory this lies.

    `is_all`: nothing remains in the exam that they come from. `is_released`: that exam had ended, and they may have
    been sent; then `note_exam` is the exam of the note that rejects those in `rejected` (PS3.3 A.35.4), None where the
    archive has none of them.
    """

    from_exam_id: str
    exam: Exam
    objects: tuple[MovedObject, ...]
    decided_at: datetime
    actor: str
    is_all: bool
    is_released: bool = False
    note_exam: Exam | None = None
    note_sop_instance_uid: str = ""
    rejected: tuple[str, ...] = ()

    @property
    def closing(self) -> Closing:
        """How the exam ends that must end for this: the one that they come from, or, where that had ended, the new one.

        A step of which nothing remains was begun on a wrong entry (PS3.16 CID 9300, 110514): the reason is said in any
        case, since an exam of which something remains may have a step of which nothing does.
        """
        outcome = Outcome.DISCONTINUED if self.is_all and not self.is_released else Outcome.COMPLETED
        return Closing(self.decided_at, outcome, "" if self.is_released else WRONG_ENTRY.code)

    def decision_on(self, one: MovedObject) -> Decision:
        """The decision about one of the objects, as the exam that it comes from keeps it."""
        return Decision(
            DecisionKind.REJECTED if self.is_released else DecisionKind.REASSIGNED,
            one.sop_instance_uid,
            self.decided_at,
            self.actor,
            "wrong patient",
            new_sop_instance_uid=one.new_sop_instance_uid,
            new_exam_id=self.exam.exam_id,
        )


@dataclass(frozen=True)
class Described:
    """`described-DEVICE-NUMBER.json`: the series of this device is called so; the highest number stands."""

    device: str
    series_description: str
    decided_at: datetime
    actor: str


def exam_as_described(exam: Exam, described: Iterable[Described]) -> Exam:
    """`exam` with the series called as people called them, `described` in the order of their numbers."""
    said = {one.device: one.series_description for one in described}
    if not said:
        return exam
    series = tuple(
        replace(one, series_description=said[one.device]) if one.device in said else one for one in exam.series
    )
    return replace(exam, series=series)
