"""A real sshd on loopback with the image's own settings, the box's users and paths, and keys of each role.

It runs in a mount namespace of its own (tests.systemd.inside), as root. What differs from the box: the port, where the
host key and the principals lie, and no PAM, which needs a whole system's accounts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.config.support import SupportRole, authorized_line
from tests.peers import is_listening, wait_until
from tests.ports import pick_free_port
from tests.systemd.box import NAMESPACE, REPOSITORY
from tests.systemd.identity import SYSUSERS, TMPFILES

_EXTRA = REPOSITORY / "image" / "mkosi.extra"
SETTINGS = _EXTRA / "etc/ssh/sshd_config.d/appliance.conf"
PRINCIPALS = _EXTRA / "usr/lib/appliance/ssh/principals"
USER = "appliance-admin"
_PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
    "sshd:x:110:65534::/run/sshd:/usr/sbin/nologin\n"
)
# Runs in the namespace: lays out the box as tests.systemd does, puts the keys where sshd looks, and becomes sshd.
_LAUNCH = """
import os, shutil, sys
from pathlib import Path
from tests.systemd.inside import lay_out
etc, tmpfiles, directory, *reachable = sys.argv[1:]
lay_out(etc, tmpfiles, reachable)
for place in ("/run", "/var/lib"):
    Path(place).chmod(0o755)  # as systemd and Debian have them; sshd looks at every directory above the keys
Path("/run/sshd").mkdir(mode=0o755)
for name in ("authorized_keys", "authorities", "principals"):
    shutil.copyfile(Path(directory, name), Path("/run/appliance/ssh", name))
configuration = Path("/var/lib/appliance/config/active.toml")
configuration.write_bytes(Path(directory, "active.toml").read_bytes())
os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", f"{directory}/sshd_config"])
"""


@dataclass(frozen=True)
class Door:
    """The port, and the directory with a private key for each role, and a `bare` and a `stranger`'s."""

    port: int
    directory: Path

    def ssh(
        self, key: str, *command: str, options: tuple[str, ...] = (), user: str = USER, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """What a client with that key gets for `command`; `given` is its standard input."""
        return subprocess.run(
            [*self.client(key, *options), f"{user}@127.0.0.1", *command],
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def client(self, key: str, *options: str) -> list[str]:
        """The command `ssh` with its options, up to the host."""
        known = f"UserKnownHostsFile={self.directory}/known_hosts"
        fixed = ("-F", "none", "-i", f"{self.directory}/{key}", "-p", str(self.port))
        settings = ("IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=60", known)
        return ["ssh", *fixed, *(word for one in settings for word in ("-o", one)), *options]


def make_key(path: Path, *arguments: str) -> str:
    """A key pair at `path`; the public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, *arguments], check=True, timeout=60)
    return path.with_name(f"{path.name}.pub").read_text().strip()


def settings_in(directory: Path, port: int) -> str:
    """The image's settings, with what must be otherwise here."""
    text = SETTINGS.read_text().replace("/var/lib/ssh/ssh_host_ed25519_key", f"{directory}/host")
    text = text.replace("/usr/lib/appliance/ssh/principals", "/run/appliance/ssh/principals")
    return f"{text}\nPort {port}\nListenAddress 127.0.0.1\nUsePAM no\nPidFile none\n"


def _write_etc(directory: Path) -> Path:
    """passwd and group with the box's users, whose login shell is the product's, run from this tree."""
    etc = directory / "etc"
    etc.mkdir()
    (etc / "passwd").write_text(_PASSWD)
    (etc / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
    subprocess.run(["systemd-sysusers", f"--root={directory}", SYSUSERS], check=True, timeout=60)
    shell = directory / "appliance-shell"
    shell.write_text(
        f"#!{sys.executable} -I\nimport sys\nsys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from appliance.cli.login import main\nsys.exit(main())\n"
    )
    shell.chmod(0o755)
    passwd = (etc / "passwd").read_text()
    wanted = "/usr/lib/appliance/venv/bin/appliance-shell\n"
    assert wanted in passwd
    (etc / "passwd").write_text(passwd.replace(wanted, f"{shell}\n"))
    return etc


@contextmanager
def open_door(configuration: str) -> Iterator[Door]:
    """sshd while the block lasts; nobody else's services run."""
    directory = Path(tempfile.mkdtemp(prefix="door-"))
    directory.chmod(0o755)
    port = pick_free_port()
    try:
        host = make_key(directory / "host")
        (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(host.split()[:2])}\n")
        lines = [authorized_line("maria", role, make_key(directory / role)) for role in SupportRole]
        lines.append(make_key(directory / "bare"))
        make_key(directory / "stranger")
        (directory / "authorized_keys").write_text("\n".join(lines) + "\n")
        (directory / "authorities").write_text(make_key(directory / "authority") + "\n")
        shutil.copyfile(PRINCIPALS, directory / "principals")
        (directory / "sshd_config").write_text(settings_in(directory, port))
        (directory / "active.toml").write_text(configuration)
        if os.geteuid() != 0:
            subprocess.run(["sudo", "-n", "chown", "root:", directory / "host"], check=True, timeout=60)
        reachable = dict.fromkeys(map(str, (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))))
        log = directory / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(*NAMESPACE, "env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-c", _LAUNCH),
                    *(str(_write_etc(directory)), str(TMPFILES), str(directory), *reachable),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            wait_until(lambda: process.poll() is not None or is_listening(port), "sshd listens")
            assert process.poll() is None, log.read_text(errors="replace")
            yield Door(port, directory)
        finally:
            _end(process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End sshd, which is root's: by sudo where we are not."""
    if process.poll() is None:
        if os.geteuid() == 0:
            process.terminate()
        else:
            subprocess.run(["sudo", "-n", "kill", str(process.pid)], check=False, timeout=60)
    process.wait(60)
