"""`appliance status`: the whole box at a glance."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "status",
        help="the box at a glance: what runs, how much room there is, what waits and why, what is wrong",
        description="The box at a glance: which of its processes run, who is examined, how many exams, minutes of clip "
        "and films the flash still takes, what waits since when and why, the clock, and everything that is wrong. It "
        "works as far as it can while processes are down. Exit status: 0 all is well, 1 something is wrong, 2 a part "
        "of the box is down or nothing can be captured.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    from appliance.cli.status_report import show_status

    return show_status(as_json=given.json, is_discreet=given.is_discreet)
