"""The machines' process, started once for all tests of this room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.base.asking import Asker, Unreachable
from appliance.simulator.machines.options import MachinesOptions
from tests.peers import wait_until
from tests.ports import pick_free_port


@dataclass
class Machines:
    """A running machines' process: where its things are, and its keys."""

    options: MachinesOptions
    asker: Asker
    process: subprocess.Popen[bytes]
    log: Path

    def press_print(self, **wish: Any) -> dict[str, Any]:
        return self.asker.ask("POST", "/ultrasound/print", wish, seconds=120.0)


def start_machines(directory: Path, port: int | None) -> Machines:
    """Start the process on `directory` and wait until its keys answer."""
    options = MachinesOptions(directory / "run", directory / "state", port)
    arguments = ["--run-directory", str(options.run_directory), "--state-directory", str(options.state_directory)]
    if port is not None:
        arguments += ["--control-port", str(port)]
    log = directory / "machines.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.services.machines", *arguments], stderr=file, stdout=file
        )
    asker = Asker(options.control_socket, "The machines")

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return bool(asker.ask("GET", "/status"))
        except Unreachable:
            return False

    wait_until(answers, "the machines answer")
    return Machines(options, asker, process, log)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    started = start_machines(tmp_path_factory.mktemp("m"), pick_free_port())
    yield started
    started.asker.close()
    started.process.terminate()
    assert started.process.wait(30.0) == 0, started.log.read_text()
