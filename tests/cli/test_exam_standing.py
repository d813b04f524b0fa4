"""What became of an exam, in words: every state that an object or a step can be in has some."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.cli.exam_standing import Wait, count_standings, standing_of, text_of
from appliance.forward.states import FINAL_DELIVERIES, FINAL_STEPS, DeliveryState, StepState
from appliance.spool.known_states import End


@pytest.mark.parametrize("state", DeliveryState)
def test_ok__what_is_final_has_ended_and_what_is_not_waits(state: DeliveryState) -> None:
    standing = standing_of("outbox", [state], is_decided=False)
    assert isinstance(standing, End if state in FINAL_DELIVERIES else Wait)


@pytest.mark.parametrize(
    ("place", "states", "is_decided", "standing"),
    [
        ("outbox", ["committed", "pending"], False, Wait.TO_BE_STORED),
        ("outbox", ["refused", "storing"], False, Wait.REFUSED),
        ("kept", ["committed", "commit_requested"], False, Wait.STORED),
        ("quarantine", ["stored"], False, Wait.DAMAGED),
        ("quarantine", ["committed", "released"], False, End.COMMITTED_PARTLY_RELEASED),
        ("awaited", ["pending"], False, Wait.NOT_HANDED_OVER),
        ("awaited", ["released"], True, End.NOWHERE),
        ("outbox", [], False, Wait.NO_DESTINATION),
        ("kept", [], True, End.NOWHERE),
        ("kept", ["expired", "verified"], False, End.COMMITTED_AT_SOME),
    ],
)
def test_ok__one_object(place: str, states: list[str], is_decided: bool, standing: Wait | End) -> None:
    assert standing_of(place, states, is_decided=is_decided) is standing


def test_ok__counted_and_said() -> None:
    def alike(count: int, *states: str, place: str = "outbox") -> dict[str, Any]:
        return {"place": place, "is_decided": False, "states": list(states), "count": count}

    counts = count_standings([alike(4, "committed"), alike(2, "pending"), alike(1, "storing"), alike(1, "refused")])
    assert list(counts.items()) == [(Wait.REFUSED, 1), (Wait.TO_BE_STORED, 3), (End.COMMITTED, 4)]
    assert text_of(counts, {"US": "retried"}, is_settled=False) == (
        "1 refused; 3 to be stored; 4 committed; performed step US ended by somebody else, to be told once more"
    )
    assert text_of({}, {}, is_settled=False) == "not settled yet"
    assert text_of({}, {}, is_settled=True) == "nothing more is to be sent"
    assert text_of({}, {"US": "due"}, is_settled=True) == "performed step US never told"
    for standing in (*Wait, *End):
        assert text_of({standing: 1}, {}, is_settled=False).startswith("all ")


@pytest.mark.parametrize("state", StepState)
def test_ok__every_step_that_we_did_not_end_is_told(state: StepState) -> None:
    is_ours = state in FINAL_STEPS - {StepState.ENDED_ELSEWHERE}
    for is_settled in (True, False):
        assert ("US" in text_of({}, {"US": state}, is_settled=is_settled)) is not is_ours
