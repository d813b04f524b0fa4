"""`appliance config edit`: what an editor leaves is applied; what it cannot leave so is kept for whoever wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.base.paths import RUN_VARIABLE, STATE_VARIABLE
from appliance.cli import config_apply
from appliance.cli.main import main

_SITE = '# the left one\n[box]\nname = "left"   # as its label says\n'


@pytest.fixture
def applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """A box; what would be applied. Whoever sits at it has a home and an editor, which the test writes."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path / "run"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EDITOR", f"/bin/sh '{tmp_path / 'an editor'}' --wait")
    monkeypatch.delenv("APPLIANCE_SUPPORT_SHELL", raising=False)
    file = tmp_path / "state/config/active.toml"
    file.parent.mkdir(parents=True)
    file.write_text(_SITE)
    texts: list[bytes] = []

    def keep(_given: Any, data: bytes, name: Path, what: str) -> int:
        assert (name, what) == (file, "edit")
        texts.append(data)
        return 0

    monkeypatch.setattr(config_apply, "apply_text", keep)
    return texts


def _write_editor(home: Path, *lines: str) -> None:
    """An editor that is called with --wait and the file, and looks at it before it does `lines`."""
    head = ['test "$1" = --wait', 'test "$(stat -c %a "$2")" = 600', f'cp "$2" {home}/seen']
    (home / "an editor").write_text("\n".join(["set -e", *head, *lines]))


def test_ok__what_the_editor_leaves_is_applied(applied: list[bytes], tmp_path: Path) -> None:
    _write_editor(tmp_path, """sed -i 's/"left"/"right"/' "$2" """)
    assert main(["config", "edit"]) == 0
    assert (tmp_path / "seen").read_text() == _SITE
    assert applied == [_SITE.replace('"left"', '"right"').encode()]
    assert (tmp_path / "state/config/active.toml").read_text() == _SITE, "that is for who applies it"


def test_fail__what_is_wrong_is_told_and_kept(
    applied: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_editor(tmp_path, 'echo "naem = 1" >> "$2"')
    assert main(["config", "edit"]) == 1
    said = capsys.readouterr().err
    kept = tmp_path / "site.toml.rejected"
    assert f"What you wrote is kept in {kept}." in said and ":4: box.naem: is not a key that is known here" in said
    assert kept.read_text() == f"{_SITE}naem = 1\n" and kept.stat().st_mode & 0o777 == 0o600
    assert applied == []


def test_fail__an_editor_that_fails_and_none(
    applied: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_editor(tmp_path, "exit 3")
    assert main(["config", "edit"]) == 1
    assert "ended with an error" in capsys.readouterr().err
    monkeypatch.delenv("EDITOR")
    assert main(["config", "edit"]) == 1
    assert "Set EDITOR" in capsys.readouterr().err
    assert applied == []


def test_fail__not_over_ssh_where_an_editor_would_be_a_shell(
    applied: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_editor(tmp_path)
    monkeypatch.setenv("APPLIANCE_SUPPORT_SHELL", "1")
    assert main(["config", "edit"]) == 1
    assert "An editor would be a shell" in capsys.readouterr().err
    assert applied == [] and not (tmp_path / "seen").exists()
