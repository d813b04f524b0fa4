"""PINs: what is kept of one, and whether somebody typed it.

A PIN has few digits, so what is kept is a slow function of it (scrypt, RFC 7914; 16 MB and a tenth of a second or more
for each guess on a small board) with a salt of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

from appliance.base.errors import ApplianceError

# cost, block size, parallelism
_COST = (2**14, 8, 1)
_MEMORY_BYTES = 64 * 1024 * 1024
_SALT_BYTES, _HASH_BYTES = 16, 32
_PIN = re.compile(r"\A[0-9]{4,12}\Z")
KEPT_PIN = r"^scrypt:16384:8:1:[A-Za-z0-9+/]{22}==:[A-Za-z0-9+/]{43}=$"
"""What `kept_pin_from` gives, as a pattern."""


def kept_pin_from(pin: str) -> str:
    """What is kept of `pin`. ApplianceError when it is none: 4 to 12 digits."""
    if not _PIN.match(pin):
        raise ApplianceError("A PIN has 4 to 12 digits.")
    salt = secrets.token_bytes(_SALT_BYTES)
    texts = (base64.b64encode(part).decode("ascii") for part in (salt, _hash_from(pin, salt)))
    return ":".join(("scrypt", *map(str, _COST), *texts))


def is_pin(pin: str, kept: str) -> bool:
    """True when `pin` is the one of which `kept` was kept. Takes the same time for every wrong one."""
    salt, expected = (base64.b64decode(part) for part in kept.split(":")[-2:])
    return hmac.compare_digest(_hash_from(pin, salt), expected)


def _hash_from(pin: str, salt: bytes) -> bytes:
    cost, block, parallel = _COST
    return hashlib.scrypt(
        pin.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=cost,
        r=block,
        p=parallel,
        maxmem=_MEMORY_BYTES,
        dklen=_HASH_BYTES,
    )
