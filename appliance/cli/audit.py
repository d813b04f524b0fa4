"""`appliance audit`: who did what to whose data on this box, whether the trail is whole, and what a collector has."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    audit = commands.add_parser(
        "audit",
        help="who did what to whose data, and whether the record of it is whole",
        description="The audit trail of every process of this box, the latest last. To read it is an act itself, and "
        "recorded.",
    )
    audit.add_argument("--exam", metavar="EXAM", help="only what was done in this exam")
    audit.add_argument(
        "--since",
        type=_moment_from,
        metavar="YYYY-MM-DD[THH:MM]",
        help="only from then on (default: the last seven days; with --exam: everything)",
    )
    form = audit.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--xml", action="store_true", help="print DICOM audit messages (PS3.15 A.5), one a line")
    audit.set_defaults(run=_run)


def _moment_from(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no moment (YYYY-MM-DD or YYYY-MM-DDTHH:MM)") from None


def _run(given: argparse.Namespace) -> int:
    from appliance.cli.audit_table import Form, show_trails

    form = Form.JSON if given.json else Form.XML if given.xml else Form.TABLE
    return show_trails(given.exam, given.since, form)
