"""A hospital as a process of its own and a clock to turn by hand."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.peers import running
from tests.ports import pick_free_port
from tests.simulator.hospitals import Hospital


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """One for all tests that need no more than fresh UIDs."""
    directory = tmp_path_factory.mktemp("hospital") / "state"
    shared = Hospital.in_directory(
        directory, pick_free_port(), "--commitment-delay", "0.3", "--commitment-pause", "0.2"
    )
    with running(shared):
        yield shared


@pytest.fixture
def start_own_hospital(tmp_path: Path) -> Iterator[Callable[..., Hospital]]:
    """Start one with arguments of its own; it ends with the test."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Hospital:
            own = Hospital.in_directory(tmp_path / "state", pick_free_port(), *arguments)
            stack.enter_context(running(own))
            return own

        yield start


class HandClock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 8, 0, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.seconds += seconds
        return event.is_set()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()
