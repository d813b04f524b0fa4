"""`appliance echo NAME`: verify that a peer answers."""

from __future__ import annotations

import argparse
from typing import Any

PEER = "a worklist source's or a destination's name, or performed-step"


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "echo", help="verify that a peer answers (C-ECHO)", description="Verify that a peer answers (C-ECHO)."
    )
    parser.add_argument("name", metavar="NAME", help=PEER)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    from appliance.cli.checks import echo_peer

    return echo_peer(given.name, as_json=given.json)
