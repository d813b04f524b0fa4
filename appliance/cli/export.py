"""`appliance export`: objects onto a stick, as DICOM media."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    export = commands.add_parser(
        "export",
        help="write objects onto a stick, as DICOM media",
        description="Writes what no archive has committed yet (saved or stored, of ended exams, of the open one, of "
        "none) into a mounted directory, with a DICOMDIR, and verifies each file from the stick. Works from files "
        "alone, whatever else of the box is down. What is there already is verified and left: repeat the command after "
        "a stick was pulled. Nothing is taken from the box.",
    )
    export.add_argument("directory", type=Path, metavar="DIRECTORY", help="where the stick is mounted")
    export.add_argument("--exam", action="append", default=[], metavar="EXAM", help="only this exam, also what is "
                        "committed; may be repeated")  # fmt: skip
    export.add_argument("--all", action="store_true", help="everything on this box, also what is committed or released")
    export.add_argument("--damaged", action="store_true", help="also what lies in quarantine, set aside in DAMAGED/")
    export.add_argument("--own-flash", action="store_true", help="into a directory of this box itself, to try it out")
    export.add_argument("--json", action="store_true", help="print JSON: each object's place on the stick")
    export.set_defaults(run=_run_export)


def _run_export(given: argparse.Namespace) -> int:
    from appliance.cli.export_report import run_export

    return run_export(given)
