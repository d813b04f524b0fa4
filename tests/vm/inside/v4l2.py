"""Runs in the guest: our V4L2 layer on vivid, the kernel's own test grabber. What was seen comes out as JSON.

python v4l2.py NODE SECTION...   the sections' findings; needs vivid with its four kinds of inputs (its default)
python v4l2.py NODE set NAME VALUE [NAME VALUE...]   vivid's own settings
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

from appliance.base.clock import Deadline, SystemClock
from appliance.devices.errors import BadFrame, DeviceError, NoSignal
from appliance.devices.frame import Frame
from appliance.devices.video.layout import PixelFormat
from appliance.devices.video.pixels import stored_from
from appliance.devices.video.v4l2_device import V4l2Device
from appliance.devices.video.v4l2_kernel import LinuxKernel
from appliance.devices.video.v4l2_mode import CaptureWish
from appliance.devices.video.v4l2_stream import V4l2Grabber
from appliance.devices.video.watch import is_black_frame

CLOCK = SystemClock()
WEBCAM, TELEVISION, S_VIDEO, HDMI = "Webcam 000-0", "TV 000-0", "S-Video 000-0", "HDMI 000-0"
# The numbers of vivid's menus.
OSD_NONE, PATTERN_BLACK, SIGNAL_CURRENT, NO_SIGNAL = 2, 7, 0, 1
RAW = [one for one in PixelFormat if not one.is_jpeg]
WISH = CaptureWish(formats=("YUYV",), rate=30.0, max_frame_bytes=8 << 20, size=(320, 180), input=WEBCAM)


class Bench:
    """One node, grabbers on it, and its settings by their names."""

    def __init__(self, node: str) -> None:
        self.node = node

    @contextmanager
    def grabbing(self, wish: CaptureWish = WISH) -> Iterator[V4l2Grabber]:
        grabber = V4l2Grabber(self.node, wish, CLOCK, "vivid")
        grabber.open(Deadline.after(CLOCK, 10.0))
        try:
            yield grabber
        finally:
            grabber.close()

    def set(self, name: str, value: int) -> None:
        device = V4l2Device(LinuxKernel(), self.node, "vivid")
        try:
            found = {one.name: one.identifier for one in device.controls()}
            device.set_control(found[name], value)
        finally:
            device.close()


def read(grabber: V4l2Grabber, seconds: float = 60.0) -> Frame:
    """The next whole frame."""
    deadline = Deadline.after(CLOCK, seconds)
    while True:
        try:
            return grabber.read_frame(deadline)
        except BadFrame:
            continue


def outcome_of(act: Callable[[], object], seconds: float) -> str:
    """The class of the first error that is not one frame's, within `seconds`; "" when there is none."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            act()
        except BadFrame:
            continue
        except DeviceError as error:
            return type(error).__name__
    return ""


def comes(ask: Callable[[], bool], seconds: float = 300.0) -> bool:
    """Whether it becomes true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ask():
            return True
    return False


def colours_of(frame: Frame) -> list[int]:
    """Every 97th sample of the RGB picture."""
    return list(stored_from(frame, is_clip=True).data[:: 97 * 3])


def each_format(bench: Bench) -> dict[str, Any]:
    """A second of each: lengths, numbers, moments; and its picture against the one that vivid made in RGB."""
    bench.set("OSD Text Mode", OSD_NONE)
    with bench.grabbing(replace(WISH, formats=("RGB24",))) as grabber:
        reference = stored_from(read(grabber)).data
    found: dict[str, Any] = {}
    for pixels in RAW:
        with bench.grabbing(replace(WISH, formats=(pixels.name,))) as grabber:
            frames = [read(grabber) for _ in range(8)]
            lost = grabber.lost
        last = stored_from(frames[-1])
        rgb = stored_from(frames[-1], is_clip=True)
        if len(rgb.data) == len(reference):
            pairs = list(zip(rgb.data[::53], reference[::53], strict=True))
            difference = sorted(abs(a - b) for a, b in pairs)[int(len(pairs) * 0.95)]
        else:  # gray: against the luminance of the colours, full range or studio range
            green = reference[1::3]
            high = last.data if last.bits_stored == 8 else _upper(last)
            difference = _rank_difference(high[::53], green[::53])
        found[pixels.name] = {
            "encoding": str(last.encoding),
            "bits": last.bits_stored,
            "bytes": len(last.data),
            "size": [last.width, last.height],
            "rising": all(a.sequence < b.sequence for a, b in pairwise(frames)),
            "seconds": round(frames[-1].timestamp - frames[0].timestamp, 3),
            "late": round(CLOCK.monotonic() - frames[-1].timestamp, 3),
            "lost": lost,
            "difference": difference,
        }
    return found


def _upper(frame: Frame) -> bytes:
    words = zip(frame.data[0::2], frame.data[1::2], strict=True)
    return bytes(min(255, (low | high << 8) >> frame.bits_stored - 8) for low, high in words)


def _rank_difference(one: bytes, other: bytes) -> int:
    """How often a brighter pixel of one is darker in the other, in percent of some thousand pairs far apart."""
    wrong = pairs = 0
    for at in range(0, len(one) - 700, 3):
        if abs(other[at] - other[at + 700]) > 60:
            pairs += 1
            wrong += (other[at] > other[at + 700]) != (one[at] > one[at + 700])
    return round(100 * wrong / max(1, pairs))


def each_colorimetry(bench: Bench) -> dict[str, Any]:
    """What vivid says of its colours must be what it does: every matrix and range, against RGB."""
    bench.set("OSD Text Mode", OSD_NONE)
    found: dict[str, Any] = {}
    with bench.grabbing(replace(WISH, formats=("RGB24",))) as grabber:
        reference = colours_of(read(grabber))
    for encoding, name in ((1, "601"), (2, "709"), (6, "2020")):
        for quantization, area in ((1, "full"), (2, "studio")):
            bench.set("Y'CbCr Encoding", encoding)
            bench.set("Quantization", quantization)
            with bench.grabbing() as grabber:
                frame = read(grabber)
            layout = frame.layout
            assert layout is not None
            apart = sorted(abs(a - b) for a, b in zip(colours_of(frame), reference, strict=True))
            said = f"{layout.primaries} {'full' if layout.is_full_range else 'studio'}"
            found[f"{name} {area}"] = [said, str(stored_from(frame).encoding), apart[int(len(apart) * 0.95)]]
    bench.set("Y'CbCr Encoding", 0)
    bench.set("Quantization", 0)
    return found


def each_input(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = {}
    wishes = {
        "webcam": WISH,
        "television": replace(WISH, input=TELEVISION, size=None),
        "s-video": replace(WISH, input=S_VIDEO, size=None),
        "s-video NTSC": replace(WISH, input=S_VIDEO, size=None, standard="NTSC"),
        "s-video PAL": replace(WISH, input=S_VIDEO, size=None, standard="PAL"),
        "hdmi": replace(WISH, input=HDMI, size=None),
    }
    for name, wish in wishes.items():
        with bench.grabbing(wish) as grabber:
            frames = [read(grabber) for _ in range(10)]
            setting = grabber.setting
        assert setting is not None
        seconds = frames[-1].timestamp - frames[0].timestamp
        numbers = frames[-1].sequence - frames[0].sequence
        found[name] = {
            "size": [frames[0].width, frames[0].height],
            "interlaced": frames[0].is_interlaced,
            "rate": setting.rate and round(setting.rate, 2),
            "measured": round(numbers / seconds, 1),
        }
    return found


def faults(bench: Bench) -> dict[str, Any]:
    """Each of vivid's faults, what the layer says, and that it recovers."""
    found: dict[str, Any] = {}
    with bench.grabbing() as grabber:
        read(grabber)
        bench.set("Percentage of Dropped Buffers", 40)
        frames = [read(grabber) for _ in range(40)]
        bench.set("Percentage of Dropped Buffers", 0)
        gaps = frames[-1].sequence - frames[0].sequence + 1 - len(frames)
        found["dropped"] = {"gaps": gaps, "lost": grabber.lost}
    with bench.grabbing(replace(WISH, input=S_VIDEO, size=None)) as grabber:
        read(grabber)
        bench.set("Standard Signal Mode", NO_SIGNAL)
        time.sleep(0.5)
        found["no signal"] = outcome_of(lambda: grabber.read_frame(Deadline.after(CLOCK, 5.0)), 60.0)
        bench.set("Standard Signal Mode", SIGNAL_CURRENT)
        found["signal again"] = outcome_of(lambda: grabber.read_frame(Deadline.after(CLOCK, 5.0)), 60.0)
    with bench.grabbing(replace(WISH, input=S_VIDEO, size=None)) as grabber:
        found["after no signal"] = [read(grabber).width, read(grabber).height]
    with bench.grabbing(replace(WISH, input=HDMI, size=None)) as grabber:
        read(grabber)
        bench.set("DV Timings Signal Mode", NO_SIGNAL)  # of the input that is selected
        time.sleep(0.5)
        found["hdmi signal lost"] = outcome_of(lambda: grabber.read_frame(Deadline.after(CLOCK, 5.0)), 60.0)
    try:
        with bench.grabbing(replace(WISH, input=HDMI, size=None)):
            found["hdmi no signal"] = "opened"
    except NoSignal as error:
        found["hdmi no signal"] = error.sentence
    bench.set("DV Timings Signal Mode", SIGNAL_CURRENT)
    with bench.grabbing(replace(WISH, input=HDMI, size=None)) as grabber:
        found["hdmi again"] = [read(grabber).width, read(grabber).height]
    with bench.grabbing() as grabber:
        read(grabber)
        bench.set("Inject Fatal Streaming Error", 1)
        found["fatal"] = outcome_of(lambda: read(grabber, 5.0), 60.0)
    with bench.grabbing() as grabber:
        found["after fatal"] = read(grabber).width
    bench.set("Inject VIDIOC_STREAMON Error", 1)
    try:
        with bench.grabbing():
            found["no start"] = "opened"
    except DeviceError as error:
        found["no start"] = error.sentence
    with bench.grabbing() as grabber:
        read(grabber)
        bench.set("Test Pattern", PATTERN_BLACK)
        bench.set("OSD Text Mode", OSD_NONE)
        # Frames of before may be waiting.
        found["black"] = comes(lambda: is_black_frame(read(grabber)))
        bench.set("Test Pattern", 0)
        found["coloured again"] = comes(lambda: not is_black_frame(read(grabber)))
        bench.set("Disconnect", 1)
        found["unplugged"] = outcome_of(lambda: read(grabber, 5.0), 60.0)
    time.sleep(1.0)  # vivid comes back when the last who used it has gone
    with bench.grabbing() as grabber:
        found["plugged in again"] = read(grabber).width
    return found


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "formats": each_format,
    "colours": each_colorimetry,
    "inputs": each_input,
    "faults": faults,
}


def main(node: str, *words: str) -> None:
    bench = Bench(node)
    if words[0] == "set":
        for name, value in zip(words[1::2], words[2::2], strict=True):
            bench.set(name, int(value))
    else:
        print(json.dumps({name: SECTIONS[name](bench) for name in words}))


main(*sys.argv[1:])
