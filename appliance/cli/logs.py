"""`appliance logs`: what the box's processes logged. No line of theirs names a patient (base/log.py)."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"([0-9]{1,6}) ?(s|min|m|h|d)")


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "logs",
        help="what the box's processes logged",
        description="What the box's processes, and systemd about them, logged: the last lines, or everything since a "
        "moment. No line names a patient.",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    parser.add_argument("--since", type=moment_from, metavar="WHEN", help="1h, 30min, 2d, or 2026-11-22T09:00")
    parser.add_argument("--lines", type=_lines_from, default=200, metavar="N", help="at most the last N (default: 200)")
    parser.add_argument("--process", default="", metavar="NAME", help="of this one alone: console, forward, acquire")
    parser.add_argument("--level", choices=("error", "warning", "info"), default="info", help="no less grave than this")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="a journal that lies there, instead of the box's")
    parser.set_defaults(run=_run)


def moment_from(text: str) -> datetime:
    """A moment, or one so long ago. ArgumentTypeError otherwise."""
    if span := _SPAN.fullmatch(text):
        return datetime.now().astimezone() - timedelta(seconds=int(span[1]) * _UNITS[span[2]])
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text} is no moment: 1h, 30min, 2d, or 2026-11-22T09:00") from None


def _lines_from(text: str) -> int:
    lines = int(text)
    if not 1 <= lines <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 1000000")
    return lines


def _run(given: argparse.Namespace) -> int:
    from appliance.cli.journal import Wanted, show_logs

    wanted = Wanted(given.since, None if given.since else given.lines, given.process, given.level)
    return show_logs(wanted, given.directory, is_followed=given.follow)
