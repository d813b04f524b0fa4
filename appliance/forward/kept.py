"""What the journal knows of kept objects and settled exams: since when, and what has expired."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping

from appliance.exam.decisions import Decided, DecisionKind
from appliance.forward.journal import Journal
from appliance.forward.retention import KeptObject
from appliance.forward.states import DeliveryState

MOST_ROWS = 500


class KeptLedger:
    """The questions and acts of retention. All times are seconds of work (work_time.py)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def note_kept(self, now: float) -> None:
        """The retention of what has come to `kept/` begins."""
        with self._journal.reading() as db:
            found = db.execute(
                "SELECT 1 FROM objects WHERE place = 'kept' AND expired_at = '' AND kept_seconds < 0 LIMIT 1"
            ).fetchone()
        if found:
            with self._journal.transaction() as db:
                db.execute(
                    "UPDATE objects SET kept_seconds = ? WHERE place = 'kept' AND expired_at = '' AND kept_seconds < 0",
                    (now,),
                )

    def mend_names(self, lying: Mapping[str, str]) -> list[str]:
        """Call files as they are called: `lying` are the names of the files in `kept/` by their objects' identifiers.

        SQLite has no checksums in its pages: a bit that flash gave back wrongly may stand in a name for good, and then
        nobody would ever take the file away. The identifiers of what was mended.
        """
        with self._journal.reading() as db:
            rows = db.execute("SELECT sop_instance_uid, file_name FROM objects WHERE place = 'kept'").fetchall()
        wrong = {row[0]: lying[row[0]] for row in rows if row[0] in lying and row[1] != lying[row[0]]}
        if wrong:
            with self._journal.transaction() as db:
                renamed = [(name, uid) for uid, name in wrong.items()]
                db.executemany("UPDATE objects SET file_name = ? WHERE sop_instance_uid = ?", renamed)
        return list(wrong)

    def note_settled(self, exam_id: str, now: float) -> None:
        """The exam is settled; since when, the first word stands."""
        with self._journal.transaction() as db:
            db.execute("INSERT OR IGNORE INTO settled_exams VALUES (?, ?)", (exam_id, now))

    def is_settled(self, exam_id: str) -> bool:
        """Whether the journal knows that the exam is settled: then it knows all of it."""
        with self._journal.reading() as db:
            return db.execute("SELECT 1 FROM settled_exams WHERE exam_id = ?", (exam_id,)).fetchone() is not None

    def kept_objects(self, now: float, least_seconds: float) -> Iterator[list[KeptObject]]:
        """What lies in `kept/` for at least so long, what lies there longest first, MOST_ROWS at a time."""
        before: tuple[float, int] = (-math.inf, 0)
        while rows := self._read_kept(now - least_seconds, before):
            yield [_kept_object(row, now) for row in rows]
            before = rows[-1]["kept_seconds"], rows[-1]["rowid"]

    def _read_kept(self, latest: float, before: tuple[float, int]) -> list[sqlite3.Row]:
        with self._journal.reading() as db:
            return db.execute(
                "SELECT o.sop_instance_uid, o.sop_class_uid, o.exam_id, o.file_name, o.bytes, o.decision,"
                " o.kept_seconds, o.rowid,"
                " EXISTS (SELECT 1 FROM settled_exams s WHERE s.exam_id = o.exam_id) AS is_settled,"
                " (SELECT group_concat(destination || '=' || state) FROM deliveries d"
                "  WHERE d.sop_instance_uid = o.sop_instance_uid) AS states"
                " FROM objects o WHERE place = 'kept' AND expired_at = '' AND kept_seconds <= ?"
                " AND (kept_seconds, o.rowid) > (?, ?) ORDER BY kept_seconds, o.rowid LIMIT ?",
                (latest, *before, MOST_ROWS),
            ).fetchall()

    def expired_early(self, exam_id: str) -> set[str]:
        """The exam's objects that are not on this box any more."""
        with self._journal.reading() as db:
            rows = db.execute("SELECT sop_instance_uid FROM objects WHERE exam_id = ? AND expired_at <> ''", (exam_id,))
            return {str(row[0]) for row in rows}

    def exams_settled_for(self, now: float, seconds: float) -> list[str]:
        """Exams that were settled so long ago and of which no object lies in `outbox/` or `kept/`."""
        with self._journal.reading() as db:
            rows = db.execute(
                "SELECT exam_id FROM settled_exams s WHERE settled_seconds <= ? AND NOT EXISTS (SELECT 1 FROM objects o"
                " WHERE o.exam_id = s.exam_id AND (place = 'outbox' OR (place = 'kept' AND expired_at = '')))"
                " ORDER BY exam_id",
                (now - seconds,),
            )
            return [str(row[0]) for row in rows]

    def forget_exam(self, exam_id: str) -> None:
        """Take all rows of an exam away: `settled/` says what became of it."""
        of_exam = "sop_instance_uid IN (SELECT sop_instance_uid FROM objects WHERE exam_id = ?)"
        with self._journal.transaction() as db:
            gone = db.execute(f"DELETE FROM transaction_members WHERE {of_exam} RETURNING transaction_uid", (exam_id,))
            for uid in sorted({row[0] for row in gone.fetchall()}):
                db.execute(
                    "DELETE FROM transactions WHERE transaction_uid = ? AND NOT is_open"
                    " AND NOT EXISTS (SELECT 1 FROM transaction_members m"
                    " WHERE m.transaction_uid = transactions.transaction_uid)",
                    (uid,),
                )
            db.execute(f"DELETE FROM deliveries WHERE {of_exam}", (exam_id,))
            for table in ("objects", "steps", "settled_exams"):
                db.execute(f"DELETE FROM {table} WHERE exam_id = ?", (exam_id,))


def _kept_object(row: sqlite3.Row, now: float) -> KeptObject:
    return KeptObject(
        row["sop_instance_uid"],
        row["sop_class_uid"],
        row["exam_id"],
        row["file_name"],
        row["bytes"],
        now - row["kept_seconds"],
        bool(row["is_settled"]),
        _states_from(row["states"] or ""),
        Decided(frozenset({DecisionKind(row["decision"])} if row["decision"] else ())),
    )


def _states_from(told: str) -> dict[str, DeliveryState]:
    """By destination, of `DESTINATION=STATE,...`; a destination's name has neither sign."""
    pairs = (one.partition("=") for one in told.split(",") if one)
    return {name: DeliveryState(state) for name, _sign, state in pairs}
