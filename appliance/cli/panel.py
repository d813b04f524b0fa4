"""`appliance panel` and `appliance pin`: the address that opens the panel, and what is kept of an operator's PIN."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """Both commands, among the others of `commands`."""
    parser = commands.add_parser(
        "panel",
        help="print the address that opens the panel in a browser",
        description="Print the address that opens the panel in a browser on this machine, or at the other end of "
        "`ssh -L 8080:127.0.0.1:8080`. It holds until the box starts again. Who may not work at the panel gets "
        "support's address: it looks, refreshes and tries again, and nothing else.",
    )
    parser.add_argument("--support", action="store_true", help="support's address, whoever asks")
    parser.add_argument("--port", type=int, default=8080, help="the panel's port on this machine (default: 8080)")
    parser.set_defaults(run=_print_address)
    pin = commands.add_parser(
        "pin",
        help="ask for a PIN and print what the configuration keeps of it",
        description="Ask for a PIN of 4 to 12 digits, twice, and print what [[operators]] keeps of it: pin = ...",
    )
    pin.set_defaults(run=_print_pin)


def _print_address(given: argparse.Namespace) -> int:
    """0 with an address. ApplianceError when the console has not run since the box started, or nothing may be read."""
    from appliance.base.errors import ApplianceError
    from appliance.base.paths import Paths
    from appliance.base.tokens import Role, address_from, read_token

    directory = Paths.from_environment().console_socket.parent
    for role in (Role.SUPPORT,) if given.support else (Role.PANEL, Role.SUPPORT):
        try:
            token = read_token(directory, role)
        except (OSError, IndexError):
            continue
        print(address_from(f"http://127.0.0.1:{given.port}", token))
        return 0
    raise ApplianceError("The panel's token cannot be read.", "The console makes it when it starts: appliance status")


def _print_pin(_given: argparse.Namespace) -> int:
    import getpass
    import sys

    from appliance.base.errors import ApplianceError
    from appliance.base.pins import kept_pin_from

    if sys.stdin.isatty():
        pin = getpass.getpass("PIN: ")
        if getpass.getpass("Once more: ") != pin:
            raise ApplianceError("The two PINs are not the same.", "Try again.")
    else:
        pin = sys.stdin.readline().strip()
    print(f'pin = "{kept_pin_from(pin)}"')
    return 0
