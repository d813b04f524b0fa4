"""Performed steps in the journal: which are due, what may have been sent, how they stand at the manager."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from appliance.base.clock import Clock
from appliance.exam.exam import Outcome, PlannedStep
from appliance.forward.journal import Journal
from appliance.forward.settled_record import FOREIGN_STEPS, EndedStep, RefusedSteps
from appliance.forward.states import FINAL_STEPS, StepEvent, StepState, next_step
from appliance.spool.tree import Spool

_CLOCK_SLACK_SECONDS = 5.0
_FINAL = tuple(str(state) for state in sorted(FINAL_STEPS))
# Something is to be told: the beginning, or the end once the exam has one.
_HAS_NEWS = "(state IN ('due', 'retried') OR (state = 'in progress' AND outcome <> ''))"


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step. `managers_uid` is what the manager calls it.

    `is_creation_sent`: an N-CREATE may have left. `is_final_sent`: an N-SET may have, and was never answered.
    """

    sop_instance_uid: str
    exam_id: str
    modality: str
    state: StepState
    outcome: Outcome | None
    managers_uid: str
    is_creation_sent: bool
    is_final_sent: bool


class StepLedger:
    """The questions and acts of the performed steps, each act one durable transaction.

    That somebody else ended a step is in a file too, before it is here: it waits for a person, however long.
    """

    def __init__(self, journal: Journal, clock: Clock, spool: Spool) -> None:
        self._journal = journal
        self._clock = clock
        self._refused_steps = RefusedSteps(spool)

    def add(self, exam_id: str, step: PlannedStep, *, may_have_been_told: bool) -> None:
        """A step has begun. `may_have_been_told`: the journal that would know what was sent is lost.

        OSError of the flash then, when it does not give what was on record.
        """
        known = self._refused_steps.read(exam_id, step.modality) if may_have_been_told else None
        told = known or EndedStep(StepState.DUE)
        with self._journal.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO steps"
                " (sop_instance_uid, exam_id, modality, managers_uid, creation_sent, final_sent, state, said)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    step.sop_instance_uid,
                    exam_id,
                    step.modality,
                    told.managers_uid or step.sop_instance_uid,
                    may_have_been_told,
                    # What was refused had no earlier message that could have arrived.
                    may_have_been_told and known is None,
                    told.state,
                    told.said,
                ),
            )

    def end(self, exam_id: str, modality: str, outcome: Outcome) -> None:
        """The exam is over for this modality; the first outcome stands."""
        with self._journal.transaction() as db:
            db.execute(
                "UPDATE steps SET outcome = ?, next_attempt_at = 0 WHERE exam_id = ? AND modality = ? AND outcome = ''",
                (outcome, exam_id, modality),
            )

    def drop_untold(self, exam_id: str, modality: str) -> None:
        """Forget a step of which the manager cannot have heard."""
        with self._journal.transaction() as db:
            db.execute(
                "DELETE FROM steps WHERE exam_id = ? AND modality = ? AND state = 'due' AND creation_sent = 0",
                (exam_id, modality),
            )

    def due(self, longest: float) -> list[StepRow]:
        """Steps with something to tell now, those that never failed first, then the oldest exam.

        A step at which a manager stumbles every time must not keep it from hearing of the others.
        """
        now = self._clock.now().timestamp()
        with self._journal.reading() as db:
            rows = db.execute(
                f"SELECT * FROM steps WHERE {_HAS_NEWS} AND (next_attempt_at <= ? OR next_attempt_at > ?)"
                " ORDER BY failures, exam_id, modality",
                (now, now + longest + _CLOCK_SLACK_SECONDS),
            )
            return [_step_row(row) for row in rows]

    def read(self, sop_instance_uid: str) -> StepRow | None:
        with self._journal.reading() as db:
            row = db.execute("SELECT * FROM steps WHERE sop_instance_uid = ?", (sop_instance_uid,)).fetchone()
            return _step_row(row) if row else None

    def seconds_to_next(self) -> float | None:
        """Until a step is due; None when none will be."""
        with self._journal.reading() as db:
            row = db.execute(f"SELECT min(next_attempt_at) FROM steps WHERE {_HAS_NEWS}").fetchone()
        return None if row[0] is None else max(0.0, float(row[0]) - self._clock.now().timestamp())

    def refused(self) -> list[StepRow]:
        """Steps that somebody else ended and that wait for a person, the oldest exam first."""
        with self._journal.reading() as db:
            rows = db.execute("SELECT * FROM steps WHERE state = ? ORDER BY exam_id, modality", (StepState.REFUSED,))
            return [_step_row(row) for row in rows]

    def hasten(self) -> None:
        """A person wants it: whatever waits for its next attempt is due now, and what was refused is told once more."""
        with self._journal.transaction() as db:
            for step in self.refused():
                self.record(step.sop_instance_uid, StepEvent.RETRY_ASKED, "")
            db.execute(f"UPDATE steps SET next_attempt_at = 0 WHERE {_HAS_NEWS}")

    def mark_creation_sent(self, sop_instance_uid: str) -> bool:
        """From now on an N-CREATE may have left; false when the step is gone."""
        with self._journal.transaction() as db:
            return (
                db.execute(
                    "UPDATE steps SET creation_sent = 1 WHERE sop_instance_uid = ?", (sop_instance_uid,)
                ).rowcount
                == 1
            )

    def mark_final_sent(self, sop_instance_uid: str, *, is_sent: bool = True) -> None:
        """From now on an N-SET may have left; not so (any more) when all that left were answered with a failure."""
        with self._journal.transaction() as db:
            db.execute("UPDATE steps SET final_sent = ? WHERE sop_instance_uid = ?", (is_sent, sop_instance_uid))

    def record(self, sop_instance_uid: str, event: StepEvent, said: str, managers_uid: str = "") -> StepState | None:
        """Let `event` happen; the new state, or None when it changes nothing. OSError of the flash: nothing happened.

        Failures are counted on once there is an end to tell: a manager that takes the N-CREATE and then does not know
        the step could be asked for ever without a pause.
        """
        with self._journal.transaction() as db:
            step = self.read(sop_instance_uid)
            state = next_step(step.state, event) if step else None
            if step is None or state is None:
                return None
            if state in FOREIGN_STEPS:
                self._refused_steps.write(step.exam_id, step.modality, EndedStep(state, said, step.managers_uid))
            elif step.state is StepState.RETRIED:
                self._refused_steps.remove(step.exam_id, step.modality)
            db.execute(
                "UPDATE steps SET state = ?, said = ?, next_attempt_at = 0,"
                " failures = CASE WHEN outcome <> '' AND ? THEN failures ELSE 0 END,"
                " managers_uid = CASE WHEN ? <> '' THEN ? ELSE managers_uid END WHERE sop_instance_uid = ?",
                (state, said, state not in FINAL_STEPS, managers_uid, managers_uid, sop_instance_uid),
            )
            return state

    def postpone(self, sop_instance_uid: str, said: str, wait: Callable[[int], float]) -> None:
        """The manager would not; try again after `wait(failures)` seconds."""
        with self._journal.transaction() as db:
            row = db.execute("SELECT failures FROM steps WHERE sop_instance_uid = ?", (sop_instance_uid,)).fetchone()
            if row is not None:
                failures = int(row[0]) + 1
                db.execute(
                    "UPDATE steps SET failures = ?, next_attempt_at = ?, said = ? WHERE sop_instance_uid = ?",
                    (failures, self._clock.now().timestamp() + wait(failures), said, sop_instance_uid),
                )

    def restore_final(self, sop_instance_uid: str, state: StepState, said: str = "") -> None:
        """Take over from `settled/` what a lost journal knew."""
        with self._journal.transaction() as db:
            db.execute(
                "UPDATE steps SET state = ?, said = ? WHERE sop_instance_uid = ?", (state, said, sop_instance_uid)
            )

    def count_unfinished(self, exam_id: str | None = None) -> int:
        """Steps of the exam, or of all, that are not final."""
        with self._journal.reading() as db:
            row = db.execute(
                f"SELECT count(*) FROM steps WHERE state NOT IN ({', '.join('?' for _ in _FINAL)})"
                " AND (? IS NULL OR exam_id = ?)",
                (*_FINAL, exam_id, exam_id),
            ).fetchone()
        return int(row[0])


def _step_row(row: sqlite3.Row) -> StepRow:
    return StepRow(
        row["sop_instance_uid"],
        row["exam_id"],
        row["modality"],
        StepState(row["state"]),
        Outcome(row["outcome"]) if row["outcome"] else None,
        row["managers_uid"],
        bool(row["creation_sent"]),
        bool(row["final_sent"]),
    )
