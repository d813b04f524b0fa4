"""Who is at the command line: the environment's word, or the key that sshd names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from appliance.cli.caller import actor_from, read_proof, support_actor_from
from tests.ssh.door import make_key


def test_ok__the_environments_word() -> None:
    assert actor_from({"LOGNAME": "maria", "SUDO_USER": "otto"}) == "otto (as told by the command line)"
    assert actor_from({"APPLIANCE_ACTOR": "maria (viewer, SHA256:x)\n", "USER": "u"}) == "maria (viewer, SHA256:x)"


def test_ok__the_key_and_the_certificate_as_sshd_names_them(tmp_path: Path) -> None:
    public = make_key(tmp_path / "key")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()[1]
    proof = tmp_path / "proof"
    proof.write_text(f"publickey {' '.join(public.split()[:2])}\n")
    assert support_actor_from("maria", "admin", read_proof({"SSH_USER_AUTH": str(proof)})) == f"maria (admin, {shown})"
    make_key(tmp_path / "authority")
    sign = ["ssh-keygen", "-q", "-s", tmp_path / "authority", "-I", "maria@hospital", "-z", "4711"]
    subprocess.run([*sign, "-n", "appliance-viewer", tmp_path / "key.pub"], check=True, timeout=60)
    certificate = (tmp_path / "key-cert.pub").read_text()
    told = support_actor_from("", "viewer", f"publickey {' '.join(certificate.split()[:2])}\n")
    assert told == "support (viewer, certificate 4711 of maria@hospital)"


@pytest.mark.parametrize(
    "proof",
    [
        "",
        "password\n",
        "publickey ssh-ed25519 !!!\n",
        "publickey ssh-ed25519-cert-v01@openssh.com AAAA\n",
        "publickey ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t/////w==\n",
        "publickey ssh-dss-cert-v01@openssh.com AAAAB3NzaC1kc3M=\n",
    ],
)
def test_fail__what_proves_nothing_is_marked_so(proof: str) -> None:
    assert support_actor_from("maria", "viewer", proof) == "maria (viewer, as told by the command line)"
