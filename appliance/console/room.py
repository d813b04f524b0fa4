"""Room on the flash as the panel shows it, and why nothing can be captured when there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError, Finding
from appliance.base.flash import flash_finding_from, in_words
from appliance.config.schema import Configuration
from appliance.exam.capacity import Recent, capacity_from, read_recent, read_reclaimable
from appliance.exam.facts import ExamFacts
from appliance.exam.room_taken import read_largest_part
from appliance.exam.waiting import read_waiting
from appliance.spool.room import floor_bytes_from
from appliance.spool.tree import NoRoomError, Spool, free_bytes

FULL_CODE = "flash-full"
# What an exam takes, and what is kept, changes slowly; the free bytes are looked at each time.
_LOOK_SECONDS = 30.0
_STAYS = "What is saved stays saved."
_SUGGESTION = f"{_STAYS} See that the archive can be reached, or let support export it and release it."


@dataclass(frozen=True, slots=True)
class RoomView:
    """What the API answers, and what is wrong."""

    json: dict[str, Any]
    findings: tuple[Finding, ...] = ()


class Room:
    """Thread-safe. It reads files; forward says why exams wait."""

    def __init__(
        self,
        spool: Spool,
        configuration: Configuration,
        clock: Clock,
        ask_forward: Callable[[], Mapping[str, Any]],
        is_writable: Callable[[], bool] = lambda: True,
    ) -> None:
        """`ask_forward` gives forward's status, or raises ApplianceError; `is_writable`: does flash take anything."""
        self._spool = spool
        self._configuration = configuration
        self._floor = floor_bytes_from(configuration)
        self._clock = clock
        self._ask_forward = ask_forward
        self._is_writable = is_writable
        self._facts = ExamFacts(spool.exams)
        self._lock = threading.Lock()
        self._until = Deadline.after(clock, 0.0)
        self._recent, self._reclaimable = Recent(), 0

    def view(self, forward: Mapping[str, Any]) -> RoomView:
        """What is left now; `forward` is its status."""
        try:
            return self._look(forward)
        except OSError as error:
            finding = flash_finding_from(error, "flash-unreadable", "How much room the flash has cannot be read")
            return RoomView({"sentence": finding.sentence}, (finding,))

    def _look(self, forward: Mapping[str, Any]) -> RoomView:
        with self._lock:
            if self._until.is_over():
                self._recent = read_recent(self._facts)
                self._reclaimable = read_reclaimable(self._spool, self._configuration)
                self._until = Deadline.after(self._clock, _LOOK_SECONDS)
            recent, reclaimable = self._recent, self._reclaimable
        free = free_bytes(self._spool.state)
        capacity = capacity_from(self._configuration, free, reclaimable, recent, is_writable=self._is_writable())
        full = Finding(FULL_CODE, *self._full_words(forward)) if capacity.is_full else None
        return RoomView({**asdict(capacity), "sentence": capacity.sentence}, (full,) if full else ())

    def refuse_if_full(self) -> None:
        """NoRoomError when no frame may be taken, saying how many exams wait and why. FlashError when flash fails."""
        with in_words("Nothing was captured"):
            self._refuse_if_full()

    def _refuse_if_full(self) -> None:
        if free_bytes(self._spool.state) >= self._floor:
            return
        try:
            forward = self._ask_forward()
        except ApplianceError as error:
            forward = {"sentence": error.sentence}
        raise NoRoomError(*self._full_words(forward))

    def _full_words(self, forward: Mapping[str, Any]) -> tuple[str, str]:
        """What is said, and what helps: at the archive where exams wait for it, else at what takes the room."""
        waiting = read_waiting(self._spool, self._facts)
        said = f"The flash is full: nothing can be captured. {waiting.sentence}"
        if waiting.exams:
            return f"{said} {forward.get('sentence', '')}".rstrip(), _SUGGESTION
        return said, f"{_STAYS} {read_largest_part(self._spool, self._configuration).sentence}"
