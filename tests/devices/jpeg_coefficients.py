"""The quantised coefficients of a small baseline JPEG, read by a decoder of the tests' own (ITU-T T.81, Annex F)."""

from __future__ import annotations

from dataclasses import dataclass

# By component: its blocks by (row, column), each of 64 coefficients in zigzag order.
Blocks = list[dict[tuple[int, int], tuple[int, ...]]]


@dataclass(frozen=True)
class Coefficients:
    """Every coded block, those of padding too; `quantisers` go by component."""

    width: int
    height: int
    blocks: Blocks
    quantisers: list[tuple[int, ...]]
    markers: list[int]


class _Bits:
    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data.replace(b"\xff\x00", b"\xff"))
        self.at = 0

    def take(self, count: int) -> int:
        found = self.text[self.at : self.at + count]
        assert len(found) == count, "the scan ends too early"
        self.at += count
        return int(found or "0", 2)

    def symbol(self, table: dict[str, int]) -> int:
        for length in range(1, 17):
            found = table.get(self.text[self.at : self.at + length])
            if found is not None:
                self.at += length
                return found
        raise AssertionError("no such code")

    def value(self, size: int) -> int:
        bits = self.take(size)
        return bits if size == 0 or bits >> (size - 1) else bits - (1 << size) + 1


def read_coefficients(data: bytes) -> Coefficients:
    """AssertionError for anything that is not exactly one scan of whole units."""
    assert data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
    at, interval = 2, 0
    quantisers: dict[int, tuple[int, ...]] = {}
    tables: dict[int, dict[str, int]] = {}
    markers = []
    while True:
        assert data[at] == 0xFF
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        payload = data[at + 4 : at + 2 + length]
        at += 2 + length
        markers.append(marker)
        if marker == 0xDB:
            for start in range(0, len(payload), 65):
                quantisers[payload[start]] = tuple(payload[start + 1 : start + 65])
        elif marker == 0xC4:
            start = 0
            while start < len(payload):
                table, code, position = {}, 0, start + 17
                for size in range(1, 17):
                    for _ in range(payload[start + size]):
                        table[f"{code:0{size}b}"] = payload[position]
                        code, position = code + 1, position + 1
                    code <<= 1
                tables[payload[start]] = table
                start = position
        elif marker == 0xC0:
            height, width = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
            parts = [(payload[i + 1] >> 4, payload[i + 1] & 15, payload[i + 2]) for i in range(6, len(payload), 3)]
        elif marker == 0xDD:
            interval = int.from_bytes(payload, "big")
        elif marker == 0xDA:
            chosen = [(payload[2 + 2 * i] >> 4, payload[2 + 2 * i] & 15) for i in range(len(parts))]
            break
    if len(parts) == 1:
        parts = [(1, 1, parts[0][2])]
    across, down = max(one[0] for one in parts), max(one[1] for one in parts)
    columns, rows = -(-width // (8 * across)), -(-height // (8 * down))
    blocks: Blocks = [{} for _ in parts]
    units = columns * rows
    scan = data[at:-2]
    pieces = [scan]
    if interval:
        for number in range(8):
            scan = scan.replace(bytes((0xFF, 0xD0 + number)), b"\xff\xd8")
        pieces = scan.split(b"\xff\xd8")
    unit = 0
    for piece in pieces:
        bits, last = _Bits(piece), [0] * len(parts)
        for _ in range(min(interval or units, units - unit)):
            row, column = divmod(unit, columns)
            for number, (h, v, _) in enumerate(parts):
                for y in range(v):
                    for x in range(h):
                        block = _block(bits, tables[chosen[number][0]], tables[16 + chosen[number][1]], last[number])
                        last[number] = block[0]
                        blocks[number][row * v + y, column * h + x] = block
            unit += 1
        assert len(bits.text) - bits.at < 8, "the scan has more than its units"
    assert unit == units
    return Coefficients(width, height, blocks, [quantisers[one[2]] for one in parts], markers)


def _block(bits: _Bits, dc: dict[str, int], ac: dict[str, int], before: int) -> tuple[int, ...]:
    found = [0] * 64
    found[0] = before + bits.value(bits.symbol(dc))
    at = 1
    while at < 64:
        code = bits.symbol(ac)
        if code == 0:
            break
        at += code >> 4
        if code != 0xF0:
            found[at] = bits.value(code & 15)
        at += 1
    return tuple(found)
