"""Deadlines on a clock that is turned by hand."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from appliance.base.clock import Deadline, SystemClock


class HandClock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.seconds += seconds
        return event.is_set()


def test_ok__a_deadline_runs_out() -> None:
    clock = HandClock()
    deadline = Deadline.after(clock, 5.0)
    assert (deadline.remaining(), deadline.is_over()) == (5.0, False)
    clock.seconds += 4.5
    assert (deadline.remaining(), deadline.is_over()) == (0.5, False)
    clock.seconds += 0.5
    assert (deadline.remaining(), deadline.is_over()) == (0.0, True)
    clock.seconds += 100
    assert (deadline.remaining(), deadline.is_over()) == (0.0, True)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_ok__the_sooner_of_two_is_never_later_than_either(first: float, second: float, passed: float) -> None:
    clock = HandClock()
    deadline = Deadline.after(clock, first)
    clock.seconds += passed
    sooner = deadline.sooner(second)
    assert sooner.at <= deadline.at and sooner.at <= clock.seconds + second
    assert sooner.at in (deadline.at, clock.seconds + second)
    assert 0 <= sooner.remaining() <= max(0.0, second) + 1e-6


def test_ok__the_systems_clock_is_aware_and_waits_no_longer_than_it_is_told() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is not None
    event = threading.Event()
    before = clock.monotonic()
    assert not clock.wait(event, -5.0)
    assert not clock.wait(event, 0.01)
    assert clock.monotonic() > before
    event.set()
    assert clock.wait(event, 60.0)
