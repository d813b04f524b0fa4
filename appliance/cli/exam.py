"""`appliance exam list` and `appliance exam show`: what was examined here, how it ended, and what became of it."""

from __future__ import annotations

import argparse
from datetime import date
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    exam = commands.add_parser(
        "exam",
        help="what was examined, how it ended, what became of it",
        description="Exams as this box's files have them; where the forward process answers, also how far their "
        "objects and performed steps are.",
    )
    actions = exam.add_subparsers(required=True, metavar="ACTION")

    listed = actions.add_parser("list", help="the exams of the last days, the latest last")
    span = listed.add_mutually_exclusive_group()
    span.add_argument("--day", type=_day_from, metavar="YYYY-MM-DD", help="of this day")
    span.add_argument("--days", type=_days_from, default=7, metavar="N", help="of the last N days (default: 7)")
    listed.add_argument("--json", action="store_true", help="print JSON")
    listed.set_defaults(run=_run_list)

    shown = actions.add_parser("show", help="one exam with its entries, objects and performed steps")
    shown.add_argument("exam", metavar="EXAM", help="its identifier, as `exam list` prints it")
    shown.add_argument("--json", action="store_true", help="print JSON")
    shown.set_defaults(run=_run_show)


def _day_from(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no day (YYYY-MM-DD)") from None


def _days_from(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:
        raise argparse.ArgumentTypeError(f"{text} is no number of days")
    return int(text)


def _run_list(given: argparse.Namespace) -> int:
    from appliance.cli.exam_table import list_exams

    return list_exams(given.day, given.days, as_json=given.json)


def _run_show(given: argparse.Namespace) -> int:
    from appliance.cli.exam_table import show_exam

    return show_exam(given.exam, as_json=given.json)
