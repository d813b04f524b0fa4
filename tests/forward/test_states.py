"""The two tables of states, held against DESIGN's words, and what no order of events can break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.dimse.status import StepVerdict
from appliance.forward.states import (
    DELIVERY,
    FINAL_DELIVERIES,
    FINAL_STEPS,
    STEPS,
    DeliveryEvent,
    DeliveryState,
    StepEvent,
    StepState,
    backoff_seconds,
    event_of_creation,
    event_of_final,
    next_delivery,
    next_step,
)

S, E = DeliveryState, DeliveryEvent


@pytest.mark.parametrize(
    ("state", "event", "then"),
    [
        (S.PENDING, E.CLAIMED, S.STORING),
        (S.STORING, E.STORE_FAILED, S.PENDING),
        (S.STORING, E.STORE_REFUSED, S.REFUSED),
        (S.STORING, E.STORE_ACCEPTED, S.STORED),
        (S.STORING, E.CLAIM_VOID, S.PENDING),
        (S.STORED, E.COMMITMENT_ASKED, S.COMMIT_REQUESTED),
        (S.STORED, E.NEEDS_NO_COMMITMENT, S.STORED_ONLY),
        (S.STORED, E.VERIFIED, S.VERIFIED),
        (S.STORED, E.NOT_VERIFIED, S.STORED),
        (S.STORED, E.FOUND, S.STORED),
        (S.STORED, E.NOT_FOUND, S.PENDING),
        (S.COMMIT_REQUESTED, E.COMMITTED, S.COMMITTED),
        (S.COMMIT_REQUESTED, E.REPORT_MISSING, S.STORED),
        (S.COMMIT_REQUESTED, E.OBJECT_MISSING, S.PENDING),
        (S.COMMIT_REQUESTED, E.COMMITMENT_FAILED, S.STORED),
        (S.COMMIT_REQUESTED, E.COMMITMENT_REFUSED, S.REFUSED),
        (S.COMMITTED, E.RETENTION_ENDED, S.EXPIRED),
        (S.COMMITTED, E.OBJECT_MISSING, None),
        (S.STORED_ONLY, E.COMMITTED, None),
        (S.REFUSED, E.CLAIMED, None),
        (S.REFUSED, E.RETRY_ASKED, S.PENDING),
        (S.COMMITTED, E.RETRY_ASKED, None),
        (S.PENDING, E.COMMITTED, None),
        (S.PENDING, E.WITHDRAWN, S.RELEASED),
        (S.STORING, E.WITHDRAWN, S.RELEASED),
        (S.STORED, E.WITHDRAWN, S.RELEASED),
        (S.COMMIT_REQUESTED, E.WITHDRAWN, S.RELEASED),
        (S.REFUSED, E.WITHDRAWN, S.RELEASED),
        (S.COMMITTED, E.WITHDRAWN, None),
        (S.VERIFIED, E.WITHDRAWN, None),
        (S.STORED_ONLY, E.WITHDRAWN, None),
        (S.EXPIRED, E.WITHDRAWN, None),
        (S.RELEASED, E.CLAIMED, None),
        (S.RELEASED, E.RETRY_ASKED, None),
        (S.RELEASED, E.STORE_ACCEPTED, S.RELEASED),
        (S.RELEASED, E.STORE_FAILED, None),
        (S.RELEASED, E.COMMITTED, S.COMMITTED),
        (S.RELEASED, E.RETENTION_ENDED, None),
        (S.VERIFIED, E.RETENTION_ENDED, None),
    ],
)
def test_ok__delivery_as_designed(state: DeliveryState, event: DeliveryEvent, then: DeliveryState | None) -> None:
    assert next_delivery(state, event) is then


def test_ok__every_state_but_the_last_ones_has_a_way_on() -> None:
    going_on = {state for state, _ in DELIVERY}
    assert set(DeliveryState) - going_on == {S.STORED_ONLY, S.VERIFIED, S.EXPIRED}
    assert {state for state, _ in STEPS} == set(StepState) - FINAL_STEPS


def test_ok__only_a_report_commits() -> None:
    assert {event for (_, event), then in DELIVERY.items() if then is S.COMMITTED} == {E.COMMITTED}


@given(st.lists(st.sampled_from(DeliveryEvent)))
def test_ok__no_order_of_events_leaves_committed_or_stores_again(events: list[DeliveryEvent]) -> None:
    state = S.PENDING
    has_committed = False
    for event in events:
        then = next_delivery(state, event)
        state = state if then is None else then
        has_committed = has_committed or state is S.COMMITTED
        assert not has_committed or state in {S.COMMITTED, S.EXPIRED}
        assert state is not S.STORED_ONLY or state in FINAL_DELIVERIES


@given(st.lists(st.sampled_from(DeliveryEvent)))
def test_ok__what_is_withdrawn_is_never_claimed_or_asked_for_again(events: list[DeliveryEvent]) -> None:
    state = S.RELEASED
    for event in events:
        then = next_delivery(state, event)
        state = state if then is None else then
        assert state in {S.RELEASED, S.COMMITTED, S.EXPIRED}


@given(st.lists(st.sampled_from(StepEvent)))
def test_ok__a_final_step_is_never_changed_and_none_ends_before_it_began(events: list[StepEvent]) -> None:
    state = StepState.DUE
    for event in events:
        then = next_step(state, event)
        assert state not in FINAL_STEPS or then is None
        assert then not in FINAL_STEPS or state in {StepState.IN_PROGRESS, StepState.RETRIED}
        assert then is not StepState.ENDED_ELSEWHERE or state is StepState.RETRIED, "a person has looked after it"
        state = state if then is None else then


@pytest.mark.parametrize("verdict", StepVerdict)
def test_ok__creation(verdict: StepVerdict) -> None:
    created = {StepVerdict.DONE, StepVerdict.DONE_WITH_WARNING, StepVerdict.DUPLICATE}
    assert event_of_creation(verdict) is (StepEvent.CREATED if verdict in created else None)


@pytest.mark.parametrize(
    ("verdict", "may_have_been_sent", "event"),
    [
        (StepVerdict.DONE, False, StepEvent.SET_COMPLETED),
        (StepVerdict.DONE_WITH_WARNING, False, StepEvent.SET_COMPLETED),
        (StepVerdict.MAY_BE_FINAL, True, StepEvent.SET_COMPLETED),
        (StepVerdict.MAY_BE_FINAL, False, StepEvent.NOT_OURS),
        (StepVerdict.UNKNOWN_STEP, True, StepEvent.NOT_KNOWN),
        (StepVerdict.RETRY, True, None),
    ],
)
def test_ok__final(verdict: StepVerdict, may_have_been_sent: bool, event: StepEvent | None) -> None:
    said = event_of_final(verdict, is_discontinued=False, may_have_been_sent=may_have_been_sent)
    assert said is event


@given(st.integers(0, 100_000), st.floats(0.1, 600), st.floats(600, 86_400))
def test_ok__backoff_doubles_up_to_the_longest(failures: int, first: float, longest: float) -> None:
    seconds = backoff_seconds(failures, first, longest)
    assert first <= seconds <= longest
    assert backoff_seconds(failures + 1, first, longest) >= seconds
    assert backoff_seconds(1, first, longest) == first
