"""The command `appliance`. Each subcommand imports what it needs when it runs: `--help` imports next to nothing."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.base.errors import ApplianceError
from appliance.cli import (
    audit,
    bundle,
    clock,
    config,
    conformance,
    device,
    doctor,
    echo,
    exam,
    export,
    logs,
    metrics,
    panel,
    queue,
    release,
    self_test,
    shell,
    status,
    watch,
    worklist,
)
from appliance.cli.roles import check_permission, name_commands
from appliance.config.support import SupportRole


def main(arguments: Sequence[str] | None = None, role: SupportRole | None = None) -> int:
    """Run the command line; 0 when all is well, 1 with a sentence on stderr, 2 for a wrong command line.

    `role` is whose who asks over SSH; None for who is at the box itself.
    """
    given = make_parser().parse_args(arguments)
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


def make_parser() -> argparse.ArgumentParser:
    """Every command. Of the result `command` is its name, and `run` what runs it; `is_discreet`: show no patient."""
    parser = argparse.ArgumentParser(
        prog="appliance", description="The modality bridge: DICOM for imaging machines that speak none."
    )
    parser.add_argument(
        "--box", type=Path, metavar="DIRECTORY", help="the box whose state lies there, such as .demo/simulator"
    )
    parser.set_defaults(is_discreet=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    parts = (
        status,
        watch,
        doctor,
        logs,
        metrics,
        bundle,
        worklist,
        exam,
        queue,
        device,
        export,
        release,
        echo,
        self_test,
        clock,
        audit,
        panel,
        config,
        conformance,
        shell,
    )
    for part in parts:
        part.add_parser(commands)

    demo = commands.add_parser(
        "demo",
        help="run the box with a simulated hospital and three old machines",
        description="Run the box's own processes beside a simulated hospital and three simulated old machines.",
    )
    demo.add_argument("--once", action="store_true", help="do the whole job unattended, print what became of it, end")
    demo.add_argument("--archive", choices=("simulator", "orthanc"), default="simulator", help="who plays the archive")
    demo.add_argument("--directory", type=Path, help="where the state lives (default: .demo/ARCHIVE here)")
    demo.add_argument(
        "--deadline", type=_seconds_from, default=45.0, metavar="SECONDS", help="for --once (default: 45)"
    )
    demo.add_argument("--json", action="store_true", help="with --once: print JSON")
    demo.add_argument("--panel-port", type=_port_from, default=8080, help="loopback port of the panel (default: 8080)")
    demo.add_argument("--machines-port", type=_port_from, default=8081, help="loopback port of the machines' keys")
    demo.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:PARAMETER][=TIMES]",
        help="a trouble that the hospital plays",
    )
    demo.set_defaults(run=_run_demo)
    name_commands(parser)
    return parser


def _port_from(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no TCP port")
    return port


def _seconds_from(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400 seconds")
    return seconds


def _run_demo(given: argparse.Namespace) -> int:
    from appliance.cli.demo import DemoOptions, run_demo

    return run_demo(
        DemoOptions(
            archive=given.archive,
            directory=(given.directory or Path(".demo") / given.archive).absolute(),
            once=given.once,
            json=given.json,
            deadline=given.deadline,
            panel_port=given.panel_port,
            machines_port=given.machines_port,
            faults=tuple(given.fault),
        )
    )
