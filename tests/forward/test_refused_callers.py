"""Who was refused at the listener: one finding for each, for an hour, and never more than a person can read."""

from __future__ import annotations

import logging

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.forward.refused_callers import MOST_REASONS, MOST_SHOWN, STRANGER_REPORT, RefusedCallers
from tests.forward.hand_clock import HandClock


class World:
    def __init__(self) -> None:
        self.findings = FindingBoard()
        self.clock = HandClock()
        self.refused = RefusedCallers(self.findings, self.clock)

    def refuse(self, address: str) -> None:
        self.refused.note(address, ApplianceError(f"{address}: X calls the box PACS and was refused.", "Ask."))

    def subjects(self) -> set[str]:
        assert self.refused.forget() > 0
        return {one.subject for one in self.findings.listing()}


def test_ok__each_is_shown_until_an_hour_after_its_last_call() -> None:
    world = World()
    world.refuse("10.0.0.1")
    world.clock.advance(3000.0)
    world.refuse("10.0.0.2")
    assert world.subjects() == {"10.0.0.1", "10.0.0.2"}
    world.clock.advance(700.0)
    assert world.subjects() == {"10.0.0.2"}
    world.clock.advance(3000.0)
    assert world.subjects() == set()


def test_ok__who_calls_again_and_again_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.INFO):
        for _ in range(1000):
            world.refuse("10.0.0.1")
            world.refuse("10.0.0.2")
    assert len(caplog.records) == 2


def test_fail__a_thousand_addresses(caplog: pytest.LogCaptureFixture) -> None:
    """Those that came first stay, and that there are more is one finding, which goes when they stop."""
    world = World()
    addresses = [f"10.0.{number >> 8}.{number & 255}" for number in range(1000)]
    with caplog.at_level(logging.INFO):
        for address in addresses:
            world.refuse(address)
    assert len(caplog.records) == MOST_SHOWN + 1
    assert world.subjects() == {*addresses[:MOST_SHOWN], ""}
    (more,) = [one for one in world.findings.listing() if not one.subject]
    assert more.sentence.startswith(f"More than {MOST_SHOWN} callers were refused")
    world.clock.advance(3700.0)
    assert world.subjects() == set()
    world.refuse(addresses[-1])
    assert world.subjects() == {addresses[-1]}


def test_fail__strangers_that_report_as_many_keep_no_refused_caller_from_being_shown() -> None:
    world = World()
    for number in range(1000):
        world.refused.note(f"EVIL{number}", ApplianceError("Not believed."), STRANGER_REPORT)
    world.refuse("10.0.0.1")
    assert len(world.findings.listing()) == MOST_SHOWN + 2
    assert "10.0.0.1" in world.subjects()
    world.clock.advance(3700.0)
    assert world.subjects() == set()


def test_ok__each_reason_is_kept_and_said_once() -> None:
    """A stranger with the archive's name is not hidden by the archive itself, refused for its certificate."""
    world = World()
    for said in ("It came from EVIL.", "It came without TLS.", "It came from EVIL."):
        world.refused.note("archive", ApplianceError(said, "Find out who that is."), STRANGER_REPORT)
    (finding,) = world.findings.listing()
    assert finding.sentence == "It came from EVIL. It came without TLS."
    assert finding.suggestion == "Find out who that is."
    world.clock.advance(3700.0)
    assert world.subjects() == set()
    world.refused.note("archive", ApplianceError("It came from OTHER.", "Ask."), STRANGER_REPORT)
    (finding,) = world.findings.listing()
    assert (finding.sentence, finding.suggestion) == ("It came from OTHER.", "Ask.")


def test_fail__a_thousand_reasons(caplog: pytest.LogCaptureFixture) -> None:
    """Those that came first stay."""
    world = World()
    with caplog.at_level(logging.INFO):
        for number in range(1000):
            world.refused.note("10.0.0.1", ApplianceError(f"It calls itself X{number}."))
    assert len(caplog.records) <= MOST_REASONS + 1
    (finding,) = world.findings.listing()
    assert finding.sentence == (
        "It calls itself X0. It calls itself X1. It calls itself X2. There were other reasons too."
    )
