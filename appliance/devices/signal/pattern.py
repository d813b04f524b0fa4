"""A byte pattern that is only a signal: a laser imager's *acquire* or *print*, seen in what goes over a serial line.

Written as in a manual: bytes in hexadecimal, `??` for a byte that may be anything, and spaces as one likes:
`02 41 51 ?? 03`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# A longer command is recognised by its first bytes as well.
MAX_PATTERN_BYTES = 64
_ANY = "??"


@dataclass(frozen=True, slots=True)
class BytePattern:
    """What is looked for: each position's byte, None where any byte fits. The first and the last are never None."""

    positions: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.positions) <= MAX_PATTERN_BYTES:
            raise ValueError(f"a byte pattern has 1 to {MAX_PATTERN_BYTES} bytes")
        if self.positions[0] is None or self.positions[-1] is None:
            raise ValueError("a byte pattern begins and ends with a known byte")

    def __str__(self) -> str:
        return " ".join(_ANY if one is None else f"{one:02x}" for one in self.positions)

    @property
    def known_bytes(self) -> int:
        """How many of its bytes are fixed: one or two occur by chance in what else goes over the line."""
        return sum(one is not None for one in self.positions)

    def count_in(self, data: bytes) -> int:
        """How often it stands in `data`, without overlap."""
        return sum(1 for _ in self.expression.finditer(data))

    @property
    def expression(self) -> re.Pattern[bytes]:
        """The same as a regular expression; without a quantifier, so that it takes no more than one look a byte."""
        return re.compile(
            b"".join(b"." if one is None else re.escape(bytes((one,))) for one in self.positions), re.DOTALL
        )


def pattern_from_text(text: str) -> BytePattern:
    """`02 41 ?? 03` as a pattern. ValueError in words for what is none."""
    digits = "".join(text.split())
    pairs = [digits[start : start + 2] for start in range(0, len(digits), 2)]
    if not all(pair == _ANY or re.fullmatch("[0-9A-Fa-f]{2}", pair) for pair in pairs):
        raise ValueError(f"a byte pattern is bytes in hexadecimal, and {_ANY} for any byte: 02 41 {_ANY} 03")
    return BytePattern(tuple(None if pair == _ANY else int(pair, 16) for pair in pairs))


class PatternFinder:
    """Looks for patterns in what arrives piece by piece; a match may be cut anywhere.

    Bytes are compared as they come, one step for each byte and pattern: what lies half in the next piece is kept, never
    more than the longest pattern. One byte counts for one match of a pattern only.
    """

    def __init__(self, patterns: Sequence[BytePattern]) -> None:
        self._patterns = tuple(patterns)
        self._longest = max((len(one.positions) for one in self._patterns), default=1)
        self._tail = b""
        self._used = [0] * len(self._patterns)  # bytes of the tail that a match has taken already

    def feed(self, data: bytes) -> list[int]:
        """The numbers of the patterns whose last byte is in `data`, in the order in which they end."""
        if not data:
            return []
        window = self._tail + data
        found: list[tuple[int, int]] = []
        kept_from = max(0, len(window) - (self._longest - 1))
        for number, pattern in enumerate(self._patterns):
            end = self._used[number]
            while match := pattern.expression.search(window, end):
                end = match.end()
                found.append((end, number))
            self._used[number] = max(0, end - kept_from)
        self._tail = window[kept_from:]
        return [number for _, number in sorted(found)]

    def forget(self) -> None:
        """The line was opened anew, or was silent: what came before is no beginning any more."""
        self._tail = b""
        self._used = [0] * len(self._patterns)
