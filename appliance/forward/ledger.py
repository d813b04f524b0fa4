"""Each object at each destination: the questions and acts of the journal. The commitment transactions are beside it.

Every act is one durable transaction, but for a claim (`storing`): it is the running process's alone (claims.py). A
state changes only as the table of states.py lets it; an event that does not fit (a late report, a repeated answer)
changes nothing. Times are seconds since the epoch where they are compared and ISO 8601 where people read them. A next
attempt farther away than the longest wait was set by a clock that has been put back since: it counts as due.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.base.clock import Clock
from appliance.config.schema import Destination
from appliance.exam.exam import Instance
from appliance.forward.changes import QUIET_EVENTS, ROUND_EVENTS, changes_from
from appliance.forward.claims import IS_CLAIMED, read_delivery, state_from
from appliance.forward.journal import Journal
from appliance.forward.settled_record import Ended
from appliance.forward.states import FINAL_DELIVERIES, DeliveryEvent, DeliveryState, next_delivery

CLOCK_SLACK_SECONDS = 5.0
LARGE_BYTES = 16 << 20
"""What is larger takes so long to be read and sent that nothing waits behind it to be recorded."""


class Place(StrEnum):
    """Where an object's file is."""

    AWAITED = "awaited"
    OUTBOX = "outbox"
    KEPT = "kept"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class DueObject:
    """An object that is to be sent, or to be committed."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    file_name: str
    place: Place
    is_withdrawn: bool = False
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class DueLook:
    """A stored object that is to be looked for at the archive.

    `rounds` counts what was tried in vain since it was last looked for with an answer: requests for commitment, or
    looks at a destination without.
    """

    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    rounds: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a whole file tells of its object once it lies in the outbox."""

    study_instance_uid: str
    patient_id: str
    accession_number: str
    frames: int
    bytes: int
    captured_at: str
    saved_at: str


_FINAL = ", ".join(f"'{state}'" for state in sorted(FINAL_DELIVERIES))
_UNFINISHED = (
    "EXISTS (SELECT 1 FROM deliveries WHERE deliveries.sop_instance_uid = objects.sop_instance_uid"
    f" AND deliveries.state NOT IN ({_FINAL}))"
)
# One without a destination never is, unless a person withdrew it.
DONE: Final = (
    "((decision <> '' OR EXISTS (SELECT 1 FROM deliveries"
    f" WHERE deliveries.sop_instance_uid = objects.sop_instance_uid)) AND NOT {_UNFINISHED})"
)
"""SQL: nothing more is to be done anywhere for the row of `objects`."""
_DUE = "(next_attempt_at <= :now OR next_attempt_at > :now + :longest)"


class Ledger:
    """Objects and deliveries."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        """What was claimed before is void from now on: the process's lock says that no other one lives."""
        self.journal = journal
        self.clock = clock
        self.events: Counter[tuple[str, DeliveryEvent]] = Counter()  # since this process began, for metrics
        self._void_claims()

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _void_claims(self) -> None:
        """Also those that earlier releases wrote into the rows."""
        with self.journal.transaction() as db:
            db.execute("DELETE FROM claims")
            for row in db.execute(
                "SELECT sop_instance_uid, destination FROM deliveries WHERE state = ?", (DeliveryState.STORING,)
            ).fetchall():
                self.record(row["sop_instance_uid"], row["destination"], DeliveryEvent.CLAIM_VOID)

    def void_claims(self, destination: Destination, in_hand: Set[str]) -> None:
        """Claims at `destination` on what nobody has `in_hand` are void."""
        with self.journal.reading() as db:
            rows = db.execute("SELECT sop_instance_uid FROM claims WHERE destination = ?", (destination.name,))
            uids = [row[0] for row in rows if row[0] not in in_hand]
        for uid in uids:
            self.record(uid, destination.name, DeliveryEvent.CLAIM_VOID)

    # -- objects

    def add_object(self, exam_id: str, instance: Instance, destinations: Iterable[str]) -> None:
        """Know an object and where it must go; what is known already stays as it is.

        A journal of before migration 2 did not know the series.
        """
        with self.journal.transaction() as db:
            db.execute(
                "INSERT INTO objects (sop_instance_uid, exam_id, sop_class_uid, transfer_syntax_uid,"
                " series_instance_uid, device, modality, file_name, bytes, saved_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET series_instance_uid = excluded.series_instance_uid"
                " WHERE series_instance_uid = ''",
                (
                    instance.sop_instance_uid,
                    exam_id,
                    instance.sop_class_uid,
                    instance.transfer_syntax_uid,
                    instance.series_instance_uid,
                    instance.device,
                    instance.modality,
                    instance.file_name,
                    instance.bytes,
                    instance.saved_at.isoformat() if instance.saved_at else "",
                ),
            )
            for destination in destinations:
                # Nothing can be sent anywhere that has expired, not even to a destination that is new.
                db.execute(
                    "INSERT OR IGNORE INTO deliveries (sop_instance_uid, destination) SELECT sop_instance_uid, ?"
                    " FROM objects WHERE sop_instance_uid = ? AND expired_at = ''",
                    (destination, instance.sop_instance_uid),
                )

    def objects_in(self, place: Place) -> list[DueObject]:
        """All objects whose files are in `place`."""
        with self.journal.reading() as db:
            return _due_objects(db.execute("SELECT * FROM objects WHERE place = ? ORDER BY rowid", (place,)))

    def place_object(self, sop_instance_uid: str, place: Place, arrival: Arrival | None = None) -> None:
        """Where the object's file is now, and what it tells."""
        with self.journal.transaction() as db:
            db.execute("UPDATE objects SET place = ? WHERE sop_instance_uid = ?", (place, sop_instance_uid))
            if arrival is not None:
                db.execute(
                    "UPDATE objects SET study_instance_uid = ?, patient_id = ?, accession_number = ?, frames = ?,"
                    " bytes = ?, captured_at = ?, saved_at = CASE saved_at WHEN '' THEN ? ELSE saved_at END"
                    " WHERE sop_instance_uid = ?",
                    (
                        arrival.study_instance_uid,
                        arrival.patient_id,
                        arrival.accession_number,
                        arrival.frames,
                        arrival.bytes,
                        arrival.captured_at,
                        arrival.saved_at,
                        sop_instance_uid,
                    ),
                )

    def withdraw(self, sop_instance_uid: str, decision: str, said: str, destination: str = "") -> bool:
        """A person decided that the object is not to be delivered (any more): its open deliveries are released.

        Only the one to `destination`, where there is one; with the last of them the whole object is withdrawn. A store
        that is under way may still arrive; it is not repeated. True when the whole object is withdrawn by this.
        """
        with self.journal.transaction() as db:
            known = db.execute("SELECT decision FROM objects WHERE sop_instance_uid = ?", (sop_instance_uid,))
            if (row := known.fetchone()) is None or row["decision"]:
                return False
            if destination:
                self.record(sop_instance_uid, destination, DeliveryEvent.WITHDRAWN, said)
                states = db.execute("SELECT state FROM deliveries WHERE sop_instance_uid = ?", (sop_instance_uid,))
                if {row["state"] for row in states} != {DeliveryState.RELEASED}:
                    return False
            else:
                self._record_everywhere(sop_instance_uid, DeliveryEvent.WITHDRAWN, said)
            db.execute("UPDATE objects SET decision = ? WHERE sop_instance_uid = ?", (decision, sop_instance_uid))
        return True

    def restore_final(self, sop_instance_uid: str, destination: str, ended: Ended) -> None:
        """Take over from `settled/` what a lost journal knew. What is final here already stands."""
        words = "said" if ended.state is DeliveryState.RELEASED else "warning"
        with self.journal.transaction() as db:
            db.execute(
                f"UPDATE deliveries SET state = ?, stored_at = ?, committed_at = ?, {words} = ?"
                f" WHERE sop_instance_uid = ? AND destination = ? AND state NOT IN ({_FINAL})",
                (ended.state, ended.stored_at, ended.committed_at, ended.said, sop_instance_uid, destination),
            )

    def expire(self, sop_instance_uid: str) -> None:
        """The object's file is no longer on this box, since nobody needs it here. Repeating is harmless."""
        with self.journal.transaction() as db:
            db.execute(
                "UPDATE objects SET place = 'kept', expired_at = ? WHERE sop_instance_uid = ? AND expired_at = ''",
                (self.clock.now().isoformat(), sop_instance_uid),
            )
            self._record_everywhere(sop_instance_uid, DeliveryEvent.RETENTION_ENDED)

    def _record_everywhere(self, sop_instance_uid: str, event: DeliveryEvent, said: str = "") -> None:
        with self.journal.transaction() as db:
            for row in db.execute(
                "SELECT destination FROM deliveries WHERE sop_instance_uid = ?", (sop_instance_uid,)
            ).fetchall():
                self.record(sop_instance_uid, row["destination"], event, said)

    def finished_in_outbox(self) -> list[DueObject]:
        """Objects in the outbox for which nothing more is to be done anywhere."""
        with self.journal.reading() as db:
            return _due_objects(db.execute(f"SELECT * FROM objects WHERE place = 'outbox' AND {DONE} ORDER BY rowid"))

    def unfinished_in_quarantine(self) -> list[DueObject]:
        """Damaged objects that are wanted somewhere still: only a person can end that."""
        with self.journal.reading() as db:
            rows = db.execute(f"SELECT * FROM objects WHERE place = 'quarantine' AND NOT {DONE} ORDER BY rowid")
            return _due_objects(rows)

    def count_unfinished(self, exam_id: str) -> int:
        """Objects of the exam that are not in `kept/` yet, or that a rebuilt journal delivers from there once more.

        One that a person withdrew is not waited for: it may be lost. Nor is a damaged one that is wanted nowhere.
        """
        with self.journal.reading() as db:
            row = db.execute(
                "SELECT count(*) FROM objects WHERE exam_id = ?"
                " AND (place = 'outbox' OR (place = 'awaited' AND decision = '')"
                f" OR (place = 'quarantine' AND NOT {DONE}) OR {_UNFINISHED})",
                (exam_id,),
            )
            return int(row.fetchone()[0])

    # -- deliveries

    def state_of(self, sop_instance_uid: str, destination: str) -> DeliveryState | None:
        """The delivery's state; None when there is none."""
        with self.journal.reading() as db:
            row = read_delivery(db, sop_instance_uid, destination)
            return state_from(row) if row else None

    def due_objects(self, destination: Destination, limit: int) -> list[DueObject]:
        """Pending objects whose files are here and whose wait is over, those that never failed first."""
        return self._due(destination, DeliveryState.PENDING, f"NOT {IS_CLAIMED}", limit)

    def due_commitments(self, destination: Destination, limit: int) -> list[DueObject]:
        """Stored objects for which commitment is to be asked now."""
        return self._due(destination, DeliveryState.STORED, "1", limit)

    def _due(self, destination: Destination, state: DeliveryState, condition: str, limit: int) -> list[DueObject]:
        with self.journal.reading() as db:
            return _due_objects(self._select_due(db, destination, state, "o.*", condition, limit))

    def due_looks(self, destination: Destination, limit: int) -> list[DueLook]:
        """Stored objects that C-FIND is to look for now: where commitment was asked for in vain often enough, and at
        a destination without commitment each of them.
        """
        least = destination.commitment_rounds if destination.commitment else 0
        columns = "o.*, d.rounds - d.looked_rounds AS vain"
        with self.journal.reading() as db:
            rows = self._select_due(
                db, destination, DeliveryState.STORED, columns, f"d.rounds - d.looked_rounds >= {least}", limit
            )
            return [
                DueLook(row["sop_instance_uid"], row["study_instance_uid"], row["series_instance_uid"], row["vain"])
                for row in rows
            ]

    def _select_due(
        self,
        db: sqlite3.Connection,
        destination: Destination,
        state: DeliveryState,
        columns: str,
        condition: str,
        limit: int,
    ) -> list[sqlite3.Row]:
        return db.execute(
            f"SELECT {columns} FROM deliveries d JOIN objects o USING (sop_instance_uid)"
            f" WHERE d.destination = :destination AND d.state = :state AND {_DUE} AND {condition}"
            " AND o.place IN ('outbox', 'kept') ORDER BY d.failures, o.rowid LIMIT :limit",
            {
                "destination": destination.name,
                "state": state,
                "now": self._now(),
                "longest": destination.retry_longest_seconds + CLOCK_SLACK_SECONDS,
                "limit": limit,
            },
        ).fetchall()

    def refused(self, destination: Destination) -> list[str]:
        """The SOP Instance UIDs that `destination` refused and that wait for a person."""
        with self.journal.reading() as db:
            rows = db.execute(
                "SELECT sop_instance_uid FROM deliveries WHERE destination = ? AND state = ?",
                (destination.name, DeliveryState.REFUSED),
            )
            return [str(row[0]) for row in rows]

    def hasten(self, destination: Destination, sop_instance_uid: str | None = None) -> int:
        """What waits for its next attempt (all, or one object) is due now; how many objects that is."""
        with self.journal.transaction() as db:
            return db.execute(
                "UPDATE deliveries SET next_attempt_at = 0 WHERE destination = ?1 AND state IN ('pending', 'stored')"
                " AND next_attempt_at > 0 AND (?2 IS NULL OR sop_instance_uid = ?2)",
                (destination.name, sop_instance_uid),
            ).rowcount

    def seconds_to_next(self, destination: Destination) -> float | None:
        """Until an object, a commitment or a report's deadline is due at `destination`; None when nothing will be."""
        with self.journal.reading() as db:
            row = db.execute(
                "SELECT min(at) FROM (SELECT min(next_attempt_at) AS at FROM deliveries d JOIN objects o"
                " USING (sop_instance_uid) WHERE destination = :name AND state IN ('pending', 'stored')"
                f" AND o.place IN ('outbox', 'kept') AND NOT {IS_CLAIMED}"
                " UNION ALL SELECT min(deadline_at) FROM transactions WHERE destination = :name AND is_open)",
                {"name": destination.name},
            ).fetchone()
        return None if row[0] is None else max(0.0, float(row[0]) - self._now())

    def record(
        self,
        sop_instance_uid: str,
        destination: str,
        event: DeliveryEvent,
        said: str = "",
        *,
        wait: Callable[[int], float] | None = None,
        reason: int = 0,
    ) -> DeliveryState | None:
        """Let `event` happen; the new state, or None when it changes nothing.

        `said` are the peer's or our words on it; those of a store that was accepted are its warning, and are kept.
        `wait` gives the seconds until the next try from the number of failures in a row (of storing) or of rounds (of
        commitment); without it the next try is due at once. `reason` is a commitment's Failure Reason (0008,1197).
        """
        key = (sop_instance_uid, destination)
        with self.journal.transaction() as db:
            row = read_delivery(db, *key)
            state = next_delivery(state_from(row), event) if row else None
            if row is None or state is None:
                return None
            if state is DeliveryState.STORING:
                db.execute("INSERT INTO claims VALUES (?, ?, ?)", (*key, self.clock.now().isoformat()))
                return state
            db.execute("DELETE FROM claims WHERE sop_instance_uid = ? AND destination = ?", key)
            if state == row["state"] and event is DeliveryEvent.CLAIM_VOID:
                return state
            changes = changes_from(row, state, event, self.clock.now(), said)
            if event not in QUIET_EVENTS:
                changes["reason"] = reason
            if wait:
                delay = wait(changes["rounds"] if event in ROUND_EVENTS else changes["failures"])
                changes["next_attempt_at"] = self._now() + delay
            db.execute(
                f"UPDATE deliveries SET {', '.join(f'{column} = ?' for column in changes)}"
                " WHERE sop_instance_uid = ? AND destination = ?",
                (*changes.values(), *key),
            )
        self.events[destination, event] += 1
        return state


def _due_objects(rows: Iterable[sqlite3.Row]) -> list[DueObject]:
    return [
        DueObject(
            row["sop_instance_uid"],
            row["sop_class_uid"],
            row["transfer_syntax_uid"],
            row["file_name"],
            Place(row["place"]),
            row["decision"] != "",
            row["bytes"],
        )
        for row in rows
    ]
