"""Baseline JPEG as frame grabbers send it (ITU-T T.81): read the header, find the end, give it its Huffman tables.

USB grabbers leave out the Huffman tables, since all of them mean the typical ones of T.81 Annex K.3; a file needs them.
Only markers are walked and only segments are inserted: the coded scan stays as it came, bit for bit.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from appliance.devices.errors import BadFrame

_START_OF_IMAGE = b"\xff\xd8"
_END_OF_IMAGE = 0xD9
_START_OF_SCAN = 0xDA
_QUANTISATION_TABLES = 0xDB
_HUFFMAN_TABLES = 0xC4
_NUMBER_OF_LINES = 0xDC
_RESTART_INTERVAL = 0xDD
_ADOBE = 0xEE
_BASELINE = 0xC0
# SOF1..SOF15 without DHT (C4), JPG (C8) and DAC (CC): T.81 table B.1
_OTHER_CODINGS = frozenset(range(0xC1, 0xD0)) - {_HUFFMAN_TABLES, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})

# In a coded scan FF is followed by 00 (stuffing), a restart marker, or the marker that ends the scan; more FF are fill.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

# The typical tables of T.81 K.3.3: class and destination, sixteen counts of codes by length, values in code order.
STANDARD_HUFFMAN_SEGMENTS: tuple[bytes, ...] = (
    # table K.3: luminance DC differences
    bytes.fromhex("ffc4 001f 00 00010501010101010100000000000000 00 0102030405060708090a0b"),
    # table K.5: luminance AC coefficients
    bytes.fromhex(
        "ffc4 00b5 10 0002010303020403050504040000017d"
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f0"
        "2433627282090a161718191a25262728292a3435363738393a43444546474849"
        "4a535455565758595a636465666768696a737475767778797a83848586878889"
        "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5"
        "c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8"
        "f9fa"
    ),
    # table K.4: chrominance DC differences
    bytes.fromhex("ffc4 001f 01 00030101010101010101010000000000 00 0102030405060708090a0b"),
    # table K.6: chrominance AC coefficients
    bytes.fromhex(
        "ffc4 00b5 11 00020102040403040705040400010277"
        "000102031104052131061241510761711322328108144291a1b1c109233352f0"
        "156272d10a162434e125f11718191a262728292a35363738393a434445464748"
        "494a535455565758595a636465666768696a737475767778797a828384858687"
        "88898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3"
        "c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8"
        "f9fa"
    ),
)


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a baseline frame says of itself.

    `component_ids` and `sampling` (horizontal, vertical) go by component. `scan_offset` is where the SOS marker begins,
    `end` the length up to and with EOI: what lies behind is no part of the image. `dc_step` is what the first
    component's DC coefficients are multiples of.
    """

    width: int
    height: int
    components: int
    component_ids: tuple[int, ...]
    sampling: tuple[tuple[int, int], ...]
    precision: int
    dc_step: int
    has_huffman_tables: bool
    restart_interval: int
    adobe_transform: int | None
    scan_offset: int
    end: int

    @property
    def is_gray_or_ycbcr(self) -> bool:
        """False for RGB: Adobe's marker says so, or the component identifiers spell it (JFIF knows only YCbCr)."""
        if self.components == 1:
            return True
        return self.adobe_transform != 0 and self.component_ids != (0x52, 0x47, 0x42)


def parse_jpeg(data: bytes) -> JpegHeader:
    """Read the header of one baseline image and find its end.

    What comes behind the end marker is left alone. Raises BadFrame in one sentence for a damaged or torn frame, and for
    every kind of JPEG that cannot be passed through (T.81 SOF1 to SOF15, 12 bit, several scans, four components).
    """
    if data[:2] != _START_OF_IMAGE:
        raise BadFrame("A frame does not begin as a JPEG image does.")
    frame_header: bytes | None = None
    quantisers: dict[int, int] = {}
    huffman: set[tuple[int, int]] = set()
    restart_interval = 0
    adobe_transform: int | None = None
    position = 2
    while True:
        position, marker = _find_marker(data, position)
        if marker in _WITHOUT_LENGTH:
            raise BadFrame("A JPEG frame holds coded data before its scan begins.")
        if marker == _END_OF_IMAGE:
            raise BadFrame("A JPEG frame ends before its picture begins.")
        payload = _segment_payload(data, position)
        if marker == _START_OF_SCAN:
            break
        position += 2 + len(payload)
        if marker == _BASELINE:
            if frame_header is not None:
                raise BadFrame("A JPEG frame holds two frame headers.")
            frame_header = payload
        elif marker in _OTHER_CODINGS:
            raise BadFrame(f"A JPEG frame is coded as SOF{marker - 0xC0}; only baseline (SOF0) is accepted.")
        elif marker == _NUMBER_OF_LINES:
            raise BadFrame("A JPEG frame tells its number of lines after its header.")
        elif marker == _QUANTISATION_TABLES:
            quantisers |= _dc_steps(payload)
        elif marker == _HUFFMAN_TABLES:
            huffman |= _huffman_destinations(payload)
        elif marker == _RESTART_INTERVAL:
            if len(payload) != 2:
                raise BadFrame("A JPEG frame's restart interval is damaged.")
            restart_interval = int.from_bytes(payload, "big")
        elif marker == _ADOBE and len(payload) >= 12 and payload.startswith(b"Adobe"):
            adobe_transform = payload[11]
    if frame_header is None:
        raise BadFrame("A JPEG frame has a scan but no frame header.")
    width, height, precision, components = _components(frame_header)
    _check_scan(payload, components, quantisers, huffman)
    return JpegHeader(
        width=width,
        height=height,
        components=len(components),
        component_ids=tuple(identifier for identifier, _, _ in components),
        sampling=tuple(factors for _, factors, _ in components),
        precision=precision,
        dc_step=quantisers[components[0][2]],
        has_huffman_tables=bool(huffman),
        restart_interval=restart_interval,
        adobe_transform=adobe_transform,
        scan_offset=position - 2,
        end=_end_of_image(data, position + 2 + len(payload)),
    )


def with_standard_huffman_tables(data: bytes, header: JpegHeader | None = None) -> bytes:
    """`data` up to its end marker, with the standard Huffman tables before its scan where it has none of its own.

    `header` spares a second walk when the caller has just parsed `data`. Raises BadFrame as `parse_jpeg`.
    """
    if header is None:
        header = parse_jpeg(data)
    if header.has_huffman_tables:
        return data if header.end == len(data) else data[: header.end]
    view = memoryview(data)
    return b"".join((view[: header.scan_offset], *STANDARD_HUFFMAN_SEGMENTS, view[header.scan_offset : header.end]))


def _find_marker(data: bytes, position: int) -> tuple[int, int]:
    """The position behind the next marker and its code; any number of FF may fill the room before it (B.1.1.2)."""
    if position >= len(data) or data[position] != 0xFF:
        raise BadFrame("A JPEG frame is cut off or damaged in its header.")
    while position < len(data) and data[position] == 0xFF:
        position += 1
    if position >= len(data):
        raise BadFrame("A JPEG frame is cut off or damaged in its header.")
    return position + 1, data[position]


def _segment_payload(data: bytes, position: int) -> bytes:
    """The bytes behind the length at `position`, which counts itself."""
    length = int.from_bytes(data[position : position + 2], "big")
    if length < 2 or position + length > len(data):
        raise BadFrame("A JPEG frame is cut off or damaged in its header.")
    return data[position + 2 : position + length]


def _components(payload: bytes) -> tuple[int, int, int, tuple[tuple[int, tuple[int, int], int], ...]]:
    """Width, height, precision, and (identifier, sampling factors, quantiser) of each component (B.2.2)."""
    if len(payload) < 6 or len(payload) != 6 + 3 * payload[5]:
        raise BadFrame("A JPEG frame's header is damaged.")
    precision = payload[0]
    height = int.from_bytes(payload[1:3], "big")
    width = int.from_bytes(payload[3:5], "big")
    if precision != 8:
        raise BadFrame(f"A JPEG frame has {precision} bits a sample; only 8 are accepted.")
    if not width or not height:
        raise BadFrame("A JPEG frame does not say how large it is.")
    if payload[5] not in (1, 3):
        raise BadFrame(f"A JPEG frame has {payload[5]} components; only 1 and 3 are accepted.")
    components = tuple(
        (payload[i], (payload[i + 1] >> 4, payload[i + 1] & 15), payload[i + 2]) for i in range(6, len(payload), 3)
    )
    if any(not (1 <= factor <= 4) for _, factors, _ in components for factor in factors):
        raise BadFrame("A JPEG frame's sampling factors are damaged.")
    if len({identifier for identifier, _, _ in components}) != len(components):
        raise BadFrame("A JPEG frame names a component twice.")
    return width, height, precision, components


def _dc_steps(payload: bytes) -> dict[int, int]:
    """The first value of each table that a DQT segment fills, by destination (B.2.4.1)."""
    steps: dict[int, int] = {}
    position = 0
    while position < len(payload):
        wide, destination = payload[position] >> 4, payload[position] & 15
        step = int.from_bytes(payload[position + 1 : position + (3 if wide else 2)], "big")
        position += 1 + (128 if wide else 64)
        if wide > 1 or destination > 3 or position > len(payload) or not step:
            raise BadFrame("A JPEG frame's quantisation tables are damaged.")
        steps[destination] = step
    return steps


def _huffman_destinations(payload: bytes) -> set[tuple[int, int]]:
    """Which (class, destination) a DHT segment fills (B.2.4.2)."""
    destinations, position = set(), 0
    while position < len(payload):
        table = (payload[position] >> 4, payload[position] & 15)
        codes = sum(payload[position + 1 : position + 17])
        position += 17 + codes
        if table[0] > 1 or table[1] > 3 or codes > 256 or position > len(payload):
            raise BadFrame("A JPEG frame's Huffman tables are damaged.")
        destinations.add(table)
    return destinations


def _check_scan(
    payload: bytes,
    components: tuple[tuple[int, tuple[int, int], int], ...],
    quantisers: Container[int],
    huffman: set[tuple[int, int]],
) -> None:
    """The scan header must fit the frame header, and every table it names must be there (B.2.3)."""
    count = len(components)
    if len(payload) != 4 + 2 * count or payload[0] != count:
        raise BadFrame("A JPEG frame's scan does not hold all of its components.")
    selected = tuple((payload[1 + 2 * i], payload[2 + 2 * i]) for i in range(count))
    if tuple(identifier for identifier, _ in selected) != tuple(identifier for identifier, _, _ in components):
        raise BadFrame("A JPEG frame's scan names other components than its header.")
    if payload[-3:] != b"\x00\x3f\x00":
        raise BadFrame("A JPEG frame's scan is not a baseline scan.")
    if any(quantiser not in quantisers for _, _, quantiser in components):
        raise BadFrame("A JPEG frame lacks a quantisation table.")
    # Without tables of its own a frame means the standard ones, which fill destinations 0 and 1.
    present = huffman or {(0, 0), (0, 1), (1, 0), (1, 1)}
    if any((0, tables >> 4) not in present or (1, tables & 15) not in present for _, tables in selected):
        raise BadFrame("A JPEG frame lacks a Huffman table.")


def _end_of_image(data: bytes, position: int) -> int:
    """The length of the image with its EOI; `position` is where the coded data begins."""
    found = _END_OF_SCAN.search(data, position)
    if found is None:
        raise BadFrame("A JPEG frame came without its end marker.")
    marker = data[found.start() + 1]
    if marker == _END_OF_IMAGE:
        return found.end()
    if marker == 0xD8:
        raise BadFrame("A JPEG frame came without its end marker; the next one begins inside it.")
    if marker in (_START_OF_SCAN, _HUFFMAN_TABLES, _QUANTISATION_TABLES):
        raise BadFrame("A JPEG frame has more than one scan; only one is accepted.")
    raise BadFrame("A JPEG frame is damaged inside its picture.")
