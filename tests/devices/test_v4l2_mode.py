"""Which format, size and rate is chosen, as a table; and what cannot be had, in words that name what there is."""

from __future__ import annotations

import errno
from dataclasses import replace
from fractions import Fraction

import pytest

from appliance.devices.errors import DeviceError, NoSignal
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import Area, PixelFormat, Primaries
from appliance.devices.video.v4l2_answers import RateRange, SizeRange
from appliance.devices.video.v4l2_device import V4l2Device
from appliance.devices.video.v4l2_mode import CaptureWish, Mode, Offer, choose_mode
from appliance.devices.video.v4l2_setup import Setting, set_up
from tests.devices.v4l2_fake import FakeInput, FakeKernel, FakeMode, FakeTime, FakeTimings

HD, WIDE, VGA = (1920, 1080), (1280, 720), (640, 480)
CURRENT = (720, 576)
ALL = ("MJPEG", "RGB24", "YUYV", "NV12", "Y16", "GREY")
WISH = CaptureWish(formats=ALL, rate=30.0, max_frame_bytes=8 << 20)


def offer(pixels: PixelFormat, **sizes: tuple[int, ...]) -> Offer:
    """`HD=(30, 60)`: this size at these rates."""
    known = {"HD": HD, "WIDE": WIDE, "VGA": VGA}
    each = tuple(SizeRange(known[name], known[name], (1, 1)) for name in sizes)
    rates = tuple(
        (known[name], RateRange(Fraction(rate), Fraction(rate))) for name, some in sizes.items() for rate in some
    )
    return Offer(pixels, each, rates)


# An HDMI grabber on USB 2, as they are sold: fast in MJPEG, slow without compression.
USB2 = (
    offer(PixelFormat.YUYV, HD=(5,), WIDE=(10,), VGA=(30, 25)),
    offer(PixelFormat.MJPEG, HD=(60, 30, 25), WIDE=(60, 30), VGA=(60,)),
)
USB3 = (offer(PixelFormat.NV12, HD=(60, 30)), offer(PixelFormat.YUYV, HD=(60, 30, 25)))
RAW_FIRST = ("YUYV", "NV12", "MJPEG")


@pytest.mark.parametrize(
    ("offers", "wish", "chosen"),
    [
        (USB2, WISH, Mode(PixelFormat.MJPEG, HD, Fraction(30))),
        (USB2, replace(WISH, rate=60.0), Mode(PixelFormat.MJPEG, HD, Fraction(60))),
        (USB2, replace(WISH, rate=29.97), Mode(PixelFormat.MJPEG, HD, Fraction(30))),
        (USB2, replace(WISH, rate=20.0), Mode(PixelFormat.MJPEG, HD, Fraction(25))),
        (USB2, replace(WISH, size=WIDE), Mode(PixelFormat.MJPEG, WIDE, Fraction(30))),
        # The bus does not allow an uncompressed picture of that size at that rate.
        (USB2, replace(WISH, formats=RAW_FIRST, size=HD), Mode(PixelFormat.MJPEG, HD, Fraction(30))),
        (USB2, replace(WISH, formats=RAW_FIRST, size=HD, rate=5.0), Mode(PixelFormat.YUYV, HD, Fraction(5))),
        (USB2, replace(WISH, formats=RAW_FIRST), Mode(PixelFormat.YUYV, VGA, Fraction(30))),
        (USB2, replace(WISH, formats=("YUYV",), size=HD), Mode(PixelFormat.YUYV, HD, Fraction(5))),
        (USB2, replace(WISH, rate=100.0), Mode(PixelFormat.MJPEG, HD, Fraction(60))),
        (USB3, WISH, Mode(PixelFormat.YUYV, HD, Fraction(30))),
        (USB3, replace(WISH, formats=("NV12", "YUYV")), Mode(PixelFormat.NV12, HD, Fraction(30))),
        (USB3, replace(WISH, max_frame_bytes=1 << 20), None),  # 1920 × 1080 colours are more
        (USB2, replace(WISH, max_frame_bytes=1 << 20), Mode(PixelFormat.MJPEG, HD, Fraction(30))),
        (USB2, replace(WISH, formats=("GREY",)), None),
        (USB2, replace(WISH, size=(800, 600)), None),
        # One that lists nothing: what it is set to.
        ((Offer(PixelFormat.GREY),), WISH, Mode(PixelFormat.GREY, CURRENT, Fraction(30))),
        ((Offer(PixelFormat.JPEG),), WISH, Mode(PixelFormat.JPEG, CURRENT, Fraction(30))),
        ((), WISH, None),
    ],
)
def test_ok__the_choice(offers: tuple[Offer, ...], wish: CaptureWish, chosen: Mode | None) -> None:
    assert choose_mode(offers, wish, None, CURRENT) == chosen


def test_ok__a_signal_has_its_size() -> None:
    for size in (None, VGA):
        chosen = choose_mode((Offer(PixelFormat.YUYV),), replace(WISH, size=size), HD, CURRENT)
        assert chosen == Mode(PixelFormat.YUYV, size or HD, Fraction(30))


def test_ok__a_range_of_sizes_has_those_of_its_step() -> None:
    some = Offer(PixelFormat.YUYV, (SizeRange((16, 16), (1920, 1080), (16, 2)),))
    assert choose_mode((some,), replace(WISH, size=(640, 480)), None, CURRENT) is not None
    assert choose_mode((some,), replace(WISH, size=(650, 480)), None, CURRENT) is None
    assert choose_mode((some,), replace(WISH, size=(3840, 480)), None, CURRENT) is None
    assert choose_mode((some,), WISH, None, CURRENT) == Mode(PixelFormat.YUYV, CURRENT, Fraction(30))


class Bench:
    def __init__(self, *modes: FakeMode) -> None:
        self.kernel = FakeKernel(FakeTime(), *(modes or (FakeMode(PixelFormat.YUYV, {VGA: (30, 15)}),)))

    def set_up(self, wish: CaptureWish = WISH) -> Setting:
        device = V4l2Device(self.kernel, self.kernel.path, "endoscope")
        try:
            return set_up(device, wish, "endoscope")
        finally:
            device.close()

    def refusal(self, wish: CaptureWish = WISH) -> DeviceError:
        with pytest.raises(DeviceError) as refused:
            self.set_up(wish)
        return refused.value


def test_ok__rate_and_size_are_asked_for() -> None:
    bench = Bench()
    setting = bench.set_up(replace(WISH, rate=15.0))
    assert (setting.format, setting.width, setting.height, setting.rate) == (PixelFormat.YUYV, *VGA, 15.0)
    assert bench.kernel.rate == (1, 15)


def test_ok__controls_are_set() -> None:
    bench = Bench()
    bench.set_up(replace(WISH, controls=(("brightness", 77),)))
    assert bench.kernel.brightness == 77


@pytest.mark.parametrize("name", ["PAL", "NTSC", ""])
def test_ok__television(name: str) -> None:
    bench = Bench(FakeMode(PixelFormat.YUYV))
    bench.kernel.inputs.append(FakeInput("Composite", capabilities=abi.IN_CAP_STD))
    bench.kernel.field = abi.FIELD_INTERLACED_TB
    bench.kernel.standard = 0xFFFFFF
    bench.kernel.detected_standard = abi.STANDARDS["NTSC"]
    setting = bench.set_up(replace(WISH, input="composite", standard=name))
    expected = (720, 576, 25.0) if name == "PAL" else (720, 480, 30 / 1.001)
    assert (setting.width, setting.height, setting.rate) == expected
    assert setting.is_interlaced
    assert bench.kernel.selected == 1
    assert bench.kernel.standard == abi.STANDARDS[name or "NTSC"]


def test_ok__a_grabber_that_cannot_find_the_standard_keeps_its_own() -> None:
    bench = Bench(FakeMode(PixelFormat.YUYV))
    bench.kernel.inputs = [FakeInput("Composite", capabilities=abi.IN_CAP_STD)]
    bench.kernel.refused = [abi.QUERYSTD]
    assert bench.set_up().height == 576
    assert abi.S_STD not in bench.kernel.calls


def test_ok__hdmi_takes_up_the_size_of_its_signal() -> None:
    bench = Bench(FakeMode(PixelFormat.YUYV))
    bench.kernel.inputs = [FakeInput("HDMI", capabilities=abi.IN_CAP_DV_TIMINGS)]
    bench.kernel.timings = FakeTimings(*WIDE)
    setting = bench.set_up()
    assert (setting.width, setting.height, setting.is_interlaced) == (*WIDE, False)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOLINK, "no signal"), (errno.ENOLCK, "not stable"), (errno.ERANGE, "an unknown signal")],
)
def test_fail__hdmi_without_a_usable_signal(number: int, words: str) -> None:
    bench = Bench(FakeMode(PixelFormat.YUYV))
    bench.kernel.inputs = [FakeInput("HDMI", capabilities=abi.IN_CAP_DV_TIMINGS)]
    bench.kernel.timings = number
    refused = bench.refusal()
    assert isinstance(refused, NoSignal)
    assert words in refused.sentence


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (replace(WISH, input="S-Video"), "has no input 'S-Video'. It has \"Camera 1\"."),
        (replace(WISH, standard="PAL"), "takes no television standard"),
        (replace(WISH, formats=("GREY",)), "none of the configured formats and sizes. It has YUYV up to 640×480."),
        (replace(WISH, size=HD), "none of the configured formats and sizes"),
        (replace(WISH, crop=Area(0, 0, 641, 480)), "outside of its picture of 640×480"),
        (replace(WISH, controls=(("Gain", 3),)), "has no control 'Gain'. It has: Brightness."),
        (replace(WISH, controls=(("Brightness", 256),)), "Brightness of the endoscope's grabber goes from 0 to 255"),
        (replace(WISH, masks=(Area(0, 479, 2, 2),)), "outside of its picture of 640×480"),
    ],
)
def test_fail__what_cannot_be_had(wish: CaptureWish, words: str) -> None:
    assert words in str(Bench().refusal(wish))


def test_fail__a_driver_that_takes_another_size_than_it_offers() -> None:
    bench = Bench(FakeMode(PixelFormat.YUYV, {VGA: (30,)}))
    bench.kernel.refused = [abi.ENUM_FRAMESIZES]
    assert "gives 640×480 and not 1280×720" in bench.refusal(replace(WISH, size=WIDE)).sentence


@pytest.mark.parametrize(
    ("capabilities", "words"),
    [
        (abi.CAP_STREAMING, "captures no video"),
        (abi.CAP_VIDEO_CAPTURE_MPLANE | abi.CAP_STREAMING, "several planes"),
        (abi.CAP_VIDEO_CAPTURE, "captures no video"),
    ],
)
def test_fail__a_node_that_is_no_grabber(capabilities: int, words: str) -> None:
    bench = Bench()
    bench.kernel.capabilities = capabilities
    assert words in bench.refusal().sentence


@pytest.mark.parametrize(("field", "expected"), [(abi.FIELD_INTERLACED, True), (abi.FIELD_NONE, False)])
def test_ok__fields_are_taken_apart_where_there_are_two(field: int, expected: bool) -> None:
    bench = Bench()
    bench.kernel.field = field
    layout = bench.set_up(replace(WISH, deinterlace=True)).layout
    assert layout is not None and layout.is_one_field is expected


def test_fail__fields_of_deep_grays() -> None:
    bench = Bench(FakeMode(PixelFormat.Y16, {VGA: (30,)}))
    bench.kernel.field = abi.FIELD_INTERLACED
    assert "cannot be taken apart" in bench.refusal(replace(WISH, deinterlace=True)).sentence


def test_fail__single_fields() -> None:
    bench = Bench()
    bench.kernel.field = 7  # ALTERNATE
    assert "single fields" in bench.refusal().sentence


@pytest.mark.parametrize("padding", [-2, 2])
def test_fail__a_line_that_cannot_be(padding: int) -> None:
    bench = Bench()
    bench.kernel.padding = padding
    assert "in a way that cannot be" in bench.refusal().sentence


@pytest.mark.parametrize(
    ("colorspace", "encoding", "quantization", "primaries", "is_full_range"),
    [
        (8, 0, 0, Primaries.BT601, False),  # sRGB, as USB cameras say
        (1, 0, 0, Primaries.BT601, False),  # SMPTE 170M
        (abi.COLORSPACE_REC709, 0, 0, Primaries.BT709, False),
        (abi.COLORSPACE_REC709, abi.YCBCR_ENC_601, 0, Primaries.BT601, False),
        (abi.COLORSPACE_JPEG, 0, 0, Primaries.BT601, True),
        (8, abi.YCBCR_ENC_709, abi.QUANTIZATION_FULL_RANGE, Primaries.BT709, True),
        (abi.COLORSPACE_BT2020, 0, 0, Primaries.BT2020, False),
        (8, abi.YCBCR_ENC_BT2020, 2, Primaries.BT2020, False),
    ],
)
def test_ok__colours_as_the_driver_says(
    colorspace: int, encoding: int, quantization: int, primaries: Primaries, is_full_range: bool
) -> None:
    bench = Bench()
    bench.kernel.colorspace, bench.kernel.encoding, bench.kernel.quantization = colorspace, encoding, quantization
    layout = bench.set_up().layout
    assert layout is not None
    assert (layout.primaries, layout.is_full_range) == (primaries, is_full_range)


def test_ok__controls_are_listed_read_and_set() -> None:
    bench = Bench()
    device = V4l2Device(bench.kernel, bench.kernel.path, "endoscope")
    (control,) = device.controls()
    assert (control.name, control.least, control.most, control.default) == ("Brightness", 0, 255, 128)
    assert device.control(control.identifier) == 128
    device.set_control(control.identifier, 7)
    assert device.control(control.identifier) == 7
    with pytest.raises(DeviceError, match="does not take the setting"):
        device.set_control(99, 1)
    device.close()
    device.close()
