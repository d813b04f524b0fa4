"""What speaks on a serial line? A guess from what came, by tables of what each protocol cannot do without. Pure.

Nothing is decoded: a driver does that, and says so if it was the wrong one. Sources: the tables of the drivers beside
this (ESC/P, ESC/POS, PCL), YMODEM's description (C. Forsberg, 1988), ASTM E1381, ZMODEM's and Kermit's headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# More than this is not looked at: a protocol shows itself at once.
_MOST_BYTES = 65_536
# What a text is made of: printable ASCII and the usual controls.
_TEXT = frozenset(range(0x20, 0x7F)) | {
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x07,
    0x08,
    0x09,
    0x0A,
    0x0C,
    0x0D,
    0x15,
    0x17,
    0x1B,
}
_LEAST_TEXT = 8
_TEXT_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Guess:
    """`settings` are lines of the configuration that would try it; none where no driver here takes it.

    `is_certain` where the bytes can hardly be anything else; `evidence` says what was found.
    """

    protocol: str
    evidence: str
    settings: tuple[str, ...] = ()
    is_certain: bool = False


@dataclass(frozen=True, slots=True)
class _Sign:
    """What a protocol is known by: a pattern, how often it must stand there, and whether that settles it."""

    protocol: str
    evidence: str
    pattern: re.Pattern[bytes]
    settings: tuple[str, ...] = ()
    is_certain: bool = True
    at_least: int = 1


def _sign(protocol: str, evidence: str, pattern: bytes, *settings: str, certain: bool = True, least: int = 1) -> _Sign:
    return _Sign(protocol, evidence, re.compile(pattern, re.DOTALL), settings, certain, least)


_PCL = ('driver = "printer"', 'language = "pcl"')
_ESCP24 = ('driver = "printer"', 'language = "escp24"')
_ESCP9 = ('driver = "printer"', 'language = "escp9"')
_ESCPOS = ('driver = "printer"', 'language = "escpos"')
_XMODEM = ('driver = "xmodem"',)

# In this order: what settles it stands before what only points to it.
_SIGNS = (
    _sign("ZMODEM", "its header ** CAN B", rb"\*\*\x18B0[0-9a-f]"),
    _sign("Kermit", "a Send-Init packet", rb"\x01[\x20-\x7e]\x20S[\x20-\x7e]{2,40}\r"),
    _sign("PCL", "raster rows (ESC * b … W)", rb"\x1b\*b[0-9a-z]{0,40}?[0-9]{1,5}W", *_PCL),
    _sign("PCL", "its reset or page commands (ESC E, ESC & l)", rb"\x1b(?:E\x1b|&l-?[0-9])", *_PCL),
    _sign("PJL in front of a printer's language", "its escape ESC %-12345X", rb"\x1b%-12345X", *_PCL),
    _sign("ESC/POS", "raster pictures (GS v 0) or a cut (GS V)", rb"\x1d(?:v0|V[\x00\x01AB01])", *_ESCPOS),
    _sign("ESC/P2", "raster graphics (ESC ( G)", rb"\x1b\(G\x01\x00", *_ESCP24),
    _sign("ESC/P of 24 pins", "bit images (ESC * 32 to 73)", rb"\x1b\*[\x20\x21\x26\x27\x28\x47\x48\x49]", *_ESCP24),
    _sign("ESC/P of 9 pins", "bit images (ESC K, L, Y, Z)", rb"\x1b(?:[KLYZ]|\*[\x00-\x07]).[\x00-\x1f]", *_ESCP9),
    _sign("ESC/P", "its reset or line feeds (ESC @, ESC 3, ESC J)", rb"\x1b(?:@|3.|J.|A.)", *_ESCP24, certain=False),
    _sign("PostScript", "its first line", rb"%!PS"),
    _sign("HP-GL", "IN; and pen commands", rb"(?:^|;|\x1b\.[A-Z(])\s*IN;.{0,40}?(?:SP|PU|PD|PA)[0-9;,-]"),
    _sign("ASTM E1381", "a frame with its checksum", rb"\x02[0-7][^\x02\x03\x17]{1,240}\r?[\x03\x17][0-9A-F]{2}\r\n"),
    _sign("a Nidek instrument", "its identification", rb"IDNIDEK/"),
    _sign("ASTM E1381, or another that asks first", "ENQ, which waits for an ACK", rb"^\x05+$", certain=False),
    _sign("framed text", "STX … ETX", rb"\x02[^\x02\x03]{1,2000}\x03", certain=False),
    _sign("a JPEG file as it is", "its first bytes", rb"\xff\xd8\xff[\xdb\xe0\xe1\xee\xc0]", certain=False),
)  # fmt: skip


def guess_protocols(data: bytes) -> list[Guess]:
    """What it may be, the likeliest first; each protocol once, nothing where nothing fits."""
    data = data[:_MOST_BYTES]
    found = [guess] if (guess := _file_transfer(data)) else []
    for sign in _SIGNS:
        if len(sign.pattern.findall(data)) >= sign.at_least:
            found.append(Guess(sign.protocol, sign.evidence, sign.settings, sign.is_certain))
    if not found and is_text(data):
        found = [Guess("plain text", "readable lines without a frame")]
    certain = [one for one in found if one.is_certain]
    told: dict[str, Guess] = {}
    for one in certain or found:
        told.setdefault(one.protocol, one)
    return list(told.values())


def is_text(data: bytes) -> bool:
    """Whether nearly all of it is text, as at the wrong speed nothing is."""
    return len(data) >= _LEAST_TEXT and sum(one in _TEXT for one in data) >= len(data) * _TEXT_SHARE


def plausibility(data: bytes) -> float:
    """How much this looks as if it came at the right speed: 0.0 for nothing, up to 2.0. Only for comparing speeds."""
    if not data:
        return 0.0
    guesses = guess_protocols(data)
    share = sum(one in _TEXT for one in data) / len(data)
    return share * 0.5 + (1.5 if any(one.is_certain for one in guesses) else 0.5 if guesses else 0.0)


def _file_transfer(data: bytes) -> Guess | None:
    """A block of XMODEM or YMODEM: SOH or STX, its number, and that number's complement."""
    for match in re.finditer(rb"[\x01\x02](.)(.)", data, re.DOTALL):
        if match[1][0] + match[2][0] != 255:
            continue
        size = 128 if data[match.start()] == 1 else 1024
        payload = data[match.end() : match.end() + size]
        if match[1] == b"\0" and re.match(rb"[^\0\x01-\x1f]{1,100}\0", payload):
            return Guess("YMODEM", "a block 0 with a file's name", _XMODEM, is_certain=True)
        if match[1] in (b"\x01", b"\x02") and len(payload) == size:
            kind = "XMODEM" if size == 128 else "XMODEM-1K"
            return Guess(kind, "a numbered block", _XMODEM, is_certain=True)
    return None
