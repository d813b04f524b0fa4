"""An object's file as its elements' bytes: what it is, and its header in another transfer syntax with no value touched.

Values are never decoded here, so that a name in whatever character set leaves as it lies, and twice the same.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

PIXEL_DATA = 0x7FE00010
UNDEFINED_LENGTH = 0xFFFFFFFF

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# Value Representations whose length has 32 bits, after two reserved bytes (PS3.5 7.1.2).
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_FIRST_READ, _LONGEST_HEADER = 64 * 1024, 64 * 1024 * 1024
_PREAMBLE_BYTES = 128
_MOST_DEPTH = 16


class NotAnObject(ValueError):
    """The bytes are not those of a DICOM file."""


class _CutOff(NotAnObject):
    """More bytes are needed."""


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the file meta information says (PS3.10 7.1), and where the data set begins."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_at: int


@dataclass(frozen=True, slots=True)
class Element:
    """An element with its value's bytes; or with its items, of a sequence. `is_open`: a UN of undefined length."""

    tag: int
    vr: bytes
    value: bytes = b""
    items: tuple[tuple[Element, ...], ...] = field(default=())
    is_open: bool = False

    def text(self) -> str:
        """The value as text of the default repertoire, without its padding."""
        return self.value.decode("ascii", "replace").strip(" \0")

    def number(self) -> int:
        """The value of a US element. NotAnObject when it has none."""
        if len(self.value) != 2:
            raise NotAnObject(f"({self.tag >> 16:04X},{self.tag & 0xFFFF:04X}) is no number")
        return int.from_bytes(self.value, "little")


@dataclass(frozen=True, slots=True)
class Header:
    """The elements before Pixel Data, and where in the file its value lies. No Pixel Data: `pixels_at` is None."""

    elements: tuple[Element, ...]
    pixels_at: int | None = None
    pixels_length: int = 0
    pixels_vr: bytes = b""

    def element(self, tag: int) -> Element | None:
        """The element `tag` of the data set itself."""
        return next((element for element in self.elements if element.tag == tag), None)


def read_file_meta(descriptor: int) -> FileMeta:
    """The file meta information of an open file. NotAnObject when it has none, OSError."""
    data = os.pread(descriptor, _FIRST_READ, 0)
    at = _PREAMBLE_BYTES + 4
    if data[_PREAMBLE_BYTES:at] != b"DICM" or data[at : at + 8] != b"\x02\0\0\0UL\x04\0" or len(data) < at + 12:
        raise NotAnObject("no file meta information")
    start = at + 12
    end = start + int.from_bytes(data[at + 8 : start], "little")
    if end > len(data):
        raise NotAnObject("file meta information that does not end")
    found = {element.tag: element.text() for element, _at in _elements(data, start, end, 0)}
    uids = [found.get(tag, "") for tag in (0x00020002, 0x00020003, 0x00020010)]
    if not all(uids):
        raise NotAnObject("file meta information that leaves the object's identity out")
    return FileMeta(uids[0], uids[1], uids[2], end)


def read_header(descriptor: int, at: int) -> Header:
    """The data set of an open file in Explicit VR Little Endian from `at`, without its pixels. NotAnObject, OSError."""
    size = _FIRST_READ
    while True:
        data = os.pread(descriptor, size, at)
        try:
            return _header(data, at)
        except _CutOff:
            if len(data) < size or size >= _LONGEST_HEADER:
                raise
            size *= 8


def _header(data: bytes, file_at: int) -> Header:
    elements: list[Element] = []
    for element, at in _elements(data, 0, len(data), 0, stops_at_pixels=True):
        if element.tag == PIXEL_DATA:
            length = int.from_bytes(element.value, "little")
            return Header(tuple(elements), file_at + at, length, element.vr)
        elements.append(element)
    return Header(tuple(elements))


def _elements(
    data: bytes, at: int, end: int, depth: int, *, stops_at_pixels: bool = False
) -> Iterator[tuple[Element, int]]:
    """Each element and where it ends; of Pixel Data, only its length as its value, and where its value begins."""
    if depth > _MOST_DEPTH:
        raise NotAnObject("sequences are nested too deeply")
    while at < end:
        tag, vr, length, at = _element_header(data, at, end)
        if stops_at_pixels and tag == PIXEL_DATA:
            yield Element(tag, vr, length.to_bytes(4, "little")), at
            return
        if vr == b"SQ":
            items, at = _items(data, at, end, length, depth)
            yield Element(tag, vr, items=items), at
        elif length == UNDEFINED_LENGTH and vr == b"UN":
            begin, at = at, _end_of_implicit_items(data, at, end, depth)
            yield Element(tag, vr, data[begin:at], is_open=True), at
        else:
            begin, at = at, _after(at, length, end)
            yield Element(tag, vr, data[begin:at]), at


def _element_header(data: bytes, at: int, end: int) -> tuple[int, bytes, int, int]:
    after = _after(at, 8, end)
    group, number, vr, length = struct.unpack_from("<HH2sH", data, at)
    if vr in _LONG:
        at, after = after, _after(after, 4, end)
        (length,) = struct.unpack_from("<I", data, at)
    return group << 16 | number, vr, length, after


def _items(data: bytes, at: int, end: int, length: int, depth: int) -> tuple[tuple[tuple[Element, ...], ...], int]:
    is_open = length == UNDEFINED_LENGTH
    end = end if is_open else _after(at, length, end)
    items: list[tuple[Element, ...]] = []
    while is_open or at < end:
        tag, size, at = _item_header(data, at, end)
        if tag == _SEQUENCE_END and is_open:
            return tuple(items), at
        if tag != _ITEM:
            raise NotAnObject("a sequence with something else than items")
        if size == UNDEFINED_LENGTH:
            item, at = _open_item(data, at, end, depth)
        else:
            begin, at = at, _after(at, size, end)
            item = tuple(element for element, _at in _elements(data, begin, at, depth + 1))
        items.append(item)
    return tuple(items), at


def _open_item(data: bytes, at: int, end: int, depth: int) -> tuple[tuple[Element, ...], int]:
    elements: list[Element] = []
    while True:
        _after(at, 8, end)
        if struct.unpack_from("<HH", data, at) == (0xFFFE, 0xE00D):
            return tuple(elements), at + 8
        element, at = next(_elements(data, at, end, depth + 1))
        elements.append(element)


def _end_of_implicit_items(data: bytes, at: int, end: int, depth: int) -> int:
    """Behind the delimiter of a sequence of undefined length in implicit VR, which a UN holds (PS3.5 6.2.2)."""
    if depth > _MOST_DEPTH:
        raise NotAnObject("sequences are nested too deeply")
    while True:
        tag, length, at = _item_header(data, at, end)
        if tag == _SEQUENCE_END:
            return at
        if length != UNDEFINED_LENGTH:
            at = _after(at, length, end)
        elif tag not in (_ITEM, _ITEM_END):
            at = _end_of_implicit_items(data, at, end, depth + 1)


def _item_header(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    after = _after(at, 8, end)
    group, number, length = struct.unpack_from("<HHI", data, at)
    return group << 16 | number, length, after


def _after(at: int, length: int, end: int) -> int:
    if length > end - at:
        raise _CutOff("the bytes end within an element")
    return at + length


def encode_elements(elements: Sequence[Element], *, is_implicit: bool) -> bytes:
    """`elements` in Explicit or Implicit VR Little Endian, every sequence with its length; no group lengths."""
    return b"".join(_encoded(element, is_implicit) for element in elements if element.tag & 0xFFFF)


def _encoded(element: Element, is_implicit: bool) -> bytes:
    value = element.value
    if element.vr == b"SQ":
        encoded = (encode_elements(item, is_implicit=is_implicit) for item in element.items)
        value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in encoded)
    length = UNDEFINED_LENGTH if element.is_open else len(value)
    return element_header(element.tag, element.vr, length, is_implicit=is_implicit) + value


def element_header(tag: int, vr: bytes, length: int, *, is_implicit: bool) -> bytes:
    """Tag, VR and length of an element (PS3.5 7.1)."""
    if is_implicit:
        return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length)
    if vr in _LONG:
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, length)
