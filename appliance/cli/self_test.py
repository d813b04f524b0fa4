"""`appliance test NAME`: try everything that the box uses of a peer, in one report."""

from __future__ import annotations

import argparse
from typing import Any

from appliance.cli.echo import PEER


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "test",
        help="try everything that the box uses of a peer",
        description="Try a peer: what it accepts of all that the box would ever propose, verification, and the "
        "worklist query. What is configured under the same AE title, host and port is tried in the same report.",
    )
    parser.add_argument("name", metavar="NAME", help=PEER)
    parser.add_argument(
        "--write",
        action="store_true",
        help="also store an object of the configured test patient, have it committed, and tell a performed step that "
        "ends DISCONTINUED; the object stays there, marked Quality Control Image",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    from appliance.cli.checks import test_peer

    return test_peer(given.name, may_write=given.write, as_json=given.json)
