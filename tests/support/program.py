"""The program that changes the configuration, as a box runs it, on a system that a test made below a directory.

What a box asks of systemd, nftables and networkd, this one asks of `act`, the test's own program: the command's words are
its arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.base.errors import ApplianceError
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.config.loading import System, run_command
from appliance.services.apply import run_apply, run_boot


def main(root: str, act: str, mode: str) -> int:
    def run(command: Sequence[str], seconds: float) -> None:
        run_command([act, *command], seconds)

    configure_logging("apply")
    system = System(Path(root), run)
    try:
        if mode == "boot":
            run_boot(Paths.from_environment(), system)
        else:
            run_apply(Paths.from_environment(), system, idle_seconds=600.0)
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
