"""A video node in the test's hand, at the level of ioctls: it answers as drivers do, and is as strict as the kernel.

The test gives it formats, inputs and frames, and makes it misbehave: no signal, silence, damage, another order, a
changed signal, an unplugged plug. Waiting passes the test's own time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from appliance.base.clock import SystemClock
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import LINE_BYTES_PER_PIXEL, PixelFormat
from appliance.devices.video.v4l2_kernel import Argument

NODE = 7  # its descriptor
BRIGHTNESS = 0x00980900


class FakeTime:
    """A clock that the test turns, and that every wait turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.turn(seconds)
        return event.is_set()

    def turn(self, seconds: float) -> None:
        self.seconds += seconds


class RealTime(SystemClock):
    """The machine's clock, for a source in a thread of its own: a wait ends early, so that nothing hangs for long."""

    def turn(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.01))


def fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@dataclass
class FakeMode:
    """A format, its discrete sizes and their rates."""

    pixels: PixelFormat
    sizes: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)


@dataclass
class FakeInput:
    name: str
    status: int = 0
    capabilities: int = 0


@dataclass
class FakeTimings:
    width: int = 1920
    height: int = 1080
    interlaced: int = 0


@dataclass
class _Filled:
    index: int
    used: int
    sequence: int
    flags: int
    moment: float


class _Memory:
    def __init__(self, length: int) -> None:
        self.data = bytearray(length)
        self.is_open = True

    def __getitem__(self, key: slice) -> bytes:
        assert self.is_open, "a buffer that was unmapped is read"
        return bytes(self.data[key])

    def close(self) -> None:
        self.is_open = False


class FakeKernel:
    """One node at `path`. Everything that a test may change is an attribute."""

    def __init__(self, clock: FakeTime | RealTime, *modes: FakeMode, path: str = "/dev/video-fake") -> None:
        self.clock = clock
        self.path = path
        self.modes = list(modes)
        self.inputs = [FakeInput("Camera 1")]
        self.capabilities = abi.CAP_VIDEO_CAPTURE | abi.CAP_STREAMING
        self.field = abi.FIELD_NONE
        self.colorspace, self.encoding, self.quantization = 8, 0, 0
        self.padding = 0  # bytes behind each line
        self.timings: FakeTimings | int = FakeTimings()  # or the error that a query gives
        self.detected_standard = self.standard = abi.STANDARDS["PAL"]
        self.is_plugged, self.is_busy, self.has_events = True, False, True
        self.most_buffers = 32
        self.stream_error = 0
        self.age = 0.0  # how long ago, by its own word, a frame was taken that it gives now
        self.speed: float | None = None  # of the USB connection, in Mbit/s
        self.megabytes = float("inf")  # the bus has no room for more than so many a second
        self.numbers: Callable[[int], int] = lambda number: number
        self.timestamp_flag = abi.BUF_FLAG_TIMESTAMP_MONOTONIC
        self.refused: list[int] = []  # ioctls that this driver does not have
        self.calls: list[int] = []
        self.opened = 0
        self.selected = 0
        self.pix = abi.PixFormat(width=640, height=480, pixelformat=PixelFormat.YUYV.code)
        self.rate = (1, 30)
        self.memories: list[_Memory] = []
        self.queued: list[int] = []
        self.filled: list[_Filled] = []
        self.events = 0
        self.brightness = 128
        self.is_streaming = self.is_open = False
        self.is_broken = False  # poll says ERR and a buffer cannot be had
        self._number = 0
        self._lock = threading.RLock()

    # What a test does to it.

    def deliver(self, data: bytes, *, sequence: int | None = None, flags: int = 0, used: int | None = None) -> None:
        """Fill the next buffer, if there is one: a driver without one drops the frame, and counts it."""
        with self._lock:
            self._deliver(data, sequence, flags, used)

    def _deliver(self, data: bytes, sequence: int | None, flags: int, used: int | None) -> None:
        number = self._number if sequence is None else sequence
        self._number = number + 1
        if not self.is_streaming or not self.queued:
            return
        index = self.queued.pop(0)
        memory = self.memories[index].data
        assert len(data) <= len(memory), "the driver's buffer is too small for this frame"
        memory[: len(data)] = data
        given = len(data) if used is None else used
        moment = self.clock.monotonic() - self.age
        self.filled.append(_Filled(index, given, self.numbers(number), flags | self.timestamp_flag, moment))

    def swap(self) -> None:
        """The last two buffers change places on their way to us."""
        self.filled[-2:] = self.filled[:-3:-1]

    def unplug(self) -> None:
        self.is_plugged = False

    def plug_in(self) -> None:
        self.is_plugged, self.is_streaming = True, False
        self.filled, self.queued, self.events, self._number = [], [], 0, 0

    def change_source(self) -> None:
        self.events += 1

    # What it is asked.

    def open(self, path: str) -> int:
        if path != self.path or not self.is_plugged:
            raise fail(errno.ENOENT)
        assert not self.is_open, "it was opened twice"
        self.is_open = True
        self.opened += 1
        return NODE

    def close(self, descriptor: int) -> None:
        assert descriptor == NODE and self.is_open
        assert not any(memory.is_open for memory in self.memories), "a mapped buffer is left over"
        self.is_open = self.is_streaming = False
        self.memories, self.queued, self.filled = [], [], []

    def map(self, descriptor: int, length: int, offset: int) -> _Memory:
        memory = self.memories[offset // 4096]
        assert len(memory.data) == length
        return memory

    def poll(self, descriptor: int, seconds: float) -> int:
        assert descriptor == NODE and self.is_open
        assert 0.0 <= seconds < 60.0, "a wait without an end"
        if not self.is_plugged:
            return select.POLLERR | select.POLLHUP
        if self.is_broken:
            return select.POLLERR
        ready = (select.POLLIN if self.filled else 0) | (select.POLLPRI if self.events else 0)
        if not ready:
            self.clock.turn(seconds)
        return ready

    def link_speed(self, path: str) -> float | None:
        assert path == self.path
        return self.speed

    def ioctl(self, descriptor: int, request: int, argument: Argument) -> None:
        assert descriptor == NODE and self.is_open
        assert ctypes.sizeof(argument) == request >> 16 & 0x3FFF, "the argument is not the ioctl's"
        with self._lock:
            self.calls.append(request)
            if not self.is_plugged:
                raise fail(errno.ENODEV)
            answer = _ANSWERS.get(request)
            if answer is None or request in self.refused:
                raise fail(errno.ENOTTY)
            answer(self, argument)

    def _plug(self) -> FakeInput:
        return self.inputs[self.selected]

    def _querycap(self, found: abi.Capability) -> None:
        found.driver, found.card, found.bus_info = b"fake", b"Fake grabber", b"usb-1"
        found.capabilities = abi.CAP_DEVICE_CAPS | self.capabilities
        found.device_caps = self.capabilities

    def _enum_input(self, found: abi.Input) -> None:
        if found.index >= len(self.inputs):
            raise fail(errno.EINVAL)
        plug = self.inputs[found.index]
        found.name, found.status, found.capabilities = plug.name.encode(), plug.status, plug.capabilities

    def _g_input(self, found: ctypes.c_int32) -> None:
        found.value = self.selected

    def _s_input(self, found: ctypes.c_int32) -> None:
        self.selected = found.value

    def _enum_fmt(self, found: abi.Fmtdesc) -> None:
        codes = [one.pixels.code for one in self.modes]
        codes.insert(0, int.from_bytes(b"H264", "little"))  # one that nobody knows here
        if found.index >= len(codes):
            raise fail(errno.EINVAL)
        found.pixelformat = codes[found.index]

    def _mode(self, code: int) -> FakeMode:
        for one in self.modes:
            if one.pixels.code == code:
                return one
        raise fail(errno.EINVAL)

    def _enum_sizes(self, found: abi.Frmsizeenum) -> None:
        sizes = list(self._mode(found.pixel_format).sizes)
        if found.index >= len(sizes) or self._plug().capabilities:
            raise fail(errno.EINVAL)
        found.type = abi.FRMSIZE_TYPE_DISCRETE
        found.discrete.width, found.discrete.height = sizes[found.index]

    def _enum_rates(self, found: abi.Frmivalenum) -> None:
        rates = self._mode(found.pixel_format).sizes.get((found.width, found.height), ())
        if found.index >= len(rates) or self._plug().capabilities:
            raise fail(errno.EINVAL)
        found.type = abi.FRMIVAL_TYPE_DISCRETE
        found.discrete.numerator, found.discrete.denominator = 1, rates[found.index]

    def _g_fmt(self, found: abi.Format) -> None:
        ctypes.memmove(ctypes.byref(found.fmt.pix), ctypes.byref(self.pix), ctypes.sizeof(self.pix))

    def _s_fmt(self, found: abi.Format) -> None:
        if self.is_busy or self.memories:
            raise fail(errno.EBUSY)
        pix = found.fmt.pix
        mode = self._mode(pix.pixelformat)
        sizes = list(mode.sizes)
        if sizes and (pix.width, pix.height) not in sizes and not self._plug().capabilities:
            pix.width, pix.height = sizes[0]
        pix.field, pix.colorspace = self.field, self.colorspace
        pix.ycbcr_enc, pix.quantization = self.encoding, self.quantization
        if mode.pixels.is_jpeg:
            pix.bytesperline, pix.sizeimage = 0, pix.width * pix.height * 2
        else:
            pix.bytesperline = pix.width * LINE_BYTES_PER_PIXEL[mode.pixels] + self.padding
            planes = pix.bytesperline * pix.height
            pix.sizeimage = planes + (planes // 2 if mode.pixels is PixelFormat.NV12 else 0)
        ctypes.memmove(ctypes.byref(self.pix), ctypes.byref(pix), ctypes.sizeof(pix))

    def _g_parm(self, found: abi.Streamparm) -> None:
        if not self._plug().capabilities:
            found.parm.capture.capability = abi.CAP_TIMEPERFRAME
            found.parm.capture.timeperframe.numerator, found.parm.capture.timeperframe.denominator = self.rate

    def _s_parm(self, found: abi.Streamparm) -> None:
        period = found.parm.capture.timeperframe
        self.rate = (period.numerator, period.denominator)

    def _reqbufs(self, found: abi.Requestbuffers) -> None:
        if self.is_busy or self.is_streaming or any(memory.is_open for memory in self.memories):
            raise fail(errno.EBUSY)
        found.count = min(found.count, self.most_buffers)
        self.memories = [_Memory(self.pix.sizeimage) for _ in range(found.count)]
        self.queued, self.filled = [], []

    def _querybuf(self, found: abi.Buffer) -> None:
        found.length, found.m.offset = len(self.memories[found.index].data), found.index * 4096

    def _qbuf(self, found: abi.Buffer) -> None:
        if found.index >= len(self.memories) or found.index in self.queued:
            raise fail(errno.EINVAL)
        self.queued.append(found.index)

    def _dqbuf(self, found: abi.Buffer) -> None:
        if self.is_broken:
            raise fail(errno.EIO)
        if not self.filled:
            raise fail(errno.EAGAIN)
        one = self.filled.pop(0)
        found.index, found.bytesused, found.sequence, found.flags = one.index, one.used, one.sequence, one.flags
        found.length = len(self.memories[one.index].data)
        found.timestamp.tv_sec, found.timestamp.tv_usec = int(one.moment), round(one.moment % 1 * 1e6)

    def _stream_on(self, _found: ctypes.c_int32) -> None:
        if self.stream_error:
            raise fail(self.stream_error)
        if not self._is_compressed() and self.pix.sizeimage * self.rate[1] / self.rate[0] > self.megabytes * 1e6:
            raise fail(errno.ENOSPC)
        self.is_streaming, self._number = True, 0

    def _is_compressed(self) -> bool:
        return self.pix.pixelformat in (PixelFormat.MJPEG.code, PixelFormat.JPEG.code)

    def _stream_off(self, _found: ctypes.c_int32) -> None:
        self.is_streaming, self.is_broken = False, False
        self.queued, self.filled = [], []

    def _query_std(self, found: ctypes.c_uint64) -> None:
        found.value = self.detected_standard

    def _g_std(self, found: ctypes.c_uint64) -> None:
        if not self._plug().capabilities & abi.IN_CAP_STD:
            raise fail(errno.ENODATA)
        found.value = self.standard

    def _s_std(self, found: ctypes.c_uint64) -> None:
        self.standard = found.value

    def _enum_std(self, found: abi.Standard) -> None:
        known = [(abi.STANDARDS["NTSC"], 525), (abi.STANDARDS["PAL"], 625), (abi.STANDARDS["SECAM"], 625)]
        if found.index >= len(known):
            raise fail(errno.EINVAL)
        found.id, found.framelines = known[found.index]

    def _query_timings(self, found: abi.DvTimings) -> None:
        if isinstance(self.timings, int):
            raise fail(self.timings)
        found.bt.width, found.bt.height = self.timings.width, self.timings.height
        found.bt.interlaced = self.timings.interlaced

    def _s_timings(self, found: abi.DvTimings) -> None:
        self.pix.width, self.pix.height = found.bt.width, found.bt.height

    def _subscribe(self, _found: abi.EventSubscription) -> None:
        if not self.has_events:
            raise fail(errno.EINVAL)

    def _dqevent(self, found: abi.Event) -> None:
        if not self.events:
            raise fail(errno.ENOENT)
        self.events -= 1
        found.type, found.u.src_change_changes = abi.EVENT_SOURCE_CHANGE, abi.EVENT_SRC_CH_RESOLUTION

    def _query_control(self, found: abi.Queryctrl) -> None:
        if found.id != abi.CTRL_FLAG_NEXT_CTRL:
            raise fail(errno.EINVAL)
        found.id, found.type, found.name = BRIGHTNESS, 1, b"Brightness"
        found.minimum, found.maximum, found.default_value = 0, 255, 128

    def _g_control(self, found: abi.Control) -> None:
        found.value = self.brightness

    def _s_control(self, found: abi.Control) -> None:
        if found.id != BRIGHTNESS:
            raise fail(errno.EINVAL)
        self.brightness = found.value


_ANSWERS: dict[int, Callable[[FakeKernel, object], None]] = {
    abi.QUERYCAP: FakeKernel._querycap,
    abi.ENUMINPUT: FakeKernel._enum_input,
    abi.G_INPUT: FakeKernel._g_input,
    abi.S_INPUT: FakeKernel._s_input,
    abi.ENUM_FMT: FakeKernel._enum_fmt,
    abi.ENUM_FRAMESIZES: FakeKernel._enum_sizes,
    abi.ENUM_FRAMEINTERVALS: FakeKernel._enum_rates,
    abi.G_FMT: FakeKernel._g_fmt,
    abi.S_FMT: FakeKernel._s_fmt,
    abi.G_PARM: FakeKernel._g_parm,
    abi.S_PARM: FakeKernel._s_parm,
    abi.REQBUFS: FakeKernel._reqbufs,
    abi.QUERYBUF: FakeKernel._querybuf,
    abi.QBUF: FakeKernel._qbuf,
    abi.DQBUF: FakeKernel._dqbuf,
    abi.STREAMON: FakeKernel._stream_on,
    abi.STREAMOFF: FakeKernel._stream_off,
    abi.QUERYSTD: FakeKernel._query_std,
    abi.G_STD: FakeKernel._g_std,
    abi.S_STD: FakeKernel._s_std,
    abi.ENUMSTD: FakeKernel._enum_std,
    abi.QUERY_DV_TIMINGS: FakeKernel._query_timings,
    abi.S_DV_TIMINGS: FakeKernel._s_timings,
    abi.SUBSCRIBE_EVENT: FakeKernel._subscribe,
    abi.DQEVENT: FakeKernel._dqevent,
    abi.QUERYCTRL: FakeKernel._query_control,
    abi.G_CTRL: FakeKernel._g_control,
    abi.S_CTRL: FakeKernel._s_control,
}  # type: ignore[assignment]
