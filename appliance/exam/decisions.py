"""What people decided about single objects: `exams/EXAM/KIND-UID.json`, each written once and obeyed for ever.

An object with a decision is never stored (again), however its file lies: a rebuild of the journal finds the decisions
where it finds the exam. One that is released from a single destination, `released-UID@DESTINATION.json`, still goes to
the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from appliance.base.errors import ApplianceError

_UID = r"[0-9.]{1,64}"
_DESTINATION = r"[a-z][a-z0-9-]{0,23}"  # config.texts.Name


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


_NAME = re.compile(
    rf"\A(?P<kind>{'|'.join(DecisionKind)})-(?P<uid>{_UID})(?:@(?P<destination>{_DESTINATION}))?\.json\Z"
)


@dataclass(frozen=True)
class Decision:
    """One person's decision about one object.

    `actor` is who decided, as the caller told it; `new_sop_instance_uid` and `new_exam_id` say where a reassigned
    object went. `destination` is the only one from which it is released; empty for all, and for every other kind.
    """

    kind: DecisionKind
    sop_instance_uid: str
    decided_at: datetime
    actor: str
    reason: str
    new_sop_instance_uid: str = ""
    new_exam_id: str = ""
    destination: str = ""

    @property
    def name(self) -> str:
        """The fact's name in its exam. ApplianceError when UID or destination cannot be part of one."""
        if not re.fullmatch(_UID, self.sop_instance_uid):
            raise ApplianceError("This is not a UID.")
        if not self.destination:
            return f"{self.kind}-{self.sop_instance_uid}"
        if self.kind is not DecisionKind.RELEASED or not re.fullmatch(_DESTINATION, self.destination):
            raise ApplianceError("This is not a destination's name.")
        return f"{self.kind}-{self.sop_instance_uid}@{self.destination}"


@dataclass(frozen=True, slots=True)
class Decided:
    """What is decided about an object: `kinds` of it as a whole, and the single destinations it is `released_at`."""

    kinds: frozenset[DecisionKind] = frozenset()
    released_at: frozenset[str] = frozenset()


UNDECIDED: Final = Decided()


def all_decided_from(file_names: Iterable[str]) -> dict[str, Decided]:
    """By SOP Instance UID: what the decisions among the files of an exam say."""
    found: dict[str, Decided] = {}
    for uid, kind, destination in filter(None, map(decided_from, file_names)):
        known = found.get(uid, UNDECIDED)
        if destination:
            found[uid] = replace(known, released_at=known.released_at | {destination})
        else:
            found[uid] = replace(known, kinds=known.kinds | {kind})
    return found


def decided_from(file_name: str) -> tuple[str, DecisionKind, str] | None:
    """SOP Instance UID, kind and destination that a decision's file name says; None for any other file of an exam.

    The destination is empty where the decision is about the whole object.

    The name alone is enough to obey: a decision whose content is damaged still holds.
    """
    match = _NAME.match(file_name)
    if match is None:
        return None
    kind, destination = DecisionKind(match["kind"]), match["destination"] or ""
    return None if destination and kind is not DecisionKind.RELEASED else (match["uid"], kind, destination)
