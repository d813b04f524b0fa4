"""Transfers as records of the audit trail: what begins to leave the box, before its first byte does, and what arrived.

Both speak of one patient (PS3.15 A.5.3.3, A.5.3.7), so there is one of each for every exam and association. An object
that is tried again and again is told of once as begun, for as long as the process lives.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.config.schema import Destination
from appliance.exam.audit import Act, Effect, Party
from appliance.exam.audit_gate import AuditGate
from appliance.exam.exam import Exam
from appliance.exam.facts import ExamFacts
from appliance.forward.journal import Journal
from appliance.forward.ledger import DueObject
from appliance.forward.states import DeliveryState

_log = logging.getLogger(__name__)

_NOT_ARRIVED = frozenset({DeliveryState.PENDING, DeliveryState.STORING, DeliveryState.REFUSED})


class Transfer:
    """What became of the objects of one association."""

    def __init__(self) -> None:
        self.arrived: list[DueObject] = []
        self.refused: list[DueObject] = []

    def note(self, one: DueObject, state: DeliveryState | None) -> None:
        """`one` was sent, and its delivery is in `state` now."""
        if state is DeliveryState.REFUSED:
            self.refused.append(one)
        elif state is not None and state not in _NOT_ARRIVED:
            self.arrived.append(one)


class TransferAudit:
    """Records the transfers to one destination."""

    def __init__(self, gate: AuditGate, destination: Destination, facts: ExamFacts, journal: Journal) -> None:
        self._gate = gate
        self._destination = destination
        self._facts = facts
        self._journal = journal
        self._begun: set[str] = set()

    @contextmanager
    def transferring(self, batch: Sequence[DueObject]) -> Iterator[Transfer]:
        """Around the sending of `batch`, however that ends."""
        fresh = [one for one in batch if one.sop_instance_uid not in self._begun]
        self._record(Act.TRANSFER_BEGUN, fresh)
        self._begun.update(one.sop_instance_uid for one in fresh)
        transfer = Transfer()
        try:
            yield transfer
        finally:
            self._record(Act.OBJECTS_TRANSFERRED, transfer.arrived)
            self._record(
                Act.OBJECTS_TRANSFERRED,
                transfer.refused,
                Effect.SERIOUS_FAILURE,
                f"{self._destination.name} refused them.",
            )
            self._begun.difference_update(one.sop_instance_uid for one in [*transfer.arrived, *transfer.refused])

    def _record(
        self, act: Act, objects: Iterable[DueObject], outcome: Effect = Effect.SUCCESS, detail: str = ""
    ) -> None:
        by_exam: dict[str, list[DueObject]] = {}
        for one in objects:
            by_exam.setdefault(self._exam_id_of(one), []).append(one)
        for exam_id, members in by_exam.items():
            self._gate.record(
                act,
                actor=self._gate.process,
                outcome=outcome,
                exam=self._exam(exam_id),
                objects=[one.sop_instance_uid for one in members],
                sop_classes=[one.sop_class_uid for one in members],
                party=Party(self._destination.ae_title, self._destination.host),
                detail=detail,
            )

    def _exam_id_of(self, one: DueObject) -> str:
        with self._journal.reading() as connection:
            found = connection.execute(
                "SELECT exam_id FROM objects WHERE sop_instance_uid = ?", (one.sop_instance_uid,)
            ).fetchone()
        return str(found[0]) if found else ""

    def _exam(self, exam_id: str) -> Exam | None:
        """None where its record cannot be read: its objects are told of all the same."""
        try:
            return self._facts.exam(exam_id) if exam_id else None
        except (ApplianceError, OSError) as error:
            why = reason_of(error) if isinstance(error, OSError) else type(error).__name__
            _log.warning("the record of exam %s cannot be read for the audit trail: %s", exam_id, why)
            return None
