"""`appliance release`: a person lets go of objects that no archive will ever commit."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    release = commands.add_parser(
        "release",
        help="let go of objects that no archive will commit",
        description="Lets go of the objects of an ended exam, or of one object, that no archive has committed: they "
        "are not sent any more, and the box may delete its copy as it does that of a committed object. Who, when and "
        "why stays on record. Export them first; this cannot be taken back.",
    )
    release.add_argument("what", metavar="EXAM|UID", help="an exam, or one object by its SOP Instance UID")
    release.add_argument("--reason", required=True, metavar="TEXT", help="why they need not be committed; is recorded")
    release.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    release.add_argument("--json", action="store_true", help="print JSON")
    release.set_defaults(run=_run_release)


def _run_release(given: argparse.Namespace) -> int:
    from appliance.cli.release_talk import release

    return release(given.what, given.reason, is_sure=given.yes, as_json=given.json)
