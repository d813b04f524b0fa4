"""The real processes: an acquire of one device, and the three old machines on the far side of their interfaces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from appliance.base.asking import Asker, Unreachable
from appliance.base.paths import Paths
from appliance.exam.facts import ExamFacts
from appliance.spool.names import ObjectName, is_intact
from appliance.spool.tree import Spool, list_objects
from tests.acquire.world import CONFIGURATION, PATIENT, PATIENT_ID
from tests.peers import DEADLINE, wait_until

ROOT = Path(__file__).parents[2]


class Box:
    """One state and run directory, with the machines beside it, and acquire processes that are started as wanted."""

    def __init__(self, directory: Path, configuration: str = CONFIGURATION) -> None:
        self.paths = Paths.below(directory)
        self.spool = Spool(self.paths.state)
        self.spool.make()
        self.facts = ExamFacts(self.spool.exams)
        self.paths.clock.mkdir(parents=True, exist_ok=True)
        self.paths.configuration.parent.mkdir(parents=True, exist_ok=True)
        self.paths.configuration.write_text(configuration)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._askers: dict[str, Asker] = {}

    def log(self, name: str) -> Path:
        return self.paths.state / f"{name}.log"

    def spawn(self, name: str, module: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with self.log(name).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"appliance.services.{module}", *arguments],
                env={**os.environ, **self.paths.environment(), "PYTHONPATH": str(ROOT), **environment},
                stdout=log,
                stderr=log,
            )

    def start_machines(self) -> None:
        directories = ["--run-directory", str(self.paths.run), "--state-directory", str(self.paths.state / "m")]
        self.processes["machines"] = self.spawn("machines", "machines", *directories)
        self._await("machines", self.paths.run / "machines.sock")

    def start(self, *devices: str, **environment: str) -> None:
        """Start the acquire processes of `devices`, and wait until they answer."""
        for device in devices:
            self.processes[device] = self.spawn(device, "acquire", device, **environment)
        for device in devices:
            self._await(device, self.paths.acquire_socket(device))

    def recover(self) -> int:
        """What runs at boot; its exit status."""
        return self.spawn("recover", "recover").wait(DEADLINE)

    def _await(self, name: str, socket: Path) -> None:
        asker = self._askers.setdefault(name, Asker(socket, name))

        def answers() -> bool:
            assert self.processes[name].poll() is None, self.log(name).read_text()
            try:
                return bool(asker.ask("GET", "/status"))
            except Unreachable:
                return False

        wait_until(answers, f"{name} answers")

    def ask(self, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._askers[name].ask(method, path, body, seconds=DEADLINE)

    def status(self, device: str) -> dict[str, Any]:
        return self.ask(device, "GET", "/status")

    def picture(self, device: str, path: str) -> bytes:
        return self._askers[device].ask_bytes(path, seconds=DEADLINE)

    def wait_for_state(self, device: str, state: str) -> None:
        wait_until(lambda: self.status(device)["state"] == state, f"{device} is {state}")

    def end(self, device: str, number: int = signal.SIGTERM) -> int:
        """End one process by `number`; its exit status."""
        process = self.processes.pop(device)
        process.send_signal(number)
        return process.wait(DEADLINE)

    def objects(self, device: str, exam_id: str | None) -> list[tuple[Path, ObjectName]]:
        """What is published there; each file is what its name promises."""
        found = list(list_objects(self.spool.captured(device, exam_id)))
        assert all(is_intact(path) for path, _ in found)
        return found

    def temporaries(self) -> list[Path]:
        return list((self.paths.state / "captured").rglob(".part-*"))

    def close(self) -> None:
        """End everything; no log named the patient or told of a fault in the program."""
        for asker in self._askers.values():
            asker.close()
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for log in self.paths.state.glob("*.log"):
            text = log.read_text(errors="replace")
            assert "Traceback" not in text, text
            for secret in (*PATIENT.split("^"), PATIENT_ID, "Otto", "19480517", "ACC0000"):
                assert secret.lower() not in text.lower(), text
