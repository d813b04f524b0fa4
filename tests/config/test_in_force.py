"""Whoever works by the configuration never stops for its file: unknown keys, damage, and what is in its place then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.config.change_states import ChangeState
from appliance.config.history import Change, History, Outcome
from appliance.config.in_force import UNKNOWN_CODE, UNUSABLE_CODE, read_in_force
from appliance.config.load import ConfigurationError, configuration_from
from appliance.config.schema import Configuration

GOOD = '[box]\nae_title = "GOOD"\n'
DEVICE = '[[devices]]\nname = "endoscope"\ndriver = "grabber"\nmodality = "ES"\nsource = "/dev/video0"\n'
CHANGE = Change(0, "maria", "2026-11-22T09:00:00+01:00", "apply", (), (), "boot", 0.0, 60.0)


@pytest.fixture
def active(tmp_path: Path) -> Path:
    return tmp_path / "config" / "active.toml"


def write(active: Path, text: str | bytes) -> None:
    active.parent.mkdir(parents=True, exist_ok=True)
    active.write_bytes(text if isinstance(text, bytes) else text.encode())


def change(active: Path, before: str, after: str, state: ChangeState = ChangeState.CONFIRMED) -> None:
    history = History(active.parent)
    number = history.begin(CHANGE, before.encode(), after.encode()).number
    history.put_in_force(number)
    if state is ChangeState.ROLLED_BACK:
        history.put_back(number)
    history.end(number, Outcome(state, "maria", "2026-11-22T09:01:00+01:00", ""))


def codes(active: Path) -> set[str]:
    return {one.code for one in read_in_force(active).findings}


def test_ok__a_good_file_is_worked_by_and_nothing_is_told(active: Path) -> None:
    write(active, GOOD)
    assert read_in_force(active).configuration.box.ae_title == "GOOD"
    assert codes(active) == set()


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (GOOD + "invented = 1\n", ["box.invented"]),
        (GOOD + "[later]\nkey = 1\n", ["later"]),
        (GOOD + DEVICE + "invented = [1, 2]\n", ["devices[0].invented"]),
        (GOOD + DEVICE + DEVICE.replace("endoscope", "second") + "a = 1\nb = 2\n", ["devices[1].a", "devices[1].b"]),
        (GOOD + "invented = 1\n[later]\nkey = 1\n", ["box.invented", "later"]),
    ],
)
def test_ok__keys_of_a_newer_release_are_left_aside_and_told(active: Path, text: str, keys: list[str]) -> None:
    write(active, text)
    with pytest.raises(ConfigurationError):
        configuration_from(text.encode(), active)
    found = read_in_force(active)
    assert found.configuration.box.ae_title == "GOOD"
    assert len(found.configuration.devices) == text.count("[[devices]]")
    (finding,) = found.findings
    assert finding.code == UNKNOWN_CODE
    assert all(key in finding.sentence for key in keys)


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe", b"[box", b"[box]\nae_title = 1\n", b"[box]\nae_title = 1\ninvented = 2\n"]
)
def test_fail__a_file_that_cannot_be_used_is_replaced_by_what_was_confirmed(active: Path, damage: bytes) -> None:
    write(active, "")
    change(active, "", GOOD)
    change(active, GOOD, GOOD.replace("GOOD", "NEVER"), ChangeState.ROLLED_BACK)
    write(active, damage)
    found = read_in_force(active)
    assert found.configuration.box.ae_title == "GOOD"
    (finding,) = found.findings
    assert finding.code == UNUSABLE_CODE and "change 2" in finding.sentence


def test_fail__a_file_that_is_gone_is_replaced_too(active: Path) -> None:
    write(active, "")
    change(active, "", GOOD)
    os.remove(active)
    assert read_in_force(active).configuration.box.ae_title == "GOOD"


def test_fail__a_kept_text_that_is_damaged_too_is_passed_over(active: Path) -> None:
    write(active, "")
    change(active, "", GOOD)
    change(active, GOOD, GOOD + DEVICE)
    (active.parent / "changes" / "000002" / "after.toml").write_bytes(b"\0")
    write(active, b"[box")
    found = read_in_force(active)
    assert found.configuration == configuration_from(GOOD.encode(), active)
    assert "change 1" in found.findings[0].sentence


def test_fail__where_nothing_was_ever_confirmed_there_is_nothing_to_work_by(active: Path) -> None:
    write(active, b"[box")
    with pytest.raises(ConfigurationError):
        read_in_force(active)
    write(active, "")
    assert read_in_force(active).configuration == Configuration()
