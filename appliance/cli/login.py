"""The login shell of `appliance-admin`: there is no other program behind a support key, not even a shell.

sshd runs the command of a key's options by the user's login shell, as `-c COMMAND`: this is that program, and it knows
one command. A key without such options opens nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from appliance.base.errors import ApplianceError
from appliance.cli.main import main as run_appliance
from appliance.cli.main import say_error
from appliance.cli.words import words_from

_COMMAND = ["appliance", "shell"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `appliance shell …` of the key's options; 1 with a sentence when there is none."""
    match list(sys.argv[1:] if arguments is None else arguments):
        case ["-c", command]:
            try:
                words = words_from(command)
            except ApplianceError as error:
                say_error(error)
                return 1
            if words[:2] == _COMMAND:
                return run_appliance(words[1:])
    say_error(
        ApplianceError("This key has no role on this box.", "It must be one of the configuration's support keys.")
    )
    return 1
