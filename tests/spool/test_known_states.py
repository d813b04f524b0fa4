"""What may be said of deliveries by their states alone, in forward's words."""

from __future__ import annotations

import pytest

from appliance.forward.states import FINAL_DELIVERIES
from appliance.spool.known_states import DONE_STATES, End, end_of


def test_ok__what_is_done_is_what_forward_calls_final() -> None:
    assert DONE_STATES == FINAL_DELIVERIES


@pytest.mark.parametrize(
    ("states", "end"),
    [
        ("committed", End.COMMITTED),
        ("committed expired", End.COMMITTED),
        ("committed stored_only", End.COMMITTED_AT_SOME),
        ("expired verified", End.COMMITTED_AT_SOME),
        ("committed released", End.COMMITTED_PARTLY_RELEASED),
        ("committed stored_only released", End.COMMITTED_PARTLY_RELEASED),
        ("verified", End.VERIFIED),
        ("verified stored_only", End.STORED_ONLY),
        ("stored_only", End.STORED_ONLY),
        ("stored_only released", End.PARTLY_RELEASED),
        ("released", End.NOWHERE),
        ("", End.NOWHERE),
    ],
)
def test_ok__committed_is_never_called_less_nor_stored_more(states: str, end: End) -> None:
    assert end_of(states.split()) is end
