"""One row of PCL raster graphics from the bytes of its transfer, by each method of compression (ESC * b # M).

What a damaged transfer lacks is empty paper, and what it has too much is left out: a row never has more than MAX_ROW
bytes, and no method reads behind its data. The seed row of the delta methods is the row before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

# 65,536 dots: more than any paper is wide.
MAX_ROW = 8192

# A row from its data and the row before.
Unpack = Callable[[bytes, bytes], bytes]


def plain_row_from(data: bytes, _seed: bytes) -> bytes:
    """Method 0."""
    return data[:MAX_ROW]


def run_length_row_from(data: bytes, _seed: bytes) -> bytes:
    """Method 1: pairs of a count, less one, and the byte that stands so often."""
    row = bytearray()
    for count, byte in zip(data[::2], data[1::2], strict=False):
        row += bytes((byte,)) * (count + 1)
        if len(row) >= MAX_ROW:
            break
    return bytes(row[:MAX_ROW])


def packbits_row_from(data: bytes, _seed: bytes) -> bytes:
    """Method 2, as in TIFF: 0 to 127, so many and one literal bytes; 129 to 255, the next byte 257 less so often."""
    row, at = bytearray(), 0
    while at < len(data) and len(row) < MAX_ROW:
        control = data[at]
        if control < 128:
            row += data[at + 1 : at + 2 + control]
            at += 2 + control
        elif control > 128:
            row += data[at + 1 : at + 2] * (257 - control)
            at += 2
        else:
            at += 1
    return bytes(row[:MAX_ROW])


def delta_row_from(data: bytes, seed: bytes) -> bytes:
    """Method 3: bits 7 to 5, how many bytes are replaced, less one; bits 4 to 0, how far behind the last replaced one.

    An offset of 31 goes on in the next bytes until one is not 255.
    """
    row, position = bytearray(seed), 0
    bytes_of = iter(data)
    for command in bytes_of:
        position += _extended(command & 0x1F, 0x1F, bytes_of)
        for _ in range((command >> 5) + 1):
            position = _replace(row, position, next(bytes_of, None))
    return bytes(row)


def modified_delta_row_from(data: bytes, seed: bytes) -> bytes:
    """Method 9, of DeskJets: as method 3, of literal bytes (bit 7 is 0) or of one byte again and again (1).

    Literal: bits 6 to 3 the offset (15: goes on), 2 to 0 the count less one (7: goes on). Repeated: bits 6 and 5 the
    offset (3: goes on), 4 to 0 the count less two (31: goes on). The offset's further bytes come before the count's.
    """
    row, position = bytearray(seed), 0
    bytes_of = iter(data)
    for command in bytes_of:
        if command & 0x80:
            position += _extended(command >> 5 & 0x03, 0x03, bytes_of)
            count = _extended(command & 0x1F, 0x1F, bytes_of) + 2
            byte = next(bytes_of, None)
            end = min(MAX_ROW, position + count)
            if byte is not None and position < end:
                row.extend(bytes(max(0, end - len(row))))
                row[position:end] = bytes((byte,)) * (end - position)
            position += count
        else:
            position += _extended(command >> 3 & 0x0F, 0x0F, bytes_of)
            for _ in range(_extended(command & 0x07, 0x07, bytes_of) + 1):
                byte = next(bytes_of, None)
                if byte is None:
                    return bytes(row)
                position = _replace(row, position, byte)
    return bytes(row)


UNPACK: dict[int, Unpack] = {
    0: plain_row_from,
    1: run_length_row_from,
    2: packbits_row_from,
    3: delta_row_from,
    9: modified_delta_row_from,
}


def _extended(value: int, most: int, bytes_of: Iterator[int]) -> int:
    """A field of some bits, and what the bytes behind it add where all of them are set."""
    if value == most:
        for byte in bytes_of:
            value += byte
            if byte < 255:
                break
    return value


def _replace(row: bytearray, position: int, byte: int | None) -> int:
    """Put `byte` there, if there is one; the position behind it."""
    if byte is not None and position < MAX_ROW:
        if position >= len(row):
            row.extend(bytes(position + 1 - len(row)))
        row[position] = byte
    return position + 1
