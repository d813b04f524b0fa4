"""`appliance release`: a person lets go of objects that an archive will never commit."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    release = commands.add_parser(
        "release",
        help="let go of objects that an archive will not commit",
        description="Lets go of the objects of an ended exam, or of one object, that are not committed wherever they "
        "go: at one destination, or at all. They are not sent there any more. The box may delete its copy later, once "
        "an archive has committed the object or it is let go of at each of its destinations. Who, when and why stays "
        "on record. Export them first; this cannot be taken back.",
    )
    release.add_argument("what", metavar="EXAM|UID", help="an exam, or one object by its SOP Instance UID")
    release.add_argument("--reason", required=True, metavar="TEXT", help="why they need not be committed; is recorded")
    where = release.add_mutually_exclusive_group()
    where.add_argument("--destination", default="", metavar="NAME", help="at this one alone; the others still get them")
    where.add_argument("--everywhere", action="store_true", help="with --yes: also where a configured archive waits")
    release.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    release.add_argument("--json", action="store_true", help="print JSON")
    release.set_defaults(run=_run_release)


def _run_release(given: argparse.Namespace) -> int:
    from appliance.cli.release_talk import release

    return release(
        given.what,
        given.reason,
        destination=given.destination,
        is_everywhere=given.everywhere,
        is_sure=given.yes,
        as_json=given.json,
    )
