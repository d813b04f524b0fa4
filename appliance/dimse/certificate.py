"""What of a certificate counts: its fingerprint, the names that it carries, whose it is, and when it is valid."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# Tags of X.690: universal SEQUENCE, UTCTime and GeneralizedTime; the version's context tag (RFC 5280 4.1).
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3
_TEXTS = {0x0C: "utf_8", 0x13: "ascii", 0x14: "latin_1", 0x16: "ascii", 0x1E: "utf_16_be"}
_MOST_LENGTH_BYTES = 3
_MOST_ATTRIBUTES = 64
_LONGEST_NAME = 64  # ub-common-name (RFC 5280 A.1)


class UnreadableCertificate(ValueError):
    """The bytes are no X.509 certificate."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """Who is at the other end of a TLS connection.

    `fingerprint` is the SHA-256 of the DER certificate, 64 hexadecimal digits. `names` are the Subject Alternative
    Names of hosts and addresses. `is_vouched` says that one of the configured authorities vouches for it; without
    that the names are its owner's own claim, and only the fingerprint tells who it is.
    """

    fingerprint: str
    names: frozenset[str] = frozenset()
    is_vouched: bool = False

    def is_for(self, host: str) -> bool:
        """Whether an authority vouches that its owner is `host`, a name (RFC 6125 6.4) or an address."""
        if not self.is_vouched:
            return False
        address = _address(host)
        if address is not None:
            return any(_address(name) == address for name in self.names)
        wanted = host.lower().rstrip(".")
        # A wildcard stands for one label, the leftmost.
        wildcard = "*." + wanted.partition(".")[2]
        return any(name.lower().rstrip(".") in (wanted, wildcard) and _address(name) is None for name in self.names)


def fingerprint_of(der: bytes) -> str:
    """SHA-256 of a certificate, as pins are compared."""
    return hashlib.sha256(der).hexdigest()


def plain_pin(configured: str) -> str:
    """A pin as it was configured (capitals, colons) as `fingerprint_of` gives it."""
    return configured.replace(":", "").lower()


def names_of(decoded: Mapping[str, Any]) -> frozenset[str]:
    """The alternative names in what `SSLSocket.getpeercert()` gives of a verified certificate."""
    alternatives = decoded.get("subjectAltName", ())
    return frozenset(str(value).strip() for kind, value in alternatives if kind in ("DNS", "IP Address"))


def certificates_in(pem: str) -> list[bytes]:
    """Every certificate of a PEM file, DER. UnreadableCertificate when one of them is no base64."""
    try:
        return [ssl.PEM_cert_to_DER_cert(block) for block in _PEM.findall(pem)]
    except ValueError as error:
        raise UnreadableCertificate("a block between BEGIN and END CERTIFICATE is no base64") from error


def validity_of(der: bytes) -> tuple[datetime, datetime]:
    """From when until when a certificate is valid (RFC 5280 4.1.2.5). UnreadableCertificate when that is not there."""
    try:
        validity = _content(_from_validity_on(der), _SEQUENCE)[0]
        begin, rest = _content(validity, validity[0])
        end, _ = _content(rest, rest[0])
        return _moment(validity[0], begin), _moment(rest[0], end)
    except (IndexError, ValueError) as error:
        raise UnreadableCertificate("the certificate's validity cannot be read") from error


def owner_of(der: bytes) -> str:
    """Whose certificate it is (RFC 5280 4.1.2.6): the Common Name, else the last attribute; printable, "?" if none.

    UnreadableCertificate when that cannot be read.
    """
    try:
        subject = _content(_content(_from_validity_on(der), _SEQUENCE)[1], _SEQUENCE)[0]
        attributes = list(islice(_attributes_in(subject), _MOST_ATTRIBUTES))
    except (IndexError, ValueError) as error:
        raise UnreadableCertificate("the certificate's subject cannot be read") from error
    name = next((text for kind, text in attributes if kind == _COMMON_NAME), attributes[-1][1] if attributes else "")
    return "".join(letter for letter in name[:_LONGEST_NAME] if letter.isprintable()).strip() or "?"


def _from_validity_on(der: bytes) -> bytes:
    body = _content(_content(der, _SEQUENCE)[0], _SEQUENCE)[0]
    if body[:1] == bytes([_VERSION]):
        body = _content(body, _VERSION)[1]
    for _ in range(3):  # serial number, signature algorithm, issuer
        body = _content(body, body[0])[1]
    return body


def _attributes_in(subject: bytes) -> Iterator[tuple[bytes, str]]:
    """Object identifier and text of each attribute: a sequence of sets of sequences of the two."""
    while subject:
        relative, subject = _content(subject, subject[0])
        while relative:
            attribute, relative = _content(relative, _SEQUENCE)
            kind, value = _content(attribute, attribute[0])
            yield kind, _content(value, value[0])[0].decode(_TEXTS.get(value[0], "ascii"), "replace")


def _content(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the element that begins `data`, and what follows it (X.690 8.1, definite lengths only)."""
    if data[0] != tag:
        raise ValueError("another element was expected")
    length, begin = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= _MOST_LENGTH_BYTES:
            raise ValueError("no usable length")
        begin += count
        length = int.from_bytes(data[2:begin], "big")
    if begin + length > len(data):
        raise ValueError("the element is cut off")
    return data[begin : begin + length], data[begin + length :]


def _moment(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
