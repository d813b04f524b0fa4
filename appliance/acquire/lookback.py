"""The seconds before the tap: what a clip begins with that was worth recording before anybody knew.

A frame belongs to the exam that is open at its first byte. So nothing is held but frames that came while this exam was
known to be open, and all of it is forgotten when another one is open, or none: no patient's clip ever begins with
another one's picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from appliance.devices.frame import Frame

_ASK_SECONDS = 0.5


class Lookback:
    """The last `seconds` of one exam's frames, at most so many and so many bytes. The caller's lock guards it."""

    def __init__(
        self, seconds: float, most_frames: int, most_bytes: int, open_exam_id: Callable[[], str | None]
    ) -> None:
        """With zero seconds nothing is held, and nobody is asked which exam is open."""
        self._seconds, self._most_frames, self._most_bytes = seconds, most_frames, most_bytes
        self._open_exam_id = open_exam_id
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._exam_id: str | None = None
        self._since = self._asked_at = float("-inf")

    def keep(self, frame: Frame, now: float) -> None:
        """Hold `frame`, which came at the monotonic moment `now` or before. OSError when nobody knows what is open."""
        if not self._seconds:
            return
        if now - self._asked_at >= _ASK_SECONDS:
            self._ask(now)
        if self._exam_id is None or frame.timestamp < self._since:
            return
        self._frames.append(frame)
        self._bytes += len(frame.data)
        while self._frames and self._is_too_much(frame.timestamp):
            self._bytes -= len(self._frames.popleft().data)

    def take(self, exam_id: str | None) -> list[Frame]:
        """What is held for `exam_id`, the oldest first; from then on nothing is."""
        found = list(self._frames) if exam_id is not None and exam_id == self._exam_id else []
        self.forget()
        return found

    def forget(self) -> None:
        """The picture was lost: what is held is not what came just before."""
        self._frames.clear()
        self._bytes = 0

    def _ask(self, now: float) -> None:
        self._asked_at = now
        known, self._exam_id = self._exam_id, None
        exam_id = self._open_exam_id()
        if exam_id != known:
            self.forget()
            self._since = now
        self._exam_id = exam_id

    def _is_too_much(self, newest: float) -> bool:
        oldest = self._frames[0]
        is_full = len(self._frames) > self._most_frames or self._bytes > self._most_bytes
        return is_full or newest - oldest.timestamp > self._seconds
