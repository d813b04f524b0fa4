"""What is done about each answer of a peer: the literal tables of dimse.status, with what follows from their verdicts.

Codes and meanings are the tables' own. What follows is one sentence for each verdict, complete by its type: a verdict
without one fails mypy and the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from appliance.conformance.statement import Status
from appliance.dimse.status import (
    ACTION_STATUS,
    COMMITMENT_FAILURE,
    CREATE_STATUS,
    REJECTION,
    SET_STATUS,
    STORE_STATUS,
    ActionVerdict,
    Codes,
    ReasonVerdict,
    StepVerdict,
    StoreVerdict,
)

_Verdict = TypeVar("_Verdict", StoreVerdict, ActionVerdict, ReasonVerdict, StepVerdict)
_NOT_LISTED = "any other status"

_STORE: Final[Mapping[StoreVerdict, str]] = {
    StoreVerdict.STORED: "The object is stored there; commitment is asked for next, where it is configured.",
    StoreVerdict.STORED_WITH_WARNING: "As for success; the warning is kept with the object.",
    StoreVerdict.RETRY: "The object stays pending. The archive is left alone for a time that doubles up to a limit, "
    "and is tried again without end.",
    StoreVerdict.REFUSED: "The object stays on the box as refused until a person tries it again or lets go of it.",
}
_ACTION: Final[Mapping[ActionVerdict, str]] = {
    ActionVerdict.ACCEPTED: "The report is awaited for the configured time.",
    ActionVerdict.NEW_TRANSACTION: "Commitment is asked for again under a new Transaction UID.",
    ActionVerdict.RETRY: "Commitment is asked for again later, under a new Transaction UID.",
}
_REASON: Final[Mapping[ReasonVerdict, str]] = {
    ReasonVerdict.ASK_AGAIN: "Commitment of the object is asked for again later.",
    ReasonVerdict.STORE_AGAIN: "The object is stored again, unchanged, and commitment asked for again.",
    ReasonVerdict.NEW_TRANSACTION: "Commitment is asked for again under a new Transaction UID.",
    ReasonVerdict.REFUSED: "The object stays on the box as refused until a person tries it again or lets go of it.",
}
_STEP: Final[Mapping[StepVerdict, str]] = {
    StepVerdict.DONE: "Done.",
    StepVerdict.DONE_WITH_WARNING: "As for success: the step exists.",
    StepVerdict.DUPLICATE: "As for success: the instance's UID is this box's, so an earlier message arrived.",
    StepVerdict.UNKNOWN_STEP: "The step is created again, and then set.",
    StepVerdict.MAY_BE_FINAL: "If an earlier message that was never answered may have arrived, as for success; "
    "otherwise somebody else ended the step, and it waits for a person.",
    StepVerdict.RETRY: "The message is sent again later, without end.",
}


def store_statuses() -> tuple[Status, ...]:
    """Of C-STORE (PS3.4 B.2.3)."""
    return _rows("C-STORE", STORE_STATUS, _STORE, StoreVerdict.RETRY)


def step_statuses() -> tuple[Status, ...]:
    """Of N-CREATE and N-SET of a performed step (PS3.4 F.7.2)."""
    return (
        *_rows("N-CREATE", CREATE_STATUS, _STEP, StepVerdict.RETRY),
        *_rows("N-SET", SET_STATUS, _STEP, StepVerdict.RETRY),
    )


def commitment_statuses() -> tuple[Status, ...]:
    """Of N-ACTION (PS3.4 J.3.2), and the Failure Reasons of a report (PS3.3 C.14)."""
    return (
        *_rows("N-ACTION", ACTION_STATUS, _ACTION, ActionVerdict.RETRY),
        *_rows("N-EVENT-REPORT, Failure Reason", COMMITMENT_FAILURE, _REASON, ReasonVerdict.ASK_AGAIN),
    )


def rejections() -> tuple[tuple[int, int, str], ...]:
    """Source, reason and words of each A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return tuple((source, reason, words) for (source, reason), words in REJECTION.items())


def _rows(
    operation: str,
    table: Sequence[tuple[Codes, _Verdict, str]],
    behaviour: Mapping[_Verdict, str],
    otherwise: _Verdict,
) -> tuple[Status, ...]:
    listed: list[Status] = [
        Status(operation=operation, first=first, last=last, meaning=words, behaviour=behaviour[verdict])
        for (first, last), verdict, words in table
    ]
    return (
        *listed,
        Status(operation=operation, first=0, last=0xFFFF, meaning=_NOT_LISTED, behaviour=behaviour[otherwise]),
    )
