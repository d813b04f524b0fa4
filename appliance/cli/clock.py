"""`appliance clock`: what the box's clock shows, whether it is believed, and a person's word that it is right."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "clock",
        help="what the box's clock shows, and whether it is believed",
        description="What the box's clock shows, and whether it is believed. `appliance clock trust` says that it is "
        "right as it is: that holds until somebody sets it, or until the box starts again.",
    )
    parser.add_argument("action", nargs="?", choices=("trust",), help="say that the clock is right as it is")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    """0 when the clock is believed, 1 when not. ApplianceError when the console does not answer."""
    import json

    from appliance.base.asking import Asker
    from appliance.base.paths import Paths

    asker = Asker(Paths.from_environment().console_socket, "The console")
    try:
        is_word = given.action == "trust"
        view = asker.ask("POST", "/api/clock/trust", {}) if is_word else asker.ask("GET", "/api/clock")
    finally:
        asker.close()
    shown = view["now"].replace("T", " ")
    print(json.dumps(view, indent=1) if given.json else f"{shown}\n{view['sentence']}\n{view['suggestion']}".rstrip())
    return 0 if view["is_trusted"] else 1
