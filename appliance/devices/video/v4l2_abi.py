"""Video for Linux 2 as the kernel defines it (linux/videodev2.h): structures, ioctl numbers and flags, as data.

Only what is asked of a capture device is here. Names are the kernel's without their prefix. A test compiles a C
program against the header and compares every size, offset and number.
"""

from __future__ import annotations

import ctypes
from ctypes import Structure, Union, c_char, c_int32, c_int64, c_long, c_uint8, c_uint32, c_uint64, c_ulong
from typing import Any

# Buffer type and memory: single-planar capture into mapped buffers is all that is used.
BUF_TYPE_VIDEO_CAPTURE = 1
MEMORY_MMAP = 1

CAP_VIDEO_CAPTURE = 0x00000001
CAP_VIDEO_CAPTURE_MPLANE = 0x00001000
CAP_STREAMING = 0x04000000
CAP_DEVICE_CAPS = 0x80000000

FIELD_ANY, FIELD_NONE, FIELD_INTERLACED = 0, 1, 4
FIELD_INTERLACED_TB, FIELD_INTERLACED_BT = 8, 9

COLORSPACE_REC709, COLORSPACE_JPEG, COLORSPACE_BT2020, COLORSPACE_DCI_P3 = 3, 7, 10, 12
YCBCR_ENC_DEFAULT, YCBCR_ENC_601, YCBCR_ENC_709, YCBCR_ENC_XV601 = 0, 1, 2, 3
YCBCR_ENC_XV709, YCBCR_ENC_SYCC, YCBCR_ENC_BT2020 = 4, 5, 6
QUANTIZATION_DEFAULT, QUANTIZATION_FULL_RANGE = 0, 1

FRMSIZE_TYPE_DISCRETE = FRMIVAL_TYPE_DISCRETE = 1
CAP_TIMEPERFRAME = 0x1000

IN_CAP_DV_TIMINGS, IN_CAP_STD = 0x00000002, 0x00000004
IN_ST_NO_POWER, IN_ST_NO_SIGNAL = 0x00000001, 0x00000002
IN_ST_NO_H_LOCK, IN_ST_NO_V_LOCK, IN_ST_NO_STD_LOCK = 0x00000100, 0x00000400, 0x00000800
IN_ST_NO_SYNC, IN_ST_NO_CARRIER = 0x00010000, 0x00040000

BUF_FLAG_ERROR = 0x00000040
BUF_FLAG_TIMESTAMP_MASK, BUF_FLAG_TIMESTAMP_MONOTONIC = 0x0000E000, 0x00002000

CTRL_FLAG_DISABLED, CTRL_FLAG_NEXT_CTRL = 0x0001, 0x80000000
CTRL_TYPE_CTRL_CLASS, CTRL_TYPE_MENU = 6, 3

EVENT_SOURCE_CHANGE = 5
EVENT_SRC_CH_RESOLUTION = 0x1

DV_INTERLACED = 1

# Standards are bit sets of v4l2_std_id. The names are those that a site writes.
STANDARDS = {
    "PAL": 0x000000FF,
    "PAL-M": 0x00000100,
    "PAL-N": 0x00000200,
    "PAL-Nc": 0x00000400,
    "PAL-60": 0x00000800,
    "NTSC": 0x0000B000,
    "NTSC-443": 0x00004000,
    "SECAM": 0x00FF0000,
}


class Fract(Structure):
    _fields_ = (("numerator", c_uint32), ("denominator", c_uint32))


class Capability(Structure):
    _fields_ = (
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class Fmtdesc(Structure):
    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FrmsizeStepwise(Structure):
    """Discrete sizes lie in its first two fields."""

    _fields_ = (
        ("min_width", c_uint32),
        ("max_width", c_uint32),
        ("step_width", c_uint32),
        ("min_height", c_uint32),
        ("max_height", c_uint32),
        ("step_height", c_uint32),
    )


class FrmsizeDiscrete(Structure):
    _fields_ = (("width", c_uint32), ("height", c_uint32))


class _Frmsize(Union):
    _fields_ = (("discrete", FrmsizeDiscrete), ("stepwise", FrmsizeStepwise))


class Frmsizeenum(Structure):
    _anonymous_ = ("size",)
    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("size", _Frmsize),
        ("reserved", c_uint32 * 2),
    )


class FrmivalStepwise(Structure):
    _fields_ = (("min", Fract), ("max", Fract), ("step", Fract))


class _Frmival(Union):
    _fields_ = (("discrete", Fract), ("stepwise", FrmivalStepwise))


class Frmivalenum(Structure):
    _anonymous_ = ("interval",)
    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("interval", _Frmival),
        ("reserved", c_uint32 * 2),
    )


class PixFormat(Structure):
    _fields_ = (
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    )


class _FormatUnion(Union):
    # The kernel's union also holds a structure with pointers, which aligns it.
    _fields_ = (("pix", PixFormat), ("raw_data", c_uint8 * 200), ("alignment", c_ulong))


class Format(Structure):
    _fields_ = (("type", c_uint32), ("fmt", _FormatUnion))


class Captureparm(Structure):
    _fields_ = (
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", Fract),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    )


class _ParmUnion(Union):
    _fields_ = (("capture", Captureparm), ("raw_data", c_uint8 * 200))


class Streamparm(Structure):
    _fields_ = (("type", c_uint32), ("parm", _ParmUnion))


class Requestbuffers(Structure):
    _fields_ = (
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    )


class Timeval(Structure):
    _fields_ = (("tv_sec", c_long), ("tv_usec", c_long))


class Timespec(Structure):
    _fields_ = (("tv_sec", c_long), ("tv_nsec", c_long))


class Timecode(Structure):
    _fields_ = (
        ("type", c_uint32),
        ("flags", c_uint32),
        ("frames", c_uint8),
        ("seconds", c_uint8),
        ("minutes", c_uint8),
        ("hours", c_uint8),
        ("userbits", c_uint8 * 4),
    )


class _Memory(Union):
    _fields_ = (("offset", c_uint32), ("userptr", c_ulong))


class Buffer(Structure):
    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", Timeval),
        ("timecode", Timecode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Memory),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int32),
    )


class Standard(Structure):
    _fields_ = (
        ("index", c_uint32),
        ("id", c_uint64),
        ("name", c_char * 24),
        ("frameperiod", Fract),
        ("framelines", c_uint32),
        ("reserved", c_uint32 * 4),
    )


class Input(Structure):
    _fields_ = (
        ("index", c_uint32),
        ("name", c_char * 32),
        ("type", c_uint32),
        ("audioset", c_uint32),
        ("tuner", c_uint32),
        ("std", c_uint64),
        ("status", c_uint32),
        ("capabilities", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class BtTimings(Structure):
    _pack_ = 1
    _fields_ = (
        ("width", c_uint32),
        ("height", c_uint32),
        ("interlaced", c_uint32),
        ("polarities", c_uint32),
        ("pixelclock", c_uint64),
        ("hfrontporch", c_uint32),
        ("hsync", c_uint32),
        ("hbackporch", c_uint32),
        ("vfrontporch", c_uint32),
        ("vsync", c_uint32),
        ("vbackporch", c_uint32),
        ("il_vfrontporch", c_uint32),
        ("il_vsync", c_uint32),
        ("il_vbackporch", c_uint32),
        ("standards", c_uint32),
        ("flags", c_uint32),
        ("picture_aspect", Fract),
        ("cea861_vic", c_uint8),
        ("hdmi_vic", c_uint8),
        ("reserved", c_uint8 * 46),
    )


class _TimingsUnion(Union):
    _pack_ = 1
    _fields_ = (("bt", BtTimings), ("reserved", c_uint32 * 32))


class DvTimings(Structure):
    _pack_ = 1
    _anonymous_ = ("timings",)
    _fields_ = (("type", c_uint32), ("timings", _TimingsUnion))


class Control(Structure):
    _fields_ = (("id", c_uint32), ("value", c_int32))


class Queryctrl(Structure):
    _fields_ = (
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("minimum", c_int32),
        ("maximum", c_int32),
        ("step", c_int32),
        ("default_value", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class EventSubscription(Structure):
    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 5),
    )


class _EventUnion(Union):
    # `changes` of a source change lies first; the kernel's union holds a 64-bit value, which aligns it.
    _fields_ = (("src_change_changes", c_uint32), ("data", c_uint8 * 64), ("alignment", c_int64))


class Event(Structure):
    _fields_ = (
        ("type", c_uint32),
        ("u", _EventUnion),
        ("pending", c_uint32),
        ("sequence", c_uint32),
        ("timestamp", Timespec),
        ("id", c_uint32),
        ("reserved", c_uint32 * 8),
    )


_WRITE, _READ = 1, 2


def _number(direction: int, number: int, size: int) -> int:
    """An ioctl's number (asm-generic/ioctl.h): direction 2 bits, size 14, type 8 ('V'), number 8."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


def _r(number: int, argument: type[Any]) -> int:
    return _number(_READ, number, ctypes.sizeof(argument))


def _w(number: int, argument: type[Any]) -> int:
    return _number(_WRITE, number, ctypes.sizeof(argument))


def _wr(number: int, argument: type[Any]) -> int:
    return _number(_READ | _WRITE, number, ctypes.sizeof(argument))


QUERYCAP = _r(0, Capability)
ENUM_FMT = _wr(2, Fmtdesc)
G_FMT = _wr(4, Format)
S_FMT = _wr(5, Format)
REQBUFS = _wr(8, Requestbuffers)
QUERYBUF = _wr(9, Buffer)
QBUF = _wr(15, Buffer)
DQBUF = _wr(17, Buffer)
STREAMON = _w(18, c_int32)
STREAMOFF = _w(19, c_int32)
G_PARM = _wr(21, Streamparm)
S_PARM = _wr(22, Streamparm)
G_STD = _r(23, c_uint64)
S_STD = _w(24, c_uint64)
ENUMSTD = _wr(25, Standard)
ENUMINPUT = _wr(26, Input)
G_CTRL = _wr(27, Control)
S_CTRL = _wr(28, Control)
QUERYCTRL = _wr(36, Queryctrl)
G_INPUT = _r(38, c_int32)
S_INPUT = _wr(39, c_int32)
QUERYSTD = _r(63, c_uint64)
ENUM_FRAMESIZES = _wr(74, Frmsizeenum)
ENUM_FRAMEINTERVALS = _wr(75, Frmivalenum)
S_DV_TIMINGS = _wr(87, DvTimings)
DQEVENT = _r(89, Event)
SUBSCRIBE_EVENT = _w(90, EventSubscription)
QUERY_DV_TIMINGS = _r(99, DvTimings)
