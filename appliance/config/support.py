"""Who may do what over SSH: the roles of support, and the line by which sshd knows a key and its role.

sshd reads a key's role from the options before it (authorized_keys, sshd(8)): it runs the command that stands there,
whatever the other side asks for, and forwards no port but the one that is named.
"""

from __future__ import annotations

import re
from enum import StrEnum

from appliance.base.errors import ApplianceError

PANEL_PORT = 8080
"""Of the loopback listener that systemd opens for the panel (systemd/units/appliance-console.socket)."""


class SupportRole(StrEnum):
    """Each may do what those before it may. SHELL is a shell, where the site allows one."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    SHELL = "shell"

    def includes(self, other: SupportRole) -> bool:
        """True when this role may do all that `other` may."""
        order = list(SupportRole)
        return order.index(self) >= order.index(other)


# What OpenSSH calls the keys that its settings of ours take (sshd_config, PubkeyAcceptedAlgorithms).
_KEY = re.compile(
    r"\A(?:ssh-ed25519|sk-ssh-ed25519@openssh\.com|ssh-rsa) [A-Za-z0-9+/]{40,3000}={0,2}"
    r"(?: [^\x00-\x1f\x7f\"\\]{0,100})?\Z"
)
_WHO = re.compile(r"\A[a-z][a-z0-9-]{0,23}\Z")


def is_public_key(text: str) -> bool:
    """True for one line as ssh-keygen writes it into a `.pub` file: ed25519, a hardware key of it, or RSA."""
    return bool(_KEY.match(text))


def authorized_line(name: str, role: SupportRole, key: str) -> str:
    """The line of authorized_keys, without its newline, that lets `name` in by `key` as `role`.

    ApplianceError when the name or the key would not be one word in quotes there.
    """
    if not _WHO.match(name):
        raise ApplianceError("Who holds a key is called by 1 to 24 small letters, digits and hyphens, a letter first.")
    if not is_public_key(key):
        raise ApplianceError(
            f"What is given for {name} is no public key.", "Give the line of the .pub file: ssh-ed25519 AAAA..."
        )
    options = ["restrict", "pty"]
    if role is not SupportRole.VIEWER:  # the panel names patients
        options += ["port-forwarding", f'permitopen="127.0.0.1:{PANEL_PORT}"']
    options.append(f'command="appliance shell --role {role} --who {name}"')
    return f"{','.join(options)} {key}"
