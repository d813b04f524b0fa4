"""`appliance panel` and `appliance pin`."""

from __future__ import annotations

import io
import sys
import tomllib
from pathlib import Path

import pytest

from appliance.base.paths import Paths
from appliance.base.pins import is_pin
from appliance.base.tokens import Role, Tokens, read_token
from appliance.cli.main import main


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    paths = Paths.below(tmp_path)
    for name, value in paths.environment().items():
        monkeypatch.setenv(name, value)  # as `--box` does, and it is taken back
    paths.configuration.parent.mkdir(parents=True)
    paths.configuration.write_text("")
    paths.console_socket.parent.mkdir(parents=True)
    return tmp_path


def test_ok__the_address_of_who_may_have_it(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = Paths.below(box).console_socket.parent
    Tokens(directory, "boot")
    assert main(["--box", str(box), "panel"]) == 0
    assert capsys.readouterr().out == f"http://127.0.0.1:8080/?token={read_token(directory, Role.PANEL)}\n"
    assert main(["--box", str(box), "panel", "--support", "--port", "9000"]) == 0
    support = f"http://127.0.0.1:9000/?token={read_token(directory, Role.SUPPORT)}\n"
    assert capsys.readouterr().out == support
    (directory / "panel.token").unlink()  # as for whoever may not read it
    assert main(["--box", str(box), "panel", "--port", "9000"]) == 0
    assert capsys.readouterr().out == support


def test_fail__the_console_never_ran(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--box", str(box), "panel"]) == 1
    assert "token cannot be read" in capsys.readouterr().err


def test_ok__what_is_kept_of_a_pin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("4711\n"))
    assert main(["pin"]) == 0
    printed = capsys.readouterr().out
    assert is_pin("4711", tomllib.loads(printed)["pin"])
    assert "4711" not in printed
    monkeypatch.setattr(sys, "stdin", io.StringIO("47\n"))
    assert main(["pin"]) == 1
    assert "4 to 12 digits" in capsys.readouterr().err
