"""Dots as they come over a wire, made rows of bits: columns of a print head, bytes of a raster, runs of equal bytes."""

from __future__ import annotations

# For each bit of a byte, the highest first: what turns a string of bytes into that bit of each as a binary number.
_DIGITS = tuple(bytes(ord("1") if byte >> (7 - bit) & 1 else ord("0") for byte in range(256)) for bit in range(8))


def rows_from_columns(data: bytes, dots: int) -> list[int]:
    """`dots` rows from columns of ceil(`dots` / 8) bytes, the highest bit of the first byte uppermost.

    The leftmost column is each row's highest bit.
    """
    stride = -(-dots // 8)
    return [int(data[row // 8 :: stride].translate(_DIGITS[row % 8]) or b"0", 2) for row in range(dots)]


def row_from_bytes(data: bytes, columns: int) -> int:
    """A row of `columns` bits from bytes whose highest bit is the left one; missing bytes are empty paper."""
    spare = len(data) * 8 - columns
    value = int.from_bytes(data, "big")
    return value >> spare if spare >= 0 else value << -spare


class RunLengths:
    """Epson's compression of raster data, unpacked as it comes: a counter, and what it counts.

    A counter below 128 is followed by one byte more than it says; any other by one byte that stands 257 minus the
    counter times. Runs may cross the end of a row.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.wanted = 1  # bytes that `put` takes next
        self._repeats = 0
        self._is_counter = True

    def put(self, data: bytes) -> None:
        """Take the `wanted` bytes."""
        if self._is_counter:
            counter = data[0]
            self._repeats = 1 if counter < 128 else 257 - counter
            self.wanted = counter + 1 if counter < 128 else 1
        else:
            self.data += data * self._repeats
            self.wanted = 1
        self._is_counter = not self._is_counter
