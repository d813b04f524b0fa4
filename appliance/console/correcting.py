"""The wrong patient, noticed after the exam had ended: its images may be in the archive already.

They get new UIDs in a new exam of the right patient, as before; what was sent cannot be called back. An archive that
knows IHE's Image Object Change Management takes a note that rejects it. Whether the site's archive does, and whether
the box may send such a note, is the site's to say (`box.corrections`); without it the box says what a person must ask
the archive's administrator for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, counted
from appliance.base.flash import in_words
from appliance.base.uids import new_uid
from appliance.config.schema import Box
from appliance.console.audit import PanelAudit
from appliance.console.exams import ExamKeeper
from appliance.exam.exam import Closed, Exam, Instance, PlannedSeries
from appliance.exam.facts import ExamFacts, exam_id_from
from appliance.exam.item import WorklistItem
from appliance.exam.moved import Moved, MovedObject
from appliance.spool.tree import Spool, ensure_room


@dataclass(frozen=True, slots=True)
class Correctable:
    """An ended exam: its images that may be moved, and what becomes of those that were sent."""

    exam: Exam
    closed: Closed
    instances: tuple[Instance, ...]
    sent: frozenset[str]
    is_enabled: bool

    def view(self) -> dict[str, Any]:
        """What the panel shows before anything is chosen."""
        return {
            "exam_id": self.exam.exam_id,
            "instances": [
                {
                    "sop_instance_uid": one.sop_instance_uid,
                    "device": one.device,
                    "bytes": one.bytes,
                    "saved_at": one.saved_at.isoformat(timespec="seconds") if one.saved_at else "",
                }
                for one in self.instances
            ],
            "sent": len(self.sent),
            "is_enabled": self.is_enabled,
            "sentence": self.sentence,
            "suggestion": self.suggestion,
        }

    @property
    def sentence(self) -> str:
        """What the archive needs."""
        if not self.sent:
            return "The archive has none of these images."
        images = counted(len(self.sent), "image")
        return f"The archive may have {images} of this exam. What was sent cannot be called back."

    @property
    def suggestion(self) -> str:
        """What the box will do, or what a person must."""
        if not self.sent:
            return "The box sends them as of the right patient only."
        if self.is_enabled:
            return (
                "The box sends a rejection note (113038, Incorrect Modality Worklist Entry) and the images anew as of "
                "the right patient. The hospital's system must be told that the performed step was not of this patient."
            )
        return (
            "This box may not correct it. Ask the archive's administrator to reject them as of an incorrect worklist "
            "entry (113038), or let the site enable corrections on the box."
        )


class Corrections:
    """Thread-safe."""

    def __init__(
        self,
        spool: Spool,
        facts: ExamFacts,
        box: Box,
        clock: Clock,
        *,
        keeper: ExamKeeper,
        audit: PanelAudit,
        ask_unsent: Callable[[str], Collection[str]],
    ) -> None:
        """`ask_unsent(exam_id)` asks forward which of its objects no archive can have; it may raise ApplianceError."""
        self._spool = spool
        self._facts = facts
        self._box = box
        self._clock = clock
        self._keeper = keeper
        self._audit = audit
        self._ask_unsent = ask_unsent

    def look(self, exam_id: str) -> Correctable:
        """What can be corrected of the exam. ApplianceError when it has not ended, or nothing of it is here."""
        exam = self._facts.exam(exam_id) if exam_id in self._facts.exam_ids() else None
        closed = self._facts.closed(exam_id) if exam else None
        if exam is None or closed is None:
            raise ApplianceError("There is no such exam that has ended.", "Look at the screen again.")
        decided = self._facts.decided(exam_id)
        steps = {step.modality for step in exam.steps}
        here = tuple(
            one
            for one in closed.instances
            if one.modality in steps and one.sop_instance_uid not in decided and self._is_here(one)
        )
        if not here:
            raise ApplianceError("None of its images is on the box any more.", "Ask the archive's administrator.")
        return Correctable(exam, closed, here, self._sent(exam_id, here), self._box.corrections)

    def correct(self, exam_id: str, uids: Collection[str] | None, items: Sequence[WorklistItem], actor: str) -> Exam:
        """Give these images, or all that are here, to a new exam on `items`, which ends at once, and reject the old.

        ApplianceError when the site does not let the box do so and the archive may have some of them.
        """
        with self._keeper.planning(), in_words("Nothing was changed", "Look at the screen again."):
            found = self.look(exam_id)
            chosen = [one for one in found.instances if uids is None or one.sop_instance_uid in uids]
            if not chosen or (uids is not None and len(chosen) != len(set(uids))):
                raise ApplianceError("These images are not there any more.", "Look at the screen again.")
            rejected = tuple(one.sop_instance_uid for one in chosen if one.sop_instance_uid in found.sent)
            if rejected and not found.is_enabled:
                raise ApplianceError(found.sentence, found.suggestion)
            if items[0].source and items[0].key in {item.key for item in found.exam.items}:
                raise ApplianceError("This is the entry that the exam is of already.", "Choose another one.")
            exam = self._keeper.plan(*items)
            known = {series.device for series in exam.series}
            if not {one.device for one in chosen} <= known:
                raise ApplianceError("A device of these images is not set up any more.", "Call support.")
            ensure_room(self._spool.state, sum(one.bytes for one in chosen), self._box.reserve_bytes)
            now = self._clock.now().replace(microsecond=0)
            moved = Moved(
                exam_id,
                exam,
                tuple(MovedObject(one.sop_instance_uid, new_uid(), one.device, one.file_name) for one in chosen),
                now,
                actor,
                is_all=len(chosen) == len(found.instances),
                is_released=True,
                note_exam=_note_exam(found.exam, exam, chosen[0].device, now) if rejected else None,
                note_sop_instance_uid=new_uid() if rejected else "",
                rejected=rejected,
            )
            self._audit.record_moved(found.exam, exam, moved.objects, actor)
            self._keeper.move(moved)
            if moved.is_all and len(chosen) == len(found.closed.instances):
                self._keeper.forget(found.exam)  # the worklist's mark
        return exam

    def _is_here(self, one: Instance) -> bool:
        return any((place / one.file_name).exists() for place in (self._spool.outbox, self._spool.kept))

    def _sent(self, exam_id: str, here: Sequence[Instance]) -> frozenset[str]:
        """Those that an archive may have; all of them where nobody knows."""
        uids = frozenset(one.sop_instance_uid for one in here)
        try:
            return uids.difference(self._ask_unsent(exam_id))
        except ApplianceError:
            return uids


def _note_exam(source: Exam, target: Exam, device: str, now: datetime) -> Exam:
    """The note's own exam: in the study of the images that it rejects, a series of its own, no performed step."""
    number = 1 + max(series.series_number for series in source.series)
    return Exam(
        exam_id=exam_id_from(int(target.exam_id[1:7]) + 1, now),
        opened_at=now,
        item=source.item,
        further_items=source.further_items,
        study_instance_uid=source.study_instance_uid,
        study_started_at=source.study_began_at,
        is_clock_trusted=target.is_clock_trusted,
        series=(PlannedSeries(device, "KO", new_uid(), 100 + number, "Rejection note"),),
        steps=(),
    )
