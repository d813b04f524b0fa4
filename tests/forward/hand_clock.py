"""Time that a test moves, the wall clock also backwards."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class HandClock:
    def __init__(self) -> None:
        self.wall = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.advance(seconds)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)

    def set_wall(self, by: float) -> None:
        self.wall += timedelta(seconds=by)
