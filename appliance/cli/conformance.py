"""`appliance conformance`: what this box conforms to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "conformance",
        help="the DICOM conformance statement of this box",
        description="What this box does on the network with its configuration, from the tables that it runs.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    statement = actions.add_parser(
        "statement",
        help="print the DICOM conformance statement of this box with its configuration",
        description="Print the conformance statement of this box with its configuration, in the organization of "
        "PS3.2 Annex N. JSON is the same for programs: the form in which statements are compared.",
    )
    statement.add_argument(
        "--format", choices=("html", "markdown", "docbook", "json"), default="markdown", help="(default: markdown)"
    )
    statement.add_argument("--config", type=Path, metavar="FILE", help="of this configuration instead of the box's own")
    statement.set_defaults(run=_print_statement)


def _print_statement(given: argparse.Namespace) -> int:
    from appliance.cli.conformance_statement import print_statement

    return print_statement(given.config, given.format)
