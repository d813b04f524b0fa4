"""A document in numbered sections: paragraphs, tables and pictures, before anyone decides how it is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of plain text under their columns; every row has as many cells."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of {self.caption!r} has not {len(self.columns)} cells")


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message from the participant `start` to `end`, by their places; both are one for what happens inside."""

    start: int
    end: int
    words: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Who says what to whom, in time from above to below (PS3.2 N.7.2.1.1)."""

    caption: str
    participants: tuple[str, ...]
    arrows: tuple[Arrow, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """Services, each with its activity and whom it concerns (PS3.2 5.1). `asked` are the places of those rows in which
    the other side opens the association.
    """

    caption: str
    rows: tuple[tuple[str, str, str], ...]
    asked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Contents:
    """The list of all sections."""


Block = Paragraph | Table | Sequence | Flow | Contents


@dataclass(frozen=True, slots=True)
class Section:
    """A numbered section; `number` is as printed, `1.2.1` or `A.A.1`."""

    number: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number} {self.title}"

    @property
    def depth(self) -> int:
        """1 for a chapter."""
        parts = self.number.split(".")
        return len(parts) - (1 if parts[0].isalpha() else 0)


@dataclass(frozen=True, slots=True)
class Document:
    """A title, what stands on its cover, and its sections in order."""

    title: str
    cover: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def table(caption: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table of anything that has a text; None is empty."""
    cells = tuple(tuple("" if cell is None else str(cell) for cell in row) for row in rows)
    return Table(caption, tuple(columns), cells)
