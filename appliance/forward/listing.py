"""What the journal tells people: the queue, and how each destination stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.forward.journal import Journal
from appliance.forward.states import DeliveryState
from appliance.spool.tree import Spool

MOST_OBJECTS = 2000


class Listing:
    """Read-only views of the journal as the JSON of the forward socket."""

    def __init__(self, journal: Journal, spool: Spool) -> None:
        self._journal = journal
        self._spool = spool

    def queue(self, exam_id: str | None) -> dict[str, Any]:
        """All objects and steps of one exam, or the newest MOST_OBJECTS of all, oldest first."""
        limit = MOST_OBJECTS if exam_id is None else -1
        with self._journal.reading() as db:
            objects = db.execute(
                "SELECT * FROM objects WHERE ?1 IS NULL OR exam_id = ?1 ORDER BY rowid DESC LIMIT ?2",
                (exam_id, limit),
            ).fetchall()
            steps = db.execute(
                "SELECT * FROM steps WHERE ?1 IS NULL OR exam_id = ?1 ORDER BY exam_id DESC, modality LIMIT ?2",
                (exam_id, limit),
            ).fetchall()
            listed = [self._object_json(row, _deliveries(db, row["sop_instance_uid"])) for row in reversed(objects)]
        return {
            "objects": listed,
            "steps": [
                {key: row[key] for key in ("sop_instance_uid", "exam_id", "modality", "state", "said")} for row in steps
            ],
        }

    def _object_json(self, row: sqlite3.Row, deliveries: dict[str, Any]) -> dict[str, Any]:
        keys = set(row.keys()) - {"file_name"}
        return {**{key: row[key] for key in keys}, "path": str(self._path_of(row)), "destinations": deliveries}

    def _path_of(self, row: sqlite3.Row) -> Path:
        directory = {"kept": self._spool.kept, "quarantine": self._spool.quarantine}.get(row["place"])
        return (directory or self._spool.outbox) / str(row["file_name"])

    def destination(self, name: str) -> dict[str, Any]:
        """How many objects are in which state at a destination; `pending` counts those that are being stored too."""
        with self._journal.reading() as db:
            rows = db.execute("SELECT state, count(*) FROM deliveries WHERE destination = ? GROUP BY state", (name,))
            counts = {DeliveryState(row[0]): int(row[1]) for row in rows}
        return {
            "name": name,
            "pending": _sum(counts, (DeliveryState.PENDING, DeliveryState.STORING)),
            "stored": _sum(counts, (DeliveryState.STORED, DeliveryState.COMMIT_REQUESTED, DeliveryState.STORED_ONLY)),
            "committed": _sum(counts, (DeliveryState.COMMITTED, DeliveryState.EXPIRED)),
            "refused": _sum(counts, (DeliveryState.REFUSED,)),
        }

    def settlement(self, exam_id: str) -> dict[str, Any]:
        """What `settled/EXAM.json` keeps of an exam whose every object and step is done."""
        queue = self.queue(exam_id)
        return {
            "objects": [
                {
                    "sop_instance_uid": one["sop_instance_uid"],
                    "destinations": {
                        name: {key: told[key] for key in ("state", "stored_at", "committed_at")}
                        for name, told in one["destinations"].items()
                    },
                }
                for one in queue["objects"]
            ],
            "steps": [
                {"sop_instance_uid": one["sop_instance_uid"], "modality": one["modality"], "state": one["state"]}
                for one in queue["steps"]
            ],
        }


def _deliveries(db: sqlite3.Connection, sop_instance_uid: str) -> dict[str, Any]:
    rows = db.execute("SELECT * FROM deliveries WHERE sop_instance_uid = ? ORDER BY destination", (sop_instance_uid,))
    return {
        row["destination"]: {
            "state": row["state"],
            "stored_at": row["stored_at"],
            "committed_at": row["committed_at"],
            "attempts": row["attempts"],
            "next_attempt_at": _iso(row["next_attempt_at"]),
            "said": row["said"] or row["warning"],
        }
        for row in rows
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat() if seconds else ""


def _sum(counts: dict[DeliveryState, int], states: Iterable[DeliveryState]) -> int:
    return sum(counts.get(state, 0) for state in states)
