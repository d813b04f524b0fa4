"""The programs of a new box that systemd would start, as a box runs them, where a test plays systemd.

`python -m tests.console.first_program DIRECTORY apply|first`: what the box asks of systemd, the test is asked; the
stick is DIRECTORY/stick, and how many are plugged in stands in DIRECTORY/sticks.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.config.loading import System
from appliance.services.apply import run_apply
from appliance.services.first import run_first
from tests.support.asking import ask


def main(directory: Path, program: str) -> int:
    """The unit's status."""

    def run(command: Sequence[str], _seconds: float) -> None:
        said = ask(directory, *command)
        if said:
            raise ApplianceError(said)

    configure_logging(program)
    paths, clock = Paths.from_environment(), SystemClock()
    try:
        if program == "apply":
            run_apply(paths, System(directory / "root", run), clock, idle_seconds=36_000.0)
        else:
            run_first(paths, directory / "stick", clock, lambda: int((directory / "sticks").read_text()))
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
