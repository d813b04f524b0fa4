"""A session of support: the command that came with it, or one line after the other until its end.

Every line runs in this process, by argparse; no shell and no other program has a part in it. Only a key of the role
`shell`, where the site gave one out, starts Debian's shell instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from appliance.base.errors import ApplianceError
from appliance.cli.audit_login import record_login
from appliance.cli.caller import ACTOR_VARIABLE, read_proof, support_actor_from
from appliance.cli.main import main, make_parser, module_of, say_error
from appliance.cli.roles import commands_of, is_shown, subcommands_of
from appliance.cli.words import words_from
from appliance.config.support import SupportRole

SESSION_VARIABLE = "APPLIANCE_SUPPORT_SHELL"
"""Set while a command runs for support: no editor and no other program of a person's choice may start then."""
_SHELL = "/bin/bash"
_LEAVING = frozenset({"exit", "quit", "logout"})
_ASKING = frozenset({"help", "?"})


def serve_support(role: SupportRole, who: str) -> int:
    """The session's exit status: that of its one command, or of the last line."""
    given = os.environ.get("SSH_ORIGINAL_COMMAND")
    actor = support_actor_from(who, role, read_proof(os.environ))
    os.environ[ACTOR_VARIABLE] = actor
    record_login(actor, os.environ)
    if role is SupportRole.SHELL:
        os.execv(_SHELL, ["-bash"] if given is None else ["bash", "-c", given])
    os.environ[SESSION_VARIABLE] = role
    if given is not None:
        return run_line(given, role)
    if sys.stdin.isatty():
        from appliance.cli.shell_talk import talk

        return talk(role)
    status = 0
    for line in sys.stdin:
        status = run_line(line.rstrip("\n"), role)
    return status


def run_line(line: str, role: SupportRole) -> int:
    """Run one command line; its exit status."""
    try:
        words = words_from(line)
        if words[:1] == ["appliance"]:
            words = words[1:]
        if not words:
            return 0
        if words[0] in _ASKING or words[-1] == "?":
            return show_help(words[1:] if words[0] in _ASKING else words[:-1], role)
        if not words[0].startswith("-") and not module_of(words):
            raise ApplianceError(f"There is no command `{words[0]}`.", "See: help")
        return main(words, role)
    except ApplianceError as error:
        say_error(error)
        return 1
    except SystemExit as ended:  # argparse's: a wrong command line, or its help
        return ended.code if isinstance(ended.code, int) else 2


def is_leaving(line: str) -> bool:
    """True when the line ends the session."""
    return line.strip() in _LEAVING


def show_help(words: Sequence[str], role: SupportRole) -> int:
    """Print what the role may run, or how one command is used; 0. ApplianceError when there is no such command."""
    parser = make_parser()
    for number, word in enumerate(words):
        inner = subcommands_of(parser)
        if word not in inner:
            if inner:
                raise ApplianceError(f"There is no command `{' '.join(words[: number + 1])}`.", "See: help")
            break
        parser = inner[word]
    if words:
        print(parser.format_help(), end="")
        return 0
    print(f"This key has the role {role}. It may run:")
    rows = [(name, text) for name, _, text in commands_of(parser) if is_shown(name, role)]
    width = max(len(name) for name, _ in rows)
    for name, text in sorted(rows):
        print(f"  {name:<{width}}  {text}")
    print("`help COMMAND` says how, with examples; Tab completes; ? shows what may come next; exit ends the session.")
    return 0
