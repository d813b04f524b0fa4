"""How the hospital is started: the command line as a frozen record."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.simulator.hospital.commitment_reporter import ReportTiming
from appliance.simulator.hospital.faults import MENU
from appliance.simulator.hospital.report_association import Box


@dataclass(frozen=True, slots=True)
class HospitalOptions:
    """Everything that a hospital needs to know at its start."""

    directory: Path
    ae_title: str
    address: str
    port: int
    box: Box
    timing: ReportTiming
    faults: tuple[str, ...]


def options_from_arguments(arguments: Sequence[str]) -> HospitalOptions:
    """Read the command line; ends the process with its usage when it is wrong."""
    menu = "\n".join(f"  {line.fault:<20} {line.sentence}" for line in MENU)
    parser = argparse.ArgumentParser(
        prog="appliance.services.hospital",
        description="A hospital to try the box on: worklist, performed steps, storage, commitment, verification.",
        epilog=f"faults, also one a line in DIRECTORY/faults while it runs:\n{menu}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    timing = ReportTiming()
    parser.add_argument("--directory", type=Path, required=True, help="where everything received is kept")
    parser.add_argument("--port", type=int, required=True, help="TCP port of all its services")
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--ae-title", default="HOSPITAL")
    parser.add_argument("--box-ae", default="BRIDGE", help="AE title of the box, also that of its scheduled steps")
    parser.add_argument("--box-host", default="127.0.0.1")
    parser.add_argument("--box-port", type=int, default=11119, help="where the box listens for commitment reports")
    parser.add_argument("--commitment-delay", type=float, default=timing.delay, metavar="SECONDS")
    parser.add_argument("--commitment-pause", type=float, default=timing.first_pause, metavar="SECONDS")
    parser.add_argument("--commitment-attempts", type=int, default=timing.attempts)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=NUMBER]")
    given = parser.parse_args(arguments)
    return HospitalOptions(
        directory=given.directory,
        ae_title=given.ae_title,
        address=given.address,
        port=given.port,
        box=Box(given.box_ae, given.box_host, given.box_port),
        timing=ReportTiming(
            delay=given.commitment_delay, first_pause=given.commitment_pause, attempts=given.commitment_attempts
        ),
        faults=tuple(given.fault),
    )
