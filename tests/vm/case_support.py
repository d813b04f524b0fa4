"""Support over SSH on the booted box: its own sshd lets a key into the command line, and a change of the configuration
goes through systemd, nftables and chrony as they are; what nobody confirms goes back, also by a reset.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ports import pick_free_port
from tests.vm.box import change_configuration, wait_change
from tests.vm.frozen import Frozen, thawed, to_be_frozen
from tests.vm.machine import Machine

_SECONDS = 1800.0
_SITE = """
[box]
name = "bridge"
[[support_keys]]
name = "maria"
role = "admin"
key = "{key}"
"""
_CHAIN = "nft list chain inet filter ssh"
_ELSEWHERE = '["192.0.2.0/24"]'


@dataclass(frozen=True, slots=True)
class Support:
    """A person with a key, at the other end of the line."""

    guest: Machine
    port: int
    key: Path

    def try_ssh(self, *words: str, wait: int = 120) -> subprocess.CompletedProcess[str]:
        """What `ssh appliance-admin@box WORDS` comes to; a box that lets nobody in is waited for `wait` seconds."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(wait),
            "IdentitiesOnly": "yes",
            # Once it is known, another key of the box would be refused.
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(self.key.with_name("known_hosts")),
        }
        command = ["ssh", "-F", "none", "-p", str(self.port), "-i", str(self.key)]
        command += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run(
            [*command, "appliance-admin@127.0.0.1", *words],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
        )

    def ssh(self, *words: str) -> str:
        """What it printed. AssertionError when it did not end well."""
        done = self.try_ssh(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def propose(self, *words: str) -> None:
        """Ask for a change. On an emulated machine its first answer may be late, which is no fault."""
        self.guest.shell.run("systemctl start appliance-apply.service", _SECONDS)
        done = self.try_ssh("config", "set", *words)
        assert done.returncode == 0 or "does not answer" in done.stderr, done.stdout + done.stderr

    def wait_state(self, state: str) -> dict[str, Any]:
        """The last change, once it is in that state."""
        return wait_change(self.guest, state)


@pytest.fixture(scope="module")
def prepared(frozen: Frozen, tmp_path_factory: pytest.TempPathFactory) -> tuple[Frozen, Path]:
    """The box with one admin's key, given to it at its own console, and the key."""
    directory = tmp_path_factory.mktemp("support")
    key = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "maria", "-f", key], check=True)
    site = _SITE.format(key=key.with_suffix(".pub").read_text().strip())
    with to_be_frozen(frozen, directory / "box") as (made, guest):
        change_configuration(guest, site)
        guest.shell.run("sync")
    return made, key


@pytest.fixture
def support(prepared: tuple[Frozen, Path]) -> Iterator[Support]:
    frozen, key = prepared
    port = pick_free_port()
    with thawed(frozen, {port: 22}) as guest:
        yield Support(guest, port, key)
        print(guest.shell.run("journalctl --no-pager --boot --unit appliance-apply --unit ssh | tail -n 60", _SECONDS))


def test_ok__a_change_over_ssh_stays_when_it_is_confirmed(support: Support) -> None:
    assert support.try_ssh("status").returncode in (0, 1)  # something may be wrong, nothing is down
    support.propose("time.servers", "'[\"10.0.2.3\"]'", "--confirm-within", "6h")
    support.wait_state("waiting")
    assert "stays" in support.ssh("config", "confirm")
    last = support.wait_state("confirmed")
    assert last["who"].startswith("maria (admin, SHA256:")
    # What is rendered of it is what the system's own program works by.
    shell = support.guest.shell
    assert shell.run("tail -n 1 /run/chrony-dhcp/appliance.sources") == "server 10.0.2.3 iburst\n"
    shell.wait_until("chronyc -n sources | grep -w 10.0.2.3", _SECONDS)
    assert shell.run("systemctl list-units --failed --plain --no-legend") == ""


def test_fail__a_change_that_shuts_support_out_goes_back_by_itself(support: Support) -> None:
    before = support.guest.shell.run(_CHAIN)
    support.propose("firewall.ssh_from", f"'{_ELSEWHERE}'", "--confirm-within", "60s")
    last = support.wait_state("rolled back")
    assert "ssh_from" in str(last["changes"])
    assert support.guest.shell.run(_CHAIN) == before
    assert "ssh_from" not in support.ssh("config", "export")


def test_fail__a_reset_before_anybody_confirms_comes_back_with_the_old_configuration(support: Support) -> None:
    guest = support.guest
    before = guest.shell.run(_CHAIN)
    support.propose("firewall.ssh_from", f"'{_ELSEWHERE}'", "--confirm-within", "6h")
    support.wait_state("waiting")
    assert "drop" in guest.shell.run(_CHAIN)
    # A new session gets no answer, whatever becomes of the one that asked for it.
    assert support.try_ssh("status", wait=15).returncode == 255
    guest.reset()
    assert guest.wait_booted() == "running"
    assert guest.shell.run(_CHAIN) == before
    assert support.wait_state("rolled back")["why"]
    assert "ssh_from" not in support.ssh("config", "export")


def test_fail__nobody_comes_in_otherwise(support: Support, tmp_path: Path) -> None:
    """By another key, as root, or to anything but the command line."""
    other = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    stranger = Support(support.guest, support.port, other)
    assert "Permission denied" in stranger.try_ssh("status").stderr
    said = support.try_ssh("cat", "/etc/passwd")
    assert said.returncode != 0 and "root:" not in said.stdout
