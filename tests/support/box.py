"""A box and whoever supports it, each in a network namespace: between them a router, as in a hospital."""

from __future__ import annotations

import shlex
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from appliance.config.history import History
from tests.namespaces import cut_box, lay_out_box, make_key, remove_spaces, start_box
from tests.peers import wait_until
from tests.support.asking import ask
from tests.support.inside import INTERFACE

ADDRESS, GATEWAY, DESK = "10.99.0.1", "10.99.0.254", "10.98.0.2"
SECONDS = 90.0
# How long a line that is there may take on a busy machine, and how long one that is cut is waited for, in seconds.
_PATIENCE, _NO_PATIENCE = 40, 4

SITE = f"""# The box in room 7.
[box]
name = "room-7"           # as its label says
institution = "Hospital"

[network]
interface = "{INTERFACE}"
address = "{ADDRESS}/24"
gateway = "{GATEWAY}"

[firewall]
ssh_from = []

[[support_keys]]
name = "maria"
role = "admin"
key = "{{maria}}"

[[support_keys]]
name = "otto"
role = "admin"
key = "{{otto}}"

[[worklist]]
name = "ris"
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = 11112
connect_seconds = 2.0

[[destinations]]
name = "archive"
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = 11112
connect_seconds = 2.0
"""


@dataclass
class SupportedBox:
    """`start` boots it; `ssh` is what support does from its desk, in another network than the box."""

    directory: Path
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    process: subprocess.Popen[bytes] | None = None

    def prepare(self, site: str = SITE) -> None:
        """Keys, files and networks. `site` is the configuration, with places for the keys of maria and otto."""
        for key in ("maria", "otto", "stranger"):
            make_key(self.directory / key, key)
        self.site = site.format(maria=self.public_key("maria"), otto=self.public_key("otto"))
        lay_out_box(self.directory, self.site)
        (self.directory / "ahead").write_text("0")
        for command in (
            f"ip netns add {self.box}",
            f"ip netns add {self.desk}",
            f"ip link add {INTERFACE} netns {self.box} type veth peer name router netns {self.desk}",
            f"ip -n {self.desk} address add {GATEWAY}/24 dev router",
            f"ip -n {self.desk} address add {DESK}/32 dev lo",
            f"ip -n {self.desk} link set lo up",
            f"ip -n {self.desk} link set router up",
        ):
            subprocess.run(command.split(), check=True, timeout=60)

    @property
    def box(self) -> str:
        return f"b{self.name}"

    @property
    def desk(self) -> str:
        return f"d{self.name}"

    @property
    def history(self) -> History:
        return History(self.directory / "state/config")

    def public_key(self, name: str) -> str:
        return (self.directory / f"{name}.pub").read_text().strip()

    def start(self) -> None:
        """A boot: nothing of /run is left, and the kernel's boot identifier is another one."""
        (self.directory / "boot_id").write_text(f"{uuid.uuid4()}\n")
        (self.directory / "up").unlink(missing_ok=True)
        subprocess.run(["ip", "-n", self.box, "address", "flush", "dev", INTERFACE], check=True, timeout=60)
        log = self.directory / "inside.log"
        self.process = start_box(self.box, self.directory, log, "tests.support.inside", str(self.directory))
        wait_until(lambda: (self.directory / "up").exists() or self._has_died(), "the box is up", SECONDS)
        assert not self._has_died(), (self.directory / "inside.log").read_text()[-3000:]

    def _has_died(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def cut(self) -> None:
        """The plug is pulled: every process of the box ends at once."""
        assert self.process is not None
        cut_box(self.process)

    def remove(self) -> None:
        """Nothing is left of it but its directory."""
        if self.process is not None and self.process.poll() is None:
            self.cut()
        remove_spaces((self.box, self.desk))

    def reboot(self) -> None:
        self.cut()
        self.start()

    def ask(self, *words: str) -> str:
        return ask(self.directory, *words)

    def ssh(
        self, *words: str, who: str = "maria", given: bytes = b"", patience: int = _PATIENCE
    ) -> subprocess.CompletedProcess[bytes]:
        """What the box answers; the status is 255 where it is not reached, or does not let `who` in."""
        with self.talk(*words, who=who, patience=patience) as process:
            out, err = process.communicate(given, timeout=SECONDS)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def talk(self, *words: str, who: str = "maria", patience: int = _PATIENCE) -> subprocess.Popen[bytes]:
        """The same, going on."""
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": str(patience),
            "BindAddress": DESK,
            "ServerAliveInterval": "10",
            "ServerAliveCountMax": "6",
        }
        command = ["ip", "netns", "exec", self.desk, "ssh", "-F", "none", "-i", str(self.directory / who)]
        command += [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        command += [f"root@{ADDRESS}", shlex.join(words)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def is_reached(self) -> bool:
        return self.ssh("config", "example").returncode == 0

    def is_cut(self) -> bool:
        """Support is not let in any more, or nobody answers."""
        return self.ssh("config", "example", patience=_NO_PATIENCE).returncode == 255

    def pass_time(self, seconds: float) -> None:
        """As if so much time had gone by, for the one who waits for a confirmation."""
        ahead = self.directory / "ahead"
        new = ahead.with_suffix(".new")
        new.write_text(str(float(ahead.read_text()) + seconds))
        new.replace(ahead)

    def await_state(self, number: int, *, is_tested: bool) -> None:
        """Until the change waits to be confirmed, or has ended."""

        def is_there() -> bool:
            return (is_tested and self.history.is_tested(number)) or self.history.has_ended(number)

        wait_until(is_there, f"change {number} is {'tested' if is_tested else 'over'}: {self._logs()}", SECONDS)

    def _logs(self) -> str:
        log = self.directory / "appliance-apply.log"
        return log.read_text()[-1500:] if log.exists() else ""
