"""Peers that failed, why, and when each is tried again. One peer's trouble never delays another."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.base.clock import Clock
from appliance.forward.journal import Journal
from appliance.forward.states import backoff_seconds

_CLOCK_SLACK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PeerTrouble:
    """Failures in a row, the moment (seconds since the epoch) before which nothing is tried, and why."""

    failures: int
    next_attempt_at: float
    sentence: str


class Troubles:
    """The journal's memory of peers in trouble; a restart goes on waiting where it was."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def of(self, peer: str) -> PeerTrouble | None:
        """What keeps us from trying `peer`; None when nothing does."""
        with self._journal.reading() as db:
            row = db.execute("SELECT failures, next_attempt_at, trouble FROM peers WHERE name = ?", (peer,)).fetchone()
        return PeerTrouble(row[0], row[1], row[2]) if row else None

    def add(self, peer: str, sentence: str, first: float, longest: float) -> float:
        """`peer` failed once more; the seconds until it is tried again, doubling from `first` to `longest`."""
        with self._journal.transaction() as db:
            known = self.of(peer)
            failures = (known.failures if known else 0) + 1
            delay = backoff_seconds(failures, first, longest)
            db.execute(
                "INSERT OR REPLACE INTO peers (name, failures, next_attempt_at, trouble) VALUES (?, ?, ?, ?)",
                (peer, failures, self._clock.now().timestamp() + delay, sentence),
            )
        return delay

    def hasten(self, peer: str) -> None:
        """A person wants `peer` tried now, whatever its trouble was."""
        with self._journal.transaction() as db:
            db.execute("UPDATE peers SET next_attempt_at = 0 WHERE name = ?", (peer,))

    def clear(self, peer: str) -> None:
        """`peer` does what it should."""
        if self.of(peer) is not None:
            with self._journal.transaction() as db:
                db.execute("DELETE FROM peers WHERE name = ?", (peer,))

    def seconds_left(self, peer: str, longest: float) -> float:
        """Until `peer` may be tried again; 0 for now, also when the clock was put back since."""
        known = self.of(peer)
        left = known.next_attempt_at - self._clock.now().timestamp() if known else 0.0
        return 0.0 if left > longest + _CLOCK_SLACK_SECONDS else max(0.0, left)
