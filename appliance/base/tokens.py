"""Who is at the other end of the panel's port: a token for the panel and one for support, new with every boot.

Loopback is open to every local user. Whoever shows the page must bring a token out of a file that only the right ones
can read: the console and systemd that of the panel (which hands it to the kiosk), administrators that of support.
"""

from __future__ import annotations

import hmac
import secrets
from enum import StrEnum
from pathlib import Path

from appliance.base.durable import replace_file

TOKEN_PARAMETER = "token"
_MODES = {"panel": 0o600, "support": 0o640}


class Role(StrEnum):
    """What a request may do: everything (a process of this box), what a technologist does, or look and retry."""

    BOX = "box"
    PANEL = "panel"
    SUPPORT = "support"


def token_path(directory: Path, role: Role) -> Path:
    """Where the token of `role` stands below the console's run directory."""
    return directory / f"{role}.token"


def read_token(directory: Path, role: Role) -> str:
    """The token of `role`. OSError when there is none, or it is not ours to read."""
    return token_path(directory, role).read_text(encoding="ascii").split()[0]


class Tokens:
    """The tokens of this boot; a console that is started again goes on with them."""

    def __init__(self, directory: Path, boot_id: str) -> None:
        self._tokens = {role: _token_for(token_path(directory, role), boot_id) for role in (Role.PANEL, Role.SUPPORT)}

    def role_of(self, token: str | None) -> Role | None:
        """Whose token it is; None when it is nobody's."""
        given = (token or "").encode("utf-8", "surrogatepass")
        for role, known in self._tokens.items():
            if hmac.compare_digest(given, known.encode("ascii")):
                return role
        return None


def _token_for(path: Path, boot_id: str) -> str:
    try:
        token, boot = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        token = boot = ""
    if boot != boot_id or len(token) < 32:
        token = secrets.token_urlsafe(32)
        replace_file(path, f"{token} {boot_id}\n".encode("ascii"), _MODES[path.stem])
    return token


def address_from(origin: str, token: str) -> str:
    """The address that opens the panel: `origin` is `http://127.0.0.1:8080`."""
    return f"{origin}/?{TOKEN_PARAMETER}={token}"


def cookie_from(token: str) -> str:
    """Set-Cookie: kept until the browser ends, readable by no script, sent by no other site's page."""
    return f"{TOKEN_PARAMETER}={token}; Path=/; HttpOnly; SameSite=Strict"
