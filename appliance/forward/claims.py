"""What this process is sending: a table in memory beside the journal's, over rows that are still `pending`.

No other process could go on with it, so nothing of it reaches the flash: it goes with the process.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from appliance.forward.states import DeliveryState

CLAIMS: Final = """
CREATE TEMP TABLE claims (
    sop_instance_uid TEXT NOT NULL, destination TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (sop_instance_uid, destination)
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE unsent (
    sop_instance_uid TEXT NOT NULL, destination TEXT NOT NULL, PRIMARY KEY (sop_instance_uid, destination)
) STRICT, WITHOUT ROWID;
CREATE TEMP TRIGGER became_due AFTER INSERT ON main.deliveries BEGIN
    INSERT OR IGNORE INTO unsent VALUES (new.sop_instance_uid, new.destination);
END;
CREATE TEMP TRIGGER was_claimed AFTER INSERT ON claims BEGIN
    DELETE FROM unsent WHERE sop_instance_uid = new.sop_instance_uid AND destination = new.destination;
END;
"""
"""`unsent` has what this process took in and has not begun to send: of the rest an archive may have every byte, though
its row is `pending`, since a claim leaves no trace on the flash."""
_OF_DELIVERY = "FROM claims c WHERE c.sop_instance_uid = d.sop_instance_uid AND c.destination = d.destination"
CLAIMED_AT: Final = f"(SELECT c.at {_OF_DELIVERY})"
"""Since when a row of `deliveries d` is being sent (ISO 8601); NULL when it is not."""
IS_CLAIMED: Final = f"EXISTS (SELECT 1 {_OF_DELIVERY})"
"""A condition on `deliveries d`, and a column that `state_from` wants."""
IS_UNSENT: Final = (
    "EXISTS (SELECT 1 FROM unsent u WHERE u.sop_instance_uid = d.sop_instance_uid AND u.destination = d.destination)"
)
"""A condition on `deliveries d`: no archive can have it from this box."""


def read_delivery(db: sqlite3.Connection, sop_instance_uid: str, destination: str) -> sqlite3.Row | None:
    """The delivery's row with `is_claimed`; None when there is none."""
    row: sqlite3.Row | None = db.execute(
        f"SELECT d.*, {IS_CLAIMED} AS is_claimed FROM deliveries d WHERE sop_instance_uid = ? AND destination = ?",
        (sop_instance_uid, destination),
    ).fetchone()
    return row


def state_from(row: sqlite3.Row) -> DeliveryState:
    """The delivery's state, of a row with `is_claimed`."""
    return DeliveryState.STORING if row["is_claimed"] else DeliveryState(row["state"])


def doubt(db: sqlite3.Connection, exam_id: str) -> None:
    """Another journal knew the exam before, and may have sent what is due in this one."""
    db.execute(
        "DELETE FROM unsent WHERE sop_instance_uid IN (SELECT sop_instance_uid FROM objects WHERE exam_id = ?)",
        (exam_id,),
    )


def may_have_been_sent(db: sqlite3.Connection, sop_instance_uid: str) -> bool:
    """Whether some archive may have the object, or a part of it."""
    found = db.execute(
        f"SELECT 1 FROM deliveries d WHERE sop_instance_uid = ? AND NOT {IS_UNSENT}", (sop_instance_uid,)
    )
    return found.fetchone() is not None
