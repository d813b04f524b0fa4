"""`appliance shell`: what a support key opens. sshd starts it, by the options before the key (config/support.py)."""

from __future__ import annotations

import argparse
from typing import Any

from appliance.config.support import SupportRole


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "shell",
        help="the support shell, which sshd starts for a support key",
        description="The commands of `appliance` and nothing else, as far as the role may run them: one at a time "
        "with completion and help, or the one that stands behind `ssh BOX`. Started by sshd.",
    )
    parser.add_argument("--role", type=SupportRole, choices=tuple(SupportRole), required=True, help="what the key may")
    parser.add_argument("--who", default="", metavar="NAME", help="whose key it is")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    from appliance.cli.shell_session import serve_support

    return serve_support(given.role, given.who)
