"""What lies between the device and a flash that may stall: frames in their order, bounded in number and in bytes."""

from __future__ import annotations

import threading
from collections import deque

from appliance.devices.frame import Frame


class FrameQueue:
    """One thread offers and is never held up, another takes. A frame that finds the queue empty always fits."""

    def __init__(self, most_frames: int, most_bytes: int) -> None:
        self._most_frames, self._most_bytes = most_frames, most_bytes
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._frames)

    def offer(self, frame: Frame) -> bool:
        """Take `frame` in; false, and it is left out, when the queue is full."""
        size = len(frame.data)
        with self._changed:
            is_full = len(self._frames) >= self._most_frames or self._bytes + size > self._most_bytes
            if self._frames and is_full:
                return False
            self._frames.append(frame)
            self._bytes += size
            self._changed.notify()
        return True

    def take(self, seconds: float) -> Frame | None:
        """The oldest frame; None when there is none for so long."""
        with self._changed:
            if not self._frames:
                self._changed.wait(seconds)
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._bytes -= len(frame.data)
        return frame
