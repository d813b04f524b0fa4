"""`appliance watch`: the status, written over again and again, with what each process takes of the box."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "watch",
        help="the status, again and again, with what each process takes of the box",
        description="What `appliance status` says, every few seconds, with the processor time and the memory of each "
        "process of the box, until Ctrl-C.",
    )
    parser.add_argument("--every", type=_seconds_from, default=2.0, metavar="N", help="seconds between (default: 2)")
    parser.add_argument("--rounds", type=_rounds_from, metavar="N", help="end by itself after so many")
    parser.set_defaults(run=_run)


def _seconds_from(text: str) -> float:
    seconds = float(text)
    if not 0.5 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 3600 seconds")
    return seconds


def _rounds_from(text: str) -> int:
    rounds = int(text)
    if not 1 <= rounds <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 1000000")
    return rounds


def _run(given: argparse.Namespace) -> int:
    from appliance.base.clock import SystemClock
    from appliance.cli.watching import watch_status

    return watch_status(given.every, given.rounds, SystemClock(), is_discreet=given.is_discreet)
