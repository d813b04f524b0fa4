"""The command itself: what it says and answers whatever the subcommand is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cli.main import _PARTS, main, make_parser
from appliance.cli.roles import subcommands_of


def test_ok__a_reader_that_has_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` leaves it
    try:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", "config", "example"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_fail__no_box_in_that_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--box", str(tmp_path / "nothing"), "queue"]) == 1
    assert f"There is no box's state in {tmp_path / 'nothing'}." in capsys.readouterr().err


def test_ok__each_command_is_found_in_its_module() -> None:
    whole = make_parser()
    assert set(subcommands_of(whole)) == {command for commands in _PARTS.values() for command in commands}
    for module, commands in _PARTS.items():
        for command in commands:
            for words in ([command], ["--box", "x", command]):
                assert set(subcommands_of(make_parser(words))) == set(commands), module
            assert f"appliance.cli.{module}" in sys.modules
    assert set(subcommands_of(make_parser(["nonsense"]))) == set(subcommands_of(whole))
