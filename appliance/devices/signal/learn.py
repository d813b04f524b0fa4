"""Which bytes say *now*? Found in recordings of what a machine sends when somebody presses its key.

A recording is what went over the line around one press, a few kilobytes at most. What stands in every one of them is
the signal: the longest stretch of bytes that they share, and where they differ at one place (a counter, a film's
number) and agree again behind it, that place is any byte. What a machine also sends while nobody presses anything is
no signal; `idle` is a recording of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.devices.errors import DeviceError
from appliance.devices.signal.pattern import MAX_PATTERN_BYTES, BytePattern

# What one recording may hold; a press's own bytes are few.
MAX_RECORDING = 4096
MIN_RECORDINGS = 2
# So many bytes in a row that differ do not belong to one command any more.
_MAX_GAP = 4
# Of the candidates that are as long as the longest one, so many are looked at.
_MAX_CANDIDATES = 64


class NothingLearned(DeviceError):
    """The recordings share nothing that could be a signal."""

    code = "nothing_learned"


@dataclass(frozen=True, slots=True)
class Learned:
    """`pattern` stands in each of `presses` recordings, and never in what came while nobody pressed.

    `is_weak`: with fewer than three fixed bytes it may come by chance. `repeats` is how often it stands in one
    recording at most: a machine that says a thing twice for one press needs a debounce longer than that takes.
    """

    pattern: BytePattern
    presses: int
    repeats: int
    is_weak: bool


def learn_pattern(presses: Sequence[bytes], idle: bytes = b"") -> Learned:
    """The pattern that stands in all of `presses` and not in `idle`.

    NothingLearned, in a sentence, for fewer than two recordings, for one that is empty or longer than `MAX_RECORDING`,
    and where they share nothing, or only what also comes by itself.
    """
    if len(presses) < MIN_RECORDINGS:
        raise NothingLearned("One press is not enough to learn from.", "Record the key at least twice.")
    if not all(presses):
        raise NothingLearned("At one press no byte came.", "Check the line's speed, and record once more.")
    if any(len(one) > MAX_RECORDING for one in presses):
        raise NothingLearned(
            f"At one press more than {MAX_RECORDING:,} bytes came.", "Record while the machine does nothing else."
        )
    best: BytePattern | None = None
    for core in _shared_stretches(presses, idle):
        grown = _grow(core, presses)
        if best is None or grown.known_bytes > best.known_bytes:
            best = grown
    if best is None:
        raise NothingLearned(
            "What came at the presses has nothing in common that does not come by itself too.",
            "Record once more, each time the same key alone.",
        )
    repeats = max(best.count_in(one) for one in presses)
    return Learned(best, len(presses), repeats, is_weak=best.known_bytes < 3)


def _shared_stretches(presses: Sequence[bytes], idle: bytes) -> list[bytes]:
    """The longest stretches that stand in every recording, and not in `idle`; all of one length, in their order.

    Whether one of a length is shared implies that one of each shorter length is, but not that it is missing in
    `idle`: so lengths are tried from the longest downwards, each by one set for a recording.
    """
    shortest, *others = sorted(presses, key=len)
    for length in range(_longest_shared(shortest, others), 0, -1):
        shared = set(_stretches(shortest, length))
        for other in others:
            shared &= set(_stretches(other, length))
        shared = {one for one in shared if one not in idle}
        if shared:
            return sorted(shared, key=shortest.index)[:_MAX_CANDIDATES]
    return []


def _longest_shared(shortest: bytes, others: Sequence[bytes]) -> int:
    low, high = 0, min(len(shortest), MAX_PATTERN_BYTES)
    while low < high:
        middle = (low + high + 1) // 2
        shared = set(_stretches(shortest, middle))
        for other in others:
            shared &= set(_stretches(other, middle))
        low, high = (middle, high) if shared else (low, middle - 1)
    return low


def _stretches(data: bytes, length: int) -> list[bytes]:
    return [data[start : start + length] for start in range(len(data) - length + 1)]


def _grow(core: bytes, presses: Sequence[bytes]) -> BytePattern:
    """`core`, and what stands around its first place in every recording, with any byte where they differ."""
    places = [(one, one.index(core)) for one in presses]
    positions: list[int | None] = list(core)
    behind = _agreeing([one[at + len(core) :] for one, at in places], MAX_PATTERN_BYTES - len(positions))
    positions += behind
    before = _agreeing([one[:at][::-1] for one, at in places], MAX_PATTERN_BYTES - len(positions))
    return BytePattern((*reversed(before), *positions))


def _agreeing(sides: Sequence[bytes], room: int) -> list[int | None]:
    """What all `sides` begin with, None where they differ; it ends with a byte in which they agree."""
    grown: list[int | None] = []
    kept = gap = 0
    for column in list(zip(*sides, strict=False))[:room]:
        is_same = len(set(column)) == 1
        gap = 0 if is_same else gap + 1
        if gap > _MAX_GAP:
            break
        grown.append(column[0] if is_same else None)
        kept = len(grown) if is_same else kept
    return grown[:kept]
