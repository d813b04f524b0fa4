"""How the machines are started: the command line as a frozen record."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MachinesOptions:
    """Where the machines' near ends and sockets go, where they remember, and the port of their page, if any."""

    run_directory: Path
    state_directory: Path
    control_port: int | None

    @property
    def machines(self) -> Path:
        return self.run_directory / "machines"

    @property
    def ultrasound_line(self) -> Path:
        return self.machines / "ultrasound.tty"

    @property
    def endoscope_socket(self) -> Path:
        return self.machines / "endoscope.sock"

    @property
    def sane_configuration(self) -> Path:
        return self.machines / "sane"

    @property
    def control_socket(self) -> Path:
        return self.run_directory / "machines.sock"

    @property
    def memory(self) -> Path:
        return self.state_directory / "machines" / "ultrasound-prints"


def options_from_arguments(arguments: Sequence[str]) -> MachinesOptions:
    """Read the command line; ends the process with its usage when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="appliance.services.machines",
        description="Three old machines to try the box on: an ultrasound, an endoscope, a film digitizer.",
    )
    parser.add_argument("--run-directory", type=Path, required=True, help="where their lines and sockets appear")
    parser.add_argument("--state-directory", type=Path, required=True, help="what they remember from run to run")
    parser.add_argument("--control-port", type=int, help="loopback port of the page with their buttons")
    given = parser.parse_args(arguments)
    return MachinesOptions(given.run_directory.absolute(), given.state_directory.absolute(), given.control_port)
