"""Text on a printed page: how a character looks, and what the printed characters say when they are read in lines.

The look is Pillow's own bitmap font, the Courier of the X Window System: 6 × 11 dots for each character of Latin-1.
Lines and blocks of tables are drawn from their Unicode names, and any other character is a hollow box. No printer's own
font is imitated: what counts is that each character can be read and stands in its place.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from PIL import ImageFont

COLUMNS = 6
ROWS = 11
_FULL = (1 << COLUMNS) - 1
_MIDDLE = 0b001000
_MISSING = (0, 0, 0, _FULL, *(0b100001,) * 5, _FULL, 0)


@dataclass(frozen=True, slots=True)
class Printed:
    """One character, where it stands and how wide it is, in units of the page."""

    y: int
    x: int
    width: int
    character: str


@lru_cache(maxsize=1024)
def cells_of(character: str) -> tuple[str, ...]:
    """`ROWS` rows of `COLUMNS` binary digits; 1 is ink."""
    return tuple(f"{row:0{COLUMNS}b}" for row in _glyph_of(character))


def _glyph_of(character: str) -> tuple[int, ...]:
    if ord(character) > 0xFF:
        return _drawn(unicodedata.name(character, ""))
    mask = _font().getmask(character, mode="1")
    width, height = mask.size
    return tuple(
        sum(1 << (COLUMNS - 1 - x) for x in range(min(width, COLUMNS)) if y < height and mask.getpixel((x, y)))
        for y in range(ROWS)
    )


@lru_cache(maxsize=1)
def _font() -> ImageFont.ImageFont:
    return ImageFont.load_default_imagefont()


def _drawn(name: str) -> tuple[int, ...]:
    """A line of a table or a block, from what its name says; the hollow box for anything else."""
    words = set(name.split())
    if name.startswith("BOX DRAWINGS"):
        vertical, horizontal = "VERTICAL" in words, "HORIZONTAL" in words
        up, down = vertical or "UP" in words, vertical or "DOWN" in words
        left, right = horizontal or "LEFT" in words, horizontal or "RIGHT" in words
        across = (0b111100 if left else 0) | (0b001111 if right else 0)
        return tuple(
            (_MIDDLE if (up and row <= 5) or (down and row >= 5) else 0) | (across if row == 5 else 0)
            for row in range(ROWS)
        )
    if name == "FULL BLOCK":
        return (_FULL,) * ROWS
    if name.endswith("HALF BLOCK"):
        sides = {"LEFT": 0b111000, "RIGHT": 0b000111}
        bits = next((sides[word] for word in words if word in sides), _FULL)
        return tuple(
            0 if ("UPPER" in words and row > 5) or ("LOWER" in words and row <= 5) else bits for row in range(ROWS)
        )
    if name.endswith("SHADE"):
        return tuple(0b101010 >> (row % 2) for row in range(ROWS))
    return _MISSING


def text_from(printed: Iterable[Printed]) -> str:
    """The characters in lines from top to bottom, each from left to right, with the gaps between them as spaces.

    What was printed twice in one place, for bold, stands once; of two characters in one place the later one. The lines
    and blocks of tables say nothing: they are gaps.
    """
    said = [one for one in printed if not "\u2500" <= one.character <= "\u259f"]
    lines = []
    for _, line in groupby(sorted(said, key=lambda one: one.y), key=lambda one: one.y):
        lines.append(_line_from(sorted(line, key=lambda one: one.x)))
    return "\n".join(line for line in lines if line)


def _line_from(printed: list[Printed]) -> str:
    text: list[str] = []
    last: Printed | None = None
    for one in printed:
        if last is not None and one.x - last.x < min(one.width, last.width) // 2:
            if one.character not in " _":
                text[-1] = one.character
                last = one
            continue
        gap = one.x - (0 if last is None else last.x + last.width)
        text.append(" " * min(200, max(0, (gap + one.width // 2) // one.width)))
        text.append(one.character)
        last = one
    return "".join(text).rstrip()
