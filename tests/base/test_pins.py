"""What is kept of a PIN lets nobody in but who knows it."""

from __future__ import annotations

import re

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.pins import KEPT_PIN, is_pin, kept_pin_from


def test_ok__the_same_pin_is_known_again() -> None:
    kept = kept_pin_from("4711")
    assert re.match(KEPT_PIN, kept)
    assert is_pin("4711", kept)
    assert not any(is_pin(wrong, kept) for wrong in ("4712", "", "47110", " 4711", "\ud800"))
    assert kept_pin_from("4711") != kept, "the salt is its own"


def test_ok__a_known_pin_of_an_earlier_release() -> None:
    """scrypt N=16384 r=8 p=1 of `123456` with sixteen zero bytes (RFC 7914), as hashlib and OpenSSL have it."""
    kept = "scrypt:16384:8:1:AAAAAAAAAAAAAAAAAAAAAA==:%s"
    import base64
    import hashlib

    expected = hashlib.scrypt(b"123456", salt=bytes(16), n=16384, r=8, p=1, dklen=32, maxmem=2**26)
    assert is_pin("123456", kept % base64.b64encode(expected).decode())


@pytest.mark.parametrize("pin", ["", "123", "1" * 13, "12a4", "١٢٣٤", " 1234"])
def test_fail__what_is_no_pin(pin: str) -> None:
    with pytest.raises(ApplianceError, match="4 to 12 digits"):
        kept_pin_from(pin)
