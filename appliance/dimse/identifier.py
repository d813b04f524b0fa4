"""A worklist identifier's bytes → its elements in the DICOM JSON model (PS3.5 7, PS3.18 Annex F), and what is wrong.

Not the library's reader: one broken length or byte must cost the element that it is in and nothing else, what was lost
is to be said in words, and ten thousand entries are to be read in a second or two.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any

from pydicom.datadict import dictionary_description, dictionary_VR

from appliance.dimse.text import CharacterSets, character_sets_from

MAX_IDENTIFIER_BYTES = 256 * 1024
_MAX_DEPTH = 8
_MAX_FINDINGS = 8

_CHARACTER_SET = 0x00080005
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF

_LONG_TEXTS = frozenset({"ST", "LT", "UT", "UR"})
_ASCII = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"})
_LONG_LENGTHS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})  # PS3.5 7.1.2
_NUMBERS = {
    "US": struct.Struct("<H"),
    "SS": struct.Struct("<h"),
    "UL": struct.Struct("<I"),
    "SL": struct.Struct("<i"),
    "UV": struct.Struct("<Q"),
    "SV": struct.Struct("<q"),
    "FL": struct.Struct("<f"),
    "FD": struct.Struct("<d"),
}
_TAG_AND_LENGTH = struct.Struct("<HHI")
_TAG = struct.Struct("<HH")
_LENGTH = struct.Struct("<I")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")

# A data set as it lies: tag, VR, and the value's bytes or the items of a sequence.
_Raw = list[tuple[int, str, "bytes | list[_Raw]"]]


class _MalformedError(Exception):
    """The bytes do not go on as a data set does."""


def elements_from(received: bytes, is_implicit: bool, character_set: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The elements in little endian bytes by tag in eight hexadecimal digits, and findings: what could not be read.

    Text is decoded by the data set's own Specific Character Set; without one `character_set` is assumed (a defined
    term, or several separated by a backslash). Never raises: what stands before a fault is kept, and so is what stands
    behind an element of which only the value is at fault.
    """
    reading = _Reading(received[:MAX_IDENTIFIER_BYTES], character_set)
    if len(received) > MAX_IDENTIFIER_BYTES:
        reading.find(f"The entry is longer than {MAX_IDENTIFIER_BYTES} bytes")
    raw: _Raw = []
    try:
        reading.read(raw, 0, len(reading.data), is_implicit, 0)
    except _MalformedError:
        last = f" after {_name_of(raw[-1][0])}" if raw else ""
        reading.find(f"The entry is malformed{last}")
    elements = reading.elements_of(raw, character_sets_from((), character_set))
    return elements, tuple(reading.findings)


class _Reading:
    """One identifier: its bytes, and what was found wrong on the way."""

    def __init__(self, data: bytes, default: str) -> None:
        self.data = data
        self.default = default
        self.findings: list[str] = []

    def find(self, sentence: str) -> None:
        if sentence not in self.findings and len(self.findings) < _MAX_FINDINGS:
            self.findings.append(sentence)

    # -- where things lie

    def read(self, raw: _Raw, place: int, end: int, is_implicit: bool, depth: int, *, is_open: bool = False) -> int:
        """Fill `raw` from `place` on, to `end` or (`is_open`) to an item's delimiter; the place behind it."""
        if depth > _MAX_DEPTH:
            raise _MalformedError
        data = self.data
        while place < end:
            if place + 8 > end:
                raise _MalformedError
            if is_implicit:
                group, element, length = _TAG_AND_LENGTH.unpack_from(data, place)
                tag = group << 16 | element
                vr, is_long, is_unknown = _vr_of(tag), False, False
            else:
                tag, vr, is_long, is_unknown = _head_of(data[place : place + 6])
                length = data[place + 6] | data[place + 7] << 8
            if tag >> 16 == 0xFFFE:
                if tag == _ITEM_END and is_open:
                    return place + 8
                raise _MalformedError
            if not vr:
                raise _MalformedError
            place += 8
            if is_long:
                if place + 4 > end:
                    raise _MalformedError
                (length,) = _LENGTH.unpack_from(data, place)
                place += 4
            if length == _UNDEFINED:
                # A sequence, whatever it is called; under UN it is in implicit VR (PS3.5 6.2.2 note 2).
                items: list[_Raw] = []
                raw.append((tag, "SQ", items))
                place = self._read_items(items, place, end, is_implicit or is_unknown, depth, is_open=True)
                continue
            if length > end - place:
                raise _MalformedError
            if vr == "SQ":
                items = []
                raw.append((tag, "SQ", items))
                try:
                    self._read_items(items, place, place + length, is_implicit or is_unknown, depth)
                except _MalformedError:
                    self.find(f"{_name_of(tag)} is malformed")
            else:
                raw.append((tag, vr, data[place : place + length]))
            place += length
        if is_open:
            raise _MalformedError
        return place

    def _read_items(
        self, items: list[_Raw], place: int, end: int, is_implicit: bool, depth: int, *, is_open: bool = False
    ) -> int:
        while place < end:
            if place + 8 > end:
                raise _MalformedError
            group, element, length = _TAG_AND_LENGTH.unpack_from(self.data, place)
            tag = group << 16 | element
            place += 8
            if tag == _SEQUENCE_END and is_open:
                return place
            if tag != _ITEM or (length != _UNDEFINED and length > end - place):
                raise _MalformedError
            item: _Raw = []
            items.append(item)
            if length == _UNDEFINED:
                place = self.read(item, place, end, is_implicit, depth + 1, is_open=True)
            else:
                place = self.read(item, place, place + length, is_implicit, depth + 1)
        if is_open:
            raise _MalformedError
        return place

    # -- what it says

    def elements_of(self, raw: _Raw, sets: CharacterSets) -> dict[str, Any]:
        for tag, _vr, value in raw:
            if tag == _CHARACTER_SET and isinstance(value, bytes):
                terms = value.decode("ascii", "replace").rstrip(" \0").split("\\")
                sets = character_sets_from(tuple(terms), self.default)
        for finding in sets.findings:
            self.find(finding)
        elements: dict[str, Any] = {}
        for tag, vr, value in sorted(raw, key=itemgetter(0)):
            if not tag & 0xFFFF:
                continue  # a group's length says nothing about a patient
            element: dict[str, Any] = {"vr": vr}
            elements[_HEXADECIMAL % tag] = element
            if not value:
                continue
            if isinstance(value, list):
                element["Value"] = [self.elements_of(item, sets) for item in value]
            elif vr in _BINARY:
                element["InlineBinary"] = base64.b64encode(value).decode("ascii")
            elif values := self._values_of(tag, vr, value, sets):
                element["Value"] = values
        return elements

    def _values_of(self, tag: int, vr: str, value: bytes, sets: CharacterSets) -> list[Any]:
        if vr in _ASCII:
            if not value.isascii():
                self.find(f"{_name_of(tag)} cannot be read")  # a mark could not be written into an object there
                return []
            text = value.decode("ascii")
        elif vr in _TEXTS:
            delimiters = b"" if vr in _LONG_TEXTS else b"\\^=" if vr == "PN" else b"\\"
            text, trouble = sets.decode(value, delimiters)
            if trouble:
                self.find(f"{_name_of(tag)} {trouble}")
        else:
            try:
                return _numbers_from(vr, value)
            except (ValueError, struct.error, OverflowError):
                self.find(f"{_name_of(tag)} cannot be read")
                return []
        parts = [text] if vr in _LONG_TEXTS else text.split("\\")
        values = [_name_from(part) for part in parts] if vr == "PN" else [part.rstrip(" \0") or None for part in parts]
        return values if any(values) else []


_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_TEXTS = frozenset({"SH", "LO", "UC", "PN", "ST", "LT", "UT"})  # whose bytes depend on (0008,0005): PS3.5 6.1.2.3
_HEXADECIMAL = "%08X"


def _name_from(text: str) -> dict[str, str] | None:
    """A PN's component groups by name (PS3.18 F.2.2), those that have something."""
    groups = (group.rstrip(" \0") for group in text.split("=", 2))
    return {name: group for name, group in zip(_GROUPS, groups, strict=False) if group} or None


def _numbers_from(vr: str, value: bytes) -> list[Any]:
    if vr in _NUMBERS:
        numbers: list[Any] = [number for (number,) in _NUMBERS[vr].iter_unpack(value)]
    elif vr == "AT":
        return [f"{group:04X}{element:04X}" for group, element in _TAG.iter_unpack(value)]
    elif vr in {"DS", "IS"}:
        convert: Callable[[str], float] = float if vr == "DS" else int
        texts = [one.strip(" \0") for one in value.decode("ascii").split("\\")]
        numbers = [convert(one) if one else None for one in texts]
    else:
        raise ValueError(vr)
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        raise ValueError("no number")
    return numbers if any(number is not None for number in numbers) else []


@lru_cache(maxsize=4096)
def _head_of(head: bytes) -> tuple[int, str, bool, bool]:
    """Of tag and VR as they lie in explicit VR: the tag, what to read it as, whether its length has four bytes (PS3.5
    7.1.2), and whether somebody on the way did not know it and kept its bytes (6.2.2). What is no VR is empty."""
    group, element = _TAG.unpack_from(head)
    tag = group << 16 | element
    code = head[4:]
    if not (code.isalpha() and code.isupper()):
        return tag, "", False, False
    vr = code.decode("ascii")
    return tag, _vr_of(tag) if vr == "UN" else vr, vr in _LONG_LENGTHS, vr == "UN"


@lru_cache(maxsize=4096)
def _vr_of(tag: int) -> str:
    """The VR that the dictionary gives an element in implicit VR (PS3.6); UN for what it does not know."""
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"  # a private creator (PS3.5 7.8.1)
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    return {"US or SS": "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}.get(vr, vr)


@lru_cache(maxsize=4096)
def _name_of(tag: int) -> str:
    """The element's name as people know it, or its tag."""
    try:
        return dictionary_description(tag)
    except KeyError:
        return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
