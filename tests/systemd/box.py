"""The box without systemd as its first process: the real services on the box's own paths, each as the user of its unit.

It needs root, for other users and a mount namespace: by itself, or by sudo without a password, which `make test` uses
to install packages too. Where there is neither, what needs it fails and says so.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.crash.world import Machines
from tests.peers import running, start_hospital
from tests.ports import pick_free_port
from tests.systemd.identity import (
    SYSUSERS,
    TMPFILES,
    Identity,
    identity_of_login,
    identity_of_root_unit,
    identity_of_unit,
)

REPOSITORY = Path(__file__).parents[2]
STATE, RUN = "/var/lib/appliance", "/run/appliance"
DEVICE = "endoscope"
_SECONDS = 90.0
_CONFIGURATION = """
[box]
name = "bridge"
reserve_bytes = 1000000
[listener]
port = {listener}
[[worklist]]
name = "ris"
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = {hospital}
[performed_step]
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = {hospital}
[[destinations]]
name = "archive"
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = {hospital}
retry_first_seconds = 0.5
[[devices]]
name = "endoscope"
driver = "grabber"
modality = "ES"
source = "{machines}/endoscope.sock"
frames_per_second = 12
"""
NAMESPACE = (
    *(() if os.geteuid() == 0 else ("sudo", "-n", "--")),
    *("unshare", "--mount", "--propagation", "private", "--"),
)
"""Before a command: as root, in a mount namespace of its own."""
UNITS = {
    "acquire": "appliance-acquire@.service",
    "console": "appliance-console.service",
    "export": "appliance-export@.service",
    "first": "appliance-first.service",
    "forward": "appliance-forward.service",
    "kiosk": "appliance-kiosk.service",
    "recover": "appliance-recover.service",
}
ROOTS = {"apply": "appliance-apply.service"}
LOGINS = {"admin": "appliance-admin"}


def identity_of(who: str) -> Identity:
    """Of a service by its unit, of the others as they log in; of `root` too."""
    if who == "root":
        return Identity(0, 0, (), 0o022)
    if who in ROOTS:
        return identity_of_root_unit(ROOTS[who])
    return identity_of_unit(UNITS[who]) if who in UNITS else identity_of_login(LOGINS[who])


class WalledBox:
    """Services and acts in the launcher's namespace (`inside`)."""

    def __init__(self, directory: Path) -> None:
        """`directory` is empty, and everyone may read it."""
        etc = directory / "etc"
        etc.mkdir()
        (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n")
        (etc / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
        subprocess.run(["systemd-sysusers", f"--root={directory}", SYSUSERS], check=True, timeout=60)
        self._log = directory / "log"
        self._log.mkdir()
        self.stick = str(directory / "stick")
        script = str(Path(__file__).with_name("inside.py"))
        self._launcher = subprocess.Popen(
            [
                *NAMESPACE,
                *("env", f"PYTHONPATH={REPOSITORY}", sys.executable, script, str(self._log)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        reachable = dict.fromkeys(map(str, (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))))
        self._tell(act="lay out", etc=str(etc), tmpfiles=str(TMPFILES), reachable=list(reachable))

    def _tell(self, **what: Any) -> Any:
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        try:
            self._launcher.stdin.write(json.dumps(what) + "\n")
            self._launcher.stdin.flush()
            answer = self._launcher.stdout.readline()
        except BrokenPipeError:
            answer = ""
        assert answer, "the namespace ended: nothing was proven"
        return json.loads(answer)

    def start(self, name: str, service: str, *arguments: str) -> None:
        identity = asdict(identity_of(service))
        self._tell(act="start", name=name, service=service, arguments=list(arguments), identity=identity)

    def run(self, service: str, *arguments: str) -> int:
        """The exit status of a service that ends by itself."""
        self.start(service, service, *arguments)
        return int(self._tell(act="wait", name=service))

    def kill(self, name: str) -> None:
        self._tell(act="kill", name=name)

    def died(self) -> list[str]:
        return list(self._tell(act="died"))

    def call(self, who: str, function: str, *arguments: Any) -> Any:
        """What the function of `acts` answers `who`."""
        answer = self._tell(act="call", function=function, arguments=arguments, identity=asdict(identity_of(who)))
        assert not isinstance(answer, dict) or "fault" not in answer, f"{answer['fault']}\n{self.logs()}"
        return answer

    def wait_for(self, who: str, function: str, *arguments: Any) -> None:
        """Wait until the function of `acts` gives `who` something true."""
        assert self.call(who, "wait_for", _SECONDS, function, *arguments), f"{function} {arguments}\n{self.logs()}"

    def logs(self) -> str:
        texts = (f"{path.name}:\n{path.read_text(errors='replace')}" for path in sorted(self._log.glob("*.log")))
        return "\n".join(texts)[-6000:]

    def end(self) -> None:
        assert self._launcher.stdin is not None
        self._launcher.stdin.close()
        self._launcher.wait(60)


@contextmanager
def walled_box() -> Iterator[WalledBox]:
    """A box that has done its job once: what was saved, cut short, salvaged and committed went through every wall."""
    directory = Path(tempfile.mkdtemp(prefix="walls-", dir="/tmp"))
    try:
        directory.chmod(0o755)
        with _started(directory) as box:
            yield box
    finally:
        shutil.rmtree(directory)


@contextmanager
def _started(directory: Path) -> Iterator[WalledBox]:
    machines = directory / "machines"
    machines.mkdir()
    listener = pick_free_port()
    peer = start_hospital(directory / "hospital", "--commitment-delay=0.2", box_port=listener)
    box = WalledBox(directory)
    try:
        with Machines(machines), running(peer):
            for node in machines.iterdir():
                if stat.S_ISSOCK(node.stat().st_mode):
                    node.chmod(0o666)  # on a box the rule of udev gives the node to acquire
            text = _CONFIGURATION.format(listener=listener, hospital=peer.port, machines=machines)
            box.call("root", "write", f"{STATE}/config/active.toml", text)
            box.call("root", "make_stick", box.stick, identity_of("export").uid)
            _do_job(box)
            yield box
            box.call("root", "remove", box.stick)
    finally:
        box.end()


def _do_job(box: WalledBox) -> None:
    """One exam; its clip is cut off by the end of its process, and salvaged as at the next boot."""
    assert box.run("recover") == 0, box.logs()
    for service in ("console", "forward"):
        box.start(service, service)
    box.start("acquire", "acquire", DEVICE)
    box.wait_for("admin", "is_box_ready", DEVICE)
    exam_id = box.call("admin", "open_exam")
    box.wait_for("admin", "has_signal", DEVICE)
    box.call("admin", "tap", DEVICE, "still", exam_id)
    clip = box.call("admin", "tap", DEVICE, "clip/start", exam_id)["sop_instance_uid"]
    box.wait_for("root", "find", f"captured/{DEVICE}/{exam_id}/.part-{clip}~*")
    box.kill("acquire")
    assert box.run("recover") == 0, box.logs()
    box.start("acquire", "acquire", DEVICE)
    box.wait_for("admin", "has_signal", DEVICE)
    box.call("admin", "close_exam", exam_id)
    box.wait_for("admin", "find", f"settled/{exam_id}.json")
    assert box.died() == [], box.logs()
