"""`appliance conformance`: what this box conforms to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "conformance",
        help="what this box conforms to, and whether that is what a purchaser asks for",
        description="What this box does on the network with its configuration, from the tables that it runs.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, paper, what in (
        (
            "statement",
            "conformance-statement",
            "the DICOM conformance statement, as PS3.2 Annex N organizes it",
        ),
        ("integration", "integration-statement", "IHE's integration statement: profiles, actors and options"),
        ("mds2", "mds2", "the answers to the MDS2 form that follow from configuration and software"),
    ):
        one = actions.add_parser(
            name,
            help=f"print {what}",
            description=f"Print {what} of this box with its configuration. JSON is the same for programs, and the "
            "form in which conformance statements are compared.",
        )
        one.add_argument(
            "--format", choices=("html", "markdown", "docbook", "json"), default="markdown", help="(default: markdown)"
        )
        one.add_argument("--config", type=Path, metavar="FILE", help="of this configuration instead of the box's own")
        one.set_defaults(run=_print_paper, paper=paper)

    documents = actions.add_parser(
        "documents",
        help="write all of these papers into a directory",
        description="Write the statements, the MDS2 answers and the reports on the product's own profiles: as HTML, "
        "and most of them as JSON.",
    )
    documents.add_argument("directory", type=Path, metavar="DIRECTORY")
    documents.add_argument("--config", type=Path, metavar="FILE", help="of this configuration instead of the box's own")
    documents.set_defaults(run=_write_documents)

    profile = actions.add_parser(
        "profile",
        help="print the commented example of a purchaser's profile, or its schema",
        description="What a purchaser's profile looks like: what a modality interface must do, as a file.",
    )
    which = profile.add_mutually_exclusive_group()
    which.add_argument("--example", action="store_true", help="the commented example (the default)")
    which.add_argument("--schema", action="store_true", help="its JSON Schema, for editors")
    profile.set_defaults(run=_print_profile)

    check = actions.add_parser(
        "check",
        help="hold this box, or another product's statement, against a purchaser's profile",
        description="Hold this box with its configuration against a purchaser's profile. Exit status: 0 when every "
        "requirement that shall be met is met, 1 when one is not, 3 when what is left of them a person must look at.",
    )
    check.add_argument(
        "profile",
        metavar="PROFILE",
        help="a file, or prior-1993, ihe-swf-acquisition-modality, ihe-irwf-importer",
    )
    check.add_argument("--config", type=Path, metavar="FILE", help="this configuration instead of the box's own")
    check.add_argument("--statement", type=Path, metavar="FILE", help="another product's statement, as JSON")
    check.add_argument(
        "--live",
        nargs="+",
        default=[],
        metavar="NAME",
        help="also ask these of the hospital's systems just now, by their names in the configuration",
    )
    check.add_argument(
        "--write",
        action="store_true",
        help="with --live: store, commit and tell a performed step under the configured test patient, too",
    )
    check.add_argument(
        "--format", choices=("text", "html", "markdown", "docbook", "json"), default="text", help="(default: text)"
    )
    check.set_defaults(run=_check_profile, usage_error=check.error)


def _print_paper(given: argparse.Namespace) -> int:
    from appliance.cli.conformance_papers import print_paper

    return print_paper(given.paper, given.config, given.format)


def _write_documents(given: argparse.Namespace) -> int:
    from appliance.cli.conformance_papers import write_documents

    return write_documents(given.directory, given.config)


def _print_profile(given: argparse.Namespace) -> int:
    from appliance.cli.conformance_check import print_example, print_schema

    return print_schema() if given.schema else print_example()


def _check_profile(given: argparse.Namespace) -> int:
    if given.statement and (given.live or given.config):
        given.usage_error("--statement is another product's: it has no --config and no --live")
    if given.write and not given.live:
        given.usage_error("--write needs --live NAME")
    if given.live and given.config:
        given.usage_error("--live asks as the box is configured: leave --config out")
    from appliance.cli.conformance_check import check_profile

    return check_profile(
        given.profile,
        configuration=given.config,
        statement=given.statement,
        live=given.live,
        may_write=given.write,
        form=given.format,
    )
