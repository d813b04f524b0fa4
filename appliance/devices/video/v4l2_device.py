"""One video node, asked and told in typed calls; what the kernel answers with an error becomes a sentence.

Nothing is decided here: which input, format and size are wanted is `v4l2_mode`'s, frames are `v4l2_stream`'s.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from fractions import Fraction

from appliance.devices.errors import DeviceBusy, DeviceError, DeviceGone, DeviceTimeout, NoBusRoom, NoSignal
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import PixelFormat
from appliance.devices.video.v4l2_answers import (
    Capability,
    ControlInfo,
    Delivered,
    Input,
    Negotiated,
    RateRange,
    SizeRange,
    Timings,
    delivered_from,
    input_from,
    negotiated_from,
    rate_from,
    text_from,
)
from appliance.devices.video.v4l2_kernel import Argument, Kernel, Mapped

# No driver has so many of anything; one that never says "no more" must not hold us for ever.
_MOST = 256
_GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ENOENT, errno.ENOTDIR})
# What a driver answers for what it does not have.
_NOT_THERE = frozenset({errno.EINVAL, errno.ENOTTY, errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS})
_UNLOCKED = {errno.ENOLINK: "no signal", errno.ENOLCK: "a signal that is not stable", errno.ERANGE: "an unknown signal"}
_CHECK_PLUG = "Check that the grabber is plugged in; the box connects again by itself."
CHECK_SIGNAL = "Check that the machine is on and its video cable is plugged in."


class V4l2Device:
    """An open video node. Raises DeviceGone, DeviceBusy or DeviceError where a call says nothing else."""

    def __init__(self, kernel: Kernel, path: str, name: str) -> None:
        self._kernel, self._name = kernel, name
        try:
            self._descriptor = kernel.open(path)
        except OSError as error:
            raise self._error_from(error, "cannot be opened") from error

    def close(self) -> None:
        """Let the node go; harmless when it was closed before."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._kernel.close(descriptor)

    def capability(self) -> Capability:
        found = abi.Capability()
        self._call(abi.QUERYCAP, found, "is no video device")
        has = found.device_caps if found.capabilities & abi.CAP_DEVICE_CAPS else found.capabilities
        return Capability(
            driver=text_from(found.driver),
            card=text_from(found.card),
            bus=text_from(found.bus_info),
            is_capture=bool(has & abi.CAP_VIDEO_CAPTURE),
            is_multiplanar=bool(has & abi.CAP_VIDEO_CAPTURE_MPLANE),
            is_streaming=bool(has & abi.CAP_STREAMING),
        )

    def inputs(self) -> Iterator[Input]:
        for index in range(_MOST):
            found = self._input(index)
            if found is None:
                return
            yield found

    def selected_input(self) -> Input | None:
        """The input that is selected, with its signal now; None where the driver knows no inputs."""
        index = ctypes.c_int32()
        return self._input(index.value) if self._try(abi.G_INPUT, index) else None

    def _input(self, index: int) -> Input | None:
        found = abi.Input(index=index)
        if not self._try(abi.ENUMINPUT, found):
            return None
        return input_from(found)

    def select_input(self, index: int) -> None:
        self._call(abi.S_INPUT, ctypes.c_int32(index), "does not take the input")

    def detected_standard(self) -> int:
        """The standards that the signal may have, as bits of v4l2_std_id; 0 when the driver cannot tell."""
        found = ctypes.c_uint64()
        return found.value if self._try(abi.QUERYSTD, found) else 0

    def standard(self) -> int:
        """The standards that are set, as bits."""
        found = ctypes.c_uint64()
        return found.value if self._try(abi.G_STD, found) else 0

    def set_standard(self, bits: int) -> None:
        self._call(abi.S_STD, ctypes.c_uint64(bits), "does not take the television standard")

    def frame_lines(self, bits: int) -> int:
        """Lines of a whole frame of the standards `bits`, blanking included: 525 or 625; 0 when it is not said."""
        for index in range(_MOST):
            found = abi.Standard(index=index)
            if not self._try(abi.ENUMSTD, found):
                return 0
            if found.id & bits:
                return int(found.framelines)
        return 0

    def detected_timings(self) -> Timings | None:
        """What the input receives; None when the driver cannot tell. NoSignal where it receives nothing usable."""
        found = abi.DvTimings()
        try:
            if not self._try(abi.QUERY_DV_TIMINGS, found):
                return None
        except DeviceError as error:
            number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
            if number in _UNLOCKED:
                raise NoSignal(f"The {self._name}'s grabber receives {_UNLOCKED[number]}.", CHECK_SIGNAL) from error
            raise
        return Timings(found.bt.width, found.bt.height, found.bt.interlaced == abi.DV_INTERLACED, found)

    def set_timings(self, timings: Timings) -> None:
        self._call(abi.S_DV_TIMINGS, timings.raw, "does not take its input's timings")

    def formats(self) -> Iterator[PixelFormat]:
        """Of the device's formats those that are known here, in its order."""
        known = {one.code: one for one in PixelFormat}
        for index in range(_MOST):
            found = abi.Fmtdesc(index=index, type=abi.BUF_TYPE_VIDEO_CAPTURE)
            if not self._try(abi.ENUM_FMT, found):
                return
            if found.pixelformat in known:
                yield known[found.pixelformat]

    def sizes(self, pixels: PixelFormat) -> Iterator[SizeRange]:
        """None at all where the input's signal decides."""
        for index in range(_MOST):
            found = abi.Frmsizeenum(index=index, pixel_format=pixels.code)
            if not self._try(abi.ENUM_FRAMESIZES, found):
                return
            if found.type == abi.FRMSIZE_TYPE_DISCRETE:
                size = (found.discrete.width, found.discrete.height)
                yield SizeRange(size, size, (1, 1))
            else:
                some = found.stepwise
                least, most = (some.min_width, some.min_height), (some.max_width, some.max_height)
                yield SizeRange(least, most, (some.step_width, some.step_height))
                return

    def rates(self, pixels: PixelFormat, size: tuple[int, int]) -> Iterator[RateRange]:
        """None at all where the input's signal decides."""
        for index in range(_MOST):
            found = abi.Frmivalenum(index=index, pixel_format=pixels.code, width=size[0], height=size[1])
            if not self._try(abi.ENUM_FRAMEINTERVALS, found):
                return
            if found.type == abi.FRMIVAL_TYPE_DISCRETE:
                rate = rate_from(found.discrete)
                if rate:
                    yield RateRange(rate, rate)
            else:
                slowest, fastest = rate_from(found.stepwise.max), rate_from(found.stepwise.min)
                if slowest and fastest:
                    yield RateRange(slowest, fastest)
                return

    def format(self) -> Negotiated:
        found = abi.Format(type=abi.BUF_TYPE_VIDEO_CAPTURE)
        self._call(abi.G_FMT, found, "does not say its format")
        return negotiated_from(found.fmt.pix)

    def set_format(self, pixels: PixelFormat, size: tuple[int, int], field: int = abi.FIELD_ANY) -> Negotiated:
        """Ask for it; the driver answers with what it really does."""
        wanted = abi.Format(type=abi.BUF_TYPE_VIDEO_CAPTURE)
        pix = wanted.fmt.pix
        pix.width, pix.height, pix.pixelformat, pix.field = *size, pixels.code, field
        self._call(abi.S_FMT, wanted, "does not take the picture's format")
        return negotiated_from(pix)

    def set_rate(self, rate: Fraction) -> Fraction | None:
        """Ask for `rate` frames a second; what the driver really does, None where the signal decides."""
        wanted = abi.Streamparm(type=abi.BUF_TYPE_VIDEO_CAPTURE)
        if not self._try(abi.G_PARM, wanted) or not wanted.parm.capture.capability & abi.CAP_TIMEPERFRAME:
            return None
        period = wanted.parm.capture.timeperframe
        period.numerator, period.denominator = rate.denominator, rate.numerator
        return rate_from(period) if self._try(abi.S_PARM, wanted) else None

    def request_buffers(self, count: int) -> int:
        """Make (0: free) mapped buffers; how many there are."""
        wanted = abi.Requestbuffers(count=count, type=abi.BUF_TYPE_VIDEO_CAPTURE, memory=abi.MEMORY_MMAP)
        self._call(abi.REQBUFS, wanted, "gives no buffers")
        return int(wanted.count)

    def map_buffer(self, index: int) -> tuple[Mapped, int]:
        """The buffer in our memory, and its length."""
        found = _buffer(index)
        self._call(abi.QUERYBUF, found, "does not describe its buffer")
        try:
            return self._kernel.map(self._descriptor, found.length, found.m.offset), int(found.length)
        except OSError as error:
            raise self._error_from(error, "does not map its buffer") from error

    def queue(self, index: int) -> None:
        """Give the buffer to the driver."""
        self._call(abi.QBUF, _buffer(index), "does not take its buffer back")

    def dequeue(self) -> Delivered | None:
        """A filled buffer, None while there is none. DeviceTimeout when the driver must be started again."""
        found = _buffer(0)
        try:
            self._kernel.ioctl(self._descriptor, abi.DQBUF, found)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in (errno.EIO, errno.EPIPE, errno.EINVAL):
                raise DeviceTimeout(f"The {self._name}'s grabber stopped.", "It is started again by itself.") from error
            raise self._error_from(error, "gives no frame") from error
        return delivered_from(found)

    def stream_on(self) -> None:
        try:
            self._kernel.ioctl(self._descriptor, abi.STREAMON, ctypes.c_int32(abi.BUF_TYPE_VIDEO_CAPTURE))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise NoBusRoom(
                    f"The USB bus has no room for the {self._name}'s picture.",
                    "Configure a smaller size, a lower rate or MJPEG, or plug other video devices elsewhere.",
                ) from error
            raise self._error_from(error, "does not start") from error

    def stream_off(self) -> None:
        self._call(abi.STREAMOFF, ctypes.c_int32(abi.BUF_TYPE_VIDEO_CAPTURE), "does not stop")

    def watch_source(self) -> bool:
        """Have the driver tell when its signal changes; false when it cannot."""
        return self._try(abi.SUBSCRIBE_EVENT, abi.EventSubscription(type=abi.EVENT_SOURCE_CHANGE))

    def is_source_changed(self) -> bool:
        """Take the events that wait; whether one of them says that the signal changed."""
        is_changed = False
        for _ in range(_MOST):
            found = abi.Event()
            try:
                self._kernel.ioctl(self._descriptor, abi.DQEVENT, found)
            except OSError as error:
                if error.errno in _NOT_THERE or error.errno == errno.ENOENT:  # none waits
                    break
                raise self._error_from(error, "does not tell what happened") from error
            is_changed |= found.type == abi.EVENT_SOURCE_CHANGE
        return is_changed

    def controls(self) -> Iterator[ControlInfo]:
        identifier = 0
        for _ in range(_MOST):
            found = abi.Queryctrl(id=identifier | abi.CTRL_FLAG_NEXT_CTRL)
            if not self._try(abi.QUERYCTRL, found):
                return
            identifier = found.id
            if found.type != abi.CTRL_TYPE_CTRL_CLASS and not found.flags & abi.CTRL_FLAG_DISABLED:
                yield ControlInfo(identifier, text_from(found.name), found.minimum, found.maximum, found.default_value)

    def control(self, identifier: int) -> int:
        found = abi.Control(id=identifier)
        self._call(abi.G_CTRL, found, "does not tell its setting")
        return int(found.value)

    def set_control(self, identifier: int, value: int) -> None:
        self._call(abi.S_CTRL, abi.Control(id=identifier, value=value), "does not take the setting")

    def poll(self, seconds: float) -> int:
        try:
            return self._kernel.poll(self._descriptor, seconds)
        except OSError as error:
            raise self._error_from(error, "cannot be waited for") from error

    def _call(self, request: int, argument: Argument, words: str) -> None:
        try:
            self._kernel.ioctl(self._descriptor, request, argument)
        except OSError as error:
            raise self._error_from(error, words) from error

    def _try(self, request: int, argument: Argument) -> bool:
        """False when the driver does not have what is asked for, or nothing waits."""
        try:
            self._kernel.ioctl(self._descriptor, request, argument)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return False
            raise self._error_from(error, "does not answer") from error
        return True

    def _error_from(self, error: OSError, words: str) -> DeviceError:
        if error.errno in _GONE:
            return DeviceGone(f"The {self._name}'s video is not there.", _CHECK_PLUG)
        if error.errno == errno.EBUSY:
            return DeviceBusy(f"Another program uses the {self._name}'s grabber.", "Stop it.")
        code = errno.errorcode.get(error.errno or 0, "unknown")
        return DeviceError(f"The {self._name}'s grabber {words} ({code}).", "Check `source`; call support.")


def _buffer(index: int) -> abi.Buffer:
    return abi.Buffer(index=index, type=abi.BUF_TYPE_VIDEO_CAPTURE, memory=abi.MEMORY_MMAP)
