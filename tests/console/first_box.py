"""A new box: console, forward, the program that changes the configuration and that of the first contact are real.

The test plays systemd, which starts anew what the changed configuration is read by. A directory stands for the stick.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx

from appliance.base.clock_trust import ClockTrust
from appliance.base.paths import Paths
from appliance.base.tokens import Role, address_from, read_token
from appliance.config.history import History
from appliance.config.stick import FILE
from appliance.spool.tree import Spool
from tests.console.conftest import LAUNCHER, wait_until
from tests.support.asking import SOCKET

_ROOT = Path(__file__).parents[2]
_SECONDS = 100.0


class FirstBox:
    """`text` is what the image brought."""

    def __init__(self, directory: Path, text: str) -> None:
        self.directory, self.stick = directory, directory / "stick"
        self.paths = Paths.below(directory / "state")
        Spool(self.paths.state).make()
        self.paths.clock.mkdir(parents=True, exist_ok=True)
        self.paths.configuration.parent.mkdir(parents=True)
        self.paths.configuration.write_text(text)
        self.stick.mkdir()
        self.plug(1)
        ClockTrust(self.paths.clock).take_word()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        descriptor = self._listener.fileno()
        own = ["-m", "tests.console.first_program", str(directory)]
        self._commands = {
            "appliance-forward": ["-m", "appliance.services.forward"],
            "appliance-console": ["-c", LAUNCHER, str(descriptor), "-m", "appliance.services.console"],
            "appliance-apply": [*own, "apply"],
            "appliance-first": [*own, "first"],
        }
        self._sockets = {
            "appliance-forward": self.paths.forward_socket,
            "appliance-console": self.paths.console_socket,
            "appliance-apply": self.paths.apply_socket,
            "appliance-first": self.paths.first_socket,
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._systemd = socket.socket(socket.AF_UNIX)
        self._systemd.bind(str(directory / SOCKET))
        self._systemd.listen()
        threading.Thread(target=self._answer, daemon=True).start()
        # As systemd: all at once.
        for name in self._commands:
            self._begin(name)
        for name in self._commands:
            self._await(name)

    @property
    def history(self) -> History:
        return History(self.paths.configuration.parent)

    def address(self, role: Role = Role.PANEL) -> str:
        return address_from(self.url, read_token(self.paths.console_socket.parent, role))

    def browser(self, role: Role = Role.PANEL) -> httpx.Client:
        """Asks as the page does."""
        token = read_token(self.paths.console_socket.parent, role)
        return httpx.Client(
            base_url=self.url, cookies={"token": token}, headers={"X-Appliance-Panel": "1"}, timeout=_SECONDS
        )

    def plug(self, sticks: int, text: bytes | None = None) -> None:
        """So many sticks are plugged in, with `text` on the one that is mounted."""
        file = self.stick / FILE
        if text is None:
            file.unlink(missing_ok=True)
        else:
            file.with_suffix(".new").write_bytes(text)
            file.with_suffix(".new").replace(file)
        (self.directory / "sticks").write_text(str(sticks))

    def plug_in(self) -> int:
        """What udev and systemd start when a stick was mounted; its status."""
        return subprocess.run(
            [sys.executable, "-m", "appliance.services.stick", str(self.stick)],
            env={**os.environ, **self.paths.environment(), "PYTHONPATH": str(_ROOT)},
            timeout=_SECONDS,
            check=False,
        ).returncode

    def kill(self, name: str) -> None:
        """Without a word; started again at once, as its unit says."""
        self._running[name].kill()
        self._running[name].wait(_SECONDS)
        self.start(name)

    def start(self, name: str) -> None:
        self._begin(name)
        self._await(name)

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait(_SECONDS)
        self._systemd.close()
        self._listener.close()

    def log(self) -> str:
        return "\n".join(path.read_text() for path in self.directory.glob("*.log"))

    def _begin(self, name: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *self._commands[name]],
                env={**os.environ, **self.paths.environment(), "PYTHONPATH": str(_ROOT)},
                pass_fds=[self._listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _await(self, name: str) -> None:
        def is_there() -> bool:
            assert self._running[name].poll() is None, self.log()
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(self._sockets[name])) == 0

        wait_until(is_there, f"{name} answers", _SECONDS)

    def _answer(self) -> None:
        while True:
            try:
                line, _ = self._systemd.accept()
            except OSError:
                return  # the test is over
            with line:
                asked = line.makefile(encoding="utf-8").readline()
                said = self._do(json.loads(asked)) if asked else ""
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked was killed meanwhile
                    line.sendall(f"{json.dumps(said)}\n".encode())

    def _do(self, words: list[str]) -> str:
        """What a unit of systemd's would be asked; why it failed, if it did."""
        if words[:2] != ["systemctl", "restart"]:
            return ""
        names = [unit.removesuffix(".service") for unit in words[2:]]
        for name in names:
            self._running[name].terminate()
            self._running[name].wait(_SECONDS)
            self._begin(name)
        for name in names:
            self._await(name)
        return ""
