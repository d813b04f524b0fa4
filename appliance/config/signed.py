"""A configuration that somebody signed with the SSH key by which the box knows him (ssh-keygen(1), -Y sign, verify)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from appliance.base.durable import replace_file
from appliance.base.errors import ApplianceError
from appliance.config.host import SupportKey

NAMESPACE = "modality-bridge"
"""What a signature is for: one that was made for something else counts for nothing here."""
_PROGRAM = "/usr/bin/ssh-keygen"
_SECONDS = 20.0


def signer_of(text: bytes, signature: bytes, keys: Iterable[SupportKey]) -> str:
    """Who of the admins among `keys` signed `text`. ApplianceError when none of them did."""
    admins = [one for one in keys if one.role == "admin"]
    with tempfile.TemporaryDirectory(prefix="appliance-") as directory:
        signers, signed = Path(directory) / "signers", Path(directory) / "signature"
        lines = [f'{one.name} namespaces="{NAMESPACE}" {one.key}\n' for one in admins]
        replace_file(signers, "".join(lines).encode("utf-8"), 0o600)
        replace_file(signed, signature, 0o600)
        for one in admins:
            command = [_PROGRAM, "-Y", "verify", "-f", str(signers), "-I", one.name, "-n", NAMESPACE, "-s", str(signed)]
            try:
                done = subprocess.run(command, input=text, capture_output=True, timeout=_SECONDS, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise ApplianceError("Whether the signature is good cannot be found out.") from error
            if done.returncode == 0:
                return one.name
    raise ApplianceError(
        "The configuration on the stick is not signed by anybody who may change this box's.",
        f"Sign it with an admin's key: ssh-keygen -Y sign -n {NAMESPACE} -f ~/.ssh/id_ed25519 {NAMESPACE}.toml",
    )
