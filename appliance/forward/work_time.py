"""The time by which retention is measured: seconds of the box's work, which no setting of the clock can move.

It is counted by the monotonic clock and survives restarts. The time while the box was off is added when a trusted clock
tells it, but never more than MOST_OFF_SECONDS at once: a clock that jumps by ten years must not end every retention.
Where nothing is known of that time the box keeps its objects so much longer.
"""

from __future__ import annotations

from appliance.base.clock import Clock
from appliance.forward.journal import Journal

MOST_OFF_SECONDS = 4 * 86_400.0
_SAVE_SECONDS = 600.0


class WorkTime:
    """A count that never goes back but by what a crash takes: `_SAVE_SECONDS`, and objects are kept so much longer."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        with journal.reading() as db:
            row = db.execute("SELECT seconds, wall FROM work_time").fetchone()
        # `_wall` is the wall clock at which all is counted, as far as a trusted clock ever told; 0 while none did.
        self._seconds, self._wall = (float(row["seconds"]), float(row["wall"])) if row else (0.0, 0.0)
        self._looked = self._saved = clock.monotonic()
        self._is_off_counted = False

    def advance(self, *, is_clock_trusted: bool) -> float:
        """Seconds of work until now."""
        now = self._clock.monotonic()
        elapsed, self._looked = now - self._looked, now
        self._seconds += elapsed
        self._wall += elapsed if self._wall else 0.0
        if is_clock_trusted:
            wall = self._clock.now().timestamp()
            if not self._is_off_counted and self._wall:
                self._seconds += min(max(wall - self._wall, 0.0), MOST_OFF_SECONDS)
            is_new, self._is_off_counted, self._wall = not self._is_off_counted, True, wall
        else:
            is_new = False
        if is_new or now - self._saved >= _SAVE_SECONDS:
            self._save()
        return self._seconds

    def _save(self) -> None:
        self._saved = self._looked
        with self._journal.transaction() as db:
            db.execute("DELETE FROM work_time")
            db.execute("INSERT INTO work_time VALUES (?, ?)", (self._seconds, self._wall))
