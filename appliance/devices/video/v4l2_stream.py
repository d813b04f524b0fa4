"""A V4L2 video node as a `VideoSource`: buffers that the driver fills, in their order, as whole frames.

Every wait is a poll with a deadline. What a driver can do wrong has its own answer: a buffer marked as damaged or too
short is a BadFrame, silence is NoSignal, silence for long, or a stream that broke off, is DeviceTimeout (it is opened
again), a signal that changed is PictureChanged, and a node that vanished is DeviceGone.
"""

from __future__ import annotations

import select
from contextlib import suppress
from dataclasses import dataclass, replace

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import (
    BadFrame,
    DeviceError,
    DeviceGone,
    DeviceTimeout,
    NoBusRoom,
    NoSignal,
    PictureChanged,
)
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.jpeg_frame import frame_from_jpeg
from appliance.devices.video.order import SequenceOrder
from appliance.devices.video.v4l2_device import CHECK_SIGNAL, V4l2Device
from appliance.devices.video.v4l2_kernel import Kernel, LinuxKernel, Mapped
from appliance.devices.video.v4l2_mode import CaptureWish, Mode
from appliance.devices.video.v4l2_setup import Setting, set_up

_BUFFERS = 6
_MOST_HELD = 3
_PATIENCE_SECONDS = 0.25
# How often an input is asked for its signal: each frame until then may be the driver's noise.
_SIGNAL_SECONDS = 0.2
# A driver that has given nothing for so long, though its input has a signal, is started again.
_STALL_SECONDS = 6.0
_CHECK_CABLE = "Check the grabber's cable and its USB port if this goes on."


@dataclass(frozen=True, slots=True)
class _Taken:
    """A buffer's bytes and what came with them."""

    data: bytes
    moment: float
    is_damaged: bool


class V4l2Grabber:
    """A `VideoSource` at the video node `path` (a name that udev gave follows the device that it names)."""

    def __init__(
        self, path: str, wish: CaptureWish, clock: Clock, name: str = "grabber", kernel: Kernel | None = None
    ) -> None:
        self.name = name
        self._path, self._wish, self._clock = path, wish, clock
        self._kernel = kernel or LinuxKernel()
        self._device: V4l2Device | None = None
        self._setting: Setting | None = None
        self._buffers: list[tuple[Mapped, int]] = []
        self._order: SequenceOrder[_Taken] = SequenceOrder(_MOST_HELD, _PATIENCE_SECONDS)
        self._first_number = 0  # of this opening: numbers go on over openings, so that a gap is a gap
        self._last_number = -1
        self._heard_at = self._asked_at = 0.0
        self._has_signal = True
        self._without_room: frozenset[Mode] = frozenset()

    @property
    def compromise(self) -> str:
        """As `VideoSource.compromise`."""
        return self._setting.compromise if self._setting is not None else ""

    @property
    def setting(self) -> Setting | None:
        """What was negotiated with the driver; None while the node is not open."""
        return self._setting

    @property
    def lost(self) -> int:
        """Frames that the driver numbered and never gave, since the node was opened."""
        return self._order.lost + self._order.late

    def open(self, deadline: Deadline) -> None:
        """Set the device up and start it, as `VideoSource.open`. Its ioctls have bounds of their own in the kernel."""
        self.close()
        try:
            device = V4l2Device(self._kernel, self._path, self.name)
        except DeviceGone:
            self._without_room = frozenset()  # it may come back at another plug
            raise
        self._device = device
        try:
            speed = self._kernel.link_speed(self._path) if self._wish.is_diagnostic else None
            setting = set_up(device, self._wish, self.name, link_speed=speed, without_room=self._without_room)
            self._setting = setting
            count = device.request_buffers(_BUFFERS)
            for index in range(count):
                self._buffers.append(device.map_buffer(index))
                device.queue(index)
            if count < 2:
                raise DeviceError(f"The {self.name}'s grabber gives {count} buffers; two are needed.", "Call support.")
            if deadline.is_over():
                raise DeviceTimeout(f"The {self.name}'s grabber takes too long to be set up.", _CHECK_CABLE)
            device.watch_source()
            device.is_source_changed()  # what was set up just now is no news
            device.stream_on()
        except NoBusRoom:
            self.close()
            self._without_room |= {setting.mode}  # the next opening takes what needs less, where there is that
            raise
        except BaseException:
            self.close()
            raise
        self._order = SequenceOrder(_MOST_HELD, _PATIENCE_SECONDS)
        self._first_number = self._last_number + 1
        self._heard_at = self._asked_at = self._clock.monotonic()
        self._has_signal = True

    def close(self) -> None:
        """Stop and let the node go; harmless when it is not open, or not there any more."""
        device, self._device, self._setting = self._device, None, None
        buffers, self._buffers = self._buffers, []
        if device is None:
            return
        with suppress(DeviceError):  # the node has vanished, or was never started: closing it frees everything
            device.stream_off()
        for mapped, _ in buffers:
            mapped.close()
        with suppress(DeviceError):
            device.request_buffers(0)
        device.close()

    def read_frame(self, deadline: Deadline) -> Frame:
        """The next frame, as `VideoSource.read_frame`."""
        device = self._device
        if device is None:
            raise DeviceGone(f"The {self.name}'s video is not open.")
        while True:
            now = self._clock.monotonic()
            self._ask_for_signal(device, now)
            taken = self._order.take(now)
            if taken is not None:
                number, buffer = taken
                return self._frame_from(number, buffer)
            if deadline.is_over():
                raise self._silence(now)
            left = self._order.seconds_left(now)
            happened = device.poll(deadline.remaining() if left is None else min(left, deadline.remaining()))
            self._look_at(device, happened)

    def _look_at(self, device: V4l2Device, happened: int) -> None:
        if happened & select.POLLPRI and device.is_source_changed():
            raise PictureChanged(
                f"The {self.name}'s picture changed its size or standard.", "The grabber is set up anew by itself."
            )
        if happened & select.POLLIN:
            self._drain(device)
        elif happened & (select.POLLERR | select.POLLHUP):
            device.capability()  # DeviceGone where the node has vanished
            raise DeviceTimeout(f"The {self.name}'s grabber stopped.", "It is started again by itself.")

    def _drain(self, device: V4l2Device) -> None:
        """Take every buffer that is filled: what waits in the driver cannot be put in order."""
        for _ in range(len(self._buffers)):
            filled = device.dequeue()
            if filled is None:
                return
            now = self._clock.monotonic()
            self._heard_at = now
            if filled.index >= len(self._buffers):
                raise DeviceTimeout(f"The {self.name}'s grabber gives a buffer that is not there.", _CHECK_CABLE)
            mapped, length = self._buffers[filled.index]
            is_damaged = filled.is_damaged or filled.used > length
            data = mapped[: filled.used] if not is_damaged and self._has_signal else b""
            device.queue(filled.index)
            if not self._has_signal:
                continue
            moment = now if filled.moment is None else min(filled.moment, now)
            self._order.put(filled.sequence, _Taken(data, moment, is_damaged), now)

    def _ask_for_signal(self, device: V4l2Device, now: float) -> None:
        """Some drivers go on without a signal and give noise or blue: what they give then is thrown away."""
        assert self._setting is not None
        if not self._setting.has_signal_status or now - self._asked_at < _SIGNAL_SECONDS:
            return
        self._asked_at = now
        plug = device.selected_input()
        has_signal = plug is None or plug.has_signal
        if has_signal and not self._has_signal:
            raise DeviceTimeout(f"The {self.name}'s signal was lost and came back.", "It is set up anew by itself.")
        self._has_signal = has_signal
        if not has_signal:
            self._order = SequenceOrder(_MOST_HELD, _PATIENCE_SECONDS)

    def _silence(self, now: float) -> DeviceError:
        """Why nothing came."""
        if not self._has_signal:
            return NoSignal(f"The {self.name}'s grabber receives no signal.", CHECK_SIGNAL)
        if now - self._heard_at >= _STALL_SECONDS:
            return DeviceTimeout(
                f"The {self.name}'s grabber has given nothing for {now - self._heard_at:.0f} s; it is started again.",
                "If this goes on, check that the machine is on, then unplug the grabber and plug it in again.",
            )
        return NoSignal(f"No picture comes from the {self.name}.", CHECK_SIGNAL)

    def _frame_from(self, number: int, taken: _Taken) -> Frame:
        """BadFrame for what is torn: marked by the driver, shorter than its picture, or a JPEG without its end."""
        setting = self._setting
        assert setting is not None
        sequence = self._last_number = self._first_number + number
        if taken.is_damaged or not taken.data:
            raise BadFrame(f"The {self.name}'s grabber marked a frame as damaged.", _CHECK_CABLE)
        if len(taken.data) > max(self._wish.max_frame_bytes, setting.layout.buffer_bytes if setting.layout else 0):
            raise BadFrame(f"A frame of the {self.name} is larger than `max_frame_bytes`.", "Configure more.")
        layout = setting.layout
        if layout is not None:
            if len(taken.data) < layout.buffer_bytes:
                raise BadFrame(f"A frame of the {self.name} is torn: its end is missing.", _CHECK_CABLE)
            kept = layout.kept
            return Frame(
                data=taken.data,
                encoding=Encoding.RAW,
                width=kept.width,
                height=kept.height,
                bits_stored=8,
                sequence=sequence,
                timestamp=taken.moment,
                layout=layout,
                format=setting.format.name,
                rate=setting.rate,
                is_interlaced=setting.is_interlaced,
            )
        wish = self._wish
        frame = frame_from_jpeg(taken.data, sequence, taken.moment, self.name, wish.crop, wish.masks)
        lines = frame.edit.lines if frame.edit else frame.height
        if lines * 2 == setting.height:
            raise BadFrame(f"The {self.name} sends half pictures as JPEG, which cannot be put together.", _CHECK_CABLE)
        return replace(frame, format="MJPEG", rate=setting.rate, is_interlaced=setting.is_interlaced)
