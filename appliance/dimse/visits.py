"""Who is connected to the listener now: how many may be, how many of them with an association, and who is overdue."""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)

MOST_ASSOCIATIONS = 16
MOST_CONNECTIONS = 32
_QUIET_SECONDS = 60.0
_END_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class Visit:
    """A connection from its first moment to its last."""

    connection: socket.socket
    address: str
    overdue_at: float
    has_association: bool = False
    thread: threading.Thread | None = None

    def cut_off(self) -> None:
        """Wake its thread, whatever that waits for, also inside TLS; the thread then ends by itself."""
        try:
            # An SSLSocket's own method would take the encryption away under the thread that uses it.
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)
        except OSError:
            return


@dataclass(slots=True)
class Visits:
    """Who is connected now, on either port."""

    _present: list[Visit] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def may_enter(self, visit: Visit) -> bool:
        """Count it among those who are here; the oldest without an association makes room for it."""
        with self._lock:
            if len(self._present) >= MOST_CONNECTIONS:
                waiting = next((one for one in self._present if not one.has_association), None)
                if waiting is None:
                    return False
                self._present.remove(waiting)
                waiting.cut_off()
            self._present.append(visit)
            return True

    def may_associate(self, visit: Visit) -> bool:
        """Whether there is room for one more association, which is then its."""
        with self._lock:
            if sum(one.has_association for one in self._present) >= MOST_ASSOCIATIONS:
                return False
            visit.has_association = True
            return True

    def end_association(self, visit: Visit) -> None:
        """Its place is free."""
        with self._lock:
            visit.has_association = False

    def is_nobody_here(self) -> bool:
        with self._lock:
            return not self._present

    def leave(self, visit: Visit) -> None:
        with self._lock:
            if visit in self._present:
                self._present.remove(visit)

    def end_overdue(self) -> None:
        """Cut off whoever took too long."""
        now = time.monotonic()
        with self._lock:
            for visit in self._present:
                if visit.overdue_at < now:
                    visit.cut_off()

    def end(self) -> None:
        """End all of them; returns when they have, or have had the time for it."""
        with self._lock:
            present = list(self._present)
            for visit in present:
                visit.cut_off()
        for visit in present:
            if visit.thread is not None:
                visit.thread.join(_END_SECONDS)


@dataclass(slots=True)
class TurnedAway:
    """How many connections found no place: said at once, and then once a minute at most."""

    count: int = 0
    last: str = ""
    quiet_until: float = float("-inf")

    def add(self, address: str) -> None:
        self.count, self.last = self.count + 1, address

    def tell(self, now: float) -> None:
        """`now` is monotonic."""
        if self.count and now >= self.quiet_until:
            said = f"{self.count} connections were" if self.count > 1 else "A connection was"
            _log.warning("%s turned away, the last from %s: all associations are taken", said, self.last)
            self.count, self.quiet_until = 0, now + _QUIET_SECONDS
