"""What becomes of a proposed configuration: a table, in the order in which things happen.

A change is in force from LOADING on and stays so only by CONFIRMED, which a person says. Everything else that may
happen leads to GOING_BACK, which nothing but its own end leaves.
"""

from __future__ import annotations

from enum import StrEnum


class ChangeState(StrEnum):
    """Where a change is."""

    PROPOSED = "proposed"  # its record is durable, nothing is touched yet
    LOADING = "loading"  # the file is in force, services start anew
    TESTING = "testing"
    WAITING = "waiting"  # for somebody to confirm it
    CONFIRMED = "confirmed"
    GOING_BACK = "going back"
    ROLLED_BACK = "rolled back"


class ChangeEvent(StrEnum):
    """What may happen to a change."""

    WRITTEN = "written"
    LOADED = "loaded"
    TESTED = "tested"
    CONFIRMED = "confirmed"
    FAILED = "failed"  # the flash, a service that does not start, the self-test
    WITHDRAWN = "withdrawn"  # somebody took it back
    TIME_OVER = "time over"
    INTERRUPTED = "interrupted"  # the program started anew before it was tested, or the box before it was confirmed
    RESTORED = "restored"


_S, _E = ChangeState, ChangeEvent
_TROUBLES = (_E.FAILED, _E.WITHDRAWN, _E.TIME_OVER, _E.INTERRUPTED)

TRANSITIONS: dict[tuple[ChangeState, ChangeEvent], ChangeState] = {
    (_S.PROPOSED, _E.WRITTEN): _S.LOADING,
    (_S.LOADING, _E.LOADED): _S.TESTING,
    (_S.TESTING, _E.TESTED): _S.WAITING,
    (_S.WAITING, _E.CONFIRMED): _S.CONFIRMED,
    **{
        (state, event): _S.GOING_BACK
        for state in (_S.PROPOSED, _S.LOADING, _S.TESTING, _S.WAITING)
        for event in _TROUBLES
    },
    (_S.GOING_BACK, _E.RESTORED): _S.ROLLED_BACK,
}

FINAL = frozenset({ChangeState.CONFIRMED, ChangeState.ROLLED_BACK})


def state_after(state: ChangeState, event: ChangeEvent) -> ChangeState:
    """The next state; KeyError for what cannot happen to a change in `state`."""
    return TRANSITIONS[state, event]


def state_found(*, is_tested: bool, is_same_boot: bool) -> ChangeState:
    """Where a change is whose program ended: what was not tested, or not confirmed before a reboot, goes back.

    The deadline of one that still waits for its confirmation goes on.
    """
    return ChangeState.WAITING if is_tested and is_same_boot else ChangeState.GOING_BACK
