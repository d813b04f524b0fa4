"""Whether the coded picture of a baseline JPEG can be what came, although it holds a page of zeros (ITU-T T.81).

A page of a file that was never written reads as zeros. A picture without detail can be coded as zeros too, where the
frame brings tables in which they mean *nothing changes*: then the scan is walked, code by code, and must hold exactly
its blocks. In the typical tables, which grabbers use, zeros mean something else, so that this is rare; it takes some
tenths of a second for each 100 kB that are no zeros.
"""

from __future__ import annotations

import re
from functools import lru_cache

from appliance.devices.video.jpeg import JpegHeader

_HUFFMAN_TABLES = 0xC4
_CODE_BITS = 16
_END_OF_BLOCK = 0
_RESTARTS = re.compile(rb"\xff+[\xd0-\xd7]")
_ZEROS = re.compile(rb"\x00{8,}")

# By the next 16 bits: the length of the code that they begin with and its symbol; 0 is no code.
_Table = tuple[int, ...]
_Blocks = list[tuple[_Table, _Table]]


def is_scan_of_zeros(data: bytes, header: JpegHeader) -> bool:
    """Whether zeros in this frame's scan mean that nothing changes, and the scan holds just its blocks."""
    blocks = _blocks_of(data, header)
    if any(not _changes_nothing(dc) or not _changes_nothing(ac) for dc, ac in blocks):
        return False
    begin = header.scan_offset + 2
    begin += int.from_bytes(data[begin : begin + 2], "big")
    units = _unit_count(header)
    each = header.restart_interval or units
    parts = _RESTARTS.split(data[begin : header.end - 2])
    counts = [min(each, units - first) for first in range(0, units, each)]
    return len(parts) == len(counts) and all(
        _holds_units(part.replace(b"\xff\x00", b"\xff"), count, blocks)
        for part, count in zip(parts, counts, strict=True)
    )


def _unit_count(header: JpegHeader) -> int:
    """How many minimum coded units the scan has (A.2): of one component each is a block."""
    across, down = (max(factor) for factor in zip(*header.sampling, strict=True)) if header.components > 1 else (1, 1)
    return -(-header.width // (8 * across)) * -(-header.height // (8 * down))


def _blocks_of(data: bytes, header: JpegHeader) -> _Blocks:
    """The two tables, for DC and AC, of each block of a unit, in their order (A.2.3)."""
    tables: dict[tuple[int, int], _Table] = {}
    position = 2
    while position < header.scan_offset:
        while data[position + 1] == 0xFF:
            position += 1
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == _HUFFMAN_TABLES:
            tables |= _tables_in(data[position + 4 : position + 2 + length])
        position += 2 + length
    selected = data[header.scan_offset + 5 : header.scan_offset + 5 + 2 * header.components]
    blocks: _Blocks = []
    for component, (across, down) in enumerate(header.sampling):
        dc, ac = selected[2 * component + 1] >> 4, selected[2 * component + 1] & 15
        pair = (tables.get((0, dc), (0,)), tables.get((1, ac), (0,)))
        blocks += [pair] * (across * down if header.components > 1 else 1)
    return blocks


@lru_cache(maxsize=16)
def _tables_in(payload: bytes) -> dict[tuple[int, int], _Table]:
    """The tables of a DHT segment by class and destination (B.2.4.2, C.2); none of it where a table cannot be."""
    tables = {}
    position = 0
    while position < len(payload):
        counts = payload[position + 1 : position + 17]
        symbols = iter(payload[position + 17 : position + 17 + sum(counts)])
        table: list[int] = []
        for bits, count in enumerate(counts, start=1):
            for _ in range(count):
                table += [bits << 8 | next(symbols)] * (1 << (_CODE_BITS - bits))
        if len(table) > 1 << _CODE_BITS:
            return {}
        table += [0] * ((1 << _CODE_BITS) - len(table))
        tables[payload[position] >> 4, payload[position] & 15] = tuple(table)
        position += 17 + sum(counts)
    return tables


def _changes_nothing(table: _Table) -> bool:
    """Whether the code of zeros is there and means no difference (DC) or no further coefficient (AC): symbol 0."""
    return table[0] > 0 and table[0] & 0xFF == _END_OF_BLOCK


def _holds_units(coded: bytes, units: int, blocks: _Blocks) -> bool:
    """Whether `coded`, without its stuffing, holds just so many units; less than a byte may be left of it."""
    end = 8 * len(coded)
    coded += bytes(4)
    position = 0
    zero_bits = sum((dc[0] >> 8) + (ac[0] >> 8) for dc, ac in blocks)  # of a unit in which nothing changes
    while units and position <= end:
        zeros = _ZEROS.match(coded, (position + 7) // 8, end // 8)
        if zeros is not None and not (position % 8 and coded[position // 8] & 0xFF >> position % 8):
            skipped = min(units, (8 * zeros.end() - position) // zero_bits)
            units, position = units - skipped, position + skipped * zero_bits
            if not units:
                break
        after = _end_of_unit(coded, position, end, blocks)
        if after is None:
            return False
        units, position = units - 1, after
    return not units and 0 <= end - position < 8


def _end_of_unit(coded: bytes, position: int, end: int, blocks: _Blocks) -> int | None:
    """The bit behind the unit that begins at the bit `position`; None where it is none (F.2.2)."""
    for dc, ac in blocks:
        code = dc[_next_bits(coded, position)]
        position += (code >> 8) + (code & 0xFF)
        coefficient = 1
        while code and coefficient < 64:
            code = ac[_next_bits(coded, position)]
            position += (code >> 8) + (code & 0x0F)
            if code and code & 0xFF == _END_OF_BLOCK:
                break
            coefficient += (code >> 4 & 0x0F) + 1
        if not code or coefficient > 64 or position > end:
            return None
    return position


def _next_bits(coded: bytes, position: int) -> int:
    byte = position // 8
    return int.from_bytes(coded[byte : byte + 3], "big") >> (8 - position % 8) & 0xFFFF
