"""Plain columns on a terminal, in any script: a wide character takes two cells, a combining one none."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_GAP = "  "
_RIGHT_TO_LEFT = frozenset({"R", "AL"})
# First Strong Isolate and its end: a name from right to left must not reorder the columns beside it.
_ISOLATE, _END = "\u2068", "\u2069"
_STEERING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_ZERO_WIDTH = frozenset({"Mn", "Me", "Cf"})
_UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows in columns that are as wide as their widest cell."""
    shown = [[printable_text(cell) for cell in row] for row in rows]
    widths = [max(map(cell_width, column)) for column in zip(*shown, strict=True)]
    return [_GAP.join(map(_padded, row, widths)).rstrip() for row in shown]


def cell_width(text: str) -> int:
    """How many cells of a terminal `text` takes (Unicode Annex 11)."""
    return sum(
        0
        if unicodedata.category(letter) in _ZERO_WIDTH
        else 2
        if unicodedata.east_asian_width(letter) in {"W", "F"}
        else 1
        for letter in text
    )


def printable_text(text: str) -> str:
    """`text` with a mark for whatever would steer the terminal, and kept apart from its neighbours' direction."""
    if text.isascii() and text.isprintable():
        return text
    marked = "".join(
        "\ufffd"
        if unicodedata.category(letter) in _UNPRINTABLE or unicodedata.bidirectional(letter) in _STEERING
        else letter
        for letter in text
    )
    is_isolated = any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in marked)
    return f"{_ISOLATE}{marked}{_END}" if is_isolated else marked


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_width(text))
