"""The first process of a box of the fleet, in namespaces of its own: sshd and the program that applies, both real.

Console and forward only answer that they are there: a hundred boxes are about what is said over SSH. Where `fails` is
set, the first restart of a service fails, as with a configuration on which forward does not start.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.base.sockets import bind_unix
from appliance.config.loading import System
from appliance.services.apply import run_apply
from appliance.services.restore import restore
from tests.namespaces import make_run

_STEPS = {"due": 0, "trouble": "", "is_configured": False, "seconds_to_next_attempt": 0}
_ANSWERS = {
    "/api/status": {"room": {"is_full": False, "sentence": "There is room."}, "findings": []},
    "/api/exam": {"exam": None, "devices": [], "captured": [], "findings": []},
    "/api/clock": {"is_trusted": True, "sentence": "The clock is believed.", "suggestion": ""},
    "/status": {"destinations": [], "steps": _STEPS, "findings": []},
}


def answer(path: Path) -> None:
    """Answer whatever is asked at the socket, one after the other."""
    listener = bind_unix(path)
    while True:
        line, _ = listener.accept()
        with line:
            asked = line.recv(65536).split(b" ", 2)[1].decode()
            body = json.dumps(_ANSWERS[asked]).encode()
            line.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def main(directory: Path, kind: str) -> None:
    """Boot, say so, and go on until killed. A box that `rests` is sshd and no more behind that: many of them fit."""
    configure_logging("fleet")
    make_run()
    left = [kind == "fails"]

    def run_command(command: Sequence[str], _seconds: float) -> None:
        if command[:2] == ["systemctl", "restart"] and left.pop() if left else False:
            raise ApplianceError("Job for appliance-forward.service failed.")

    sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", str(directory / "sshd_config")]
    paths, system = Paths.from_environment(), System(Path("/"), run_command)
    restore(paths, system, SystemClock())
    if kind == "rests":
        os.dup2(os.open(directory / "sshd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), sys.stderr.fileno())
        (directory / "up").touch()
        os.execv(sshd[0], sshd)
    for place in (paths.console_socket, paths.forward_socket):
        threading.Thread(target=answer, args=(place,), daemon=True).start()
    with (directory / "sshd.log").open("ab") as log:
        subprocess.Popen(sshd, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    threading.Thread(target=_tell_up, args=(paths.apply_socket, directory / "up"), daemon=True).start()
    run_apply(paths, system, SystemClock(), idle_seconds=36_000.0)


def _tell_up(socket_path: Path, up: Path) -> None:
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(socket_path)) == 0:
                break
        threading.Event().wait(0.05)
    up.touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
