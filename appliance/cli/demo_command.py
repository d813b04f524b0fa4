"""`appliance demo`: the box's own processes beside a simulated hospital and three simulated old machines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
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
