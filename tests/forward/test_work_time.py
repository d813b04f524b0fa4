"""The time by which retention is measured, whatever happens to the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.forward.journal import Journal
from appliance.forward.work_time import MOST_OFF_SECONDS, WorkTime
from tests.forward.hand_clock import HandClock

DAY = 86_400.0


class Bench:
    def __init__(self, directory: Path) -> None:
        self.journal = Journal(directory / "journal.sqlite")
        self.clock = HandClock()
        self.restart()

    def restart(self) -> None:
        self.time = WorkTime(self.journal, self.clock)

    def off(self, seconds: float) -> None:
        """The box is off so long: its monotonic clock begins anew."""
        self.clock.set_wall(seconds)
        self.clock.seconds = 0.0
        self.restart()

    def advance(self, *, is_clock_trusted: bool = True) -> float:
        return self.time.advance(is_clock_trusted=is_clock_trusted)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_ok__it_is_the_time_of_work_however_the_clock_is_set(bench: Bench) -> None:
    assert bench.advance() == 0
    bench.clock.set_wall(3650 * DAY)
    assert bench.advance() == 0
    bench.clock.advance(700)
    bench.clock.set_wall(-7300 * DAY)
    assert bench.advance(is_clock_trusted=False) == 700
    bench.clock.advance(700)
    assert bench.advance() == 1400


def test_ok__it_survives_a_restart_and_loses_little_with_a_crash(bench: Bench) -> None:
    bench.advance()
    bench.clock.advance(600)
    assert bench.advance() == 600
    bench.clock.advance(599)
    assert bench.advance() == 1199
    bench.clock.seconds = 0.0
    bench.restart()
    assert bench.advance(is_clock_trusted=False) == 600


@pytest.mark.parametrize(
    ("off", "counted"), [(3600, 3600), (2 * DAY, 2 * DAY), (3650 * DAY, MOST_OFF_SECONDS), (-400 * DAY, 0)]
)
def test_ok__the_time_while_it_was_off_is_counted_up_to_a_bound(bench: Bench, off: float, counted: float) -> None:
    bench.advance()
    bench.clock.advance(600)
    bench.advance()
    bench.off(off)
    bench.clock.advance(50)
    assert bench.advance(is_clock_trusted=False) == 650
    bench.clock.advance(50)
    assert bench.advance() == pytest.approx(700 + counted)
    bench.clock.advance(50)
    assert bench.advance() == pytest.approx(750 + counted), "it is counted once"


def test_ok__a_run_whose_clock_was_never_trusted_is_not_counted_twice(bench: Bench) -> None:
    bench.advance()
    bench.off(3600)
    bench.clock.advance(7200)
    assert bench.advance(is_clock_trusted=False) == 7200
    bench.off(3600)
    assert bench.advance() == pytest.approx(7200 + 7200)


def test_ok__before_a_clock_was_ever_trusted_nothing_is_known_of_the_time_off(bench: Bench) -> None:
    bench.advance(is_clock_trusted=False)
    bench.clock.advance(600)
    bench.advance(is_clock_trusted=False)
    bench.off(3600)
    assert bench.advance() == 600
