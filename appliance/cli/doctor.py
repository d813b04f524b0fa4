"""`appliance doctor`: the box looked at part by part; each check says what it means, and what to do."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "doctor",
        help="look at the box part by part: what each check means, and what to do",
        description="Looks at the box part by part, and calls each peer (C-ECHO): for each check what it found, what "
        "it means, and what to do. Nothing is changed. Exit status 1 when a check failed.",
    )
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="call nobody in the network")
    parser.add_argument("--full", action="store_true", help="try each peer as `appliance test` does")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    from appliance.cli.doctor_checks import show_health

    return show_health(with_peers=given.peers, is_full=given.full, as_json=given.json)
