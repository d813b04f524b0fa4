"""`appliance logs`: a real journal, of which only the box's own units are shown."""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from appliance.base.clock import SystemClock
from appliance.cli.logs import moment_from
from appliance.cli.main import main
from tests.cli.journals import write_journal

_AT = datetime(2026, 11, 22, 9, 0).astimezone()
_LINES = [
    (_AT, "appliance-forward.service", 6, "ready"),
    (_AT + timedelta(seconds=1), "ssh.service", 4, "somebody knocked"),
    (_AT + timedelta(seconds=2), "appliance-acquire@endoscope.service", 4, "no signal"),
    (_AT + timedelta(seconds=3), "-appliance-console.service", 5, "Stopped the console."),
    (_AT + timedelta(hours=1), "appliance-forward.service", 3, "refused \x1b[2J"),
    (_AT + timedelta(hours=2), "appliance-console.service", 7, "a detail"),
]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_journal(tmp_path_factory.mktemp("journal"), _LINES)


def _lines(capsys: pytest.CaptureFixture[str], journal: Path, *words: str) -> list[str]:
    assert main(["logs", "--directory", str(journal), *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_ok__the_boxs_units_and_what_systemd_says_of_them(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [
        "2026-11-22 09:00:00 forward info: ready",
        "2026-11-22 09:00:02 acquire@endoscope warning: no signal",
        "2026-11-22 09:00:03 console notice: Stopped the console.",
        "2026-11-22 10:00:00 forward error: refused \N{REPLACEMENT CHARACTER}[2J",
    ]
    assert _lines(capsys, journal) == wanted
    assert _lines(capsys, journal, "--lines", "2") == wanted[2:]
    assert _lines(capsys, journal, "--since", "2026-11-22T09:30") == wanted[3:]
    assert _lines(capsys, journal, "--process", "acquire") == wanted[1:2]
    assert _lines(capsys, journal, "--level", "warning") == [wanted[1], wanted[3]]
    assert _lines(capsys, journal, "--since", "2027-01-01")[0].startswith("Nothing was logged")


def test_fail__no_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "--directory", str(tmp_path / "none")]) == 1
    assert "The journal cannot be read" in capsys.readouterr().err


def test_ok__what_comes_is_followed(tmp_path: Path) -> None:
    now = SystemClock().now()
    directory = write_journal(tmp_path / "j", [(now, "appliance-forward.service", 6, "before")])
    command = [sys.executable, "-m", "appliance", "logs", "-f", "--directory", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "before" in process.stdout.readline()
        write_journal(tmp_path / "k", [(now, "appliance-acquire@new.service", 6, "after")])
        (tmp_path / "k" / "system.journal").rename(directory / "later.journal")
        assert "acquire@new info: after" in process.stdout.readline()
        process.terminate()


@pytest.mark.parametrize("text", ["", "soon", "1w", "-1h", "9999999999999d", "2026-13-01"])
def test_fail__no_moment(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        moment_from(text)


def test_ok__so_long_ago() -> None:
    now = SystemClock().now()
    assert timedelta(0) <= now - moment_from("90min") - timedelta(minutes=90) + timedelta(seconds=30)
