"""What became of an ended exam, in a few words: its objects counted by how they stand, and its performed steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from appliance.spool.known_states import DONE_STATES, End, end_of


class Wait(StrEnum):
    """Why an object of an ended exam is not done."""

    NOT_HANDED_OVER = "not_handed_over"
    DAMAGED = "damaged"
    NO_DESTINATION = "no_destination"
    REFUSED = "refused"
    TO_BE_STORED = "to_be_stored"
    STORED = "stored"
    """Commitment is to come, or a look by C-FIND."""


_WORDS: Final[Mapping[str, str]] = {
    Wait.NOT_HANDED_OVER: "not handed over yet",
    Wait.DAMAGED: "damaged and not sent",
    Wait.NO_DESTINATION: "with no destination",
    Wait.REFUSED: "refused",
    Wait.TO_BE_STORED: "to be stored",
    Wait.STORED: "stored, still to be confirmed",
    End.COMMITTED: "committed",
    End.COMMITTED_AT_SOME: "committed at some archives, stored at the others",
    End.COMMITTED_PARTLY_RELEASED: "committed at some archives, released from the others",
    End.VERIFIED: "stored and found there, not committed",
    End.STORED_ONLY: "stored, not committed",
    End.PARTLY_RELEASED: "stored at some archives, released from the others",
    End.NOWHERE: "released, in no archive",
}
_STEP_WORDS: Final[Mapping[str, str]] = {
    "due": "performed step {} to be told",
    "in progress": "end of performed step {} to be told",
    "refused": "performed step {} ended by somebody else, waits for a person",
    "retried": "performed step {} ended by somebody else, to be told once more",
    "ended elsewhere": "performed step {} ended by somebody else",
}
# An exam is settled with these only where no performed-step manager is configured any more.
_UNTOLD_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("refused", "retried", "ended elsewhere"), "performed step {} ended by somebody else"),
    "due": "performed step {} never told",
    "in progress": "end of performed step {} never told",
}


def standing_of(place: str, states: Iterable[str], *, is_decided: bool) -> Wait | End:
    """How an object stands. `place` is forward's word for where its file is, `states` are those of its deliveries."""
    found = set(states)
    if found <= DONE_STATES and (found or is_decided):
        return end_of(found)
    if place == "quarantine":
        return Wait.DAMAGED
    if place == "awaited":
        return Wait.NOT_HANDED_OVER
    if not found:
        return Wait.NO_DESTINATION
    if "refused" in found:
        return Wait.REFUSED
    return Wait.TO_BE_STORED if found & {"pending", "storing"} else Wait.STORED


def count_standings(objects: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """By Wait and End, in their order: how many stand so. `objects` have `place`, `is_decided`, `states`, `count`."""
    counts: Counter[str] = Counter()
    for one in objects:
        counts[standing_of(one["place"], one["states"], is_decided=one["is_decided"])] += one["count"]
    return {standing: counts[standing] for standing in (*Wait, *End) if counts[standing]}


def text_of(standings: Mapping[str, int], steps: Mapping[str, str], *, is_settled: bool) -> str:
    """The words. `steps` are states by modality."""
    said = []
    if not standings and not is_settled:
        said.append("not settled yet")
    elif len(standings) == 1:
        said.append(f"all {_WORDS[next(iter(standings))]}")
    else:
        said += [f"{count} {_WORDS[standing]}" for standing, count in standings.items()]
    words = _UNTOLD_WORDS if is_settled else _STEP_WORDS
    said += [words[state].format(modality) for modality, state in steps.items() if state in words]
    return "; ".join(said) or "nothing more is to be sent"
