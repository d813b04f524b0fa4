"""Frames in the driver's order: whatever is swapped within what may be held comes out in order, the rest is counted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.devices.video.order import SequenceOrder

_HELD, _PATIENCE = 3, 0.25


def _taken(order: SequenceOrder[str], now: float = 0.0) -> list[tuple[int, str]]:
    found = []
    while (one := order.take(now)) is not None:
        found.append(one)
    return found


def _put(order: SequenceOrder[str], *numbers: int, now: float = 0.0) -> None:
    for number in numbers:
        order.put(number, str(number), now)


@pytest.mark.parametrize(
    ("numbers", "out", "lost", "late"),
    [
        ([0, 1, 2], [0, 1, 2], 0, 0),
        ([0, 2, 1, 3], [0, 1, 2, 3], 0, 0),
        ([7, 8], [7, 8], 0, 0),  # the first is where counting begins
        ([1, 0, 2], [1, 2], 0, 1),
        ([0, 2, 3, 4], [0], 0, 0),  # 1 may still come
        ([0, 2, 3, 4, 5], [0, 2, 3, 4, 5], 1, 0),  # too many have come since
        ([0, 5, 6, 7, 8, 1], [0, 5, 6, 7, 8], 4, 1),
        ([0xFFFFFFFE, 0xFFFFFFFF, 0, 1], [0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 0x100000001], 0, 0),
        ([3, 3, 3], [3, 4, 5], 0, 0),  # a driver that does not count
        ([9, 0, 1, 2, 3, 4, 5, 6], [9, 10, 11, 12], 0, 4),  # one that began anew
    ],
)
def test_ok__table(numbers: list[int], out: list[int], lost: int, late: int) -> None:
    order: SequenceOrder[str] = SequenceOrder(_HELD, _PATIENCE)
    found = []
    for number in numbers:
        _put(order, number)
        found += _taken(order)
    assert [number for number, _ in found] == out
    assert (order.lost, order.late) == (lost, late)


def test_ok__what_is_missing_is_waited_for_so_long_and_no_longer() -> None:
    order: SequenceOrder[str] = SequenceOrder(_HELD, _PATIENCE)
    _put(order, 0)
    assert order.seconds_left(0.0) == _PATIENCE
    assert _taken(order) == [(0, "0")]
    assert order.seconds_left(0.0) is None
    _put(order, 2, now=1.0)
    assert _taken(order, 1.0) == []
    assert order.seconds_left(1.1) == pytest.approx(_PATIENCE - 0.1)
    assert _taken(order, 1.0 + _PATIENCE) == [(2, "2")]
    assert order.lost == 1


@settings(max_examples=40)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 1 << 32))
def test_ok__any_numbers_come_out_rising_and_none_twice(steps: list[int], start: int) -> None:
    order: SequenceOrder[str] = SequenceOrder(_HELD, _PATIENCE)
    found: list[int] = []
    for at, step in enumerate(steps):
        order.put((start + step) % (1 << 32), "x", at * 0.01)
        found += [number for number, _ in _taken(order, at * 0.01)]
        assert len(order._held) <= _HELD + 1  # memory is bounded
    found += [number for number, _ in _taken(order, 1e9)]
    assert found == sorted(set(found))
    assert len(found) + order.late <= len(steps)


@settings(max_examples=40)
@given(st.data())
def test_ok__a_swap_of_neighbours_loses_nothing(data: st.DataObject) -> None:
    numbers = list(range(30))
    at = 1
    while at < 28:
        if data.draw(st.booleans()):
            numbers[at], numbers[at + 1] = numbers[at + 1], numbers[at]
            at += 1
        at += 1
    order: SequenceOrder[str] = SequenceOrder(_HELD, _PATIENCE)
    found: list[int] = []
    for number in numbers:
        _put(order, number)
        found += [one for one, _ in _taken(order)]
    assert found == list(range(30))
    assert (order.lost, order.late) == (0, 0)
