"""The real console process between fakes of its neighbours."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.base.asking import Asker
from appliance.base.clock_trust import ClockTrust
from appliance.base.paths import Paths
from appliance.base.tokens import Role, address_from, read_token
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool
from tests.console.fakes import CONFIGURATION, FakeAcquire, FakeForward, make_items, write_worklist

_ROOT = Path(__file__).parents[2]
# Puts the inherited listener where sd_listen_fds(3) looks for it, and says for whom it is.
LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def wait_until(is_so: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """The first true answer of `is_so`; the test fails with `what` when none came in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = is_so()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain until {what}")


class Bench:
    """A box of which only the console is real."""

    def __init__(self, directory: Path, configuration: str = CONFIGURATION) -> None:
        self.paths = Paths.below(directory)
        self.spool, self.facts = Spool(self.paths.state), ExamFacts(Spool(self.paths.state).exams)
        self.spool.make()
        self.paths.clock.mkdir(parents=True, exist_ok=True)
        self.paths.configuration.parent.mkdir(parents=True)
        self.paths.configuration.write_text(configuration)
        write_worklist(self.paths, make_items())
        ClockTrust(self.paths.clock).take_word()
        self.forward = FakeForward(self.paths)
        self.ultrasound = FakeAcquire(self.paths, "ultrasound", "Ultrasound", "US", ["transfer"])
        self.endoscope = FakeAcquire(self.paths, "endoscope", "Endoscope", "ES", ["still", "clip"])
        self.film = FakeAcquire(self.paths, "film", "Film digitizer", "RG", ["film"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "console.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.program = ["-m", "appliance.services.console"]
        self.start()

    def start(self) -> None:
        """Start the console; its listener outlives it, as systemd's does."""
        descriptor = self._listener.fileno()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(descriptor), *self.program],
                env={**os.environ, **self.paths.environment(), "PYTHONPATH": str(_ROOT)},
                pass_fds=[descriptor],
                stderr=log,
                cwd=self.paths.run,
            )
        wait_until(self.is_answering, "the console answers", 60.0)

    def is_answering(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/api/alive", timeout=1.0).status_code == 200
        except httpx.TransportError:
            return False

    def token(self, role: Role = Role.PANEL) -> str:
        return read_token(self.paths.console_socket.parent, role)

    def address(self, role: Role = Role.PANEL) -> str:
        """What a browser is given."""
        return address_from(self.url, self.token(role))

    def browser(self, role: Role = Role.PANEL) -> httpx.Client:
        """Asks as the page does."""
        headers = {"X-Appliance-Panel": "1"}
        return httpx.Client(base_url=self.url, cookies={"token": self.token(role)}, headers=headers, timeout=20.0)

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def asker(self) -> Asker:
        """As the command line asks: over console.sock."""
        return Asker(self.paths.console_socket, "The console")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)
        fakes = (self.forward, self.ultrasound, self.endoscope, self.film)
        for fake in fakes:
            if fake.server is not None:
                fake.server.begin_stop()
        for fake in fakes:
            fake.stop()
        self._listener.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def quiet_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One box for all those tests of a file that open no exam and end no process."""
    made = Bench(tmp_path_factory.mktemp("quiet"))
    try:
        yield made
    finally:
        made.stop()
