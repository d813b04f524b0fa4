"""`appliance config`: seeing, trying and changing how the box is configured."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_KEY = "a key as `show` writes it: destinations[0].port, or destinations[archive].port"
_FILE = 'the file, or "-": what comes on standard input'


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "config",
        help="see, try and change how the box is configured",
        description="See, try and change how the box is configured. Nothing is changed before all is found good.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_looking(actions)
    _add_trying(actions)


def _add_looking(actions: Any) -> None:
    show = actions.add_parser(
        "show",
        help="every key that is in force, with its value",
        description="Every key that is in force with its value, defaults included; secrets are never shown.",
    )
    show.add_argument("--diff-defaults", action="store_true", help="only what differs from the defaults")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(run=_show)
    get = actions.add_parser("get", help="the value of one key, or of all below it")
    get.add_argument("key", metavar="KEY", help=_KEY)
    get.add_argument("--json", action="store_true", help="print JSON")
    get.set_defaults(run=_get)
    schema = actions.add_parser("schema", help="the JSON Schema of the file, for editors")
    schema.set_defaults(run=_print_schema)
    example = actions.add_parser("example", help="print the commented example, the reference of every key")
    example.set_defaults(run=_print_example)
    export = actions.add_parser(
        "export",
        help="print the configuration's file as it is",
        description="Print the configuration's file as it is, comments and all: for another box, or to be changed and "
        "given to `appliance config import`. What is kept of operators' PINs is in it.",
    )
    export.set_defaults(run=_export)


def _add_trying(actions: Any) -> None:
    check = actions.add_parser("check", help="say everything that is wrong with FILE and the certificates it names")
    check.add_argument("files", type=Path, nargs="+", metavar="FILE", help=f"{_FILE}; of several boxes' also what "
                       "they must not have in common")  # fmt: skip
    check.set_defaults(run=_check)
    change = actions.add_parser("set", help="set one key; comments and order of the file stay")
    change.add_argument("key", metavar="KEY", help=_KEY)
    change.add_argument("value", nargs="?", metavar="VALUE", help="a text, or a value as TOML writes it: 104, true, "
                        '["US"]; left out: the key is taken away')  # fmt: skip
    change.add_argument("--file", type=Path, required=True, help="the file")
    change.set_defaults(run=_set)
    diff = actions.add_parser("diff", help="what would change with FILE, and which services would start anew")
    diff.add_argument("file", type=Path, metavar="FILE", help=_FILE)
    diff.add_argument("--json", action="store_true", help="print JSON")
    diff.set_defaults(run=_diff)


def _set(given: argparse.Namespace) -> int:
    from appliance.cli.config_edit import set_in_file

    return set_in_file(given.file, given.key, given.value)


def _show(given: argparse.Namespace) -> int:
    from appliance.cli.config_view import show_keys

    return show_keys(only_given=given.diff_defaults, as_json=given.json)


def _get(given: argparse.Namespace) -> int:
    from appliance.cli.config_view import show_key

    return show_key(given.key, as_json=given.json)


def _print_schema(_given: argparse.Namespace) -> int:
    from appliance.cli.config_view import print_schema

    return print_schema()


def _print_example(_given: argparse.Namespace) -> int:
    from appliance.cli.config_view import EXAMPLE, print_file

    return print_file(EXAMPLE)


def _export(_given: argparse.Namespace) -> int:
    from appliance.base.paths import Paths
    from appliance.cli.config_view import print_file

    return print_file(Paths.from_environment().configuration)


def _check(given: argparse.Namespace) -> int:
    from appliance.cli.config_check import check_files

    return check_files(given.files)


def _diff(given: argparse.Namespace) -> int:
    from appliance.cli.config_view import show_difference

    return show_difference(given.file, as_json=given.json)
