"""Text in its bytes → characters, by the Specific Character Set of its data set (PS3.3 C.12.1.1.2, PS3.5 6.1).

Not the library's: it splits values and names at bytes before it decodes, and in GB18030, GBK and JIS X 0208 the second
byte of a character may be a backslash, a circumflex or an equals sign; and one byte that it cannot decode changes how
the whole value is read. What cannot be read here is a replacement mark, and the rest is right.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

MARK = "\ufffd"


class Trouble(StrEnum):
    """What was wrong with a text that was read all the same."""

    NONE = ""
    GUESSED = "does not say which characters it is in; the usual ones were taken"
    UNREADABLE = "has bytes that are no characters of its character set"


# The codec of the high half (G1) by the number in `ISO_IR n` and `ISO 2022 IR n`; its low half is ASCII.
_KATAKANA = "jis-x-0201"
_HIGH = {
    "6": "ascii",
    "13": _KATAKANA,
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "iso8859_11",
    "203": "iso8859_15",
    "149": "euc_kr",
    "58": "gb2312",
}
_LOW = frozenset({"87", "159"})  # JIS X 0208 and 0212 are only ever switched to, in the low half (G0)
_ALONE = {"192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
# Escape sequences (PS3.3 Tables C.12-3 and C.12-4): what the low or the high half is after it.
_TO_LOW = {
    b"\x1b(B": "ascii",
    b"\x1b(J": "romaji",
    b"\x1b$B": "iso2022_jp",
    b"\x1b$@": "iso2022_jp",  # the edition of 1978, which old systems still write
    b"\x1b$(D": "iso2022_jp_2",
}
_TO_HIGH = {
    **{
        b"\x1b-" + final: _HIGH[number]
        for final, number in (
            (b"A", "100"),
            (b"B", "101"),
            (b"C", "109"),
            (b"D", "110"),
            (b"F", "126"),
            (b"G", "127"),
            (b"H", "138"),
            (b"L", "144"),
            (b"M", "148"),
            (b"T", "166"),
            (b"b", "203"),
        )
    },
    b"\x1b)I": _KATAKANA,
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "gb2312",
}
_TERM = re.compile(r"\A(?:ISO[ _-]?(?:2022|IR)?[ _-]?(?:IR)?[ _-]?)(\d{1,3})\Z", re.IGNORECASE)
_LATIN = ("100", "101", "109", "110", "126", "127", "138", "144", "148", "166", "203")
READ_TERMS = (
    *(f"ISO_IR {number}" for number in ("6", "13", *_LATIN, "192")),
    *("GB18030", "GBK"),
    *(f"ISO 2022 IR {number}" for number in ("6", "13", *_LATIN, "58", "87", "149", "159")),
)
"""Every defined term of Specific Character Set (PS3.3 C.12.1.1.2): all are read."""
# An escape sequence: ESC, intermediate bytes, a final byte (ISO/IEC 2022).
_ESCAPE = re.compile(rb"\x1b[\x20-\x2f]*[\x30-\x7e]?|\x1b\$[\x20-\x2f]*[\x30-\x7e]?")
_KNOWN_ESCAPE = re.compile(
    b"|".join(re.escape(code) for code in sorted({**_TO_LOW, **_TO_HIGH}, key=len, reverse=True))
)
_DOUBLE_RUN = re.compile(rb"[\x21-\x7e\x80-\xff]+")
# Behind each of these the sets are again those that the data set began with (PS3.5 6.1.2.5.3).
_RUNS = {
    delimiters: re.compile(rb"[^\x1b\r\n\f\t" + re.escape(delimiters) + rb"]+") for delimiters in (b"", b"\\", b"\\^=")
}
_ROMAJI = str.maketrans({"\\": "¥", "~": "‾"})
_CONTROLS = dict.fromkeys((*range(127, 160),), MARK)
_JIS_X_0201 = "".join(
    chr(byte) if byte < 0x80 else (chr(0xFF61 + byte - 0xA1) if 0xA1 <= byte <= 0xDF else "\ufffe")
    for byte in range(256)
)


@dataclass(frozen=True, slots=True)
class CharacterSets:
    """How the text of one data set is read. `findings` say what is wrong with its (0008,0005)."""

    terms: tuple[str, ...]
    alone: str = ""  # the codec of a set without code extensions
    low: str = "ascii"
    high: str = "ascii"
    undesignated: str = ""  # the high half of text that lacks its escape sequence, if only one can be meant
    findings: tuple[str, ...] = ()

    def decode(self, data: bytes, delimiters: bytes = b"\\") -> tuple[str, Trouble]:
        """The characters of `data`, with MARK for what cannot be read, and what is wrong with it.

        `delimiters` is `\\` where values are separated, `\\^=` in names, nothing in long texts. They stay in the text,
        and nothing else in it looks like them.
        """
        if data.isascii() and b"\x1b" not in data and self.low == "ascii":
            return data.decode("ascii"), Trouble.NONE
        if self.alone:
            text, trouble = _decode(data, self.alone)
        else:
            text, trouble = self._decode_extended(data, delimiters)
        shown = text.translate(_CONTROLS)
        return shown, trouble if shown == text else Trouble.UNREADABLE

    def _decode_extended(self, data: bytes, delimiters: bytes) -> tuple[str, Trouble]:
        pieces: list[str] = []
        troubles = {Trouble.NONE}
        low, high = self.low, self.high
        place = 0
        while place < len(data):
            if data[place] == 0x1B:
                known = _KNOWN_ESCAPE.match(data, place)
                if known:
                    low, high = _TO_LOW.get(known.group(), low), _TO_HIGH.get(known.group(), high)
                    place = known.end()
                    continue
                foreign = _ESCAPE.match(data, place)
                assert foreign is not None
                place = foreign.end()
                pieces.append(MARK)
                troubles.add(Trouble.UNREADABLE)
                continue
            if low.startswith("iso2022") and (run := _DOUBLE_RUN.match(data, place)):
                text, trouble = _decode_double(run.group(), low)
            elif run := _RUNS[delimiters].match(data, place):
                text, trouble = self._decode_single(run.group(), low, high)
            else:
                pieces.append(chr(data[place]))
                low, high = self.low, self.high
                place += 1
                continue
            pieces.append(text)
            troubles.add(trouble)
            place = run.end()
        return "".join(pieces), Trouble.UNREADABLE if Trouble.UNREADABLE in troubles else max(troubles)

    def _decode_single(self, run: bytes, low: str, high: str) -> tuple[str, Trouble]:
        is_guess = high == "ascii" and bool(self.undesignated) and not run.isascii()
        text, trouble = _decode(run, self.undesignated if is_guess else high)
        return (
            text.translate(_ROMAJI) if low == "romaji" else text,
            Trouble.GUESSED if is_guess and trouble is Trouble.NONE else trouble,
        )


def _decode(data: bytes, codec: str) -> tuple[str, Trouble]:
    if codec == _KATAKANA:
        text = codecs.charmap_decode(data, "replace", _JIS_X_0201)[0]
        return text, Trouble.UNREADABLE if MARK in text else Trouble.NONE
    try:
        return data.decode(codec), Trouble.NONE
    except UnicodeDecodeError:
        return data.decode(codec, "replace"), Trouble.UNREADABLE


def _decode_double(run: bytes, codec: str) -> tuple[str, Trouble]:
    escape = b"\x1b$B" if codec == "iso2022_jp" else b"\x1b$(D"
    try:
        # The codec gives JIS X 0212's wide tilde as ASCII's.
        return (escape + run).decode(codec).replace("~", "～"), Trouble.NONE
    except UnicodeDecodeError:
        pairs = [run[place : place + 2] for place in range(0, len(run), 2)]
        return "".join(_decode_pair(escape + pair, codec) for pair in pairs), Trouble.UNREADABLE


def _decode_pair(pair: bytes, codec: str) -> str:
    try:
        return pair.decode(codec)
    except UnicodeDecodeError:
        return MARK


@lru_cache(maxsize=256)
def character_sets_from(terms: tuple[str, ...], default: str) -> CharacterSets:
    """How to read text under `terms`, the values of (0008,0005); `default` is the peer's where it names none.

    `default` is a defined term, or several separated by a backslash. A term that is misspelt is read as what it means,
    one that nobody knows as the default; both are findings.
    """
    fallback = tuple(default.split("\\"))
    given = tuple(term.strip() for term in terms)
    if not any(given):
        given = fallback
    numbers: list[str] = []
    findings: list[str] = []
    for term in given:
        number = _number_of(term)
        if term and term not in READ_TERMS:
            # A stranger's text, into a sentence: short, and only what can be printed.
            name = "".join(letter for letter in term[:24] if letter.isalnum() or letter in " _-") or "?"
            findings.append(f"Character set {name} is not one of DICOM's")
        if number is not None:
            numbers.append(number)
    if not numbers:
        numbers = [number for term in fallback if (number := _number_of(term)) is not None] or ["6"]
        given = fallback
    if numbers[0] in _ALONE:
        if len(numbers) > 1:
            findings.append(f"Character set {given[0]} must stand alone")
        return CharacterSets(given, alone=_ALONE[numbers[0]], findings=tuple(findings))
    if numbers == ["6"]:
        # Named, and yet more than ASCII was sent: what the peer usually means is better than a mark, if it is one set.
        usual = [_HIGH.get(number) for term in fallback if (number := _number_of(term))]
        return CharacterSets(given, undesignated=(usual[0] or "") if len(usual) == 1 else "", findings=tuple(findings))
    further = {_HIGH[number] for number in numbers[1:] if _HIGH.get(number, "ascii") != "ascii"}
    return CharacterSets(
        given,
        low="romaji" if numbers[0] == "13" else "ascii",
        high=_HIGH.get(numbers[0], "ascii"),
        undesignated=further.pop() if len(further) == 1 else "",
        findings=tuple(findings),
    )


def _number_of(term: str) -> str | None:
    """`100` of `ISO_IR 100`; GB18030 and GBK as they are; `6` of an empty term; None for what nobody knows."""
    upper = term.upper()
    if not term:
        return "6"
    if upper in _ALONE:
        return upper
    if upper in {"UTF-8", "UTF8"}:
        return "192"
    found = _TERM.match(term)
    number = found.group(1) if found else ""
    return number if number in _HIGH or number in _LOW or number in _ALONE else None
