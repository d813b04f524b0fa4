"""A journal that was begun anew where exams lay already: what people are told of it, and for how long.

What was known of those exams is done again, which DICOM allows, and which an archive's administrator may ask about.
Marks in the journal keep it over restarts: `begun` until it was looked at, `rebuilt` while it is told, and one for each
exam that is stored again until it is done.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.base.clock import Clock
from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard
from appliance.forward.journal import Journal
from appliance.forward.removed import UNFINISHED

CODE = "journal-rebuilt"
# Archives may be quick, and people are not: it is told at least so long.
LEAST = timedelta(days=1)
_AGAIN = "again "
_IS_UNFINISHED = (
    "EXISTS (SELECT 1 FROM objects JOIN deliveries USING (sop_instance_uid)"
    f" WHERE exam_id = substr(marks.name, {len(_AGAIN) + 1}) AND state IN ({UNFINISHED}))"
)


@dataclass(frozen=True, slots=True)
class _Rebuilding:
    """When it was begun anew, how many exams are stored again, and the name under which the damaged one is kept."""

    at: datetime
    exams: int
    aside: str


class RebuiltJournal:
    """Looks at the marks after each rescan, as long as there are any."""

    def __init__(self, journal: Journal, findings: FindingBoard, clock: Clock) -> None:
        self._journal = journal
        self._findings = findings
        self._clock = clock
        self._is_over = False

    def tell(self) -> None:
        """Report it until what was lost is done again and people had a day to read of it; then never again."""
        if self._is_over:
            return
        with self._journal.transaction() as db:
            begun = _read_mark(db, "begun")
            if begun is not None and not self._begin(db, begun):
                return
            found = _read_mark(db, "rebuilt")
            rebuilding = _rebuilding_from(found) if found is not None else None
            db.execute(f"DELETE FROM marks WHERE name LIKE '{_AGAIN}%' AND NOT {_IS_UNFINISHED}")
            (waiting,) = db.execute(f"SELECT count(*) FROM marks WHERE name LIKE '{_AGAIN}%'").fetchone()
            # A clock that was put far back, or forward, does not make it last for ever.
            if rebuilding is None or (not waiting and abs(self._clock.now() - rebuilding.at) > LEAST):
                db.execute("DELETE FROM marks WHERE name LIKE 'rebuilt %'")
                self._is_over = True
        if rebuilding is None or self._is_over:
            self._findings.clear(CODE)
        else:
            self._findings.report(rebuilt_finding_from(rebuilding.exams, waiting, rebuilding.aside))

    def _begin(self, db: sqlite3.Connection, aside: str) -> bool:
        """Mark the exams that are stored again; false while the files could not all be looked at and none is known."""
        exams = db.execute(
            "INSERT INTO marks SELECT DISTINCT ? || exam_id FROM objects JOIN deliveries USING (sop_instance_uid)"
            f" WHERE state IN ({UNFINISHED})",
            (_AGAIN,),
        ).rowcount
        if not exams and self._journal.is_new:
            return False
        db.execute("DELETE FROM marks WHERE name LIKE 'begun%'")
        # On a box's very first start no exam was over before it, and nothing is told.
        has_known = db.execute("SELECT 1 FROM objects LIMIT 1").fetchone() is not None
        if exams or aside or has_known:
            mark = f"rebuilt {self._clock.now().isoformat()} {exams} {aside}"
            db.execute("INSERT INTO marks VALUES (?)", (mark,))
        return True


def rebuilt_finding_from(exams: int, waiting: int, aside: str) -> Finding:
    """`exams` are stored again, of which `waiting` are not done; `aside` is empty where the journal was gone."""
    sentence = "The journal was missing and has been rebuilt from the objects."
    suggestion = (
        "An archive takes an object twice without harm. If this is not the box's first start, and nobody deleted the "
        "journal, have its flash checked."
    )
    if aside:
        sentence = f"The journal was damaged and has been rebuilt from the objects; it is kept as journal/{aside}."
        suggestion = "An archive takes an object twice without harm. Have the box's flash checked."
    if exams:
        are = "1 exam is" if exams == 1 else f"{exams} exams are"
        left = f"{waiting} {'is' if waiting == 1 else 'are'} not done yet" if waiting else "that is done"
        sentence += f" {are} stored, perhaps for the second time{'' if waiting == exams else f'; {left}'}."
    return Finding(CODE, sentence, suggestion)


def _read_mark(db: sqlite3.Connection, word: str) -> str | None:
    """What stands behind `word` in its mark; None where there is none."""
    row = db.execute("SELECT name FROM marks WHERE name = ?1 OR name LIKE ?1 || ' %'", (word,)).fetchone()
    return None if row is None else str(row[0])[len(word) :].strip()


def _rebuilding_from(mark: str) -> _Rebuilding:
    at, exams, aside = [*mark.split(" "), ""][:3]
    return _Rebuilding(datetime.fromisoformat(at), int(exams), aside)
