"""Diagnostic quality: what is taken, and the words for what is not, as a table; and a bus that has no room."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from appliance.base.clock import Deadline
from appliance.devices.errors import DeviceGone, NoBusRoom
from appliance.devices.video import v4l2_kernel
from appliance.devices.video.layout import PixelFormat
from appliance.devices.video.v4l2_kernel import LinuxKernel
from appliance.devices.video.v4l2_mode import CaptureWish, Mode, Offer
from appliance.devices.video.v4l2_quality import choose_diagnostic_mode, stream_megabytes
from appliance.devices.video.v4l2_stream import V4l2Grabber
from tests.devices.test_v4l2_mode import HD, USB2, USB3, VGA, WIDE, WISH, offer
from tests.devices.v4l2_fake import FakeKernel, FakeMode, FakeTime

BEST = replace(WISH, is_diagnostic=True)
BOTH = (offer(PixelFormat.MJPEG, HD=(60, 30)), offer(PixelFormat.YUYV, HD=(60, 30)), offer(PixelFormat.GREY, HD=(30,)))
MJPEG_HD, YUYV_HD = Mode(PixelFormat.MJPEG, HD, Fraction(30)), Mode(PixelFormat.YUYV, HD, Fraction(30))


@pytest.mark.parametrize(
    ("offers", "wish", "speed", "chosen", "why"),
    [
        (BOTH, BEST, 5000.0, YUYV_HD, ""),
        (BOTH, BEST, None, YUYV_HD, ""),  # not on USB, or nobody knows
        # 1920 × 1080 × 2 × 30 = 124 MB/s; gray is half of it
        (
            BOTH,
            BEST,
            480.0,
            MJPEG_HD,
            "YUYV 1920×1080 at 30/s needs 124 MB/s, and USB 2 carries 24; "
            "GREY 1920×1080 at 30/s needs 62 MB/s, and USB 2 carries 24",
        ),
        (BOTH, replace(BEST, rate=5.0), 480.0, Mode(PixelFormat.GREY, HD, Fraction(30)), None),
        (USB3, replace(BEST, rate=60.0), 5000.0, Mode(PixelFormat.YUYV, HD, Fraction(60)), ""),
        # The size comes before the format: no quarter of the picture for being uncompressed.
        (USB2, BEST, 480.0, MJPEG_HD, "YUYV 1920×1080 comes at 5/s only"),
        (USB2, replace(BEST, size=VGA), 480.0, Mode(PixelFormat.YUYV, VGA, Fraction(30)), ""),
        (
            USB2,
            replace(BEST, size=WIDE),
            480.0,
            Mode(PixelFormat.MJPEG, WIDE, Fraction(30)),
            "YUYV 1280×720 comes at 10/s only",
        ),
        (USB2, replace(BEST, rate=5.0), 480.0, Mode(PixelFormat.YUYV, HD, Fraction(5)), ""),
        (USB2[1:], BEST, 480.0, MJPEG_HD, "the grabber offers no other picture of 1920×1080"),
        (USB2[:1], BEST, 480.0, Mode(PixelFormat.YUYV, VGA, Fraction(30)), ""),
        # No other format is wished for: then the bus decides, not arithmetic.
        (BOTH, replace(BEST, formats=("YUYV",)), 480.0, YUYV_HD, ""),
        (BOTH, replace(BEST, formats=("Y16",)), 480.0, None, ""),
        (
            (Offer(PixelFormat.GREY), Offer(PixelFormat.MJPEG)),
            BEST,
            None,
            Mode(PixelFormat.GREY, (720, 576), Fraction(30)),
            "",
        ),
    ],
)
def test_ok__the_choice(
    offers: tuple[Offer, ...], wish: CaptureWish, speed: float | None, chosen: Mode | None, why: str | None
) -> None:
    mode, compromise = choose_diagnostic_mode(offers, wish, None, (720, 576), speed, ())
    if why is None:  # every one of these needs more than there is
        assert mode is not None and mode.format is PixelFormat.MJPEG and compromise
        return
    assert (mode, compromise) == (chosen, why)


@pytest.mark.parametrize(
    ("pixels", "megabytes"),
    [
        (PixelFormat.YUYV, 124.4),
        (PixelFormat.UYVY, 124.4),
        (PixelFormat.NV12, 93.3),
        (PixelFormat.RGB24, 186.6),
        (PixelFormat.BGR24, 186.6),
        (PixelFormat.GREY, 62.2),
        (PixelFormat.Y10, 124.4),
        (PixelFormat.Y16, 124.4),
    ],
)
def test_ok__what_a_picture_needs(pixels: PixelFormat, megabytes: float) -> None:
    assert stream_megabytes(Mode(pixels, HD, Fraction(30))) == pytest.approx(megabytes, abs=0.05)


def test_ok__a_bus_without_room_is_given_less_the_next_time() -> None:
    """Other devices take their part of a bus: arithmetic alone does not know it."""
    clock = FakeTime()
    modes = [FakeMode(one, {VGA: (30,)}) for one in (PixelFormat.YUYV, PixelFormat.GREY, PixelFormat.MJPEG)]
    kernel = FakeKernel(clock, *modes)
    kernel.speed, kernel.megabytes = 480.0, 15.0
    grabber = V4l2Grabber(kernel.path, BEST, clock, "endoscope", kernel)
    with pytest.raises(NoBusRoom, match="no room for the endoscope's picture"):
        grabber.open(Deadline.after(clock, 5.0))
    grabber.open(Deadline.after(clock, 5.0))
    assert grabber.setting is not None and grabber.setting.format is PixelFormat.GREY
    assert grabber.compromise == ""
    grabber.close()
    kernel.megabytes = 5.0
    with pytest.raises(NoBusRoom):
        grabber.open(Deadline.after(clock, 5.0))
    grabber.open(Deadline.after(clock, 5.0))
    assert grabber.setting.format is PixelFormat.MJPEG
    assert "the bus had no room for YUYV 640×480 at 30/s; the bus had no room for GREY 640×480" in grabber.compromise
    grabber.close()
    kernel.unplug()
    with pytest.raises(DeviceGone):
        grabber.open(Deadline.after(clock, 5.0))
    kernel.plug_in()
    kernel.megabytes = 1000.0
    grabber.open(Deadline.after(clock, 5.0))
    assert grabber.setting.format is PixelFormat.YUYV  # it may be at another plug now
    grabber.close()


def test_ok__the_speed_is_the_kernel_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sysfs has it: the node belongs to an interface, the interface to a USB device."""
    interface = tmp_path / "devices" / "1-1" / "1-1:1.0"
    interface.mkdir(parents=True)
    (interface.parent / "speed").write_text("480\n")
    (tmp_path / "class" / "video3").mkdir(parents=True)
    (tmp_path / "class" / "video3" / "device").symlink_to(interface)
    monkeypatch.setattr(v4l2_kernel, "_CLASS", tmp_path / "class")
    (tmp_path / "video3").touch()
    (tmp_path / "endoscope").symlink_to(tmp_path / "video3")
    assert LinuxKernel().link_speed(str(tmp_path / "endoscope")) == 480.0
    (interface.parent / "speed").write_text("unknown\n")
    assert LinuxKernel().link_speed(str(tmp_path / "endoscope")) is None
    assert LinuxKernel().link_speed(str(tmp_path / "video4")) is None
