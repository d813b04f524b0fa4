"""How delivery stands, in a sentence: the three yeses are never mixed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from appliance.base.findings import FindingBoard
from appliance.exam.exam import PlannedStep
from appliance.forward.api import Parts, queue_json, sentence_from, status_json
from appliance.forward.delivery import Delivery
from appliance.forward.removed import NOT_CONFIGURED
from appliance.forward.step_ledger import StepLedger
from appliance.forward.steps import StepMessages
from appliance.forward.under_way import UnderWay
from tests.forward.test_ledger import EXAM
from tests.forward.test_listing import Bench

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


def _delivery(bench: Bench, name: str) -> SimpleNamespace:
    destination = SimpleNamespace(name=name, commitment=True)
    return SimpleNamespace(destination=destination, trouble="", seconds_left=0.0, calls=UnderWay(bench.clock))


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


def test_ok__a_removed_destination_is_told_and_counted_while_something_waits_there(tmp_path: Path) -> None:
    """Neither the panel nor the command may say that nothing waits."""
    bench = Bench(tmp_path)
    bench.add(1, "old")
    steps = StepLedger(bench.journal, bench.clock, bench.spool)
    steps.add(EXAM, PlannedStep("US", "1.9", "1"), may_have_been_told=False)
    known = _delivery(bench, "archive")
    parts = Parts(bench.listing, FindingBoard(), [cast(Delivery, known)], None, steps, [], lambda: None)
    status = status_json(parts)
    told = [(one["name"], one["is_configured"], one["pending"], one["trouble"]) for one in status["destinations"]]
    assert told == [("archive", True, 0, ""), ("old", False, 1, NOT_CONFIGURED)]
    assert status["sentence"] == (
        f"archive: nothing waits; old: 1 to store ({NOT_CONFIGURED.removesuffix('.')}); "
        "performed steps: 1 to tell (No performed-step manager is configured any more: configure it again)."
    )
    queue = queue_json(parts, None, is_waiting_only=True)
    assert queue["objects"][0]["destinations"]["old"]["trouble"] == NOT_CONFIGURED
    assert queue["steps"][0]["trouble"].startswith("No performed-step manager")


def test_ok__what_is_tried_now_says_since_when(tmp_path: Path) -> None:
    """A peer that hangs says nothing for as long as its time limits let it."""
    bench = Bench(tmp_path)
    uid, other = bench.add(1, "archive", "second"), bench.add(2, "archive")
    steps = StepLedger(bench.journal, bench.clock, bench.spool)
    steps.add(EXAM, PlannedStep("US", "1.9", "1"), may_have_been_told=False)
    archive, second = _delivery(bench, "archive"), _delivery(bench, "second")
    manager = SimpleNamespace(trouble="", seconds_left=0.0, calls=UnderWay(bench.clock), messages=UnderWay(bench.clock))
    parts = Parts(
        bench.listing, FindingBoard(), cast(list[Delivery], [archive, second]), cast(StepMessages, manager), steps,
        [], lambda: None,
    )  # fmt: skip

    def told() -> tuple[Any, ...]:
        queue, status = queue_json(parts, None, is_waiting_only=True), status_json(parts)
        since = {one["sop_instance_uid"]: one["destinations"] for one in queue["objects"]}
        (step,) = queue["steps"]
        return (
            [since[uid][name]["called_since"] for name in ("archive", "second")],
            since[other]["archive"]["called_since"],
            (step["called_since"], step["told_since"]),
            [one["called_since"] for one in (*status["destinations"], status["steps"])],
        )

    nothing = (["", ""], "", ("", ""), ["", "", ""])
    assert told() == nothing
    at = bench.clock.now().isoformat()
    with archive.calls.trying([uid]), manager.calls.trying(["1.9"]):
        bench.clock.advance(20)
        later = bench.clock.now().isoformat()
        with archive.calls.trying([other]):
            assert told() == ([at, ""], later, (at, ""), [at, "", at])
    with manager.messages.trying(["1.9"]):
        assert told() == (["", ""], "", ("", later), ["", "", ""])
    assert told() == nothing
