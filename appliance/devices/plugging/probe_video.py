"""Does a picture come, and how? A video source watched for some seconds."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import BadFrame, DeviceError, NoSignal
from appliance.devices.frame import Frame
from appliance.devices.video.source import VideoSource
from appliance.devices.video.watch import is_black_frame

_OPEN_SECONDS = 10.0
# Shorter than the patience of the driver, which would start the grabber again.
_FIRST_FRAME_SECONDS = 5.0
_FRAME_SECONDS = 2.0
# What cameras and television do; a measured rate so near to one of them is that one.
_USUAL_RATES = (5.0, 10.0, 15.0, 20.0, 24.0, 25.0, 30.0, 50.0, 60.0, 120.0)
_NEARLY = 0.04


@dataclass(frozen=True, slots=True)
class VideoProbe:
    """What came in `seconds` between the first frame and the last one.

    `trouble` and `suggestion` are what went wrong, if anything did. `rate` is measured, in frames a second, 0.0 for
    fewer than two frames; `lost` were numbered by the driver and never came, `damaged` came torn; `black_first` frames
    were black before the first one that was not. `picture` is the last frame, None when none came.
    """

    trouble: str = ""
    suggestion: str = ""
    frames: int = 0
    lost: int = 0
    damaged: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    black_first: int = 0
    is_black: bool = False
    is_still: bool = False
    picture: Frame | None = None

    @property
    def usual_rate(self) -> float:
        """The rate that a site would write."""
        near = [one for one in _USUAL_RATES if abs(one - self.rate) <= one * _NEARLY]
        return near[0] if near else round(self.rate, 1)


def probe_video(source: VideoSource, clock: Clock, seconds: float) -> VideoProbe:
    """Open `source`, watch it for `seconds` from its first frame on, and close it."""
    watcher = _Watcher()
    error: DeviceError | None = None
    try:
        source.open(Deadline.after(clock, _OPEN_SECONDS))
        end = Deadline.after(clock, _FIRST_FRAME_SECONDS)
        while not end.is_over():
            try:
                frame = source.read_frame(end if watcher.is_empty else end.sooner(_FRAME_SECONDS))
            except BadFrame as bad:
                watcher.damaged += 1
                error = bad if watcher.is_empty else None
                continue
            if watcher.is_empty:
                end = Deadline.after(clock, seconds)
            watcher.see(frame)
            error = None
    except DeviceError as found:
        # The last wait ends with the probe itself.
        error = None if not watcher.is_empty and end.is_over() else found
    finally:
        source.close()
    return watcher.result(error)


class _Watcher:
    def __init__(self) -> None:
        self.damaged = 0
        self._count = self._black_first = 0
        self._first: Frame | None = None
        self._last: Frame | None = None
        self._is_still = self._is_black = True

    @property
    def is_empty(self) -> bool:
        return self._first is None

    def see(self, frame: Frame) -> None:
        self._count += 1
        if self._is_black:
            self._is_black = is_black_frame(frame)
            self._black_first += self._is_black
        if self._last is not None and frame.data != self._last.data:
            self._is_still = False
        self._first = self._first or frame
        self._last = frame

    def result(self, error: DeviceError | None) -> VideoProbe:
        trouble, suggestion = (error.sentence, error.suggestion) if error else ("", "")
        first, last = self._first, self._last
        # What came until a driver noticed that there is no signal is its noise.
        if first is None or last is None or isinstance(error, NoSignal):
            return VideoProbe(trouble, suggestion, damaged=self.damaged)
        seconds = last.timestamp - first.timestamp
        numbered = last.sequence - first.sequence + 1
        return VideoProbe(
            trouble,
            suggestion,
            frames=self._count,
            lost=max(0, numbered - self._count - self.damaged),
            damaged=self.damaged,
            seconds=seconds,
            rate=(self._count - 1) / seconds if seconds > 0 else 0.0,
            black_first=0 if self._is_black else self._black_first,
            is_black=self._is_black,
            is_still=self._is_still and self._count > 1,
            picture=last,
        )
