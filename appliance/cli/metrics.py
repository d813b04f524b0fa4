"""`appliance metrics`: what a hospital's Prometheus would get."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """The command, among the others of `commands`."""
    parser = commands.add_parser(
        "metrics",
        help="the box in numbers, as Prometheus reads them",
        description="The box in numbers, in the OpenMetrics text format. With [metrics] in the configuration they are "
        "at a port too; here they come from the forward process's socket.",
    )
    parser.set_defaults(run=_run)


def _run(_given: argparse.Namespace) -> int:
    from appliance.base.asking import Asker
    from appliance.base.paths import Paths

    asker = Asker(Paths.from_environment().forward_socket, "The forward process")
    print(asker.ask_bytes("/metrics").decode("utf-8"), end="")
    return 0
