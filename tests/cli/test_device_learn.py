"""`appliance device learn`: presses on a real line become a pattern, or it is said why not."""

from __future__ import annotations

import json
import os
import tty
from collections.abc import Callable, Iterator, Sequence

import pytest

from appliance.cli import device_learn
from appliance.cli.main import main
from appliance.devices.plugging.attached import Attached, Kind


class Machine:
    """The far end of a line, and somebody who does as the command says."""

    def __init__(self) -> None:
        self.far, self.near = os.openpty()
        tty.setraw(self.near)
        self.node = os.ttyname(self.near)
        self.answers: list[bytes] = []

    def hear(self, words: str) -> None:
        """What comes when the command says something: the next answer."""
        if self.answers:
            os.write(self.far, self.answers.pop(0))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[Machine]:
    made = Machine()
    monkeypatch.setenv("APPLIANCE_STATE", f"{tmp_path}/state")
    monkeypatch.setenv("APPLIANCE_RUN", f"{tmp_path}/run")
    monkeypatch.setattr(device_learn, "list_attached", lambda: [Attached(Kind.SERIAL, made.node, serial="A1")])
    monkeypatch.setattr(device_learn, "_say", made.hear)
    yield made
    os.close(made.far)
    os.close(made.near)


@pytest.fixture
def learn(machine: Machine) -> Callable[[Sequence[bytes]], int]:
    def run(answers: Sequence[bytes], *words: str) -> int:
        machine.answers = list(answers)
        presses = str(len(answers) - 1)
        return main(["device", "learn", machine.node, "--presses", presses, "--idle", "0.5", *words])

    return run


def test_ok__a_counter_in_the_middle_is_any_byte(
    learn: Callable[..., int], machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [b"\x00\x11", *(b"\x02AQI" + bytes((0x30 + number,)) + b"\x03" for number in range(3))]
    assert learn(answers) == 0
    assert capsys.readouterr().out == (
        "Each of the 3 presses has this:\n"
        "    02 41 51 49 ?? 03\n"
        "In the device that it takes pictures of:\n"
        f'    triggers = [{{ kind = "bytes", node = "{machine.node}", pattern = "02 41 51 49 ?? 03", baud = 9600 }}]\n'
        "Without a press 2 bytes came, and not this.\n"
    )


def test_ok__what_was_learned_for_programs(learn: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert learn([b"", b"P\r", b"P\r"], "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "pattern": "50 0d",
        "presses": 2,
        "repeats": 1,
        "is_weak": True,
        "idle_bytes": 0,
    }


def test_fail__nothing_in_common(learn: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert learn([b"", b"ABC", b"xyz"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "nothing in common" in said.err


def test_fail__nothing_came(learn: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert learn([b"", b"", b""], "--seconds", "0.3") == 1
    assert "Nothing came in 0.3 s." in capsys.readouterr().err


def test_fail__what_is_no_line(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(device_learn, "list_attached", lambda: [Attached(Kind.INPUT, "/dev/input/event1")])
    assert main(["device", "learn", "/dev/input/event1"]) == 1
    assert "/dev/input/event1 is no serial line." in capsys.readouterr().err
