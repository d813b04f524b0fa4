"""What every source of video does, whatever is behind it."""

from __future__ import annotations

from typing import Protocol

from appliance.base.clock import Deadline
from appliance.devices.frame import Frame


class VideoSource(Protocol):
    """A source that is opened, read frame by frame and closed, by one thread; it may be opened again after that."""

    @property
    def compromise(self) -> str:
        """Why the picture is not as good as the site wants it, a part of a sentence; empty where it is, or not open."""
        ...

    def open(self, deadline: Deadline) -> None:
        """Make frames flow. Raises DeviceError: DeviceGone, DeviceBusy, DeviceTimeout, NoSignal, or why not."""
        ...

    def read_frame(self, deadline: Deadline) -> Frame:
        """The next frame.

        Raises NoSignal when none came by `deadline`, BadFrame when one was damaged (go on reading); after any other
        DeviceError (DeviceGone, DeviceTimeout, PictureChanged) the source must be closed and opened again.
        """
        ...

    def close(self) -> None:
        """Let the device go; harmless when it is not open."""
        ...
