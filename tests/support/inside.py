"""The first process of a box in a namespace of its own: it plays systemd, for the real services, networkd and sshd.

/run is its own and empty, as after a boot; the rest of the box lies in one directory, which lasts. Run by `ip netns
exec` in a mount namespace: `python -m tests.support.inside DIRECTORY`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.namespaces import ROOT, make_run
from tests.support.asking import SOCKET

INTERFACE = "eth0"
_NETWORKD = "/lib/systemd/systemd-networkd"
_SECONDS = 60.0
_AGAIN_SECONDS = 0.5


class Inside:
    """The box's processes by their units' names."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._run = Path("/run/appliance")
        python = [sys.executable, "-m"]
        self._commands = {
            "hospital": [
                *(*python, "appliance.services.hospital", "--directory", str(directory / "hospital")),
                *("--port", "11112", "--box-port", "11119"),
            ],
            "systemd-networkd": [_NETWORKD],
            "ssh": ["/usr/sbin/sshd", "-D", "-e", "-f", str(directory / "sshd_config")],
            "appliance-forward": [*python, "appliance.services.forward"],
            "appliance-console": [*python, "appliance.services.console"],
            "appliance-apply": [*python, "tests.support.program", str(directory), "serve"],
        }
        self._sockets = {
            "appliance-forward": self._run / "forward/forward.sock",
            "appliance-console": self._run / "console/console.sock",
            "appliance-apply": self._run / "apply.sock",
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.RLock()

    def boot(self) -> None:
        """Mounts, then the services in the order of their units; what dies is started again."""
        make_run()
        # networkd asks udev for nothing where /sys is read-only, as in a container.
        subprocess.run(["mount", "-o", "remount,ro", "/sys"], check=True)
        boot_id = "/proc/sys/kernel/random/boot_id"
        subprocess.run(["mount", "--bind", str(self._directory / "boot_id"), boot_id], check=True)
        netif = Path("/run/systemd/netif")
        for name in ("", "links", "leases", "lldp"):
            (netif / name).mkdir()
            shutil.chown(netif / name, "systemd-network", "systemd-network")
        listening = self._listen()
        threading.Thread(target=self._answer, args=(listening,), daemon=True).start()
        subprocess.run(
            [sys.executable, "-m", "tests.support.program", str(self._directory), "boot"], check=True, timeout=_SECONDS
        )
        self._load_firewall()
        for name in self._commands:
            self._start(name)
        (self._directory / "up").touch()
        while True:
            time.sleep(_AGAIN_SECONDS)
            with self._lock:
                for name, process in list(self._running.items()):
                    if process.poll() is not None:
                        self._start(name, is_waited_for=False)

    def _listen(self) -> socket.socket:
        path = self._directory / SOCKET
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()
        return listening

    def _answer(self, listening: socket.socket) -> None:
        while True:
            line, _ = listening.accept()
            threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line, line.makefile("rw", encoding="utf-8") as talk:
            words = json.loads(talk.readline())
            try:
                said = self._take_from(words[1]) if words[0] == "stick" else self._do(words)
            except (OSError, subprocess.SubprocessError, TimeoutError) as error:
                said = f"{' '.join(words)} failed: {error}"
            talk.write(json.dumps(said) + "\n")

    def _do(self, words: list[str]) -> str:
        with self._lock:
            return self._act(words)

    def _act(self, words: list[str]) -> str:
        match words:
            case ["systemctl", "daemon-reload"] | ["systemctl", "try-restart", "chrony.service"]:
                return ""
            case ["systemctl", "reload-or-restart", "nftables.service"]:
                return self._load_firewall()
            case ["networkctl", "reload"]:
                # networkctl asks over D-Bus, which is not here: what it would have done, the daemon does at its start.
                self._stop("systemd-networkd")
                subprocess.run(["ip", "address", "flush", "dev", INTERFACE], check=True)
                self._start("systemd-networkd")
                return ""
            case ["systemctl", "restart", *units]:
                failed = [unit for unit in units if not self._restart(unit.removesuffix(".service"))]
                return f"Job for {', '.join(failed)} failed." if failed else ""
            case ["kill", unit]:
                self._running[unit].kill()
                self._running[unit].wait()
                return ""
            case ["pid", unit]:
                return str(self._running[unit].pid)
            case _:
                return f"{' '.join(words)} is nothing that this box does"

    def _load_firewall(self) -> str:
        file = ROOT / "image/mkosi.extra/etc/nftables.conf"
        done = subprocess.run(["/usr/sbin/nft", "-f", file], capture_output=True, text=True, check=False)
        return done.stderr.strip()

    @staticmethod
    def _take_from(stick: str) -> str:
        """What its unit does when a stick was mounted, beside everything else that is asked meanwhile."""
        command = [sys.executable, "-m", "appliance.services.stick", stick]
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * _SECONDS, cwd=ROOT, check=False)
        return done.stderr if done.returncode else ""

    def _restart(self, name: str) -> bool:
        self._stop(name)
        return self._start(name)

    def _stop(self, name: str) -> None:
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self, name: str, *, is_waited_for: bool = True) -> bool:
        """False when it ended instead of answering; it is tried again later then."""
        with (self._directory / f"{name}.log").open("ab") as log:
            process = self._running[name] = subprocess.Popen(
                self._commands[name], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT
            )
        end = time.monotonic() + _SECONDS
        while is_waited_for and name in self._sockets and not _answers(self._sockets[name]):
            if process.poll() is not None:
                return False
            if time.monotonic() > end:
                raise TimeoutError(f"{name} does not answer")
            time.sleep(0.05)
        return True


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


if __name__ == "__main__":
    # Whatever ends the test ends this, and the kernel what it started: they are its session's.
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    Inside(Path(sys.argv[1])).boot()
