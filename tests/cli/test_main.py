"""The command itself: what it says and answers whatever the subcommand is."""

from __future__ import annotations

import os
import subprocess
import sys


def test_ok__a_reader_that_has_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` leaves it
    try:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", "config", "example"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
