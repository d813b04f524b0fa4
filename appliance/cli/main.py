"""The command `appliance`. Each subcommand imports what it needs when it runs: `--help` imports next to nothing."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from appliance.base.errors import ApplianceError
from appliance.cli.roles import check_permission, name_commands
from appliance.config.support import SupportRole

_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "status": ("status",),
    "watch": ("watch",),
    "doctor": ("doctor",),
    "logs": ("logs",),
    "metrics": ("metrics",),
    "bundle": ("support-bundle",),
    "worklist": ("worklist",),
    "exam": ("exam",),
    "queue": ("queue", "retry"),
    "device": ("device",),
    "export": ("export",),
    "release": ("release",),
    "echo": ("echo",),
    "self_test": ("test",),
    "clock": ("clock",),
    "audit": ("audit",),
    "panel": ("panel", "pin"),
    "config": ("config",),
    "conformance": ("conformance",),
    "shell": ("shell",),
    "demo_command": ("demo",),
}
"""Modules of this room in the order of the help, and the commands that each brings."""
_GARBAGE_OBJECTS: Final = 50_000


def main(arguments: Sequence[str] | None = None, role: SupportRole | None = None) -> int:
    """Run the command line; 0 when all is well, 1 with a sentence on stderr, 2 for a wrong command line.

    `role` is whose who asks over SSH; None for who is at the box itself.
    """
    # What is imported stays: to look through it for garbage again and again takes a fourteenth of a command.
    gc.set_threshold(_GARBAGE_OBJECTS)
    words = sys.argv[1:] if arguments is None else arguments
    given = make_parser(words).parse_args(words)
    try:
        if role is not None:
            check_permission(given, role)
            given.is_discreet = role is SupportRole.VIEWER
        if given.box is not None:
            _choose_box(given.box)
        status: int = given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has enough, such as `| head`. What is left must not be written at the end, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except ApplianceError as error:
        say_error(error)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def say_error(error: ApplianceError) -> None:
    """The sentence and the suggestion, on standard error."""
    print(f"appliance: {error.sentence}", file=sys.stderr)
    if error.suggestion:
        print(f"           {error.suggestion}", file=sys.stderr)


def _choose_box(directory: Path) -> None:
    """Let every command look at the box whose state lies in `directory`. ApplianceError when none does."""
    from appliance.base.paths import Paths

    paths = Paths.below(directory)
    if not paths.configuration.is_file():
        raise ApplianceError(
            f"There is no box's state in {directory}.", "Name the directory that the demo printed as State and logs."
        )
    os.environ.update(paths.environment())


def make_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Every command, or only those beside the one that `arguments` name: nobody waits for what he does not run.

    Of the result `command` is its name, and `run` what runs it; `is_discreet`: show no patient.
    """
    parser = argparse.ArgumentParser(
        prog="appliance", description="The modality bridge: DICOM for imaging machines that speak none."
    )
    parser.add_argument(
        "--box", type=Path, metavar="DIRECTORY", help="the box whose state lies there, such as .demo/simulator"
    )
    parser.set_defaults(is_discreet=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    module = module_of(arguments)
    for name in [module] if module else _PARTS:
        import_module(f"appliance.cli.{name}").add_parser(commands)
    name_commands(parser)
    return parser


def module_of(words: Sequence[str]) -> str:
    """Which of the modules has the command that `words` begin with; empty where none has."""
    rest = list(words[2:] if words[:1] == ["--box"] else words)
    return next((module for module, commands in _PARTS.items() if rest and rest[0] in commands), "")
