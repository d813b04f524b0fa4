"""Frames in the order in which they were taken, and how many were lost: by the driver's numbers.

Under load buffers come out of order, so a number that is missing may still come. It is waited for until enough others
have come, or too long has passed; then it counts as lost.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

# The kernel's number has 32 bits and begins again at zero; half the circle ahead is ahead.
_CIRCLE = 1 << 32


class SequenceOrder(Generic[T]):
    """Put in by number, taken out in order. `lost` counts the numbers that never came, `late` those that came after.

    At most `most_held` are held back, none for longer than `patience` seconds.
    """

    def __init__(self, most_held: int, patience: float) -> None:
        self.lost = 0
        self.late = 0
        self._most_held, self._patience = most_held, patience
        self._held: dict[int, tuple[float, T]] = {}
        self._next: int | None = None
        self._offset = 0  # between our number, which never begins again, and the driver's
        self._late_in_a_row = 0
        self._last_number: int | None = None
        self._is_numbered = True

    def put(self, number: int, item: T, now: float) -> None:
        """Take in what the driver numbered `number`, at the monotonic moment `now`."""
        if self._next is None:
            self._next = number
        if self._last_number == number and not self._held:
            self._is_numbered = False  # the driver does not count: then the order of arrival is all there is
        self._last_number = number
        if not self._is_numbered:
            self._held[self._next + len(self._held)] = (now, item)
            return
        ahead = (number + self._offset - self._next) % _CIRCLE
        if ahead >= _CIRCLE // 2:
            self._late_in_a_row += 1
            if self._late_in_a_row <= self._most_held + 1 or self._held:
                self.late += 1
                return
            self._offset, ahead = self._next - number, 0  # so many are not late: the driver began to count anew
        self._late_in_a_row = 0
        self._held[self._next + ahead] = (now, item)

    def take(self, now: float) -> tuple[int, T] | None:
        """The next one and its number, which never begins again; None when it is still waited for, or nothing is."""
        if not self._held or self._next is None:
            return None
        first = min(self._held)
        if first != self._next:
            oldest = min(moment for moment, _ in self._held.values())
            if len(self._held) <= self._most_held and now - oldest < self._patience:
                return None
            self.lost += first - self._next
        self._next = first + 1
        return first, self._held.pop(first)[1]

    def seconds_left(self, now: float) -> float | None:
        """How long what is held may wait for what is missing; None when nothing is held."""
        if not self._held:
            return None
        oldest = min(moment for moment, _ in self._held.values())
        return max(0.0, self._patience - (now - oldest))
