"""A support key and what it opens: a real sshd with the image's settings, real clients, each role."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import is_listening, wait_until
from tests.ports import pick_free_port
from tests.ssh.door import Door, make_key, open_door, settings_in
from tests.systemd.box import NAMESPACE

# Few tests and long tables: each worker that runs one of them opens a door of its own first.


@pytest.fixture(scope="module")
def door(mounts: None) -> Iterator[Door]:
    with open_door("[box]\nreserve_bytes = 0\n") as opened:
        yield opened


# `sshd -T`: what the settings come to, Debian's own after them.
_EFFECTIVE = {
    "allowusers": "appliance-admin",
    "authenticationmethods": "publickey",
    "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no",
    "hostbasedauthentication": "no",
    "gssapiauthentication": "no",
    "permitrootlogin": "no",
    "permitemptypasswords": "no",
    "allowtcpforwarding": "local",
    "permitopen": "127.0.0.1:8080",
    "permitlisten": "none",
    "allowstreamlocalforwarding": "no",
    "allowagentforwarding": "no",
    "x11forwarding": "no",
    "gatewayports": "no",
    "permittunnel": "no",
    "permituserenvironment": "no",
    "permituserrc": "no",
    "strictmodes": "yes",
    "exposeauthinfo": "yes",
    "loglevel": "VERBOSE",
    "hostkeyalgorithms": "ssh-ed25519",
    "requiredrsasize": "3072",
    "ciphers": "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com",
    "macs": "hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com",
    "compression": "no",
    "logingracetime": "30",
    "maxauthtries": "4",
}
_OLD = ("sha1", "diffie-hellman", "nistp", "ssh-dss", "3des", "cbc", "md5", "ssh-rsa,")


def test_ok__the_settings_come_to_what_they_say(mounts: None, tmp_path: Path) -> None:
    make_key(tmp_path / "host")
    file = tmp_path / "sshd_config"
    debian = "Include /nowhere/*.conf\nKbdInteractiveAuthentication yes\nX11Forwarding yes\nPermitRootLogin yes\n"
    file.write_text(settings_in(tmp_path, 22) + debian)
    who = "user=appliance-admin,host=desk,addr=127.0.0.1"
    script = f"mount -t tmpfs tmpfs /run && mkdir /run/sshd && /usr/sbin/sshd -T -f {file} -C {who}"
    done = subprocess.run([*NAMESPACE, "sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert {key: told.get(key) for key in _EFFECTIVE} == _EFFECTIVE
    assert "curve25519-sha256" in told["kexalgorithms"]
    for key in ("kexalgorithms", "pubkeyacceptedalgorithms", "casignaturealgorithms"):
        assert not [word for word in _OLD if word in told[key]], key


def test_ok__each_role_runs_its_commands_and_no_other(door: Door) -> None:
    seen = door.ssh("viewer", "appliance", "status", "--json")
    assert seen.returncode == 2 and json.loads(seen.stdout)["is_well"] is False, seen.stderr
    assert "-bash" not in seen.stderr
    refused = door.ssh("viewer", "worklist")
    assert refused.returncode == 1 and "needs the role operator" in refused.stderr
    assert door.ssh("operator", "worklist").stdout == "No worklist source is configured.\n"
    assert "needs the role admin" in door.ssh("operator", "pin").stderr
    assert door.ssh("admin", "pin", given="4711\n").stdout.startswith('pin = "scrypt:')
    assert "cannot be run over SSH" in door.ssh("admin", "shell --role shell").stderr


def test_ok__a_shell_is_there_for_whom_the_site_gave_one(door: Door) -> None:
    done = door.ssh("shell", "echo $((6 * 7)); id -un")
    assert (done.returncode, done.stdout.split()) == (0, ["42", "appliance-admin"]), done.stderr


def test_ok__a_record_says_whose_key_it_was(door: Door) -> None:
    public = subprocess.run(
        ["ssh-keygen", "-l", "-f", door.directory / "operator.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert door.ssh("operator", "audit", "--json").returncode == 0
    told = door.ssh("operator", "audit").stdout.splitlines()
    who = f"maria (operator, {public})"
    assert any(who in line and "login" in line and "ssh 127.0.0.1" in line for line in told)
    assert any(who in line and "trail read" in line for line in told)


def test_ok__a_certificates_principal_is_its_role(door: Door) -> None:
    for name, principal in (("certified", "appliance-operator"), ("unknown", "appliance-root")):
        make_key(door.directory / name)
        sign = ["ssh-keygen", "-q", "-s", door.directory / "authority", "-I", "otto", "-n", principal, "-V", "-5m:+1h"]
        subprocess.run([*sign, door.directory / f"{name}.pub"], check=True, timeout=60)
    helped = door.ssh("certified", "help")
    assert "This key has the role operator." in helped.stdout, helped.stderr
    assert door.ssh("unknown", "help").returncode == 255


@pytest.mark.parametrize("command", ["status; id >{}", "$(id >{})", "status\nid >{}", "'' && id >{}", "x`id >{}`"])
def test_fail__no_argument_reaches_a_shell(door: Door, command: str) -> None:
    # One process for each would prove no more: the last word is a file that must not be there.
    mark = door.directory / "mark"
    done = door.ssh("admin", command.format(mark))
    assert done.returncode == 1 and "appliance: " in done.stderr
    assert not mark.exists()


def test_fail__nothing_else_is_let_in_or_through(door: Door) -> None:
    assert door.ssh("stranger", "status").returncode == 255
    assert door.ssh("admin", "status", user="root").returncode == 255
    bare = door.ssh("bare", "id")
    assert bare.returncode == 1 and "This key has no role" in bare.stderr and "uid=" not in bare.stdout
    copy = ["scp", "-q", *door.client("admin")[1:], __file__, "appliance-admin@127.0.0.1:/tmp/x"]
    copy = [("-P" if word == "-p" else word) for word in copy]
    assert subprocess.run(copy, capture_output=True, timeout=120, check=False).returncode != 0
    prohibited = "administratively prohibited"
    for key, target, is_let in (
        ("viewer", "127.0.0.1:8080", False),
        ("operator", "127.0.0.1:8080", True),  # nobody need listen there
        ("operator", "127.0.0.1:22", False),
        ("admin", "127.0.0.1:11112", False),
    ):
        said = door.ssh(key, options=("-W", target)).stderr
        assert (prohibited in said) is not is_let, (key, target, said)
    _try_a_socket(door, "/run/appliance/console/console.sock")
    log = door.directory / "log"
    wait_until(lambda: "refused streamlocal port forward" in log.read_text(errors="replace"), "sshd refuses a socket")
    back = door.ssh("admin", "help", options=("-R", "0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"))
    assert back.returncode == 255 and "remote port forwarding failed" in back.stderr


def _try_a_socket(door: Door, path: str) -> None:
    """A client that wants to be let through to a unix socket of the box."""
    port = pick_free_port()
    command = [*door.client("admin", "-N", "-L", f"127.0.0.1:{port}:{path}"), "appliance-admin@127.0.0.1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        wait_until(lambda: is_listening(port), "the client listens")
        assert "open failed" in process.stderr.readline()  # is_listening was who connected
        process.terminate()


def test_ok__the_prompt_on_a_terminal(door: Door) -> None:
    here, there = os.openpty()
    process = subprocess.Popen(
        [*door.client("operator", "-tt"), "appliance-admin@127.0.0.1"],
        stdin=there,
        stdout=there,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(there)
    seen = b""

    def read_until(text: bytes) -> None:
        nonlocal seen
        while text not in seen:
            seen += os.read(here, 4096)  # the test's own time limit ends a wait in vain

    try:
        read_until(b"appliance (operator)> ")
        os.write(here, b"exam ?")
        read_until(b"one exam with its entries")  # what `show` is for
        os.write(here, b"\x15que\t--a\t")
        read_until(b"queue --all")
        os.write(here, b"\x15status; id\n")
        read_until(b"This is no shell")
        os.write(here, b"exit\n")
        assert process.wait(60) == 1
    finally:
        process.kill()
        process.wait(60)
        os.close(here)
