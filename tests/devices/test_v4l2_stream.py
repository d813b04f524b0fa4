"""A grabber on the ioctl-level fake: whole frames in order, and what a driver can do wrong, each with its words."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from appliance.base.clock import Deadline
from appliance.devices.errors import (
    BadFrame,
    DeviceBusy,
    DeviceError,
    DeviceGone,
    DeviceTimeout,
    NoSignal,
    PictureChanged,
)
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.jpeg import parse_jpeg, with_standard_huffman_tables
from appliance.devices.video.layout import PixelFormat
from appliance.devices.video.source import VideoSource
from appliance.devices.video.v4l2_mode import CaptureWish
from appliance.devices.video.v4l2_stream import V4l2Grabber
from tests.devices.test_jpeg import make_jpeg, strip_huffman
from tests.devices.v4l2_fake import FakeInput, FakeKernel, FakeMode, FakeTime, FakeTimings

WISH = CaptureWish(formats=("MJPEG", "YUYV", "GREY"), rate=30.0, max_frame_bytes=1 << 20)
WHOLE = make_jpeg()
SIZE = (16, 8)
YUYV = FakeMode(PixelFormat.YUYV, {SIZE: (30,)})
MJPEG = FakeMode(PixelFormat.MJPEG, {(640, 480): (30,)})
PLUG_STATUS_SECONDS = 0.3  # longer than the source goes without asking its input


class Bench:
    """A fake node and a grabber on it."""

    def __init__(self, *modes: FakeMode, wish: CaptureWish = WISH) -> None:
        self.clock = FakeTime()
        self.kernel = FakeKernel(self.clock, *(modes or (YUYV,)))
        self.grabber = V4l2Grabber("/dev/video-fake", wish, self.clock, "endoscope", self.kernel)

    def open(self) -> None:
        self.grabber.open(Deadline.after(self.clock, 5.0))

    def read(self, seconds: float = 0.5) -> Frame:
        return self.grabber.read_frame(Deadline.after(self.clock, seconds))

    def picture(self, number: int = 0) -> bytes:
        """A raw frame that no other number gives."""
        return bytes((number + at) % 256 for at in range(SIZE[0] * SIZE[1] * 2))


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.open()
    return made


def test_ok__it_is_a_video_source() -> None:
    source: VideoSource = Bench().grabber
    source.close()


def test_ok__a_raw_frame_comes_as_the_driver_laid_it_out(bench: Bench) -> None:
    bench.clock.turn(0.5)
    bench.kernel.deliver(bench.picture())
    moment = bench.clock.monotonic()
    bench.clock.turn(0.01)  # it is read later than it was taken
    frame = bench.read()
    assert (frame.encoding, frame.data, frame.format) == (Encoding.RAW, bench.picture(), "YUYV")
    assert (frame.width, frame.height, frame.sequence) == (*SIZE, 0)
    assert frame.timestamp == pytest.approx(moment, abs=1e-5)
    assert frame.layout is not None
    assert (frame.layout.bytes_per_line, frame.layout.is_full_range) == (32, False)


def test_ok__a_moment_that_is_not_of_the_monotonic_clock_is_replaced(bench: Bench) -> None:
    bench.kernel.timestamp_flag = 0
    bench.kernel.deliver(bench.picture())
    bench.clock.turn(0.25)
    assert bench.read().timestamp == bench.clock.monotonic()


@pytest.mark.parametrize("data", [WHOLE, strip_huffman(WHOLE), WHOLE + b"\0" * 100])
def test_ok__jpeg_frames_come_whole_with_their_tables(data: bytes) -> None:
    bench = Bench(YUYV, MJPEG)
    bench.open()
    bench.kernel.deliver(data)
    frame = bench.read()
    given = with_standard_huffman_tables(data)
    assert given.startswith(WHOLE[:20]) and given.endswith(WHOLE[-200:])
    assert (frame.encoding, frame.data, frame.format, frame.layout) == (Encoding.JPEG, given, "MJPEG", None)


def test_ok__every_buffer_goes_back_to_the_driver(bench: Bench) -> None:
    for number in range(40):
        bench.kernel.deliver(bench.picture(number))
        assert bench.read().data == bench.picture(number)
    assert bench.grabber.lost == 0


def test_ok__buffers_out_of_order_are_put_in_order(bench: Bench) -> None:
    for number in (0, 2, 1, 3):
        bench.kernel.deliver(bench.picture(number), sequence=number)
    frames = [bench.read() for _ in range(4)]
    assert [frame.sequence for frame in frames] == [0, 1, 2, 3]
    assert [frame.data for frame in frames] == [bench.picture(number) for number in range(4)]
    assert bench.grabber.lost == 0


def test_ok__a_gap_is_passed_after_a_moment_and_counted(bench: Bench) -> None:
    bench.kernel.deliver(bench.picture(0), sequence=0)
    bench.kernel.deliver(bench.picture(3), sequence=3)
    before = bench.clock.monotonic()
    assert [bench.read().sequence, bench.read().sequence] == [0, 3]
    assert bench.clock.monotonic() - before < 0.5
    assert bench.grabber.lost == 2


def test_ok__a_driver_without_a_free_buffer_counts_what_it_drops(bench: Bench) -> None:
    for number in range(10):
        bench.kernel.deliver(bench.picture(number))  # it has six buffers
    assert [bench.read().sequence for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    bench.kernel.deliver(bench.picture())
    assert bench.read().sequence == 10
    assert bench.grabber.lost == 4


def test_ok__a_driver_that_does_not_number_its_frames(bench: Bench) -> None:
    bench.kernel.numbers = lambda _: 0
    for number in range(5):
        bench.kernel.deliver(bench.picture(number))
        frame = bench.read()
        assert (frame.sequence, frame.data) == (number, bench.picture(number))


def test_fail__a_buffer_that_the_driver_marks_is_left_out(bench: Bench) -> None:
    bench.kernel.deliver(bench.picture(), flags=abi.BUF_FLAG_ERROR)
    bench.kernel.deliver(bench.picture(1))
    with pytest.raises(BadFrame, match="marked a frame as damaged"):
        bench.read()
    assert bench.read().data == bench.picture(1)


@pytest.mark.parametrize(("used", "words"), [(255, "torn"), (0, "damaged"), (257, "damaged")])
def test_fail__a_torn_raw_frame(bench: Bench, used: int, words: str) -> None:
    bench.kernel.deliver(bench.picture(), used=used)
    with pytest.raises(BadFrame, match=words):
        bench.read()


def test_fail__a_buffer_that_is_not_there(bench: Bench) -> None:
    bench.kernel.deliver(bench.picture())
    bench.kernel.filled[0].index = 6  # of 0 to 5
    bench.kernel.memories.append(bench.kernel.memories[0])
    with pytest.raises(DeviceTimeout, match="a buffer that is not there"):
        bench.read()


def test_fail__a_torn_jpeg_frame_comes_without_an_error_flag() -> None:
    bench = Bench(MJPEG)
    bench.open()
    bench.kernel.deliver(WHOLE[:-20])
    bench.kernel.deliver(WHOLE)
    with pytest.raises(BadFrame, match="without its end marker"):
        bench.read()
    assert bench.read().data == WHOLE


def test_fail__half_pictures_as_jpeg() -> None:
    bench = Bench(FakeMode(PixelFormat.MJPEG, {(640, 2 * parse_jpeg(WHOLE).height): (30,)}))
    bench.open()
    bench.kernel.deliver(WHOLE)
    with pytest.raises(BadFrame, match="half pictures"):
        bench.read()


def test_fail__a_frame_larger_than_is_believed() -> None:
    bench = Bench(MJPEG, wish=replace(WISH, max_frame_bytes=len(WHOLE) - 1))
    bench.open()
    bench.kernel.deliver(WHOLE)
    with pytest.raises(BadFrame, match="max_frame_bytes"):
        bench.read()


def test_fail__silence_has_a_deadline(bench: Bench) -> None:
    before = bench.clock.monotonic()
    with pytest.raises(NoSignal, match="No picture comes from the endoscope"):
        bench.read(2.0)
    assert bench.clock.monotonic() - before == pytest.approx(2.0, abs=0.3)


def test_fail__a_driver_that_stops_delivering_is_opened_again(bench: Bench) -> None:
    bench.kernel.deliver(bench.picture())
    bench.read()
    for _ in range(5):
        with pytest.raises(NoSignal):
            bench.read(1.0)
    with pytest.raises(DeviceTimeout, match="has given nothing for 6 s; it is started again"):
        bench.read(1.0)
    bench.open()
    bench.kernel.deliver(bench.picture(2))
    frame = bench.read()
    assert (frame.data, frame.sequence) == (bench.picture(2), 1)  # numbers go on


@pytest.mark.parametrize("status", [abi.IN_ST_NO_SIGNAL, abi.IN_ST_NO_POWER, abi.IN_ST_NO_H_LOCK, abi.IN_ST_NO_SYNC])
def test_fail__what_comes_without_a_signal_is_no_picture(bench: Bench, status: int) -> None:
    """Some drivers go on to give frames: noise, a blue screen, the last picture."""
    bench.kernel.deliver(bench.picture())
    bench.read()
    bench.kernel.inputs[0].status = status
    bench.clock.turn(PLUG_STATUS_SECONDS)
    for number in range(4):
        bench.kernel.deliver(bench.picture(number))
    with pytest.raises(NoSignal, match="receives no signal"):
        bench.read(1.0)
    bench.kernel.deliver(bench.picture())
    bench.kernel.inputs[0].status = 0
    bench.clock.turn(PLUG_STATUS_SECONDS)
    with pytest.raises(DeviceTimeout, match="signal was lost and came back"):
        bench.read()
    bench.open()
    bench.kernel.deliver(bench.picture(9))
    assert bench.read().data == bench.picture(9)


def test_fail__the_signal_changes_in_the_middle() -> None:
    bench = Bench(YUYV)
    bench.kernel.inputs[0].capabilities = abi.IN_CAP_DV_TIMINGS
    bench.kernel.timings = FakeTimings(*SIZE)
    bench.open()
    bench.kernel.deliver(bench.picture())
    bench.read()
    bench.kernel.timings = FakeTimings(32, 8)
    bench.kernel.change_source()
    with pytest.raises(PictureChanged, match="changed its size or standard"):
        bench.read()
    bench.open()
    bench.kernel.deliver(bytes(32 * 8 * 2))
    frame = bench.read()
    assert (frame.width, frame.height) == (32, 8)


def test_fail__unplugged_and_plugged_in_again(bench: Bench) -> None:
    bench.kernel.deliver(bench.picture())
    bench.read()
    bench.kernel.unplug()
    with pytest.raises(DeviceGone, match=r"The endoscope's video is not there\."):
        bench.read()
    bench.grabber.close()
    with pytest.raises(DeviceGone):
        bench.open()
    with pytest.raises(DeviceGone, match="not open"):
        bench.read()
    bench.kernel.plug_in()
    bench.open()
    bench.kernel.deliver(bench.picture(3))
    assert bench.read().data == bench.picture(3)
    assert bench.kernel.opened == 2


def test_fail__unplugged_while_a_frame_waits(bench: Bench) -> None:
    bench.kernel.deliver(bench.picture())
    bench.kernel.unplug()
    with pytest.raises(DeviceGone):
        bench.read()


def test_fail__a_stream_that_breaks_off_is_started_again(bench: Bench) -> None:
    bench.kernel.is_broken = True
    with pytest.raises(DeviceTimeout, match="stopped"):
        bench.read()
    bench.open()
    bench.kernel.deliver(bench.picture())
    assert bench.read().data == bench.picture()


def test_fail__a_driver_in_error_says_so_when_asked_for_a_buffer(bench: Bench) -> None:
    bench.kernel.deliver(bench.picture())
    bench.kernel.is_broken = True
    device = bench.grabber._device
    assert device is not None
    with pytest.raises(DeviceTimeout, match="stopped"):
        device.dequeue()


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, DeviceError, "The USB bus has no room for the endoscope's picture."),
        (errno.EBUSY, DeviceBusy, "Another program uses the endoscope's grabber."),
        (errno.ENODEV, DeviceGone, "The endoscope's video is not there."),
        (errno.EPROTO, DeviceError, "The endoscope's grabber does not start (EPROTO)."),
    ],
)
def test_fail__it_does_not_start(number: int, kind: type[DeviceError], words: str) -> None:
    bench = Bench()
    bench.kernel.stream_error = number
    with pytest.raises(kind) as refused:
        bench.open()
    assert refused.value.sentence == words
    assert refused.value.suggestion
    bench.kernel.stream_error = 0
    bench.open()


def test_fail__another_program_has_it() -> None:
    bench = Bench()
    bench.kernel.is_busy = True
    with pytest.raises(DeviceBusy):
        bench.open()


def test_fail__too_few_buffers() -> None:
    bench = Bench()
    bench.kernel.most_buffers = 1
    with pytest.raises(DeviceError, match="gives 1 buffers"):
        bench.open()


def test_fail__setting_up_has_a_deadline_too() -> None:
    bench = Bench()
    with pytest.raises(DeviceTimeout, match="too long"):
        bench.grabber.open(Deadline.after(bench.clock, 0.0))


def test_ok__a_driver_without_events_inputs_or_rates() -> None:
    bench = Bench()
    bench.kernel.has_events = False
    bench.kernel.refused = [abi.G_INPUT, abi.ENUMINPUT, abi.G_PARM, abi.ENUM_FRAMEINTERVALS]
    bench.open()
    bench.kernel.deliver(bench.picture())
    assert bench.read().data == bench.picture()


def test_ok__interlaced_television() -> None:
    bench = Bench(FakeMode(PixelFormat.GREY), wish=replace(WISH, input="s-video"))
    bench.kernel.inputs.append(FakeInput("S-Video", capabilities=abi.IN_CAP_STD))
    bench.kernel.field = abi.FIELD_INTERLACED
    bench.open()
    setting = bench.grabber.setting
    assert setting is not None
    assert (setting.width, setting.height, setting.is_interlaced, setting.rate) == (720, 576, True, 25.0)
    bench.kernel.deliver(bytes(720 * 576))
    assert bench.read().is_interlaced
