"""What an event changes in a delivery's row: counters, times, and the words that stay readable."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

from appliance.forward.states import DeliveryEvent, DeliveryState

ROUND_EVENTS = frozenset(
    {
        DeliveryEvent.COMMITMENT_NOT_TAKEN,
        DeliveryEvent.REPORT_MISSING,
        DeliveryEvent.COMMITMENT_FAILED,
        DeliveryEvent.OBJECT_MISSING,
        DeliveryEvent.COMMITMENT_REFUSED,
        DeliveryEvent.NOT_VERIFIED,
        DeliveryEvent.NOT_FOUND,
    }
)
_LOOKED_EVENTS = frozenset({DeliveryEvent.FOUND, DeliveryEvent.NOT_FOUND, DeliveryEvent.VERIFIED})
_ATTEMPT_EVENTS = frozenset({DeliveryEvent.STORE_ACCEPTED, DeliveryEvent.STORE_REFUSED, DeliveryEvent.STORE_FAILED})
# Events that say nothing new about the object: the words of the one before stay readable.
QUIET_EVENTS = frozenset({DeliveryEvent.CLAIMED, DeliveryEvent.CLAIM_VOID, DeliveryEvent.COMMITMENT_ASKED})
# What people take for one and the same: a claim comes and goes with each attempt, a request with each round.
_ON_ITS_WAY = frozenset({DeliveryState.PENDING, DeliveryState.STORING})
_UNCOMMITTED = frozenset({DeliveryState.STORED, DeliveryState.COMMIT_REQUESTED})


def changes_from(
    row: sqlite3.Row, state: DeliveryState, event: DeliveryEvent, now: datetime, said: str
) -> dict[str, Any]:
    """The delivery's columns after `event` has led to `state`."""
    changes: dict[str, Any] = {
        "state": state,
        "attempts": row["attempts"] + (event in _ATTEMPT_EVENTS),
        "failures": row["failures"] + (event is DeliveryEvent.STORE_FAILED),
        "rounds": row["rounds"] + (event in ROUND_EVENTS),
        "next_attempt_at": 0.0,
        "said": said or (row["said"] if event in QUIET_EVENTS else ""),
    }
    before = DeliveryState(row["state"])
    if state is not before and not any({before, state} <= same for same in (_ON_ITS_WAY, _UNCOMMITTED)):
        changes["since"] = now.isoformat()
    if event is DeliveryEvent.STORE_ACCEPTED:
        changes |= {"stores": row["stores"] + 1, "failures": 0, "stored_at": now.isoformat(), "found_at": ""}
        # What is withdrawn while it is under way stays what a person decided.
        changes |= {"warning": said, "said": row["said"] if state is DeliveryState.RELEASED else ""}
    elif event is DeliveryEvent.COMMITTED:
        changes["committed_at"] = now.isoformat()
    if event in _LOOKED_EVENTS:
        changes["looked_rounds"] = changes["rounds"]
        changes["found_at"] = "" if event is DeliveryEvent.NOT_FOUND else now.isoformat()
    return changes
