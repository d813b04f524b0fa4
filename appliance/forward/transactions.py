"""Commitment transactions: what was asked for in which, and what a report on one makes true (PS3.4 Annex J).

A transaction and its members are durable before N-ACTION leaves. One that is closed is remembered, since a report may
come late; how long, `prune` says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from appliance.config.schema import Destination
from appliance.dimse.commitment import AFTER_RESTART_SECONDS, CommitmentReport
from appliance.dimse.status import ReasonVerdict, reason_verdict
from appliance.forward.ledger import CLOCK_SLACK_SECONDS, DueObject, Ledger
from appliance.forward.states import FINAL_DELIVERIES, DeliveryEvent

REMEMBERED_SECONDS = 7 * 86_400.0
MOST_REMEMBERED = 500
_FINAL_LIST = ", ".join(f"'{state}'" for state in sorted(FINAL_DELIVERIES))

_REASON_EVENTS = {
    ReasonVerdict.ASK_AGAIN: DeliveryEvent.COMMITMENT_FAILED,
    ReasonVerdict.NEW_TRANSACTION: DeliveryEvent.COMMITMENT_FAILED,
    ReasonVerdict.STORE_AGAIN: DeliveryEvent.OBJECT_MISSING,
    ReasonVerdict.REFUSED: DeliveryEvent.COMMITMENT_REFUSED,
}


class Transactions:
    """The transactions of all destinations."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._journal = ledger.journal
        self._clock = ledger.clock
        self._doubt()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _doubt(self) -> None:
        """A report may have found nobody listening: ask again soon, and at once where the request may not have left.

        What an archive reports on the old transaction still counts.
        """
        with self._journal.transaction() as db:
            for row in db.execute("SELECT transaction_uid FROM transactions WHERE is_open AND NOT is_taken").fetchall():
                self.end(row[0], DeliveryEvent.COMMITMENT_NOT_TAKEN, "the box restarted meanwhile", None)
            db.execute(
                "UPDATE transactions SET deadline_at = min(deadline_at, ?) WHERE is_open",
                (self._now() + AFTER_RESTART_SECONDS,),
            )

    def open(self, transaction_uid: str, destination: Destination, most: int) -> list[DueObject]:
        """A transaction on what is stored and due, at most `most`, durable with its members: N-ACTION may leave.

        Gives the members; none, and no transaction, when nothing is due. No object is in two open transactions.
        """
        with self._journal.transaction() as db:
            members = [
                one
                for one in self._ledger.due_commitments(destination, most)
                if self._ledger.record(one.sop_instance_uid, destination.name, DeliveryEvent.COMMITMENT_ASKED)
            ]
            if not members:
                return []
            db.execute(
                "INSERT INTO transactions (transaction_uid, destination, deadline_at) VALUES (?, ?, ?)",
                (transaction_uid, destination.name, self._now() + destination.commitment_seconds),
            )
            db.executemany(
                "INSERT INTO transaction_members SELECT ?, sop_instance_uid, stores FROM deliveries"
                " WHERE sop_instance_uid = ? AND destination = ?",
                [(transaction_uid, one.sop_instance_uid, destination.name) for one in members],
            )
        return members

    def mark_taken(self, transaction_uid: str) -> None:
        """The archive answered that it has the request."""
        with self._journal.transaction() as db:
            db.execute("UPDATE transactions SET is_taken = 1 WHERE transaction_uid = ?", (transaction_uid,))

    def end(self, transaction_uid: str, event: DeliveryEvent, said: str, wait: Callable[[int], float] | None) -> None:
        """Nothing more is expected of the transaction: what it did not settle gets `event`. Repeating is harmless."""
        with self._journal.transaction() as db:
            row = db.execute(
                "SELECT destination FROM transactions WHERE transaction_uid = ? AND is_open", (transaction_uid,)
            ).fetchone()
            if row is None:
                return
            for member in _current_members(db, transaction_uid, row["destination"]):
                self._ledger.record(member["sop_instance_uid"], row["destination"], event, said, wait=wait)
            # Never before the one that was closed last, wherever the clock was put since: which are the oldest counts.
            db.execute(
                "UPDATE transactions SET is_open = 0,"
                " closed_at = max(?2, (SELECT max(closed_at) FROM transactions) + 0.001) WHERE transaction_uid = ?1",
                (transaction_uid, self._now()),
            )

    def overdue(self, destination: Destination) -> list[str]:
        """Open transactions whose report did not come in time."""
        now = self._now()
        latest = now + destination.commitment_seconds + CLOCK_SLACK_SECONDS
        with self._journal.reading() as db:
            rows = db.execute(
                "SELECT transaction_uid FROM transactions WHERE destination = ? AND is_open"
                " AND (deadline_at <= ? OR deadline_at > ?)",
                (destination.name, now, latest),
            ).fetchall()
        return [row[0] for row in rows]

    def destination_of(self, transaction_uid: str) -> str | None:
        """Whom the transaction asked; None when it is not ours, or is remembered no longer."""
        with self._journal.reading() as db:
            row = db.execute(
                "SELECT destination FROM transactions WHERE transaction_uid = ?", (transaction_uid,)
            ).fetchone()
        return row[0] if row else None

    def is_open(self, transaction_uid: str) -> bool:
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
            for member in _current_members(db, report.transaction_uid, destination):
                uid = member["sop_instance_uid"]
                if uid in report.committed:
                    if self._ledger.record(uid, destination, DeliveryEvent.COMMITTED) is not None:
                        committed.append(uid)
                elif uid in report.failed and row["is_open"]:
                    reason = report.failed[uid]
                    verdict, words = reason_verdict(reason)
                    # At once, but not for ever at once: an archive that refuses every identifier is broken.
                    is_at_once = verdict is ReasonVerdict.NEW_TRANSACTION and not member["rounds"]
                    self._ledger.record(
                        uid,
                        destination,
                        _REASON_EVENTS[verdict],
                        words,
                        wait=None if is_at_once else wait,
                        reason=reason,
                    )
            self.end(
                report.transaction_uid, DeliveryEvent.REPORT_MISSING, "the archive's report left the object out", wait
            )
        return committed

    def prune(self, destination: Destination) -> int:
        """Forget closed transactions; how many those are.

        Forgotten is one that closed REMEMBERED_SECONDS ago and whose members are all final: whatever is still reported
        on it could change nothing. And of the others the oldest beyond MOST_REMEMBERED, so that an archive that is
        asked for years in vain does not fill the flash: their members were asked for again since, and are asked for
        until a report comes. A report on a forgotten transaction is one on an unknown transaction.
        """
        with self._journal.transaction() as db:
            gone = db.execute(
                "DELETE FROM transaction_members WHERE transaction_uid IN (SELECT transaction_uid FROM transactions t"
                " WHERE destination = :name AND NOT is_open AND ((closed_at < :before AND NOT EXISTS ("
                "SELECT 1 FROM transaction_members m JOIN deliveries d USING (sop_instance_uid)"
                " WHERE m.transaction_uid = t.transaction_uid AND d.destination = :name"
                f" AND d.state NOT IN ({_FINAL_LIST}))) OR transaction_uid NOT IN (SELECT transaction_uid"
                " FROM transactions WHERE destination = :name AND NOT is_open ORDER BY closed_at DESC LIMIT :most)))"
                " RETURNING transaction_uid",
                {"name": destination.name, "before": self._now() - REMEMBERED_SECONDS, "most": MOST_REMEMBERED},
            ).fetchall()
            uids = sorted({row[0] for row in gone})
            db.executemany("DELETE FROM transactions WHERE transaction_uid = ?", [(uid,) for uid in uids])
        return len(uids)


def _current_members(db: sqlite3.Connection, transaction_uid: str, destination: str) -> list[sqlite3.Row]:
    """The deliveries of the transaction's objects that have not been stored again since it asked."""
    return db.execute(
        "SELECT d.* FROM transaction_members m JOIN deliveries d USING (sop_instance_uid)"
        " WHERE m.transaction_uid = ? AND d.destination = ? AND d.stores = m.stores",
        (transaction_uid, destination),
    ).fetchall()
