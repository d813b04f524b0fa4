"""What is fuzzed: a function of bytes, where it begins, what it may take, and how bytes become a conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`act` takes any bytes and returns; whatever it raises is a finding.

    `seeds` makes the corpus to begin with. An input has at most `longest` bytes. Whatever the input, the process may
    grow by `megabytes` at most above what it took before the first one, the fuzzer's own tables included, and one input
    may take `seconds`.
    """

    name: str
    act: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    longest: int = 4096
    megabytes: int = 64
    seconds: int = 20


def pieces_of(data: bytes) -> Iterator[tuple[float, bytes]]:
    """`data` as a machine would send it: silences in seconds, and the pieces behind them.

    Two bytes stand in front of each piece: its length, and how long nothing came before it.
    """
    place = 0
    while place + 2 <= len(data):
        length, pause = data[place], data[place + 1]
        yield (pause / 100 if pause < 200 else float(pause)), data[place + 2 : place + 2 + length]
        place += 2 + length


def conversation_of(data: bytes, size: int = 200) -> bytes:
    """`data` in pieces of at most 255 bytes with next to no silence between them: a seed for `pieces_of`."""
    return b"".join(bytes((len(data[at : at + size]), 1)) + data[at : at + size] for at in range(0, len(data), size))
