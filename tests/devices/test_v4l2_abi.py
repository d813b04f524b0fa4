"""The structures and numbers are the kernel's own: a C program against its header says the same, one by one."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import PixelFormat

# Ours → the kernel's structure.
_STRUCTURES: dict[type[ctypes.Structure], str] = {
    abi.Capability: "v4l2_capability",
    abi.Fmtdesc: "v4l2_fmtdesc",
    abi.Frmsizeenum: "v4l2_frmsizeenum",
    abi.FrmsizeStepwise: "v4l2_frmsize_stepwise",
    abi.FrmsizeDiscrete: "v4l2_frmsize_discrete",
    abi.Frmivalenum: "v4l2_frmivalenum",
    abi.FrmivalStepwise: "v4l2_frmival_stepwise",
    abi.PixFormat: "v4l2_pix_format",
    abi.Format: "v4l2_format",
    abi.Captureparm: "v4l2_captureparm",
    abi.Streamparm: "v4l2_streamparm",
    abi.Requestbuffers: "v4l2_requestbuffers",
    abi.Timecode: "v4l2_timecode",
    abi.Buffer: "v4l2_buffer",
    abi.Standard: "v4l2_standard",
    abi.Input: "v4l2_input",
    abi.BtTimings: "v4l2_bt_timings",
    abi.DvTimings: "v4l2_dv_timings",
    abi.Control: "v4l2_control",
    abi.Queryctrl: "v4l2_queryctrl",
    abi.EventSubscription: "v4l2_event_subscription",
    abi.Event: "v4l2_event",
    abi.Fract: "v4l2_fract",
}
# Unions without a name in C: their members stand for them.
_OTHERWISE = {"size": "discrete", "interval": "discrete", "timings": "bt", "alignment": ""}
_IOCTLS = (
    *("QUERYCAP", "ENUM_FMT", "G_FMT", "S_FMT", "REQBUFS", "QUERYBUF", "QBUF", "DQBUF", "STREAMON", "STREAMOFF"),
    *("G_PARM", "S_PARM", "G_STD", "S_STD", "ENUMSTD", "ENUMINPUT", "G_CTRL", "S_CTRL", "QUERYCTRL", "G_INPUT"),
    *("S_INPUT", "QUERYSTD", "ENUM_FRAMESIZES", "ENUM_FRAMEINTERVALS", "S_DV_TIMINGS", "DQEVENT"),
    *("SUBSCRIBE_EVENT", "QUERY_DV_TIMINGS"),
)
# Every other number of the module has its name in the header behind one of these.
_PREFIXES = ("CAP_", "FIELD_", "COLORSPACE_", "YCBCR_", "QUANTIZATION_", "FRMSIZE_", "FRMIVAL_", "IN_", "BUF_", "CTRL_")
_MORE = ("MEMORY_MMAP", "EVENT_SOURCE_CHANGE", "EVENT_SRC_CH_RESOLUTION", "DV_INTERLACED")
_STANDARDS = {
    "PAL": "PAL",
    "PAL-M": "PAL_M",
    "PAL-N": "PAL_N",
    "PAL-Nc": "PAL_Nc",
    "PAL-60": "PAL_60",
    "NTSC": "NTSC",
    "NTSC-443": "NTSC_443",
    "SECAM": "SECAM",
}


def _expected() -> dict[str, int]:
    """C expression → what it must be."""
    found: dict[str, int] = {}
    for ours, theirs in _STRUCTURES.items():
        found[f"sizeof(struct {theirs})"] = ctypes.sizeof(ours)
        fields: list[tuple[str, Any]] = list(ours._fields_)  # type: ignore[arg-type]
        for name, _ in fields:
            written = _OTHERWISE.get(name, name)
            found[f"offsetof(struct {theirs}, {written})"] = getattr(ours, name).offset
    found["offsetof(struct v4l2_event, u.src_change.changes)"] = abi.Event.u.offset  # type: ignore[attr-defined]
    found["sizeof(struct timeval)"] = ctypes.sizeof(abi.Timeval)
    found["sizeof(struct timespec)"] = ctypes.sizeof(abi.Timespec)
    for name in _IOCTLS:
        found[f"VIDIOC_{name}"] = getattr(abi, name)
    for name in vars(abi):
        if name in _MORE or (name.startswith(_PREFIXES) and name.isupper()):
            found[f"V4L2_{name}"] = getattr(abi, name)
    for name, written in _STANDARDS.items():
        found[f"V4L2_STD_{written}"] = abi.STANDARDS[name]
    for one in PixelFormat:
        found[f"V4L2_PIX_FMT_{one.name}"] = one.code
    return found


def test_ok__every_size_offset_and_number_is_the_kernels(tmp_path: Path) -> None:
    expected = _expected()
    assert set(_STANDARDS) == set(abi.STANDARDS)
    numbers = {
        name for name, value in vars(abi).items() if name[0] != "_" and name.isupper() and isinstance(value, int)
    }
    written = {expression.removeprefix("VIDIOC_").removeprefix("V4L2_") for expression in expected}
    assert not numbers - written, "a number that nobody compares"
    prints = "".join(f'printf("%llu\\n", (unsigned long long)({expression}));\n' for expression in expected)
    program = tmp_path / "abi.c"
    program.write_text(
        f"#include <stddef.h>\n#include <stdio.h>\n#include <time.h>\n#include <linux/videodev2.h>\n"
        f"int main(void) {{\n{prints}return 0;\n}}\n"
    )
    binary = tmp_path / "abi"
    subprocess.run(["gcc", "-o", binary, program], check=True, timeout=120)
    answer = subprocess.run([binary], capture_output=True, text=True, timeout=60, check=True).stdout.split()
    said = dict(zip(expected, map(int, answer), strict=True))
    assert said == expected
