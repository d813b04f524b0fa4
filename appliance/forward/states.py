"""What can become of an object at a destination, and of a performed step: two literal tables and their rules.

Stored and committed are different yeses (the archive has it; the archive took responsibility). Nothing leaves
`committed` but by the end of its retention, and nothing reaches it but by the archive's report: an object that C-FIND
finds is `verified` where a destination is configured without commitment, and stays `stored` where it is not. What a
person withdrew is `released`; a committed object that left the box is `expired`, and what else left it keeps its word,
since the numbers of committed and other objects are never mixed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from appliance.dimse.status import StepVerdict


class DeliveryState(StrEnum):
    """One object at one destination."""

    PENDING = "pending"
    STORING = "storing"
    STORED = "stored"
    COMMIT_REQUESTED = "commit_requested"
    COMMITTED = "committed"
    VERIFIED = "verified"  # a destination without commitment; C-FIND finds it there
    STORED_ONLY = "stored_only"  # a destination without commitment that cannot be asked either
    REFUSED = "refused"
    RELEASED = "released"  # a person decided that it is not to be delivered (any more)
    EXPIRED = "expired"  # committed, and no longer on this box


class DeliveryEvent(StrEnum):
    """What happens to it."""

    CLAIMED = "claimed"  # this process is about to send it
    CLAIM_VOID = "claim void"  # the process that claimed it is gone
    STORE_FAILED = "store failed"  # network, A7xx, 0110, a status that is not listed
    STORE_REFUSED = "store refused"  # A9xx, Cxxx, 0122, 0124, no accepted context
    STORE_ACCEPTED = "store accepted"  # 0000, and B000, B006, B007 with their warning
    NEEDS_NO_COMMITMENT = "needs no commitment"  # the destination is configured without, and without C-FIND
    VERIFIED = "verified"  # C-FIND finds it at a destination without commitment
    NOT_VERIFIED = "not verified"  # there it does not find it yet, or cannot be asked
    FOUND = "found"  # C-FIND finds it where commitment was asked for in vain: that is no commitment
    NOT_FOUND = "not found"  # C-FIND does not find it: the archive has lost it
    COMMITMENT_ASKED = "commitment asked"  # transaction and members are durable; N-ACTION may leave
    COMMITMENT_NOT_TAKEN = "commitment not taken"  # N-ACTION was answered with a failure
    REPORT_MISSING = "report missing"  # none in time, or the report did not name the object
    COMMITMENT_FAILED = "commitment failed"  # 0110, 0213, 0131
    OBJECT_MISSING = "object missing"  # 0112
    COMMITMENT_REFUSED = "commitment refused"  # 0119, 0122
    COMMITTED = "committed"
    RETRY_ASKED = "retry asked"  # a person did something about it at the archive
    WITHDRAWN = "withdrawn"  # a person decided about the object: released, discarded, reassigned or rejected
    RETENTION_ENDED = "retention ended"


_S, _E = DeliveryState, DeliveryEvent

DELIVERY: Final[dict[tuple[DeliveryState, DeliveryEvent], DeliveryState]] = {
    (_S.PENDING, _E.CLAIMED): _S.STORING,
    (_S.STORING, _E.CLAIM_VOID): _S.PENDING,
    (_S.STORING, _E.STORE_FAILED): _S.PENDING,
    (_S.STORING, _E.STORE_REFUSED): _S.REFUSED,
    (_S.STORING, _E.STORE_ACCEPTED): _S.STORED,
    (_S.STORED, _E.NEEDS_NO_COMMITMENT): _S.STORED_ONLY,
    (_S.STORED, _E.VERIFIED): _S.VERIFIED,
    (_S.STORED, _E.NOT_VERIFIED): _S.STORED,
    (_S.STORED, _E.FOUND): _S.STORED,
    (_S.STORED, _E.NOT_FOUND): _S.PENDING,
    (_S.STORED, _E.COMMITMENT_ASKED): _S.COMMIT_REQUESTED,
    (_S.STORED, _E.COMMITTED): _S.COMMITTED,  # a report that came after its deadline
    (_S.COMMIT_REQUESTED, _E.COMMITMENT_NOT_TAKEN): _S.STORED,
    (_S.COMMIT_REQUESTED, _E.REPORT_MISSING): _S.STORED,
    (_S.COMMIT_REQUESTED, _E.COMMITMENT_FAILED): _S.STORED,
    (_S.COMMIT_REQUESTED, _E.OBJECT_MISSING): _S.PENDING,
    (_S.COMMIT_REQUESTED, _E.COMMITMENT_REFUSED): _S.REFUSED,
    (_S.COMMIT_REQUESTED, _E.COMMITTED): _S.COMMITTED,
    (_S.REFUSED, _E.RETRY_ASKED): _S.PENDING,
    (_S.PENDING, _E.WITHDRAWN): _S.RELEASED,
    (_S.STORING, _E.WITHDRAWN): _S.RELEASED,
    (_S.STORED, _E.WITHDRAWN): _S.RELEASED,
    (_S.COMMIT_REQUESTED, _E.WITHDRAWN): _S.RELEASED,
    (_S.REFUSED, _E.WITHDRAWN): _S.RELEASED,
    (_S.RELEASED, _E.STORE_ACCEPTED): _S.RELEASED,  # it was under way when it was withdrawn: the archive has it
    (_S.RELEASED, _E.COMMITTED): _S.COMMITTED,  # a report on what was asked for before
    (_S.COMMITTED, _E.RETENTION_ENDED): _S.EXPIRED,
}

# Nothing more is to be done at this destination.
FINAL_DELIVERIES: Final = frozenset(
    {
        DeliveryState.COMMITTED,
        DeliveryState.VERIFIED,
        DeliveryState.STORED_ONLY,
        DeliveryState.RELEASED,
        DeliveryState.EXPIRED,
    }
)


def next_delivery(state: DeliveryState, event: DeliveryEvent) -> DeliveryState | None:
    """The state after `event`; None when the event changes nothing here: it is late, repeated, or not ours."""
    return DELIVERY.get((state, event))


class StepState(StrEnum):
    """One performed procedure step at its manager (PS3.4 F.7.1)."""

    DUE = "due"
    IN_PROGRESS = "in progress"
    COMPLETED = "completed"
    DISCONTINUED = "discontinued"
    REFUSED = "refused"  # somebody else ended it: what we have to tell of its end is not taken, and waits for a person
    RETRIED = "retried"  # a person looked after it, and wants it told once more
    ENDED_ELSEWHERE = "ended elsewhere"  # not taken then either: it stays as the manager has it


class StepEvent(StrEnum):
    """What the manager's answers say."""

    CREATED = "created"
    SET_COMPLETED = "set completed"
    SET_DISCONTINUED = "set discontinued"
    NOT_KNOWN = "not known"  # 0112 to an N-SET: the manager has lost it, or never had it
    NOT_OURS = "not ours"  # A710 to an N-SET, and none of ours can have arrived before
    RETRY_ASKED = "retry asked"  # a person did something about it at the manager


STEPS: Final[dict[tuple[StepState, StepEvent], StepState]] = {
    (StepState.DUE, StepEvent.CREATED): StepState.IN_PROGRESS,
    (StepState.IN_PROGRESS, StepEvent.SET_COMPLETED): StepState.COMPLETED,
    (StepState.IN_PROGRESS, StepEvent.SET_DISCONTINUED): StepState.DISCONTINUED,
    (StepState.IN_PROGRESS, StepEvent.NOT_KNOWN): StepState.DUE,
    (StepState.IN_PROGRESS, StepEvent.NOT_OURS): StepState.REFUSED,
    (StepState.REFUSED, StepEvent.RETRY_ASKED): StepState.RETRIED,
    (StepState.RETRIED, StepEvent.SET_COMPLETED): StepState.COMPLETED,
    (StepState.RETRIED, StepEvent.SET_DISCONTINUED): StepState.DISCONTINUED,
    (StepState.RETRIED, StepEvent.NOT_KNOWN): StepState.DUE,
    (StepState.RETRIED, StepEvent.NOT_OURS): StepState.ENDED_ELSEWHERE,
}

FINAL_STEPS: Final = frozenset({StepState.COMPLETED, StepState.DISCONTINUED, StepState.ENDED_ELSEWHERE})


def next_step(state: StepState, event: StepEvent) -> StepState | None:
    """The state after `event`; None when the event changes nothing here."""
    return STEPS.get((state, event))


def event_of_creation(verdict: StepVerdict) -> StepEvent | None:
    """What an N-CREATE's answer means; None says that it must be repeated.

    0111H means created: the SOP Instance UID is ours alone, so the manager has it from an earlier N-CREATE of ours, of
    which perhaps only the answer was lost: also of one that was answered with a failure. With a warning (0107H, 0116H)
    the step exists too.
    """
    done = {StepVerdict.DONE, StepVerdict.DONE_WITH_WARNING, StepVerdict.DUPLICATE}
    return StepEvent.CREATED if verdict in done else None


def event_of_final(verdict: StepVerdict, *, is_discontinued: bool, may_have_been_sent: bool) -> StepEvent | None:
    """What an N-SET's answer means; None says that it must be repeated.

    0110H with Error ID A710H (the step may no longer be updated) means that an earlier N-SET arrived, if one
    `may_have_been_sent` that was never answered. Without one, or with one that was answered with a failure, there is no
    such excuse: somebody else ended the step. 0110H alone says only that the manager failed, and the step may still be
    in progress there.
    """
    final = StepEvent.SET_DISCONTINUED if is_discontinued else StepEvent.SET_COMPLETED
    if verdict in {StepVerdict.DONE, StepVerdict.DONE_WITH_WARNING}:
        return final
    if verdict is StepVerdict.MAY_BE_FINAL:
        return final if may_have_been_sent else StepEvent.NOT_OURS
    return StepEvent.NOT_KNOWN if verdict is StepVerdict.UNKNOWN_STEP else None


def backoff_seconds(failures: int, first: float, longest: float) -> float:
    """How long to wait after so many failures in a row: doubling from `first` up to `longest`, for ever."""
    return min(first * 2.0 ** min(max(failures - 1, 0), 40), longest)
