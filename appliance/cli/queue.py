"""`appliance queue` and `appliance retry`: what is saved, stored and committed, what waits, and trying it again."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """Both commands, among the others of `commands`."""
    queue = commands.add_parser(
        "queue",
        help="what is saved, stored and committed, what waits, and why",
        description="What waits: each object at each destination, and each performed step. The three yeses are apart: "
        "saved (on this box), stored (the archive has it), committed (the archive is responsible for it).",
    )
    queue.add_argument("--exam", metavar="EXAM", help="only this exam, with what is done")
    queue.add_argument("--all", action="store_true", help="also what is done")
    queue.add_argument("--json", action="store_true", help="print JSON")
    queue.set_defaults(run=_run_queue)

    retry = commands.add_parser(
        "retry",
        help="try again what was refused, and now what waits",
        description="Try again what an archive refused, after somebody did something about it there; and try what "
        "waits for its next attempt now.",
    )
    retry.add_argument("destination", nargs="?", metavar="DESTINATION", help="only there (default: everywhere)")
    retry.add_argument("--object", metavar="UID", help="only this object (its SOP Instance UID)")
    retry.add_argument("--json", action="store_true", help="print JSON")
    retry.set_defaults(run=_run_retry)


def _run_queue(given: argparse.Namespace) -> int:
    from appliance.cli.queue_table import show_queue

    return show_queue(given.exam, is_all=given.all, as_json=given.json, is_discreet=given.is_discreet)


def _run_retry(given: argparse.Namespace) -> int:
    from appliance.cli.queue_table import retry

    return retry(given.destination, given.object, as_json=given.json)
