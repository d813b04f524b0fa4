"""Reading the file that a command was given, or standard input; printing one as it is."""

from __future__ import annotations

import sys
from pathlib import Path

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of

_STANDARD_INPUT = Path("-")
# One byte more than a configuration may have (config.load), so that a longer one is known.
_MOST_BYTES = 1024 * 1024 + 1


def read_given(file: Path) -> bytes:
    """What `file` holds, "-" being standard input; cut off beyond what a configuration may have. ApplianceError."""
    try:
        if file == _STANDARD_INPUT:
            return sys.stdin.buffer.read(_MOST_BYTES)
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise ApplianceError(f"{file} cannot be read: {reason_of(error)}.", "Nothing was changed.") from error


def print_file(file: Path) -> int:
    """Print `file` as it is; 0. ApplianceError when it cannot be read."""
    sys.stdout.flush()
    sys.stdout.buffer.write(read_given(file))
    return 0
