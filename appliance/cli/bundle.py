"""`appliance support-bundle`: what support needs to see of a box, in one encrypted file."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "support-bundle",
        help="what support needs to see of the box, in one encrypted file on standard output",
        description="Writes a tar.gz, encrypted by age, to standard output: versions, the configuration without "
        "secrets, status and findings, the ledger and the exams without patients, the journal, what is plugged in. "
        "Names and identifiers of patients that the box knows are taken out of every text. "
        "To open: age --decrypt -i KEY bundle.age | tar xz",
    )
    parser.add_argument(
        "--to",
        action="append",
        required=True,
        metavar="KEY",
        help="who may open it: an age recipient (age1...) or a public SSH key in quotes; may be repeated",
    )
    parser.add_argument("--days", type=_days_from, default=7, metavar="N", help="of the journal and exams (default: 7)")
    parser.add_argument(
        "--transcripts", action="store_true", help="also what went over the machines' lines: it names patients"
    )
    parser.set_defaults(run=_run)


def _days_from(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 3650:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 3650 days")
    return days


def _run(given: argparse.Namespace) -> int:
    from appliance.cli.bundle_writing import write_bundle

    return write_bundle(given.to, given.days, with_transcripts=given.transcripts)
