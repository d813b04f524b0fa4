"""What is done about each answer of a peer: the literal tables of dimse.status, with what follows from their verdicts.

Codes and meanings are the tables' own. What follows is one sentence for each verdict, complete by its type: a verdict
without one fails mypy and the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from appliance.conformance.statement import Status
from appliance.dimse.commitment import ALL_COMMITTED, FAILURES_EXIST
from appliance.dimse.performed_step import NO_LONGER_UPDATED, NO_LONGER_WORDS
from appliance.dimse.status import (
    ACTION_STATUS,
    COMMITMENT_FAILURE,
    CREATE_STATUS,
    FIND_STATUS,
    REJECTION,
    REPORT_NOT_TAKEN,
    REPORT_TAKEN,
    SET_STATUS,
    STORE_STATUS,
    ActionVerdict,
    Codes,
    FindVerdict,
    ReasonVerdict,
    StepVerdict,
    StoreVerdict,
    create_verdict,
    set_verdict,
)

_Verdict = TypeVar("_Verdict", FindVerdict, StoreVerdict, ActionVerdict, ReasonVerdict, StepVerdict)
_UNEXPLAINED = 0xFFFF  # a status that no table lists
_NOT_LISTED = "not listed"

_FIND: Final[Mapping[FindVerdict, str]] = {
    FindVerdict.ENTRY: "The entry is kept; more entries than may be taken are cancelled (C-CANCEL), and no further "
    "query is sent.",
    FindVerdict.DONE: "The answer is whole.",
    FindVerdict.CANCELLED: "The entries that came are kept, and people are told that there are more.",
    FindVerdict.REFUSED: "Of a broad query the last answer stays, with its age; the source is asked again later, and "
    "people are told. A patient query brings nothing, whoever asked is told why, and it is not repeated.",
}
_LOOK: Final[Mapping[FindVerdict, str]] = {
    FindVerdict.ENTRY: "The object is there, unless it is said to be unavailable.",
    FindVerdict.DONE: "What was not named is not there: where commitment was asked for it is stored again, elsewhere "
    "looked for again, and stored again after as many looks in vain as are configured (commitment_rounds).",
    FindVerdict.CANCELLED: "Nothing is known of the objects; they are looked for again later.",
    FindVerdict.REFUSED: "Nothing is known of the objects; they are looked for again later.",
}
STORE_BEHAVIOUR: Final[Mapping[StoreVerdict, str]] = {
    StoreVerdict.STORED: "The object is stored there; commitment is asked for next, where it is configured.",
    StoreVerdict.STORED_WITH_WARNING: "As for success; the warning is kept with the object.",
    StoreVerdict.RETRY: "The object stays pending. The archive is left alone for a time that doubles up to a limit, "
    "and is tried again without end.",
    StoreVerdict.REFUSED: "The object stays on the box as refused until a person tries it again or lets go of it.",
}
ACTION_BEHAVIOUR: Final[Mapping[ActionVerdict, str]] = {
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
    "otherwise somebody else ended the step, and it waits for a person, who may let it be told once more: not taken "
    "then either, it stays as the manager has it.",
    StepVerdict.RETRY: "The message is sent again later, without end.",
}


def worklist_statuses() -> tuple[Status, ...]:
    """Of C-FIND of the worklist (PS3.4 K.4.1.1.4)."""
    return _rows("C-FIND", FIND_STATUS, _FIND, FindVerdict.REFUSED)


def look_statuses() -> tuple[Status, ...]:
    """Of C-FIND for objects (PS3.4 C.4.1.1.4)."""
    return _rows("C-FIND", FIND_STATUS, _LOOK, FindVerdict.REFUSED)


def store_statuses() -> tuple[Status, ...]:
    """Of C-STORE (PS3.4 B.2.3)."""
    return _rows("C-STORE", STORE_STATUS, STORE_BEHAVIOUR, StoreVerdict.RETRY)


def step_statuses() -> tuple[Status, ...]:
    """Of N-CREATE and N-SET of a performed step (PS3.4 F.7.2)."""
    return (
        *_rows("N-CREATE", CREATE_STATUS, _STEP, StepVerdict.RETRY),
        Status(
            operation="N-SET",
            first=NO_LONGER_UPDATED,
            last=NO_LONGER_UPDATED,
            meaning="Error ID (0000,0903), the status itself, or 0110 with "
            f'"{NO_LONGER_WORDS}" in its Error Comment: the step may no longer be updated',
            behaviour=_STEP[StepVerdict.MAY_BE_FINAL],
        ),
        *_rows("N-SET", SET_STATUS, _STEP, StepVerdict.RETRY),
    )


def commitment_statuses() -> tuple[Status, ...]:
    """Of N-ACTION (PS3.4 J.3.2), the Failure Reasons of a report (PS3.3 C.14), and what the product answers to one."""
    answers = (
        (
            REPORT_TAKEN,
            "the report's result is durable; or it is an archive's on what is not known here",
            "What it settles is waited for no more.",
        ),
        (REPORT_NOT_TAKEN, "it is not the archive's, cannot be read or cannot be kept", "Nothing changes."),
    )
    events = (
        (ALL_COMMITTED, "all are committed", "What Referenced SOP Sequence names is committed."),
        (
            FAILURES_EXIST,
            "some are not",
            "As for the other; what Failed SOP Sequence names follows its Failure Reason, also if both name it.",
        ),
    )
    return (
        *_rows("N-ACTION", ACTION_STATUS, ACTION_BEHAVIOUR, ActionVerdict.RETRY),
        *(
            Status(operation="N-EVENT-REPORT, Event Type", first=code, last=code, meaning=meaning, behaviour=behaviour)
            for code, meaning, behaviour in events
        ),
        *_rows("N-EVENT-REPORT, Failure Reason", COMMITMENT_FAILURE, _REASON, ReasonVerdict.ASK_AGAIN),
        *(
            Status(operation="N-EVENT-REPORT, answered", first=code, last=code, meaning=meaning, behaviour=behaviour)
            for code, meaning, behaviour in answers
        ),
    )


def is_step_told_until_taken() -> bool:
    """Whether a step's messages are repeated after an answer that nobody explained: what the code makes of one."""
    return {create_verdict(_UNEXPLAINED)[0], set_verdict(_UNEXPLAINED)[0]} == {StepVerdict.RETRY}


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
