"""The program that changes the configuration, as a box runs it, where a test plays systemd and turns the clock.

What a box asks of systemd and networkd, this one asks of the test (`asking`); its time runs ahead of the machine's by
as many seconds as stand in the file AHEAD.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from appliance.base.errors import ApplianceError
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.config.loading import System
from appliance.services.apply import run_apply
from appliance.services.restore import restore
from tests.support.asking import ask


class AheadClock:
    """The machine's clocks, and what AHEAD says."""

    def __init__(self, ahead: Path) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        return time.monotonic() + float(self._ahead.read_text())

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(0.0, seconds))


def main(directory: str, mode: str) -> int:
    """`boot`, or `serve`, for the box whose files lie in `directory`."""

    def run(command: Sequence[str], _seconds: float) -> None:
        said = ask(Path(directory), *command)
        if said:
            raise ApplianceError(said)

    configure_logging("apply")
    system, clock = System(Path("/"), run), AheadClock(Path(directory) / "ahead")
    try:
        if mode == "boot":
            restore(Paths.from_environment(), system, clock)
        else:
            run_apply(Paths.from_environment(), system, clock, idle_seconds=36_000.0)
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
