"""What each role of support may do: one table, which the support shell obeys, completes from and shows as help.

Who logs in without a role, at the box itself or as root, may do everything that his user may.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.base.errors import ApplianceError
from appliance.config.support import SupportRole

_VIEWER, _OPERATOR, _ADMIN = SupportRole.VIEWER, SupportRole.OPERATOR, SupportRole.ADMIN


@dataclass(frozen=True, slots=True)
class Permission:
    """`role` and those after it may run `command`; with `option`, where it is given (its name in argparse's result)."""

    command: str
    role: SupportRole
    examples: tuple[str, ...] = ()
    option: str = ""


# A viewer is shown no patient: what names one begins at operator. What changes the box is an admin's.
PERMISSIONS: Final = (
    Permission("status", _VIEWER, ("status", "status --json")),
    Permission("watch", _VIEWER, ("watch", "watch --every 5")),
    Permission("doctor", _VIEWER, ("doctor", "doctor --no-peers")),
    Permission("doctor", _OPERATOR, ("doctor --full",), option="full"),
    Permission("logs", _VIEWER, ("logs --since 1h", "logs -f --process forward")),
    Permission("logs", _ADMIN, option="directory"),
    Permission("metrics", _VIEWER, ("metrics",)),
    Permission("queue", _VIEWER, ("queue", "queue --exam E000012-20261122-093015")),
    Permission("clock", _VIEWER, ("clock", "clock trust")),
    Permission("clock", _OPERATOR, option="action"),
    Permission("device list", _VIEWER, ("device list",)),
    Permission("device watch", _VIEWER, ("device watch --seconds 60",)),
    Permission("conformance statement", _VIEWER, ("conformance statement --format markdown",)),
    Permission("conformance statement", _ADMIN, option="config"),
    Permission("conformance integration", _VIEWER, ("conformance integration",)),
    Permission("conformance integration", _ADMIN, option="config"),
    Permission("conformance mds2", _VIEWER, ("conformance mds2",)),
    Permission("conformance mds2", _ADMIN, option="config"),
    Permission("conformance documents", _ADMIN, ("conformance documents /media/stick/papers",)),
    Permission("conformance profile", _VIEWER, ("conformance profile --example",)),
    Permission("conformance check", _VIEWER, ("conformance check ihe-swf-acquisition-modality",)),
    Permission("conformance check", _OPERATOR, ("conformance check prior-1993 --live archive",), option="live"),
    Permission("conformance check", _ADMIN, option="config"),
    Permission("conformance check", _ADMIN, option="statement"),
    Permission("config example", _VIEWER, ("config example",)),
    Permission("config show", _VIEWER, ("config show", "config show --diff-defaults")),
    Permission("config get", _VIEWER, ("config get listener.port", "config get destinations[archive].host")),
    Permission("config schema", _VIEWER, ("config schema",)),
    Permission("config diff", _ADMIN, ("config diff -",)),
    Permission("config check", _ADMIN, ("config check -",)),
    Permission("config export", _ADMIN, ("config export",)),
    Permission("config set", _ADMIN, ("config set destinations[archive].port 11112", "config set panel.language de")),
    # A file of the box itself: there is none that support may write.
    Permission("config set", SupportRole.SHELL, option="file"),
    Permission("config apply", _ADMIN, ("config apply - --confirm-within 10m",)),
    Permission("config import", _ADMIN, ("config import",)),
    Permission("config confirm", _ADMIN, ("config confirm",)),
    Permission("config rollback", _ADMIN, ("config rollback", "config rollback 12")),
    Permission("config log", _VIEWER, ("config log", "config log 12")),
    Permission("worklist", _OPERATOR, ("worklist", "worklist --refresh", "worklist --accession A4711")),
    Permission("exam list", _OPERATOR, ("exam list", "exam list --day 2026-11-22")),
    Permission("exam show", _OPERATOR, ("exam show E000012-20261122-093015",)),
    Permission("audit", _OPERATOR, ("audit --since 2026-11-22", "audit --exam E000012-20261122-093015")),
    Permission("support-bundle", _OPERATOR, ("support-bundle --to 'ssh-ed25519 AAAA'",)),
    Permission("support-bundle", _ADMIN, option="transcripts"),
    Permission("retry", _OPERATOR, ("retry", "retry archive")),
    Permission("echo", _OPERATOR, ("echo archive",)),
    Permission("test", _OPERATOR, ("test archive", "test archive --write")),
    Permission("panel", _OPERATOR, ("panel",)),
    Permission("export", _OPERATOR, ("export /media/stick",)),
    Permission("release", _ADMIN, ("release E000012-20261122-093015 --reason 'repeated on the other machine'",)),
    Permission("pin", _ADMIN, ("pin",)),
    Permission("device transcript", _VIEWER, ("device transcript ultrasound",)),
    Permission("device transcript", _ADMIN, ("device transcript ultrasound --bytes",), option="bytes"),
    Permission("device adopt", _ADMIN, ("device adopt /dev/ttyUSB0 ultrasound",)),
    Permission("device forget", _ADMIN, ("device forget ultrasound",)),
    Permission("device probe", _ADMIN, ("device probe ultrasound",)),
    Permission("device learn", _ADMIN, ("device learn ultrasound",)),
)
# A role is given by what starts the shell, an editor would be a shell, and no box has a simulated hospital.
NEVER_OVER_SSH: Final = frozenset({"shell", "config edit", "demo"})


def commands_of(
    parser: argparse.ArgumentParser, before: str = "", text: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Every command that can be run, `exam list`, with its parser and what it is for."""
    inner, texts = subcommands_of(parser), texts_of(parser)
    if not inner or parser.get_default("run"):
        yield before, parser, text
    for name, below in inner.items():
        yield from commands_of(below, f"{before} {name}".lstrip(), texts.get(name, ""))


def subcommands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands that come next, by their names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def texts_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """What each of the commands that come next is for."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return {one.dest: one.help or "" for one in action._choices_actions}
    return {}


def name_commands(parser: argparse.ArgumentParser) -> None:
    """Have each command's result say which one it is (`command`), and its help show examples."""
    examples = {one.command: one.examples for one in reversed(PERMISSIONS)}
    for command, below, _ in commands_of(parser):
        below.set_defaults(command=command)
        if examples.get(command):
            below.epilog = "For example: " + "; ".join(f"appliance {one}" for one in examples[command])


def is_shown(command: str, role: SupportRole) -> bool:
    """True when `role` may run `command`, or commands that begin so."""
    return any(
        role.includes(one.role)
        for one in PERMISSIONS
        if not one.option and (one.command == command or one.command.startswith(f"{command} "))
    )


def check_permission(given: argparse.Namespace, role: SupportRole) -> None:
    """ApplianceError unless `role` may do what `given` (argparse's result) asks for."""
    if given.box is not None:
        raise ApplianceError("Over SSH there is one box: this one.", "Leave out --box.")
    needed = [
        one.role
        for one in PERMISSIONS
        if one.command == given.command and (not one.option or getattr(given, one.option))
    ]
    if not needed or given.command in NEVER_OVER_SSH:
        raise ApplianceError(f"`appliance {given.command}` cannot be run over SSH.", "See what can: help")
    least = max(needed, key=list(SupportRole).index)
    if not role.includes(least):
        raise ApplianceError(
            f"{given.command} needs the role {least}; this key has the role {role}.", "See what it may: help"
        )
