"""Who is at the command line, as far as the command can tell: it is what the caller's environment says."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping

_LONGEST = 64


def actor_from(environment: Mapping[str, str]) -> str:
    """`maria (as told by the command line)`: whoever logged in over SSH, also behind sudo.

    Marked, since nothing but the environment vouches for it.
    """
    said = environment.get("SUDO_USER") or environment.get("LOGNAME") or environment.get("USER") or _own_name()
    name = "".join(letter for letter in said if letter.isprintable())[:_LONGEST]
    return f"{name or 'somebody'} (as told by the command line)"


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
