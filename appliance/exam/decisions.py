"""What people decided about single objects: `exams/EXAM/KIND-UID.json`, each written once and obeyed for ever.

An object with a decision is never stored (again), however its file lies: a rebuild of the journal finds the decisions
where it finds the exam.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.base.errors import ApplianceError

_UID = r"[0-9.]{1,64}"


class DecisionKind(StrEnum):
    """What was decided, as the file's name says it."""

    DISCARDED = "discarded"
    """Taken out of the exam in the review, before it was sent."""
    REASSIGNED = "reassigned"
    """Belongs to another exam, where it has a new SOP Instance UID."""
    RELEASED = "released"
    """Let go of: the box need not wait for an archive that never takes responsibility for it."""
    REJECTED = "rejected"
    """Is not to be used, though it may have been sent."""


_NAME = re.compile(rf"\A(?P<kind>{'|'.join(DecisionKind)})-(?P<uid>{_UID})\.json\Z")


@dataclass(frozen=True)
class Decision:
    """One person's decision about one object.

    `actor` is who decided, as the caller told it; `new_sop_instance_uid` and `new_exam_id` say where a reassigned
    object went.
    """

    kind: DecisionKind
    sop_instance_uid: str
    decided_at: datetime
    actor: str
    reason: str
    new_sop_instance_uid: str = ""
    new_exam_id: str = ""

    @property
    def name(self) -> str:
        """The fact's name in its exam. ApplianceError when the UID cannot be part of one."""
        if not re.fullmatch(_UID, self.sop_instance_uid):
            raise ApplianceError("This is not a UID.")
        return f"{self.kind}-{self.sop_instance_uid}"


def decided_from(file_name: str) -> tuple[str, DecisionKind] | None:
    """SOP Instance UID and kind that a decision's file name says; None for any other file of an exam.

    The name alone is enough to obey: a decision whose content is damaged still holds.
    """
    match = _NAME.match(file_name)
    return (match["uid"], DecisionKind(match["kind"])) if match else None
