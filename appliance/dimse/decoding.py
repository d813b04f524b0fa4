"""An object as an archive wants it that does not take it as it lies: decoded, or without VRs, while it is sent.

The SOP Instance UID stays (PS3.4 B.4.1.3 has nothing against another transfer syntax), and Lossy Image Compression
stays 01: what JPEG lost is lost. Nothing is written to flash, no more than one frame is in memory, and the length is
known before the first byte leaves. The same file gives the same bytes each time.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from appliance.base.errors import ApplianceError
from appliance.base.jpeg_ls import JpegLsError, decode_jpeg_ls
from appliance.dimse.elements import (
    PIXEL_DATA,
    UNDEFINED_LENGTH,
    Element,
    FileMeta,
    Header,
    NotAnObject,
    element_header,
    encode_elements,
    read_header,
)
from appliance.dimse.transmit import ChunkSource

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"

_ROWS, _COLUMNS, _SAMPLES, _BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280002, 0x00280100
_BITS_STORED = 0x00280101
_PHOTOMETRIC, _PLANAR, _FRAMES = 0x00280004, 0x00280006, 0x00280008
_OFFSETS, _LENGTHS = 0x7FE00001, 0x7FE00002  # Extended Offset Table: only of encapsulated pixels (PS3.3 C.7.6.3.1.8)
_ITEM, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_START_OF_IMAGE = b"\xff\xd8"
_LONGEST_VALUE = 0xFFFFFFFE
_MOST_FRAGMENTS = 1_000_000
_LONGEST_TABLE = 8 * _MOST_FRAGMENTS
_CHUNK_BYTES = 256 * 1024


class UnsendableObject(ApplianceError):
    """The object cannot be sent in any transfer syntax that the archive accepts."""


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What the header says of the pixels of an encapsulated object."""

    rows: int
    columns: int
    samples: int
    frames: int

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.samples


def open_recoded(descriptor: int, meta: FileMeta, transfer_syntax: str) -> ChunkSource:
    """The data set of an open file, whose meta is given, in Explicit or Implicit VR Little Endian.

    UnsendableObject when that cannot be; also while the source is read, of a frame that cannot be decoded.
    NotAnObject, OSError.
    """
    is_implicit = transfer_syntax == IMPLICIT_LITTLE_ENDIAN
    header = read_header(descriptor, meta.data_set_at)
    if meta.transfer_syntax_uid == JPEG_BASELINE:
        return _decoded(descriptor, header, is_implicit)
    if meta.transfer_syntax_uid == JPEG_LS_LOSSLESS:
        return _decoded_film(descriptor, header, is_implicit)
    return _native(descriptor, header, is_implicit)


def can_recode(transfer_syntax: str, wanted: str) -> bool:
    """Whether an object in `transfer_syntax` can be sent in `wanted`, decoded or with other headers."""
    return (transfer_syntax, wanted) in {
        (JPEG_BASELINE, EXPLICIT_LITTLE_ENDIAN),
        (JPEG_BASELINE, IMPLICIT_LITTLE_ENDIAN),
        (JPEG_LS_LOSSLESS, EXPLICIT_LITTLE_ENDIAN),
        (JPEG_LS_LOSSLESS, IMPLICIT_LITTLE_ENDIAN),
        (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN),
    }


def _native(descriptor: int, header: Header, is_implicit: bool) -> ChunkSource:
    encoded = encode_elements(header.elements, is_implicit=is_implicit)
    if header.pixels_at is None:
        return ChunkSource(len(encoded), iter((encoded,)))
    if header.pixels_length == UNDEFINED_LENGTH:
        raise NotAnObject("uncompressed pixels of undefined length")
    encoded += element_header(PIXEL_DATA, header.pixels_vr, header.pixels_length, is_implicit=is_implicit)

    def chunks(at: int, left: int) -> Iterator[bytes]:
        yield encoded
        while left:
            chunk = os.pread(descriptor, min(left, _CHUNK_BYTES), at)
            if not chunk:
                return
            yield chunk
            at, left = at + len(chunk), left - len(chunk)

    # What follows the pixels is padding or a signature of other bytes than these (PS3.3 C.12.1.1.3).
    return ChunkSource(len(encoded) + header.pixels_length, chunks(header.pixels_at, header.pixels_length))


def _decoded(descriptor: int, header: Header, is_implicit: bool) -> ChunkSource:
    pixels = _pixels_of(header)
    length = pixels.frame_bytes * pixels.frames
    length += length % 2
    if length > _LONGEST_VALUE:
        raise UnsendableObject(
            f"The archive takes no JPEG, and uncompressed the object would be {length / 1e9:.1f} GB: "
            "more than the 4 GiB that DICOM can say.",
            "Ask its administrator to allow JPEG Baseline for this box.",
        )
    elements = [_native_form(one, pixels.samples) for one in header.elements if one.tag not in (_OFFSETS, _LENGTHS)]
    encoded = encode_elements(elements, is_implicit=is_implicit)
    encoded += element_header(PIXEL_DATA, b"OB", length, is_implicit=is_implicit)
    frames = _frames_of(descriptor, header, pixels.frames)
    if frames:
        _open_frame(_read_frame(descriptor, frames[0]), pixels, 1)

    def chunks() -> Iterator[bytes]:
        yield encoded
        for number, fragments in enumerate(frames, start=1):
            yield from _decode(_read_frame(descriptor, fragments), pixels, number)
        yield b"\0" * (length - pixels.frame_bytes * pixels.frames)

    return ChunkSource(len(encoded) + length, chunks())


def _decoded_film(descriptor: int, header: Header, is_implicit: bool) -> ChunkSource:
    """One gray picture in JPEG-LS, as this box compresses films: nothing of the header changes."""
    rows, columns = _number_in(header, _ROWS), _number_in(header, _COLUMNS)
    allocated, bits = _number_in(header, _BITS_ALLOCATED), _number_in(header, _BITS_STORED)
    if _number_in(header, _SAMPLES) != 1 or allocated not in (8, 16):
        raise UnsendableObject("JPEG-LS of this kind cannot be sent uncompressed.")
    length = rows * columns * (allocated // 8)
    elements = [one for one in header.elements if one.tag not in (_OFFSETS, _LENGTHS)]
    encoded = encode_elements(elements, is_implicit=is_implicit)
    kind = b"OB" if allocated == 8 else b"OW"
    encoded += element_header(PIXEL_DATA, kind, length + length % 2, is_implicit=is_implicit)
    (fragments,) = _frames_of(descriptor, header, 1)
    try:
        samples = decode_jpeg_ls(_read_frame(descriptor, fragments), columns, rows, bits)
    except JpegLsError as error:
        raise UnsendableObject(
            "The archive takes no JPEG-LS, and the film cannot be decoded.",
            "Ask its administrator to allow JPEG-LS Lossless for this box.",
        ) from error

    def chunks() -> Iterator[bytes]:
        yield encoded
        for at in range(0, length, _CHUNK_BYTES):
            yield bytes(samples[at : at + _CHUNK_BYTES])
        yield b"\0" * (length % 2)

    return ChunkSource(len(encoded) + length + length % 2, chunks())


def _number_in(header: Header, tag: int) -> int:
    element = header.element(tag)
    if element is None:
        raise NotAnObject(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing")
    return element.number()


def _pixels_of(header: Header) -> _Pixels:
    photometric = header.element(_PHOTOMETRIC)
    said = photometric.text() if photometric else ""
    samples = _number_in(header, _SAMPLES)
    if (samples, said) not in {(1, "MONOCHROME1"), (1, "MONOCHROME2"), (3, "YBR_FULL_422"), (3, "YBR_FULL")}:
        raise UnsendableObject(f"JPEG in {said} with {samples} samples a pixel cannot be sent uncompressed.")
    if _number_in(header, _BITS_ALLOCATED) != 8:
        raise UnsendableObject("JPEG with other than 8 bits a sample cannot be sent uncompressed.")
    frames = header.element(_FRAMES)
    count = frames.text() if frames else "1"
    if not count.isdecimal() or not 0 < int(count) <= _MOST_FRAGMENTS:
        raise NotAnObject("Number of Frames is no number")
    return _Pixels(_number_in(header, _ROWS), _number_in(header, _COLUMNS), samples, int(count))


def _native_form(element: Element, samples: int) -> Element:
    if samples == 3 and element.tag == _PHOTOMETRIC:
        return Element(element.tag, element.vr, b"RGB ")
    if element.tag == _PLANAR:
        return Element(element.tag, element.vr, b"\0\0")
    return element


def _frames_of(descriptor: int, header: Header, count: int) -> list[list[tuple[int, int]]]:
    """The fragments (place, length) of each frame (PS3.5 A.4): one each, or as the tables or JPEG's marks say."""
    if header.pixels_at is None or header.pixels_length != UNDEFINED_LENGTH:
        raise NotAnObject("no encapsulated pixels")
    kind, size = _item_at(descriptor, header.pixels_at)
    if kind != _ITEM or size > _LONGEST_TABLE:
        raise NotAnObject("no Basic Offset Table")
    table = os.pread(descriptor, size, header.pixels_at + 8)
    first = at = header.pixels_at + 8 + size
    fragments: list[tuple[int, int]] = []
    while True:
        kind, size = _item_at(descriptor, at)
        if kind == _SEQUENCE_END:
            break
        if kind != _ITEM or len(fragments) >= _MOST_FRAGMENTS:
            raise NotAnObject("pixels with something else than fragments")
        fragments.append((at + 8, size))
        at += 8 + size
    if count == 1:
        return [fragments]
    if len(fragments) == count:
        return [[fragment] for fragment in fragments]
    extended = header.element(_OFFSETS)
    starts = _numbers("<Q", extended.value) if extended is not None else _numbers("<I", table)
    beginning = {first + start + 8 for start in starts}
    frames: list[list[tuple[int, int]]] = []
    for place, size in fragments:
        is_first = place in beginning if starts else os.pread(descriptor, 2, place) == _START_OF_IMAGE
        if is_first:
            frames.append([])
        if not frames:
            raise NotAnObject("a fragment before the first frame")
        frames[-1].append((place, size))
    if len(frames) != count:
        raise NotAnObject(f"{len(frames)} frames where {count} are announced")
    return frames


def _numbers(form: str, table: bytes) -> list[int]:
    size = struct.calcsize(form)
    return [number for (number,) in struct.iter_unpack(form, table[: len(table) // size * size])]


def _item_at(descriptor: int, at: int) -> tuple[tuple[int, int], int]:
    data = os.pread(descriptor, 8, at)
    if len(data) < 8:
        raise NotAnObject("the pixels are cut off")
    group, number, length = struct.unpack("<HHI", data)
    return (group, number), length


def _read_frame(descriptor: int, fragments: list[tuple[int, int]]) -> bytes:
    return b"".join(os.pread(descriptor, size, place) for place, size in fragments)


def _open_frame(data: bytes, pixels: _Pixels, number: int) -> Image.Image:
    try:
        image = Image.open(BytesIO(data), formats=("JPEG",))
    except (OSError, SyntaxError, ValueError) as error:
        raise _undecodable(number) from error
    if image.size != (pixels.columns, pixels.rows) or image.mode != ("RGB" if pixels.samples == 3 else "L"):
        raise UnsendableObject(f"Frame {number} is not as its object's header says: it cannot be sent uncompressed.")
    return image


def _decode(data: bytes, pixels: _Pixels, number: int) -> Iterator[bytes]:
    image = _open_frame(data, pixels, number)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise _undecodable(number) from error
    # In strips: the whole frame once more would be a second frame in memory.
    height = max(1, _CHUNK_BYTES // (pixels.columns * pixels.samples))
    for top in range(0, pixels.rows, height):
        yield image.crop((0, top, pixels.columns, min(top + height, pixels.rows))).tobytes()


def _undecodable(number: int) -> UnsendableObject:
    return UnsendableObject(
        f"The archive takes no JPEG, and frame {number} cannot be decoded.",
        "Ask its administrator to allow JPEG Baseline for this box.",
    )
