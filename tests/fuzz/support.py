"""What a support key may send: any bytes as the command of an SSH session. No program is ever started for it."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.cli.main import make_parser
from appliance.cli.roles import PERMISSIONS, check_permission
from appliance.cli.words import words_from
from appliance.config.support import SupportRole
from tests.fuzz.target import Target

_STARTS_A_PROGRAM = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
_parser = make_parser()
_is_watched = False


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if _is_watched and event.startswith(_STARTS_A_PROGRAM):
        raise AssertionError(f"{event} {arguments!r}")


sys.addaudithook(_refuse)


def support_line(data: bytes) -> None:
    """The command as the kernel gives it to the forced command, up to what would run it."""
    global _is_watched
    line = os.fsdecode(data.replace(b"\0", b""))  # an environment holds no NUL
    _is_watched = True
    try:
        words = words_from(line)
        if "\\$" not in line and "\\`" not in line:  # which shlex leaves in double quotes, and POSIX does not
            assert words == shlex.split(line, posix=True)
        # Whatever came in quotes is one word, and any word comes back out of a shell's quotes unchanged.
        assert words_from(" ".join(map(shlex.quote, words))) == words
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            given = _parser.parse_args(words)
        for role in (SupportRole.VIEWER, SupportRole.OPERATOR, SupportRole.ADMIN):
            with contextlib.suppress(ApplianceError):
                check_permission(given, role)
                assert given.box is None
    except (ApplianceError, SystemExit):
        return
    finally:
        _is_watched = False


def seeds() -> Sequence[bytes]:
    lines = [example for one in PERMISSIONS for example in one.examples]
    lines += ["status; id", "$(id)", "`id`", '\'a b\' "c\\"d" e\\ f', "exam\nlist", "worklist --name 'M\u00fcller'"]
    return [line.encode() for line in lines]


def targets() -> list[Target]:
    return [Target("support-line", support_line, seeds, 512, 64)]
