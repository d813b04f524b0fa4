"""A page under way: one bit a pixel, square pixels, its rows made as ink reaches them.

Printers place dots by inches and have a pitch of their own in each direction; the page has one resolution. A dot covers
every pixel that begins inside of it, and one at least: where the page is as fine as the printer or finer, each dot can
be found again in its pixels, and where it is coarser, dots fall together and none is lost. Ink is never taken away.

A print head whose pins are far apart reaches a finer resolution by printing between its own rows. How high a dot is
then shows only when the next pass comes: rows of dots that are higher than a pixel are held until the page ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress, pairwise
from math import gcd

# Rows that are held, for each row of pixels that the page may have: any further ones are drawn at once.
_MOST_HELD = 2


class Canvas:
    """At most `height` rows of `width` pixels, `dpi` to the inch. Positions come in units, `units` to the inch.

    A row is an integer of `width` bits whose highest bit is the leftmost pixel; a bit that is set is ink.
    """

    def __init__(self, width: int, height: int, dpi: int, units: int) -> None:
        self.width = width
        self.height = height
        self.dpi = dpi
        self.units = units
        self.is_cut = False
        """Ink was asked for beyond an edge."""
        self.is_merged = False
        """Dots were finer than the page's pixels."""
        self._rows: list[int] = []
        self._held: dict[tuple[int, int], int] = {}  # by position and pitch
        self._passes: dict[int, int] = {}  # where the last pass with this pitch began
        self._woven: dict[int, int] = {}  # how high its dots are, if passes fall between one another's rows

    def paint(
        self, rows: Sequence[int], columns: int, x: int, y: int, dx: int, dy: int, *, weave: int | None = None
    ) -> None:
        """Dots of `dx` × `dy` units, from (`x`, `y`) on to the right and downwards; none of the four below zero.

        Each row is an integer of `columns` bits, the highest one leftmost. Two passes that begin less than `weave`
        units apart (the pitch of the rows, if not given) belong together.
        """
        if dy * self.dpi > self.units:
            offset = abs(y - self._passes.get(dy, y))
            self._passes[dy] = y
            if offset % dy and offset < (dy if weave is None else weave):
                self._woven[dy] = gcd(self._woven.get(dy, dy), offset)
        if dx * self.dpi < self.units or dy * self.dpi < self.units:
            self.is_merged = True
        self._draw(rows, columns, x, y, dx, dy, is_held=True)

    def stamp(self, rows: Sequence[int], columns: int, x: int, y: int, dx: int, dy: int) -> None:
        """As `paint`, of dots that are as high as they say: characters."""
        self._draw(rows, columns, x, y, dx, dy, is_held=False)

    def finish(self) -> int:
        """Draw what is held; the rows down to the lowest that has ink."""
        for (y, dy), row in self._held.items():
            self._ink(row, y, self._woven.get(dy, dy))
        self._held.clear()
        return next((number for number in range(len(self._rows), 0, -1) if self._rows[number - 1]), 0)

    def packed(self, height: int) -> bytes:
        """The first `height` rows, each of whole bytes, the highest bit leftmost."""
        stride = -(-self.width // 8)
        left = stride * 8 - self.width
        drawn = b"".join((row << left).to_bytes(stride, "big") for row in self._rows[:height])
        return drawn + bytes(stride * height - len(drawn))

    def _draw(self, rows: Sequence[int], columns: int, x: int, y: int, dx: int, dy: int, *, is_held: bool) -> None:
        visible = self._visible(columns, x, dx)
        for number, row in enumerate(rows):
            if not row:
                continue
            kept = row >> (columns - visible)
            here = y + number * dy
            if kept << (columns - visible) != row or self._pixel_at(here) >= self.height:
                self.is_cut = True
            if not kept or self._pixel_at(here) >= self.height:
                continue
            drawn, key = self._stretched(kept, visible, x, dx), (here, dy)
            if not is_held or dy * self.dpi <= self.units:
                self._ink(drawn, here, dy)
            elif key in self._held or len(self._held) < _MOST_HELD * self.height:
                self._held[key] = self._held.get(key, 0) | drawn
            else:
                self._ink(drawn, here, dy)

    def _pixel_at(self, position: int) -> int:
        """The pixel in which a position of so many units lies."""
        return position * self.dpi // self.units

    def _visible(self, columns: int, x: int, dx: int) -> int:
        """How many of `columns` dots begin left of the right edge."""
        edge = -(-self.width * self.units // self.dpi)  # the first position whose pixel is outside
        return max(0, min(columns, -((x - edge) // dx)))

    def _stretched(self, row: int, columns: int, x: int, dx: int) -> int:
        """`row` as pixels, and where they belong in a row of the page."""
        first = self._pixel_at(x)
        if dx * self.dpi % self.units == 0:
            times = dx * self.dpi // self.units
            if times > 1:
                digits = f"{row:0{columns}b}".replace("0", "0" * times).replace("1", "1" * times)
                row = int(digits, 2)
            shift = self.width - first - columns * times
            return row << shift if shift >= 0 else row >> -shift  # the last dot may stand half outside
        return _unevenly(row, columns, x, dx, self.dpi, self.units, self.width)

    def _ink(self, row: int, y: int, dy: int) -> None:
        top = self._pixel_at(y)
        bottom = min(self.height, max(top + 1, self._pixel_at(y + dy)))
        if len(self._rows) < bottom:
            self._rows.extend([0] * (bottom - len(self._rows)))
        for number in range(top, bottom):
            self._rows[number] |= row


@lru_cache(maxsize=64)  # shades and rules are the same row again and again
def _unevenly(row: int, columns: int, x: int, dx: int, dpi: int, units: int, width: int) -> int:
    """`row` as pixels of which no whole number covers a dot: as they come, one dot more pixels than the next."""
    edges = _edges(columns, x, dx, dpi, units)
    pixels = bytearray(b"0" * width)
    inked = map(int, f"{row:0{columns}b}")
    if dx * dpi < units:
        for start in compress(edges, inked):
            pixels[start] = 0x31
    else:
        for start, end in compress(pairwise(edges), inked):
            pixels[start : min(width, end)] = b"1" * (min(width, end) - start)
    return int(pixels, 2)


@lru_cache(maxsize=8)
def _edges(columns: int, x: int, dx: int, dpi: int, units: int) -> tuple[int, ...]:
    """The pixel in which each of `columns` dots begins, and the one behind the last."""
    return tuple((x + number * dx) * dpi // units for number in range(columns + 1))
