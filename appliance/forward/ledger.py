"""Each object at each destination, and the commitment transactions: the questions and acts of the journal.

Every act is one durable transaction. A state changes only as the table of states.py lets it; an event that does not
fit (a late report, a repeated answer) changes nothing. Times are seconds since the epoch where they are compared and
ISO 8601 where people read them. A next attempt farther away than the longest wait was set by a clock that has been
put back since: it counts as due.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.base.clock import Clock
from appliance.config.schema import Destination
from appliance.dimse.commitment import CommitmentReport
from appliance.dimse.status import ReasonVerdict, reason_verdict
from appliance.exam.exam import Instance
from appliance.forward.journal import Journal
from appliance.forward.states import FINAL_DELIVERIES, DeliveryEvent, DeliveryState, next_delivery

_CLOCK_SLACK_SECONDS = 5.0
_REPORT_AFTER_RESTART_SECONDS = 10.0


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


_REASON_EVENTS = {
    ReasonVerdict.ASK_AGAIN: DeliveryEvent.COMMITMENT_FAILED,
    ReasonVerdict.NEW_TRANSACTION: DeliveryEvent.COMMITMENT_FAILED,
    ReasonVerdict.STORE_AGAIN: DeliveryEvent.OBJECT_MISSING,
    ReasonVerdict.REFUSED: DeliveryEvent.COMMITMENT_REFUSED,
}
_FINAL = tuple(str(state) for state in sorted(FINAL_DELIVERIES))
_DUE = "(next_attempt_at <= :now OR next_attempt_at > :now + :longest)"


class Ledger:
    """Objects, deliveries and transactions."""

    def __init__(self, journal: Journal, clock: Clock, claim: str) -> None:
        """`claim` names this run of this process (boot and pid); what another one claimed is void from now on."""
        self._journal = journal
        self._clock = clock
        self._claim = claim
        self._void_claims()
        self._doubt_transactions()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _void_claims(self) -> None:
        with self._journal.transaction() as db:
            for row in db.execute(
                "SELECT sop_instance_uid, destination FROM deliveries WHERE state = ? AND claim <> ?",
                (DeliveryState.STORING, self._claim),
            ).fetchall():
                self.record(row["sop_instance_uid"], row["destination"], DeliveryEvent.CLAIM_VOID)

    def _doubt_transactions(self) -> None:
        """A report may have found nobody listening: ask again soon, and at once where the request may not have left.

        What an archive reports on the old transaction still counts.
        """
        with self._journal.transaction() as db:
            for row in db.execute("SELECT transaction_uid FROM transactions WHERE is_open AND NOT is_taken").fetchall():
                self.end_transaction(row[0], DeliveryEvent.COMMITMENT_NOT_TAKEN, "the box restarted meanwhile", None)
            db.execute(
                "UPDATE transactions SET deadline_at = min(deadline_at, ?) WHERE is_open",
                (self._now() + _REPORT_AFTER_RESTART_SECONDS,),
            )

    # -- objects

    def add_object(self, exam_id: str, instance: Instance, destinations: Iterable[str]) -> None:
        """Know an object and where it must go; what is known already stays as it is."""
        with self._journal.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO objects (sop_instance_uid, exam_id, sop_class_uid, transfer_syntax_uid, device,"
                " modality, file_name, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    instance.sop_instance_uid,
                    exam_id,
                    instance.sop_class_uid,
                    instance.transfer_syntax_uid,
                    instance.device,
                    instance.modality,
                    instance.file_name,
                    instance.bytes,
                ),
            )
            for destination in destinations:
                db.execute(
                    "INSERT OR IGNORE INTO deliveries (sop_instance_uid, destination) VALUES (?, ?)",
                    (instance.sop_instance_uid, destination),
                )

    def objects_in(self, place: Place) -> list[DueObject]:
        """All objects whose files are in `place`."""
        with self._journal.reading() as db:
            return _due_objects(db.execute("SELECT * FROM objects WHERE place = ? ORDER BY rowid", (place,)))

    def place_object(self, sop_instance_uid: str, place: Place, arrival: Arrival | None = None) -> None:
        """Where the object's file is now, and what it tells."""
        with self._journal.transaction() as db:
            db.execute("UPDATE objects SET place = ? WHERE sop_instance_uid = ?", (place, sop_instance_uid))
            if arrival is not None:
                db.execute(
                    "UPDATE objects SET study_instance_uid = ?, patient_id = ?, accession_number = ?, frames = ?,"
                    " bytes = ?, captured_at = ?, saved_at = ? WHERE sop_instance_uid = ?",
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

    def restore_final(
        self, sop_instance_uid: str, destination: str, state: DeliveryState, stored_at: str, committed_at: str
    ) -> None:
        """Take over from `settled/` what a lost journal knew."""
        with self._journal.transaction() as db:
            db.execute(
                "UPDATE deliveries SET state = ?, stored_at = ?, committed_at = ?"
                " WHERE sop_instance_uid = ? AND destination = ?",
                (state, stored_at, committed_at, sop_instance_uid, destination),
            )

    def finished_in_outbox(self) -> list[DueObject]:
        """Objects in the outbox for which nothing more is to be done anywhere. One without a destination never is."""
        with self._journal.reading() as db:
            return _due_objects(
                db.execute(
                    "SELECT * FROM objects o WHERE place = 'outbox'"
                    " AND EXISTS (SELECT 1 FROM deliveries d WHERE d.sop_instance_uid = o.sop_instance_uid)"
                    " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.sop_instance_uid = o.sop_instance_uid"
                    f" AND d.state NOT IN ({_marks(_FINAL)})) ORDER BY rowid",
                    _FINAL,
                )
            )

    def count_unfinished(self, exam_id: str) -> int:
        """Objects of the exam that are not in `kept/` yet."""
        with self._journal.reading() as db:
            row = db.execute("SELECT count(*) FROM objects WHERE exam_id = ? AND place <> 'kept'", (exam_id,))
            return int(row.fetchone()[0])

    def unfinished_destinations(self, exam_id: str) -> set[str]:
        """The destinations at which something of the exam is still to be done."""
        with self._journal.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT d.destination FROM deliveries d JOIN objects o USING (sop_instance_uid)"
                f" WHERE o.exam_id = ? AND d.state NOT IN ({_marks(_FINAL)})",
                (exam_id, *_FINAL),
            )
            return {str(row[0]) for row in rows}

    # -- deliveries

    def state_of(self, sop_instance_uid: str, destination: str) -> DeliveryState | None:
        """The delivery's state; None when there is none."""
        with self._journal.reading() as db:
            row = _delivery(db, sop_instance_uid, destination)
            return DeliveryState(row["state"]) if row else None

    def due_objects(self, destination: Destination, limit: int) -> list[DueObject]:
        """Pending objects whose files are here and whose wait is over, those that never failed first."""
        return self._due(destination, DeliveryState.PENDING, limit)

    def due_commitments(self, destination: Destination, limit: int) -> list[DueObject]:
        """Stored objects for which commitment is to be asked now."""
        return self._due(destination, DeliveryState.STORED, limit)

    def _due(self, destination: Destination, state: DeliveryState, limit: int) -> list[DueObject]:
        with self._journal.reading() as db:
            return _due_objects(
                db.execute(
                    "SELECT o.* FROM deliveries d JOIN objects o USING (sop_instance_uid)"
                    f" WHERE d.destination = :destination AND d.state = :state AND {_DUE}"
                    " AND o.place IN ('outbox', 'kept') ORDER BY d.failures, o.rowid LIMIT :limit",
                    {
                        "destination": destination.name,
                        "state": state,
                        "now": self._now(),
                        "longest": destination.retry_longest_seconds + _CLOCK_SLACK_SECONDS,
                        "limit": limit,
                    },
                )
            )

    def refused(self, destination: Destination) -> list[str]:
        """The SOP Instance UIDs that `destination` refused and that wait for a person."""
        with self._journal.reading() as db:
            rows = db.execute(
                "SELECT sop_instance_uid FROM deliveries WHERE destination = ? AND state = ?",
                (destination.name, DeliveryState.REFUSED),
            )
            return [str(row[0]) for row in rows]

    def seconds_to_next(self, destination: Destination) -> float | None:
        """Until an object, a commitment or a report's deadline is due at `destination`; None when nothing will be."""
        with self._journal.reading() as db:
            row = db.execute(
                "SELECT min(at) FROM (SELECT min(next_attempt_at) AS at FROM deliveries d JOIN objects o"
                " USING (sop_instance_uid) WHERE destination = :name AND state IN ('pending', 'stored')"
                " AND o.place IN ('outbox', 'kept')"
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
    ) -> DeliveryState | None:
        """Let `event` happen; the new state, or None when it changes nothing.

        `said` are the peer's or our words on it; those of a store that was accepted are its warning, and are kept.
        `wait` gives the seconds until the next try from the number of failures in a row (of storing) or of rounds (of
        commitment); without it the next try is due at once.
        """
        with self._journal.transaction() as db:
            row = _delivery(db, sop_instance_uid, destination)
            state = next_delivery(DeliveryState(row["state"]), event) if row else None
            if row is None or state is None:
                return None
            failures, rounds = row["failures"], row["rounds"]
            if event is DeliveryEvent.STORE_FAILED:
                failures += 1
            elif event is DeliveryEvent.STORE_ACCEPTED:
                failures = 0
            elif event in _ROUND_EVENTS:
                rounds += 1
            now = self._clock.now()
            is_stored = event is DeliveryEvent.STORE_ACCEPTED
            delay = wait(rounds if event in _ROUND_EVENTS else failures) if wait else 0.0
            db.execute(
                "UPDATE deliveries SET state = ?, claim = ?, attempts = attempts + ?, failures = ?, rounds = ?,"
                " stores = stores + ?, next_attempt_at = ?, said = ?,"
                " warning = CASE WHEN ? THEN ? ELSE warning END,"
                " stored_at = CASE WHEN ? THEN ? ELSE stored_at END,"
                " committed_at = CASE WHEN ? THEN ? ELSE committed_at END"
                " WHERE sop_instance_uid = ? AND destination = ?",
                (
                    state,
                    self._claim if state is DeliveryState.STORING else "",
                    event is DeliveryEvent.CLAIMED,
                    failures,
                    rounds,
                    is_stored,
                    now.timestamp() + delay if delay else 0.0,
                    "" if is_stored else said or (row["said"] if event in _QUIET_EVENTS else ""),
                    is_stored,
                    said,
                    is_stored,
                    now.isoformat(),
                    event is DeliveryEvent.COMMITTED,
                    now.isoformat(),
                    sop_instance_uid,
                    destination,
                ),
            )
            return state

    # -- commitment

    def open_transaction(self, transaction_uid: str, destination: Destination, members: Sequence[DueObject]) -> None:
        """Make the transaction and its members durable: from now on N-ACTION may leave and a report may come."""
        with self._journal.transaction() as db:
            db.execute(
                "INSERT INTO transactions (transaction_uid, destination, deadline_at) VALUES (?, ?, ?)",
                (transaction_uid, destination.name, self._now() + destination.commitment_seconds),
            )
            for member in members:
                uid = member.sop_instance_uid
                if self.record(uid, destination.name, DeliveryEvent.COMMITMENT_ASKED) is None:
                    continue
                db.execute(
                    "INSERT INTO transaction_members SELECT ?, sop_instance_uid, stores FROM deliveries"
                    " WHERE sop_instance_uid = ? AND destination = ?",
                    (transaction_uid, uid, destination.name),
                )

    def mark_transaction_taken(self, transaction_uid: str) -> None:
        """The archive answered that it has the request."""
        with self._journal.transaction() as db:
            db.execute("UPDATE transactions SET is_taken = 1 WHERE transaction_uid = ?", (transaction_uid,))

    def end_transaction(
        self, transaction_uid: str, event: DeliveryEvent, said: str, wait: Callable[[int], float] | None
    ) -> None:
        """Nothing more is expected of the transaction: what it did not settle gets `event`. Repeating is harmless."""
        with self._journal.transaction() as db:
            row = db.execute(
                "SELECT destination FROM transactions WHERE transaction_uid = ? AND is_open", (transaction_uid,)
            ).fetchone()
            if row is None:
                return
            for uid in _current_members(db, transaction_uid, row["destination"]):
                self.record(uid, row["destination"], event, said, wait=wait)
            db.execute("UPDATE transactions SET is_open = 0 WHERE transaction_uid = ?", (transaction_uid,))

    def overdue_transactions(self, destination: Destination) -> list[str]:
        """Open transactions whose report did not come in time."""
        now = self._now()
        latest = now + destination.commitment_seconds + _CLOCK_SLACK_SECONDS
        with self._journal.reading() as db:
            rows = db.execute(
                "SELECT transaction_uid FROM transactions WHERE destination = ? AND is_open"
                " AND (deadline_at <= ? OR deadline_at > ?)",
                (destination.name, now, latest),
            ).fetchall()
        return [row[0] for row in rows]

    def destination_of(self, transaction_uid: str) -> str | None:
        """Whom the transaction asked; None when it is not ours."""
        with self._journal.reading() as db:
            row = db.execute(
                "SELECT destination FROM transactions WHERE transaction_uid = ?", (transaction_uid,)
            ).fetchone()
        return row[0] if row else None

    def is_open_transaction(self, transaction_uid: str) -> bool:
        with self._journal.reading() as db:
            found = db.execute(
                "SELECT 1 FROM transactions WHERE transaction_uid = ? AND is_open", (transaction_uid,)
            ).fetchone()
        return found is not None

    def apply_report(self, report: CommitmentReport, wait: Callable[[int], float]) -> list[str]:
        """Make a report's result durable; one that comes twice, late or for part of the set does what is true.

        Gives the SOP Instance UIDs that it made committed.

        A success counts as long as the object has not been stored again since the transaction asked. A failure counts
        only while the transaction is open; a member that is in neither list is not committed.
        """
        with self._journal.transaction() as db:
            row = db.execute(
                "SELECT destination, is_open FROM transactions WHERE transaction_uid = ?", (report.transaction_uid,)
            ).fetchone()
            if row is None:
                return []
            destination = row["destination"]
            committed = []
            for uid in _current_members(db, report.transaction_uid, destination):
                if uid in report.committed:
                    if self.record(uid, destination, DeliveryEvent.COMMITTED) is not None:
                        committed.append(uid)
                elif uid in report.failed and row["is_open"]:
                    verdict, words = reason_verdict(report.failed[uid])
                    is_at_once = verdict is ReasonVerdict.NEW_TRANSACTION
                    self.record(uid, destination, _REASON_EVENTS[verdict], words, wait=None if is_at_once else wait)
            self.end_transaction(
                report.transaction_uid, DeliveryEvent.REPORT_MISSING, "the archive's report left the object out", wait
            )
        return committed


_ROUND_EVENTS = frozenset(
    {
        DeliveryEvent.COMMITMENT_NOT_TAKEN,
        DeliveryEvent.REPORT_MISSING,
        DeliveryEvent.COMMITMENT_FAILED,
        DeliveryEvent.OBJECT_MISSING,
        DeliveryEvent.COMMITMENT_REFUSED,
    }
)
# Events that say nothing new about the object: the words of the one before stay readable.
_QUIET_EVENTS = frozenset({DeliveryEvent.CLAIMED, DeliveryEvent.CLAIM_VOID, DeliveryEvent.COMMITMENT_ASKED})


def _delivery(db: sqlite3.Connection, sop_instance_uid: str, destination: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM deliveries WHERE sop_instance_uid = ? AND destination = ?", (sop_instance_uid, destination)
    ).fetchone()
    return row


def _current_members(db: sqlite3.Connection, transaction_uid: str, destination: str) -> list[str]:
    """The transaction's objects that have not been stored again since it asked."""
    rows = db.execute(
        "SELECT m.sop_instance_uid FROM transaction_members m JOIN deliveries d USING (sop_instance_uid)"
        " WHERE m.transaction_uid = ? AND d.destination = ? AND d.stores = m.stores",
        (transaction_uid, destination),
    )
    return [row[0] for row in rows.fetchall()]


def _due_objects(rows: Iterable[sqlite3.Row]) -> list[DueObject]:
    return [
        DueObject(
            row["sop_instance_uid"],
            row["sop_class_uid"],
            row["transfer_syntax_uid"],
            row["file_name"],
            Place(row["place"]),
        )
        for row in rows
    ]


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" for _ in values)
