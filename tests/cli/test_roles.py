"""Commands × roles: the table covers every command, and the support shell obeys it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.cli.main import make_parser
from appliance.cli.roles import NEVER_OVER_SSH, PERMISSIONS, check_permission, commands_of, is_shown
from appliance.cli.shell_session import run_line
from appliance.cli.shell_talk import Completer
from appliance.cli.words import words_from
from appliance.config.support import SupportRole, authorized_line

_VIEWER, _OPERATOR, _ADMIN = SupportRole.VIEWER, SupportRole.OPERATOR, SupportRole.ADMIN
_ROLES = (_VIEWER, _OPERATOR, _ADMIN)


def _refused(line: str, role: SupportRole) -> bool:
    given = make_parser().parse_args(words_from(line))
    try:
        check_permission(given, role)
    except ApplianceError:
        return True
    return False


def test_ok__every_command_has_a_row_and_every_row_a_command() -> None:
    commands = {command for command, _, _ in commands_of(make_parser())}
    assert commands == {one.command for one in PERMISSIONS} | NEVER_OVER_SSH
    plain = [one.command for one in PERMISSIONS if not one.option]
    assert len(plain) == len(set(plain))
    for one in PERMISSIONS:
        assert not one.option or one.command in plain


def test_ok__every_option_of_a_row_is_one_of_its_command() -> None:
    parsers = {command: parser for command, parser, _ in commands_of(make_parser())}
    for one in PERMISSIONS:
        assert not one.option or one.option in {action.dest for action in parsers[one.command]._actions}


def test_ok__every_example_is_a_command_line_that_its_role_may_use() -> None:
    for one in PERMISSIONS:
        for example in one.examples:
            given = make_parser().parse_args(words_from(example))
            assert given.command == one.command
            assert not _refused(example, _ADMIN)


# What each role may do, said once more by hand: a row that slips is a fault.
@pytest.mark.parametrize(
    ("line", "least"),
    [
        ("status", _VIEWER),
        ("queue --all", _VIEWER),
        ("clock", _VIEWER),
        ("clock trust", _OPERATOR),
        ("worklist", _OPERATOR),
        ("exam list", _OPERATOR),
        ("exam show E1", _OPERATOR),
        ("audit", _OPERATOR),
        ("panel", _OPERATOR),
        ("test archive --write", _OPERATOR),
        ("conformance check prior-1993", _VIEWER),
        ("conformance check prior-1993 --live archive", _OPERATOR),
        ("conformance check prior-1993 --config /etc/passwd", _ADMIN),
        ("conformance statement --config /etc/passwd", _ADMIN),
        ("release E1 --reason x", _ADMIN),
        ("pin", _ADMIN),
        ("config check /etc/passwd", _ADMIN),
        ("device adopt /dev/video0 endoscope", _ADMIN),
    ],
)
def test_ok__who_may_what(line: str, least: SupportRole) -> None:
    assert [role for role in _ROLES if not _refused(line, role)] == list(_ROLES[_ROLES.index(least) :])


@pytest.mark.parametrize("line", ["demo --once", "shell --role admin", "--box /tmp status", "--box / queue"])
def test_fail__what_nobody_runs_over_ssh(line: str) -> None:
    assert all(_refused(line, role) for role in _ROLES)


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("", 0, ""),
        ("help", 0, "status "),
        ("?", 0, "status "),
        ("help exam", 0, "usage: appliance exam"),
        ("queue ?", 0, "For example: appliance queue"),
        ("appliance config example", 0, "ae_title"),
        ("nonsense", 1, "There is no command `nonsense`."),
        ("help nonsense", 1, "There is no command `nonsense`."),
        ("status | sh", 1, "This is no shell"),
        ("worklist", 1, "worklist needs the role operator; this key has the role viewer."),
        ("queue --help", 0, "usage: appliance queue"),
    ],
)
def test_ok__a_line_of_a_viewer(line: str, status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(line, _VIEWER) == status
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    assert line != "help" or "worklist" not in captured.out


def test_ok__help_and_completion_show_what_the_role_may(capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_shown("worklist", _VIEWER) and is_shown("exam", _OPERATOR) and not is_shown("exam", _VIEWER)
    viewer, operator = Completer(_VIEWER), Completer(_OPERATOR)
    assert viewer.candidates([], "s") == ["status"]
    assert "worklist" in operator.candidates([], "") and "worklist" not in viewer.candidates([], "")
    assert operator.candidates(["exam"], "") == ["list", "show", "--help"]
    assert viewer.candidates(["conformance", "statement", "--format"], "m") == ["markdown"]
    assert viewer.candidates(["queue"], "--a") == ["--all"]
    assert viewer.candidates(["help"], "que") == ["queue"]
    capsys.readouterr()


def test_ok__completion_knows_the_boxs_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exam = "E000001-20261122-090000"
    (tmp_path / "exams" / exam).mkdir(parents=True)
    (tmp_path / "config").mkdir()
    destination = '[[destinations]]\nname="archive"\nae_title="A"\nhost="h"\nport=104\n'
    (tmp_path / "config" / "active.toml").write_text(destination)
    monkeypatch.setenv("APPLIANCE_STATE", str(tmp_path))
    completer = Completer(_OPERATOR)
    assert completer.candidates(["echo"], "ar") == ["archive"]
    assert completer.candidates(["exam", "show"], "E") == [exam]


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3Zf0tO2mMmEw8fQ2pYw7pD0b7rZ2mW6d2v6q3n8b1X maria@desk"


def test_ok__the_line_of_a_key() -> None:
    assert authorized_line("maria", _VIEWER, KEY) == (
        f'restrict,pty,command="appliance shell --role viewer --who maria" {KEY}'
    )
    assert authorized_line("maria", _ADMIN, KEY) == (
        'restrict,pty,port-forwarding,permitopen="127.0.0.1:8080",'
        f'command="appliance shell --role admin --who maria" {KEY}'
    )


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ('m" ssh-rsa', KEY),
        ("Maria", KEY),
        ("", KEY),
        ("maria", ""),
        ("maria", "ssh-dss " + "A" * 100),
        ("maria", f"{KEY}\n{KEY}"),
        ("maria", f'{KEY}"'),
        ("maria", "ssh-ed25519 " + "A" * 10),
        ("maria", f'command="/bin/sh" {KEY}'),
    ],
)
def test_fail__what_would_be_more_than_one_key(name: str, key: str) -> None:
    with pytest.raises(ApplianceError):
        authorized_line(name, _ADMIN, key)


def test_ok__the_principals_of_the_image_give_the_options_of_keys() -> None:
    text = (Path(__file__).parents[2] / "image/mkosi.extra/usr/lib/appliance/ssh/principals").read_text()
    wanted = [
        authorized_line("x", role, KEY).replace(" --who x", "").replace(KEY, f"appliance-{role}") for role in _ROLES
    ]
    assert text.splitlines() == wanted


def test_ok__the_support_roles_are_in_order() -> None:
    assert [one for one in SupportRole if one.includes(_OPERATOR)] == [_OPERATOR, _ADMIN, SupportRole.SHELL]
    assert re.fullmatch(r"[a-z, ]+", ", ".join(SupportRole))


def test_fail__a_command_that_the_table_does_not_know_is_refused() -> None:
    with pytest.raises(ApplianceError, match="cannot be run over SSH"):
        check_permission(argparse.Namespace(command="new", box=None), _ADMIN)
