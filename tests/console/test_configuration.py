"""A changed configuration is in the audit trail before the console works under it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.base.findings import FindingBoard
from appliance.config.change_states import ChangeState
from appliance.config.history import Change, History, Outcome
from appliance.config.load import load_configuration
from appliance.console.configuration import SOMEBODY, record_configuration
from appliance.exam.audit import Act, AuditTrail
from appliance.exam.audit_gate import AuditGate
from appliance.exam.audit_reading import read_trail
from tests.exam.audit_world import FixedClock


class Starts:
    """A box that is started again and again, each time with what its file says then."""

    def __init__(self, directory: Path) -> None:
        self.file, self.trail = directory / "active.toml", directory / "audit" / "console"
        self.known = self.trail / "configuration.json"

    def start(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")
        audit = AuditGate(AuditTrail(self.trail.parent, "console", FixedClock()), FindingBoard())
        record_configuration(load_configuration(self.file), self.file, self.known, audit)

    def said(self) -> list[str]:
        """What each record says behind the file's time."""
        records = [line.record for line in read_trail(self.trail).lines]
        assert {(one.act, one.actor) for one in records} <= {(Act.CONFIGURATION_CHANGED, SOMEBODY)}
        return [one.detail.partition(": ")[2] for one in records]


@pytest.fixture
def starts(tmp_path: Path) -> Iterator[Starts]:
    yield Starts(tmp_path)


def test_ok__each_change_is_recorded_once(starts: Starts) -> None:
    starts.start("")
    starts.start("")
    starts.start('[box]\nname = "right"\n')
    starts.start('[box]\nname = "right"\n')
    assert starts.said() == ["none is known from before.", 'box.name was "bridge", is "right".']


def test_ok__a_record_is_bounded(starts: Starts) -> None:
    starts.start("")
    one = '[[destinations]]\nname = "archive-{0}"\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = 104\n'
    starts.start("".join(one.format(number) for number in range(20)))
    (_, said) = starts.said()
    assert 'destinations[0].name is new: "archive-0"' in said
    assert said.endswith("more.")
    assert len(said) < 1000


def test_fail__what_was_known_is_damaged(starts: Starts, caplog: pytest.LogCaptureFixture) -> None:
    starts.start("")
    starts.known.write_bytes(b'{"box.name": ')
    with caplog.at_level(logging.ERROR):
        starts.start("")
    assert "is damaged" in caplog.text
    assert starts.said() == ["none is known from before."] * 2
    starts.start("")
    assert len(starts.said()) == 2


def test_fail__flash_does_not_keep_it(starts: Starts, caplog: pytest.LogCaptureFixture) -> None:
    """It is recorded, and once more at the next start: twice rather than never."""
    starts.known.mkdir(parents=True)
    with caplog.at_level(logging.ERROR):
        starts.start("")
    assert "it is recorded again" in caplog.text
    starts.known.rmdir()
    starts.start("")
    assert starts.said() == ["none is known from before."] * 2


def test_ok__a_change_that_somebody_applied_is_recorded_under_his_name(starts: Starts) -> None:
    starts.start("")
    change = Change(0, "maria", "", "apply", (), (), "", 0.0, 0.0)
    history = History(starts.file.parent)
    after = b'[box]\nname = "right"\n'
    history.begin(change, b"", after)
    starts.start(after.decode())
    history.end(1, Outcome(ChangeState.ROLLED_BACK, "the box", "", "nobody confirmed it"))
    starts.start("")
    starts.start('[box]\nname = "by-hand"\n')
    records = [line.record for line in read_trail(starts.trail).lines]
    assert [one.actor for one in records] == [SOMEBODY, "maria", "the box", SOMEBODY]
    assert records[1].detail == 'Change 1: box.name was "bridge", is "right".'
    assert records[2].detail.startswith("Change 1, taken back: ")
