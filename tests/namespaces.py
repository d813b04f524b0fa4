"""Boxes in network and mount namespaces of their own, on this machine: what all tests of them have in common."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from appliance.base.paths import RUN_VARIABLE, STATE_VARIABLE

ROOT = Path(__file__).parents[1]
_SECONDS = 60.0
# As the box's (image/mkosi.extra), but for what takes a user of its own and the system's files.
_SSHD = """Port 22
HostKey {directory}/host
AuthorizedKeysFile /run/appliance/ssh/authorized_keys
AuthenticationMethods publickey
PermitRootLogin forced-commands-only
ExposeAuthInfo yes
StrictModes no
UsePAM no
PidFile none
MaxStartups 100
SetEnv PATH={directory}/bin:/usr/bin:/bin {state}={directory}/state {run}=/run/appliance
"""
# The key's forced command, where a box has the program itself.
_SHELL = """#!/bin/sh
PYTHONPATH={root} exec {python} -m appliance "$@"
"""


def refusal() -> str:
    """Why nobody may have networks of his own here; empty where one may."""
    tried = subprocess.run(_try(), capture_output=True, text=True, check=False, timeout=_SECONDS)
    return tried.stderr.strip() if tried.returncode else ""


def _try() -> Sequence[str]:
    return ["unshare", "--net", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/run"]


def make_key(path: Path, comment: str = "") -> str:
    """A pair of SSH keys at `path`; the public one's line."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, check=True, timeout=_SECONDS)
    return path.with_name(f"{path.name}.pub").read_text().strip()


def lay_out_box(directory: Path, site: str) -> None:
    """The box's state under the configuration `site`, its host key, sshd's settings and the command `appliance`."""
    (directory / "state/config").mkdir(parents=True)
    (directory / "state/config/active.toml").write_text(site)
    make_key(directory / "host")
    settings = _SSHD.format(directory=directory, state=STATE_VARIABLE, run=RUN_VARIABLE)
    (directory / "sshd_config").write_text(settings)
    shell = directory / "bin/appliance"
    shell.parent.mkdir()
    shell.write_text(_SHELL.format(root=ROOT, python=sys.executable))
    shell.chmod(0o755)


def start_box(space: str, directory: Path, log: Path, *inside: str) -> subprocess.Popen[bytes]:
    """The box's first process, `python -m inside …`, in the network namespace `space` and a mount namespace."""
    environment = {STATE_VARIABLE: str(directory / "state"), RUN_VARIABLE: "/run/appliance", "PYTHONPATH": str(ROOT)}
    with log.open("ab") as file:
        return subprocess.Popen(
            [
                *("ip", "netns", "exec", space, "unshare", "-m", "--propagation", "private"),
                *(sys.executable, "-m", *inside),
            ],
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )


def cut_box(process: subprocess.Popen[bytes]) -> None:
    """The plug is pulled: every process of the box ends at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_SECONDS)


def make_run() -> Path:
    """Within a box: an empty /run with the directories that tmpfiles.d makes; where ours lie. Loopback is up."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    run = Path("/run/appliance")
    for name in ("acquire", "forward", "console", "apply", "ssh"):
        (run / name).mkdir(parents=True)
    for name in ("sshd", "systemd/network", "systemd/system", "chrony-dhcp"):
        (Path("/run") / name).mkdir(parents=True)
    return run


def remove_spaces(spaces: Iterable[str]) -> None:
    """Network namespaces, whether they are there or not."""
    for space in spaces:
        subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True, timeout=_SECONDS)
