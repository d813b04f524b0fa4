"""What a measurement gives: a plain table for people, the same numbers under names for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MIB = 1024 * 1024


class BenchError(Exception):
    """A measurement gave nothing; the message is the sentence that is printed."""


@dataclass
class Table:
    """`settings` says under which conditions, `notes` how to read it, `values` is what `--json` writes."""

    name: str
    title: str
    settings: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def print(self) -> None:
        print(f"\n{self.title}\n  ({self.settings})")
        widths = [max(len(row[column]) for row in [self.head, *self.rows]) for column in range(len(self.head))]
        for row in [self.head, *self.rows]:
            # The first column is words, the others are numbers.
            numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            print("  " + "  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
        for note in self.notes:
            print(f"  - {note}")


@dataclass(frozen=True)
class Spread:
    """Numbers of one kind, all in one unit. With 50 of them p99 lies between the largest two."""

    median: float
    p90: float
    p99: float
    least: float
    most: float

    def cells(self, scale: float = 1.0, digits: int = 1) -> tuple[str, ...]:
        """Median, p90, p99, least and most, each times `scale`."""
        return tuple(
            f"{value * scale:.{digits}f}" for value in (self.median, self.p90, self.p99, self.least, self.most)
        )


SPREAD_HEAD = ("median", "p90", "p99", "least", "most")


def spread_of(values: Sequence[float]) -> Spread:
    """Percentiles by linear interpolation between the sorted values. BenchError when there are none."""
    if not values:
        raise BenchError("There is nothing to take a median of.")
    ordered = sorted(values)

    def percentile(part: float) -> float:
        position = part * (len(ordered) - 1)
        low, high = ordered[math.floor(position)], ordered[math.ceil(position)]
        return low + (high - low) * (position - math.floor(position))

    return Spread(percentile(0.5), percentile(0.9), percentile(0.99), ordered[0], ordered[-1])
