"""What the journal tells people: the queue, and how each destination stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.forward.claims import CLAIMED_AT, IS_CLAIMED, IS_UNSENT, state_from
from appliance.forward.journal import Journal
from appliance.forward.ledger import DONE
from appliance.forward.removed import NOT_CONFIGURED, Removed, read_removed
from appliance.forward.states import FINAL_DELIVERIES, FINAL_STEPS, DeliveryState, StepState
from appliance.spool.tree import Spool

MOST_OBJECTS = 2000
# In these an object waits for its destination to be tried; in the others for the archive, for a person, or for nothing.
_TRIED = frozenset({DeliveryState.PENDING, DeliveryState.STORED})
_FINAL_STEPS = ", ".join(f"'{state}'" for state in sorted(FINAL_STEPS))
# A damaged object never leaves quarantine; once it is wanted nowhere, it waits for nothing.
_IS_DONE = f"place = 'kept' OR (place = 'quarantine' AND {DONE})"


class Listing:
    """Read-only views of the journal as the JSON of the forward socket."""

    def __init__(self, journal: Journal, spool: Spool) -> None:
        self._journal = journal
        self._spool = spool

    def queue(
        self,
        exam_id: str | None = None,
        *,
        is_waiting_only: bool = False,
        troubles: Mapping[str, str] | None = None,
        step_trouble: str = "",
    ) -> dict[str, Any]:
        """All objects and steps of one exam, or the newest MOST_OBJECTS of all, oldest first.

        `is_waiting_only` leaves out what is done: objects that are kept, or damaged and let go of by a person, steps
        that have ended. `left_out` counts the objects for which there was no room. `troubles` has for each configured
        destination why nothing is tried there, and `step_trouble` why the performed-step manager is not told: empty
        sentences while all is well.
        """
        limit = MOST_OBJECTS if exam_id is None else -1
        chosen = "(?1 IS NULL OR exam_id = ?1)"
        objects = f"FROM objects WHERE {chosen}" + (f" AND NOT ({_IS_DONE})" if is_waiting_only else "")
        steps = f"FROM steps WHERE {chosen}" + (f" AND state NOT IN ({_FINAL_STEPS})" if is_waiting_only else "")
        with self._journal.reading() as db:
            rows = db.execute(f"SELECT * {objects} ORDER BY rowid DESC LIMIT ?2", (exam_id, limit)).fetchall()
            count = db.execute(f"SELECT count(*) {objects}", (exam_id,)).fetchone()[0]
            deliveries: dict[str, dict[str, Any]] = {row["sop_instance_uid"]: {} for row in rows}
            for row in db.execute(
                f"SELECT d.*, {IS_CLAIMED} AS is_claimed, {CLAIMED_AT} AS claimed_at, {IS_UNSENT} AS is_unsent"
                " FROM deliveries d"
                f" WHERE sop_instance_uid IN (SELECT sop_instance_uid {objects} ORDER BY rowid DESC LIMIT ?2)"
                " ORDER BY destination",
                (exam_id, limit),
            ):
                deliveries[row["sop_instance_uid"]][row["destination"]] = _delivery_json(row, troubles)
            told = db.execute(f"SELECT * {steps} ORDER BY exam_id DESC, modality LIMIT ?2", (exam_id, limit)).fetchall()
        return {
            "objects": [self._object_json(row, deliveries[row["sop_instance_uid"]]) for row in reversed(rows)],
            "steps": [_step_json(row, step_trouble) for row in told],
            "left_out": count - len(rows),
        }

    def _object_json(self, row: sqlite3.Row, deliveries: dict[str, Any]) -> dict[str, Any]:
        keys = set(row.keys()) - {"file_name"}
        return {**{key: row[key] for key in keys}, "path": str(self._path_of(row)), "destinations": deliveries}

    def _path_of(self, row: sqlite3.Row) -> Path:
        directory = {"kept": self._spool.kept, "quarantine": self._spool.quarantine}.get(row["place"])
        return (directory or self._spool.outbox) / str(row["file_name"])

    def exams(self, first: str, last: str) -> dict[str, Any]:
        """The exams from `first` to `last` that are not settled: how many objects stand alike, and each performed step.

        `states` are those of an object's deliveries, each once and in the order of the alphabet.
        """
        where = "exam_id BETWEEN ? AND ? AND exam_id NOT IN (SELECT exam_id FROM settled_exams)"
        with self._journal.reading() as db:
            objects = db.execute(
                "SELECT exam_id, place, decision <> '' AS is_decided, (SELECT coalesce(group_concat(state), '') FROM"
                " (SELECT DISTINCT state FROM deliveries WHERE deliveries.sop_instance_uid = objects.sop_instance_uid"
                f" ORDER BY state)) AS states, count(*) AS count FROM objects WHERE {where}"
                " GROUP BY exam_id, place, is_decided, states",
                (first, last),
            ).fetchall()
            steps = db.execute(
                f"SELECT exam_id, modality, state FROM steps WHERE {where} ORDER BY exam_id, modality", (first, last)
            ).fetchall()
        told: dict[str, Any] = {row["exam_id"]: {"objects": [], "steps": []} for row in (*objects, *steps)}
        for row in objects:
            states = row["states"].split(",") if row["states"] else []
            one = {"place": row["place"], "is_decided": bool(row["is_decided"]), "count": row["count"]}
            told[row["exam_id"]]["objects"].append({**one, "states": states})
        for row in steps:
            told[row["exam_id"]]["steps"].append({"modality": row["modality"], "state": row["state"]})
        return {"exams": told}

    def destination(self, name: str) -> dict[str, Any]:
        """How many objects are in which state at a destination; `pending` counts those that are being stored too.

        `stored` are those that wait for commitment; where there is none to wait for they are `verified` (C-FIND finds
        them there) or `stored_only`.
        """
        with self._journal.reading() as db:
            rows = db.execute("SELECT state, count(*) FROM deliveries WHERE destination = ? GROUP BY state", (name,))
            counts = {DeliveryState(row[0]): int(row[1]) for row in rows}
            (since,) = db.execute(
                "SELECT min(CASE WHEN since <> '' THEN since ELSE saved_at END) FROM deliveries"
                " JOIN objects USING (sop_instance_uid) WHERE destination = ? AND state IN ('pending', 'storing')",
                (name,),
            ).fetchone()
        return {
            "name": name,
            "pending": _sum(counts, (DeliveryState.PENDING, DeliveryState.STORING)),
            "pending_since": since or "",
            "stored": _sum(counts, (DeliveryState.STORED, DeliveryState.COMMIT_REQUESTED)),
            "stored_only": _sum(counts, (DeliveryState.STORED_ONLY,)),
            "verified": _sum(counts, (DeliveryState.VERIFIED,)),
            "committed": _sum(counts, (DeliveryState.COMMITTED, DeliveryState.EXPIRED)),
            "refused": _sum(counts, (DeliveryState.REFUSED,)),
            "released": _sum(counts, (DeliveryState.RELEASED,)),
        }

    def removed(self, configured: Collection[str]) -> list[Removed]:
        """The destinations that are not among `configured` and at which something is unfinished."""
        return read_removed(self._journal, configured)

    def settlement(self, exam_id: str) -> dict[str, Any]:
        """What `settled/EXAM.json` keeps of an exam whose every object and step is done."""
        queue = self.queue(exam_id)
        return {
            "objects": [
                {
                    "sop_instance_uid": one["sop_instance_uid"],
                    "destinations": {
                        name: {key: told[key] for key in ("state", "stored_at", "committed_at", "said")}
                        for name, told in one["destinations"].items()
                    },
                }
                for one in queue["objects"]
            ],
            "steps": [
                {key: one[key] for key in ("sop_instance_uid", "modality", "state", "said")} for one in queue["steps"]
            ],
        }


def _delivery_json(row: sqlite3.Row, troubles: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "state": state_from(row),
        "since": row["since"],
        "sent_since": row["claimed_at"] or "",
        "is_unsent": bool(row["is_unsent"]),
        "stored_at": row["stored_at"],
        "committed_at": row["committed_at"],
        "found_at": row["found_at"],
        "attempts": row["attempts"],
        "rounds": row["rounds"],
        "next_attempt_at": _iso(row["next_attempt_at"]),
        "said": row["said"] or row["warning"],
        "trouble": _trouble_of(row, troubles),
    }


def _trouble_of(row: sqlite3.Row, troubles: Mapping[str, str] | None) -> str:
    """What keeps the whole destination from being tried, where the object waits for that."""
    state = state_from(row)
    if troubles is None or state in FINAL_DELIVERIES:
        return ""
    if row["destination"] not in troubles:
        return NOT_CONFIGURED
    return troubles[row["destination"]] if state in _TRIED else ""


def _step_json(row: sqlite3.Row, trouble: str) -> dict[str, Any]:
    told = {key: row[key] for key in ("sop_instance_uid", "exam_id", "modality", "state", "said")}
    is_ended = row["state"] == StepState.IN_PROGRESS and row["outcome"]
    is_to_be_told = row["state"] in (StepState.DUE, StepState.RETRIED) or is_ended
    return {**told, "trouble": trouble if is_to_be_told else "", "next_attempt_at": _iso(row["next_attempt_at"])}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat() if seconds else ""


def _sum(counts: dict[DeliveryState, int], states: Iterable[DeliveryState]) -> int:
    return sum(counts.get(state, 0) for state in states)
