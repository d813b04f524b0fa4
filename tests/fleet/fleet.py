"""Boxes in network namespaces, each with an address of its own on one bridge, and a controller beside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.namespaces import ROOT, cut_box, lay_out_box, make_key, remove_spaces, start_box
from tests.peers import wait_until

_SECONDS = 180.0


@dataclass
class Fleet:
    """`play` is what a person at the controller runs; `connections` are counted at the boxes.

    Boxes that are `resting` have sshd and the command, and nothing that could change their configuration.
    """

    directory: Path
    names: tuple[str, ...]
    failing: str = ""
    is_resting: bool = False
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:6])
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    plays: int = 0

    @property
    def controller(self) -> str:
        return f"c{self.mark}"

    def start(self) -> None:
        """Keys, networks, boxes, the collection from the checkout, and an inventory."""
        make_key(self.directory / "key")
        lines = ["link add br0 type bridge", "address add 10.77.0.254/24 dev br0", "link set br0 up", "link set lo up"]
        _ip("netns", "add", self.controller)
        for number, name in enumerate(self.names, 1):
            space = f"x{self.mark}{number}"
            _ip("netns", "add", space)
            _ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", f"v{number}", "netns", self.controller)
            _ip("-n", space, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            lines += [f"link set v{number} master br0", f"link set v{number} up"]
            self._start_box(space, name)
        batch = "".join(f"{line}\n" for line in lines)
        subprocess.run(
            ["ip", "-n", self.controller, "-batch", "-"], input=batch, text=True, check=True, timeout=_SECONDS
        )
        install = ["collection", "install", str(ROOT / "image/ansible"), "-p", str(self.directory / "collections")]
        self._run("ansible-galaxy", *install, "--offline")
        self._write_inventory()
        for name in self.names:
            wait_until(partial(self._is_up, name), f"{name} is up: {self.log_of(name)}", _SECONDS)

    def _is_up(self, name: str) -> bool:
        log = self.directory / name / "sshd.log"
        return (self.directory / name / "up").exists() and "Server listening" in log.read_text(errors="replace")

    def configuration(self, name: str, institution: str) -> str:
        """The box's file: what it is called, who may come in, and what the play changes."""
        key = (self.directory / "key.pub").read_text().strip()
        support = f'[[support_keys]]\nname = "maria"\nrole = "admin"\nkey = "{key}"\n'
        return f'[box]\nname = "{name}"\ninstitution = "{institution}"\n{support}'

    def wish(self, institution: str) -> None:
        """Every box's file at the controller."""
        for name in self.names:
            file = self.directory / "boxes" / f"{name}.toml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(self.configuration(name, institution))

    def _start_box(self, space: str, name: str) -> None:
        directory = self.directory / name
        lay_out_box(directory, self.configuration(name, "Before"))
        kind = "rests" if self.is_resting else "fails" if name == self.failing else "works"
        inside = ("tests.fleet.inside", str(directory), kind)
        self.processes.append(start_box(space, directory, directory / "log", *inside))

    def _write_inventory(self) -> None:
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -F none"
        hosts = {name: {"ansible_host": f"10.77.0.{number}"} for number, name in enumerate(self.names, 1)}
        variables = {
            "ansible_user": "root",  # on a box appliance-admin, whose login shell is the support shell
            "ansible_ssh_private_key_file": str(self.directory / "key"),
            "ansible_ssh_common_args": options,
        }
        inventory = {"all": {"vars": variables, "hosts": hosts}}
        (self.directory / "inventory.json").write_text(json.dumps(inventory))

    def play(self, playbook: str, *words: str) -> subprocess.CompletedProcess[str]:
        """ansible-playbook at the controller."""
        self.plays += 1
        command = ["-i", str(self.directory / "inventory.json"), f"modality.bridge.{playbook}", *words]
        return self._run("ansible-playbook", *command, is_checked=False)

    def _run(self, program: str, *words: str, is_checked: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self.directory / "collections"),
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": "10",
            # Connections of one play are none of the next; a socket's path is short.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/fleet-{self.mark}/{self.plays}",
            "HOME": str(self.directory),
        }
        return subprocess.run(
            ["ip", "netns", "exec", self.controller, str(Path(sys.executable).parent / program), *words],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=is_checked,
            stdin=subprocess.DEVNULL,
        )

    def institution_of(self, name: str) -> str:
        """What is in force at the box, by its own file."""
        text = (self.directory / name / "state/config/active.toml").read_text()
        return next(line for line in text.splitlines() if line.startswith("institution")).split('"')[1]

    def connections_of(self, name: str) -> int:
        """How often somebody was let in."""
        return (self.directory / name / "sshd.log").read_text(errors="replace").count("Accepted publickey")

    def log_of(self, name: str) -> str:
        log = self.directory / name / "log"
        return log.read_text(errors="replace")[-1500:] if log.exists() else ""

    def end(self) -> None:
        """Nothing is left of it but its directory."""
        for process in self.processes:
            cut_box(process)
        shutil.rmtree(f"/tmp/fleet-{self.mark}", ignore_errors=True)
        remove_spaces((self.controller, *(f"x{self.mark}{number}" for number in range(1, len(self.names) + 1))))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=60)


@contextmanager
def running_fleet(directory: Path, count: int, failing: int = 0) -> Iterator[Fleet]:
    """`count` boxes, of which the one with the number `failing` fails its first change; with none all of them rest."""
    names = tuple(f"room-{number}" for number in range(1, count + 1))
    fleet = Fleet(directory, names, names[failing - 1] if failing else "", is_resting=not failing)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.end()
