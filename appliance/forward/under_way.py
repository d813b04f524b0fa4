"""What is being tried at a peer now, and since when: one that hangs must not look like one that is not tried."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from appliance.base.clock import Clock


class UnderWay:
    """Attempts that have not ended, each for some objects or steps; in memory, since they end with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._attempts: dict[int, tuple[str, frozenset[str]]] = {}
        self._number = 0
        self._lock = threading.Lock()

    @contextmanager
    def trying(self, uids: Iterable[str]) -> Iterator[None]:
        """As long as the block lasts, something is tried for these SOP Instance UIDs."""
        with self._lock:
            self._number += 1
            number = self._number
            self._attempts[number] = (self._clock.now().isoformat(), frozenset(uids))
        try:
            yield
        finally:
            with self._lock:
                del self._attempts[number]

    def since_by_uid(self) -> dict[str, str]:
        """Since when (ISO 8601) something is tried for which SOP Instance UID."""
        with self._lock:
            return {uid: since for since, uids in self._attempts.values() for uid in uids}

    @property
    def since(self) -> str:
        """When the oldest attempt began (ISO 8601); empty while nothing is tried."""
        with self._lock:
            return next((since for since, _uids in self._attempts.values()), "")
