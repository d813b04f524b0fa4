"""How far deliveries are by what `settled/EXAM.json` says, for those who do not ask the forward process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from appliance.spool.tree import Spool

States = Mapping[str, Mapping[str, str]]
"""By SOP Instance UID and destination: the state of the delivery, in forward's words."""

# In these a destination has taken responsibility; the second says that the box's copy is gone since.
COMMITTED_STATES: Final = frozenset({"committed", "expired"})
# In these it has, or C-FIND found the object where no commitment is to be had.
SAFE_STATES: Final = COMMITTED_STATES | {"verified"}
# In these nothing more is sent to a destination: it does not wait for the object.
DONE_STATES: Final = SAFE_STATES | {"stored_only", "released"}


def read_states(spool: Spool, exam_id: str) -> States:
    """The states of the exam's objects. A record that is missing or damaged tells nothing: then nothing is settled."""
    try:
        record = json.loads((spool.settled / f"{exam_id}.json").read_bytes())
        return {
            str(one["sop_instance_uid"]): {name: str(told["state"]) for name, told in one["destinations"].items()}
            for one in record["objects"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def is_safe(states: Iterable[str]) -> bool:
    """True when every destination, and at least one, has the object for good."""
    found = list(states)
    return bool(found) and all(state in SAFE_STATES for state in found)


class End(StrEnum):
    """How an object ended where nothing more is sent of it, at all of its archives together."""

    COMMITTED = "committed"
    COMMITTED_AT_SOME = "committed_at_some"
    """The others have it without commitment."""
    COMMITTED_PARTLY_RELEASED = "committed_partly_released"
    """A person let go of it at the others."""
    VERIFIED = "verified"
    STORED_ONLY = "stored_only"
    PARTLY_RELEASED = "partly_released"
    """A person let go of it at some of its destinations, and others have it without commitment."""
    NOWHERE = "nowhere"
    """A person let go of it wherever it was to go."""


def end_of(states: Iterable[str]) -> End:
    """The end that the states of an object's deliveries make, all of which are DONE_STATES."""
    found = set(states)
    if found <= {"released"}:
        return End.NOWHERE
    is_committed = bool(found & COMMITTED_STATES)
    if "released" in found:
        return End.COMMITTED_PARTLY_RELEASED if is_committed else End.PARTLY_RELEASED
    if found <= COMMITTED_STATES:
        return End.COMMITTED
    if is_committed:
        return End.COMMITTED_AT_SOME
    return End.STORED_ONLY if "stored_only" in found else End.VERIFIED
