"""How long a destination is left alone."""

from __future__ import annotations

import pytest

from appliance.config.schema import Destination
from appliance.forward.patience import Patience


@pytest.mark.parametrize(
    ("may_find", "rounds", "seconds"),
    [
        (False, 1, 0.0),  # the wait for the report was wait enough
        (False, 2, 0.0),
        (False, 3, 300.0),
        (False, 9, 300.0),
        (True, 2, 0.0),
        (True, 3, 0.0),  # C-FIND looks now
        (True, 4, 300.0),
    ],
)
def test_ok__after_silence(may_find: bool, rounds: int, seconds: float) -> None:
    destination = Destination(name="pacs", ae_title="PACS", host="pacs", port=104, verify_by_find=may_find)
    assert Patience(destination).after_silence(rounds) == seconds
    assert Patience(destination).after_look(0) == 300.0
