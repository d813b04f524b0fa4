"""What may be said of deliveries by their states alone, in forward's words."""

from __future__ import annotations

from appliance.forward.states import FINAL_DELIVERIES
from appliance.spool.known_states import DONE_STATES


def test_ok__what_is_done_is_what_forward_calls_final() -> None:
    assert DONE_STATES == FINAL_DELIVERIES
