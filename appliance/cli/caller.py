"""Who is at the command line, as far as the command can tell: it is what the caller's environment says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import pwd
import struct
from collections.abc import Mapping
from pathlib import Path

ACTOR_VARIABLE = "APPLIANCE_ACTOR"
"""Set by the support shell: who holds the key with which sshd let this session in."""
_LONGEST = 64
_LONGEST_PROOF = 32_768
# How many fields a certificate's key has, by the kind of the key (PROTOCOL.certkeys of OpenSSH).
_KEY_FIELDS = {"ssh-ed25519": 1, "ssh-rsa": 2, "sk-ssh-ed25519": 2}


def actor_from(environment: Mapping[str, str]) -> str:
    """`maria (as told by the command line)`: whoever logged in over SSH, also behind sudo.

    Marked, since nothing but the environment vouches for it; within the support shell the key is named instead.
    """
    if actor := environment.get(ACTOR_VARIABLE):
        return _plain(actor, 2 * _LONGEST)
    said = environment.get("SUDO_USER") or environment.get("LOGNAME") or environment.get("USER") or _own_name()
    return f"{_plain(said, _LONGEST) or 'somebody'} (as told by the command line)"


def support_actor_from(who: str, role: str, proof: str) -> str:
    """`maria (operator, SHA256:…)`; `proof` is what sshd says of the login (ExposeAuthInfo), `who` whose key it is.

    A certificate says by itself whose it is: its key identifier, which its authority signed.
    """
    for line in proof.splitlines():
        match line.split():
            case ["publickey", kind, text]:
                try:
                    key = base64.b64decode(text, validate=True)
                    named = _certificate_holder(key) if "-cert-" in kind else _fingerprint(key)
                except (binascii.Error, ValueError, struct.error):
                    continue
                return f"{_plain(who, _LONGEST) or 'support'} ({role}, {named})"
    return f"{_plain(who, _LONGEST) or 'support'} ({role}, as told by the command line)"


def read_proof(environment: Mapping[str, str]) -> str:
    """The file in which sshd says how this session was let in; empty when there is none."""
    try:
        with Path(environment["SSH_USER_AUTH"]).open(encoding="ascii", errors="replace") as file:
            return file.read(_LONGEST_PROOF)
    except (KeyError, OSError):
        return ""


def _fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode("ascii").rstrip("=")


def _certificate_holder(blob: bytes) -> str:
    """`certificate 4711 of maria@hospital`. ValueError or struct.error for what is no such certificate."""
    kind, rest = _field(blob)
    fields = _KEY_FIELDS.get(kind.decode("ascii").partition("-cert-")[0])
    if fields is None:
        raise ValueError("a key of a kind that sshd is not set to take")
    for _ in range(1 + fields):  # the nonce, then the key
        _, rest = _field(rest)
    (serial,) = struct.unpack_from(">Q", rest)
    holder, _ = _field(rest[12:])  # behind the serial number and the certificate's type
    return f"certificate {serial} of {_plain(holder.decode('utf-8'), _LONGEST)}"


def _field(blob: bytes) -> tuple[bytes, bytes]:
    """The first string of RFC 4251 5, and what follows it."""
    (length,) = struct.unpack_from(">I", blob)
    if length > len(blob) - 4:
        raise ValueError("a field is longer than what holds it")
    return blob[4 : 4 + length], blob[4 + length :]


def _plain(text: str, longest: int) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:longest]


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
