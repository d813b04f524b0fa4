"""What a peer's status means for us: literal tables, one for each service (PS3.7 Annex C and the service's part)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeVar

from appliance.base.errors import ApplianceError


class AnswerIsNo(ApplianceError):
    """The peer answered, and will not: the association is as good as before, and ends by a release."""


Codes = tuple[int, int]
"""First and last code of a range, both included."""

Verdict = TypeVar("Verdict")


class StoreVerdict(StrEnum):
    """What a C-STORE status says about the object."""

    STORED = "stored"
    STORED_WITH_WARNING = "stored with warning"
    RETRY = "retry"
    REFUSED = "refused"


# PS3.4 Table B.2-1; the general ones are PS3.7 9.1.1.1.9. A code that is not listed is retried: nothing is given up
# because of a number that nobody explained.
STORE_STATUS: Final[Sequence[tuple[Codes, StoreVerdict, str]]] = (
    ((0x0000, 0x0000), StoreVerdict.STORED, "stored"),
    ((0xB000, 0xB000), StoreVerdict.STORED_WITH_WARNING, "the archive changed some elements"),
    ((0xB006, 0xB006), StoreVerdict.STORED_WITH_WARNING, "the archive dropped some elements"),
    ((0xB007, 0xB007), StoreVerdict.STORED_WITH_WARNING, "the archive says that the object does not match its class"),
    ((0xA700, 0xA7FF), StoreVerdict.RETRY, "the archive is out of resources"),
    ((0xA900, 0xA9FF), StoreVerdict.REFUSED, "the archive says that the object does not match its class"),
    ((0xC000, 0xCFFF), StoreVerdict.REFUSED, "the archive cannot understand the object"),
    ((0x0110, 0x0110), StoreVerdict.RETRY, "the archive failed while it processed the object"),
    ((0x0122, 0x0122), StoreVerdict.REFUSED, "the archive does not support this class of object"),
    ((0x0124, 0x0124), StoreVerdict.REFUSED, "the archive does not authorize this box to store"),
)


class ReasonVerdict(StrEnum):
    """What a failure reason in a commitment report asks of us."""

    ASK_AGAIN = "ask again"
    STORE_AGAIN = "store again"
    NEW_TRANSACTION = "new transaction"
    REFUSED = "refused"


# PS3.3 C.14.1.1, Failure Reason (0008,1197).
COMMITMENT_FAILURE: Final[Sequence[tuple[Codes, ReasonVerdict, str]]] = (
    ((0x0110, 0x0110), ReasonVerdict.ASK_AGAIN, "the archive failed while it processed the commitment"),
    ((0x0112, 0x0112), ReasonVerdict.STORE_AGAIN, "the archive does not have the object"),
    ((0x0119, 0x0119), ReasonVerdict.REFUSED, "the archive has the object under another class"),
    ((0x0122, 0x0122), ReasonVerdict.REFUSED, "the archive does not commit this class of object"),
    ((0x0131, 0x0131), ReasonVerdict.NEW_TRANSACTION, "the archive had seen the transaction's identifier before"),
    ((0x0213, 0x0213), ReasonVerdict.ASK_AGAIN, "the archive is out of resources"),
)


class ActionVerdict(StrEnum):
    """What an N-ACTION status says about a commitment request."""

    ACCEPTED = "accepted"
    NEW_TRANSACTION = "new transaction"
    RETRY = "retry"


# PS3.7 10.1.4.1.10 and PS3.4 J.3.2.
ACTION_STATUS: Final[Sequence[tuple[Codes, ActionVerdict, str]]] = (
    ((0x0000, 0x0000), ActionVerdict.ACCEPTED, "accepted"),
    ((0x0110, 0x0110), ActionVerdict.RETRY, "the archive failed while it processed the request"),
    ((0x0112, 0x0112), ActionVerdict.RETRY, "the archive does not know the commitment service's instance"),
    ((0x0122, 0x0122), ActionVerdict.RETRY, "the archive does not support storage commitment"),
    ((0x0123, 0x0123), ActionVerdict.RETRY, "the archive does not know the commitment request"),
    ((0x0124, 0x0124), ActionVerdict.RETRY, "the archive does not authorize this box to ask for commitment"),
    ((0x0131, 0x0131), ActionVerdict.NEW_TRANSACTION, "the archive had seen the transaction's identifier before"),
    ((0x0210, 0x0210), ActionVerdict.RETRY, "the archive saw the message twice"),
    ((0x0213, 0x0213), ActionVerdict.RETRY, "the archive is out of resources"),
)


# What the box answers to a report itself (PS3.7 10.1.1.1.8): after 0110H the archive may report again.
REPORT_TAKEN: Final = 0x0000
REPORT_NOT_TAKEN: Final = 0x0110


class FindVerdict(StrEnum):
    """What a C-FIND status says about the query."""

    ENTRY = "entry"
    DONE = "done"
    CANCELLED = "cancelled"
    REFUSED = "refused"


# PS3.4 Tables K.4-1 and C.4-1: of the worklist, and of looking for objects.
FIND_STATUS: Final[Sequence[tuple[Codes, FindVerdict, str]]] = (
    ((0xFF00, 0xFF00), FindVerdict.ENTRY, "an entry"),
    ((0xFF01, 0xFF01), FindVerdict.ENTRY, "an entry; optional keys are not supported"),
    ((0x0000, 0x0000), FindVerdict.DONE, "complete"),
    ((0xFE00, 0xFE00), FindVerdict.CANCELLED, "cancelled"),
    ((0xA700, 0xA700), FindVerdict.REFUSED, "it is out of resources"),
    ((0x0122, 0x0122), FindVerdict.REFUSED, "it does not support such queries"),
    ((0xA900, 0xA900), FindVerdict.REFUSED, "it says that the query does not match its class"),
    ((0xC000, 0xCFFF), FindVerdict.REFUSED, "it cannot process the query"),
)


class StepVerdict(StrEnum):
    """What an N-CREATE or N-SET status says about a performed step."""

    DONE = "done"
    DONE_WITH_WARNING = "done with warning"
    DUPLICATE = "duplicate"
    UNKNOWN_STEP = "unknown step"
    MAY_BE_FINAL = "may be final"
    RETRY = "retry"


# PS3.7 10.1.5.1.6 (N-CREATE); 0107H and 0116H are warnings: the instance exists.
CREATE_STATUS: Final[Sequence[tuple[Codes, StepVerdict, str]]] = (
    ((0x0000, 0x0000), StepVerdict.DONE, "created"),
    ((0x0001, 0x0001), StepVerdict.DONE_WITH_WARNING, "created; optional attributes are not supported"),
    ((0x0107, 0x0107), StepVerdict.DONE_WITH_WARNING, "created; attributes were not recognized"),
    ((0x0116, 0x0116), StepVerdict.DONE_WITH_WARNING, "created; a value was out of range"),
    ((0x0111, 0x0111), StepVerdict.DUPLICATE, "the step exists already"),
    ((0x0106, 0x0106), StepVerdict.RETRY, "a value is invalid"),
    ((0x0110, 0x0110), StepVerdict.RETRY, "the manager failed while it processed the step"),
    ((0x0120, 0x0120), StepVerdict.RETRY, "an attribute is missing"),
    ((0x0121, 0x0121), StepVerdict.RETRY, "an attribute has no value"),
    ((0x0122, 0x0122), StepVerdict.RETRY, "the manager does not support performed steps"),
    ((0x0124, 0x0124), StepVerdict.RETRY, "the manager does not authorize this box"),
    ((0x0213, 0x0213), StepVerdict.RETRY, "the manager is out of resources"),
)

# PS3.7 10.1.3.1.9 (N-SET). 0110H alone is a failure like any other; with Error ID A710H, "may no longer be updated"
# (PS3.4 F.7.2.2.4), it is StepVerdict.MAY_BE_FINAL: dimse.performed_step looks at both.
SET_STATUS: Final[Sequence[tuple[Codes, StepVerdict, str]]] = (
    ((0x0000, 0x0000), StepVerdict.DONE, "set"),
    ((0x0001, 0x0001), StepVerdict.DONE_WITH_WARNING, "set; optional attributes are not supported"),
    ((0x0107, 0x0107), StepVerdict.DONE_WITH_WARNING, "set; attributes were not recognized"),
    ((0x0116, 0x0116), StepVerdict.DONE_WITH_WARNING, "set; a value was out of range"),
    ((0x0110, 0x0110), StepVerdict.RETRY, "the manager failed while it processed the step's end"),
    ((0x0112, 0x0112), StepVerdict.UNKNOWN_STEP, "the manager does not know the step"),
    ((0x0106, 0x0106), StepVerdict.RETRY, "a value is invalid"),
    ((0x0120, 0x0120), StepVerdict.RETRY, "an attribute is missing"),
    ((0x0121, 0x0121), StepVerdict.RETRY, "an attribute has no value"),
    ((0x0124, 0x0124), StepVerdict.RETRY, "the manager does not authorize this box"),
    ((0x0213, 0x0213), StepVerdict.RETRY, "the manager is out of resources"),
)

# PS3.8 9.3.4, Table 9-21: source and reason of an A-ASSOCIATE-RJ.
REJECTION: Final[dict[tuple[int, int], str]] = {
    (1, 1): "no reason given",
    (1, 2): "the application context name is not supported",
    (1, 3): "the calling AE title is not recognized",
    (1, 7): "the called AE title is not recognized",
    (2, 1): "no reason given",
    (2, 2): "the protocol version is not supported",
    (3, 1): "temporary congestion",
    (3, 2): "the local limit is exceeded",
}


def store_verdict(status: int) -> tuple[StoreVerdict, str]:
    """What a C-STORE `status` means, and its words."""
    return _look_up(STORE_STATUS, status, StoreVerdict.RETRY)


def reason_verdict(reason: int) -> tuple[ReasonVerdict, str]:
    """What a commitment failure `reason` asks of us, and its words."""
    return _look_up(COMMITMENT_FAILURE, reason, ReasonVerdict.ASK_AGAIN)


def action_verdict(status: int) -> tuple[ActionVerdict, str]:
    """What an N-ACTION `status` says about the request, and its words."""
    return _look_up(ACTION_STATUS, status, ActionVerdict.RETRY)


def find_verdict(status: int) -> tuple[FindVerdict, str]:
    """What a C-FIND `status` says about the query, and its words."""
    return _look_up(FIND_STATUS, status, FindVerdict.REFUSED)


def create_verdict(status: int) -> tuple[StepVerdict, str]:
    """What an N-CREATE `status` says about the step, and its words."""
    return _look_up(CREATE_STATUS, status, StepVerdict.RETRY)


def set_verdict(status: int) -> tuple[StepVerdict, str]:
    """What an N-SET `status` says about the step, and its words."""
    return _look_up(SET_STATUS, status, StepVerdict.RETRY)


def rejection_words(source: int, reason: int) -> str:
    """The words of an association rejection."""
    return REJECTION.get((source, reason), f"source {source}, reason {reason}, which the standard does not know")


def _look_up(table: Sequence[tuple[Codes, Verdict, str]], status: int, otherwise: Verdict) -> tuple[Verdict, str]:
    for (first, last), verdict, words in table:
        if first <= status <= last:
            return verdict, f"{words} (status {status:04X}H)" if status else words
    return otherwise, f"an answer that the standard does not list (status {status:04X}H)"
