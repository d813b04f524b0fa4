"""What people do at the panel, as records of the audit trail: the operator who unlocked it, where there are operators.

A record comes before the fact that it is about: a power cut between the two leaves a record of what nobody was told of,
never an act without one. Where flash does not take the record, `AuditGate` keeps it, and the examination goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.exam.audit import Act, Effect
from appliance.exam.audit_gate import AuditGate
from appliance.exam.exam import Closed, Exam, Outcome
from appliance.exam.moved import MovedObject
from appliance.exam.reasons import is_reason, reason_from

PANEL = "panel"
# Who ends an exam that everybody forgot.
BOX = "console"


class PanelAudit:
    """Records the opening and the end of exams, and what was decided about their images."""

    def __init__(self, gate: AuditGate, operator: Callable[[], str] = lambda: "") -> None:
        """`operator()` is who unlocked the panel; empty where nobody did."""
        self._gate = gate
        self._operator = operator
        self._ended: deque[str] = deque(maxlen=64)
        self._forgotten: deque[str] = deque(maxlen=64)

    def actor(self) -> str:
        """Whom a record names."""
        return self._operator() or PANEL

    @contextmanager
    def opening(self, exam: Exam) -> Iterator[None]:
        """Around the writing of `exam.json`: its failure is a record too."""
        actor = self.actor()
        self._gate.record(Act.EXAM_OPENED, actor=actor, exam=exam)
        try:
            yield
        except (ApplianceError, OSError) as error:
            said = error.sentence if isinstance(error, ApplianceError) else reason_of(error)
            self._gate.record(
                Act.EXAM_OPENED, actor=actor, exam=exam, outcome=Effect.SERIOUS_FAILURE, detail=f"Not opened: {said}"
            )
            raise

    def record_moved(self, source: Exam | None, target: Exam, objects: Sequence[MovedObject], actor: str) -> None:
        """Before it is decided: these objects of `source`, or of no exam, are made anew in `target`."""
        where = source.exam_id if source else "no exam"
        if source is not None:
            self._gate.record(
                Act.OBJECT_REASSIGNED,
                actor=actor,
                exam=source,
                objects=[one.sop_instance_uid for one in objects],
                detail=f"Wrong patient: moved to the exam {target.exam_id}.",
            )
        self._gate.record(
            Act.OBJECT_REASSIGNED,
            actor=actor,
            exam=target,
            objects=[one.new_sop_instance_uid for one in objects],
            detail=f"Made anew of images of {where}.",
        )

    def record_described(self, exam: Exam, one: MovedObject, actor: str) -> None:
        """Before it is decided: an image is made anew since its series is called otherwise."""
        uids = [one.sop_instance_uid, one.new_sop_instance_uid]
        self._gate.record(
            Act.OBJECT_REASSIGNED,
            actor=actor,
            exam=exam,
            objects=uids,
            detail="Made anew: its series is called otherwise.",
        )

    def record_discarded(self, exam: Exam | None, objects: Sequence[str], actor: str, reason: str) -> None:
        """Before it is decided: these objects are taken out of the exam, or out of those that belong to none."""
        self._gate.record(Act.OBJECT_DISCARDED, actor=actor, exam=exam, objects=objects, detail=reason)

    def record_taken_back(self, exam: Exam, objects: Sequence[str], actor: str) -> None:
        """Before it is done: what was discarded is in the exam again."""
        self._gate.record(
            Act.OBJECT_REASSIGNED, actor=actor, exam=exam, objects=objects, detail="Discarding taken back."
        )

    def record_forgotten(self, exam: Exam, why: str) -> None:
        """Before the box ends the exam by itself."""
        self._forgotten.append(exam.exam_id)
        self._gate.record(Act.EXAM_CLOSED, actor=BOX, exam=exam, detail=why)

    def record_end(self, exam: Exam, closed: Closed) -> None:
        """Before `closed.json` is written: how the exam ended, and every image that it has.

        Once for each exam, however often its ending is tried; after a restart in the middle it may be a second time.
        """
        if exam.exam_id in self._ended:
            return
        is_completed = closed.outcome is Outcome.COMPLETED
        reason = reason_from(closed.reason).meaning if is_reason(closed.reason) else closed.reason
        self._gate.record(
            Act.EXAM_CLOSED if is_completed else Act.EXAM_DISCONTINUED,
            actor=BOX if exam.exam_id in self._forgotten else self.actor(),
            exam=exam,
            objects=[instance.sop_instance_uid for instance in closed.instances],
            sop_classes=[instance.sop_class_uid for instance in closed.instances],
            detail="" if is_completed else reason,
        )
        self._ended.append(exam.exam_id)
