"""How delivery stands, in a sentence: the three yeses are never mixed."""

from __future__ import annotations

from typing import Any

from appliance.forward.api import sentence_from

QUIET: dict[str, Any] = {
    "name": "archive",
    "pending": 0,
    "stored": 0,
    "committed": 4,
    "refused": 0,
    "trouble": "",
    "commits": True,
}
NO_STEPS = {"due": 0, "trouble": ""}


def test_ok__sentences() -> None:
    assert sentence_from([], NO_STEPS) == "No destination is configured: everything stays saved on this box."
    assert sentence_from([QUIET], NO_STEPS) == "archive: nothing waits."
    down = QUIET | {"pending": 3, "stored": 1, "trouble": "ARCHIVE cannot be reached."}
    other = QUIET | {"name": "second", "refused": 2}
    assert sentence_from([down, other], {"due": 1, "trouble": "HOSPITAL refused."}) == (
        "archive: 3 to store, 1 stored, not committed (ARCHIVE cannot be reached); second: 2 refused; "
        "performed steps: 1 to tell (HOSPITAL refused)."
    )
    plain = QUIET | {"commits": False, "stored": 2}
    assert sentence_from([plain], NO_STEPS) == "archive: 2 stored, to be looked for there."
