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
    _add_changing(actions)
    _add_ending(actions)


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
    check.add_argument("--code", action="store_true", help="say each file's code as well: what a new box's "
                       "panel shows of it on a stick")  # fmt: skip
    check.set_defaults(run=_check)
    diff = actions.add_parser("diff", help="what would change with FILE, and which services would start anew")
    diff.add_argument("file", type=Path, metavar="FILE", help=_FILE)
    diff.add_argument("--json", action="store_true", help="print JSON")
    diff.set_defaults(run=_diff)


def _add_changing(actions: Any) -> None:
    """What puts another configuration in force, each until somebody confirms it."""
    apply = actions.add_parser(
        "apply",
        help="put FILE in force until somebody confirms it in time; else it goes back by itself",
        description="Put FILE in force: it is checked, its record is kept, services start anew, the box tries itself "
        "and every peer that the change touches. What fails goes back, and so does what nobody confirms in time, "
        "whatever becomes of this command, of the connection and of the box.",
    )
    apply.add_argument("file", type=Path, metavar="FILE", help=_FILE)
    apply.set_defaults(run=_apply)
    fetch = actions.add_parser(
        "import",
        help="the same with what comes on standard input: for a box's first configuration over SSH",
        description="As `apply`, with what comes on standard input unless a file is named: for a new box's first "
        "configuration, `ssh appliance-admin@box config import < site.toml`.",
    )
    fetch.add_argument("file", type=Path, metavar="FILE", nargs="?", default=Path("-"), help=_FILE)
    fetch.set_defaults(run=_apply)
    change = actions.add_parser(
        "set",
        help="set one key, and apply that; comments and order of the file stay",
        description="Set one key of the configuration in force, and apply that. Comments and order of the file stay.",
    )
    change.add_argument("key", metavar="KEY", help=_KEY)
    change.add_argument("value", nargs="?", metavar="VALUE", help="a text, or a value as TOML writes it: 104, true, "
                        '["US"]; left out: the key is taken away')  # fmt: skip
    change.add_argument("--file", type=Path, help="change this file instead, and apply nothing")
    change.set_defaults(run=_set)
    edit = actions.add_parser(
        "edit",
        help="change the configuration in an editor ($EDITOR), and apply that",
        description="Open the configuration in $EDITOR, check it when that ends, and apply it. Not over SSH, where an "
        "editor would be a shell: use export and import there.",
    )
    edit.set_defaults(run=_edit)
    back = actions.add_parser(
        "rollback",
        help="take back the change that waits, or go back to how it was after change N (before the last one)",
        description="Take back the change that waits for its confirmation. When none does: apply what was in force "
        "after change N, or, without N, before the last change; that is confirmed like any other change.",
    )
    back.add_argument("number", type=int, nargs="?", metavar="N", help="a number of `appliance config log`")
    back.set_defaults(run=_roll_back)
    for parser in (apply, fetch, change, edit, back):
        parser.add_argument("--confirm-within", type=_seconds_from, default=600.0, metavar="TIME",
                            help="90s, 10m or 2h, in which somebody must confirm it (default: 10m)")  # fmt: skip
        parser.add_argument("--wait", action="store_true", help="while an exam is open, wait for its end")
        parser.add_argument("--json", action="store_true", help="print JSON")


def _add_ending(actions: Any) -> None:
    confirm = actions.add_parser("confirm", help="let the change that waits stay")
    confirm.add_argument("--json", action="store_true", help="print JSON")
    confirm.set_defaults(run=_confirm)
    log = actions.add_parser(
        "log",
        help="every change: who, when, what, and what became of it",
        description="Every change, the newest last: its number, who proposed it and when, what became of it and why. "
        "With a number, all that is known of that one.",
    )
    log.add_argument("number", type=int, nargs="?", metavar="N", help="this one, with its difference and its self-test")
    log.add_argument("--json", action="store_true", help="print JSON")
    log.set_defaults(run=_log)


def _seconds_from(text: str) -> float:
    """`90s`, `10m`, `2h`; a number alone is seconds."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:].lower(), 0)
    try:
        return float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time: write 90s, 10m or 2h") from None


def _apply(given: argparse.Namespace) -> int:
    from appliance.cli.config_apply import apply_file

    return apply_file(given)


def _set(given: argparse.Namespace) -> int:
    from appliance.cli.config_set import set_in_file, set_in_force

    return set_in_force(given) if given.file is None else set_in_file(given.file, given.key, given.value)


def _edit(given: argparse.Namespace) -> int:
    from appliance.cli.config_edit import edit

    return edit(given)


def _roll_back(given: argparse.Namespace) -> int:
    from appliance.cli.config_apply import roll_back

    return roll_back(given)


def _confirm(given: argparse.Namespace) -> int:
    from appliance.cli.config_apply import confirm

    return confirm(as_json=given.json)


def _log(given: argparse.Namespace) -> int:
    from appliance.cli.config_log import show_log

    return show_log(given.number, as_json=given.json)


def _show(given: argparse.Namespace) -> int:
    from appliance.cli.config_view import show_keys

    return show_keys(only_given=given.diff_defaults, as_json=given.json)


def _get(given: argparse.Namespace) -> int:
    from appliance.cli.config_view import show_key

    return show_key(given.key, as_json=given.json)


def _print_schema(_given: argparse.Namespace) -> int:
    from appliance.cli.config_file import print_file
    from appliance.config.example import JSON_SCHEMA

    return print_file(JSON_SCHEMA)


def _print_example(_given: argparse.Namespace) -> int:
    from appliance.cli.config_file import print_file
    from appliance.config.example import EXAMPLE

    return print_file(EXAMPLE)


def _export(_given: argparse.Namespace) -> int:
    from appliance.base.paths import Paths
    from appliance.cli.config_file import print_file

    return print_file(Paths.from_environment().configuration)


def _check(given: argparse.Namespace) -> int:
    from appliance.cli.config_check import check_files

    return check_files(given.files, with_code=given.code)


def _diff(given: argparse.Namespace) -> int:
    from appliance.cli.config_diff import show_difference

    return show_difference(given.file, as_json=given.json)
