"""A grabber below /dev, from the driver's buffers to objects: the real source on a fake kernel, in the real runner."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom import dcmread
from pydicom.pixels import pixel_array

from appliance.acquire.runner import State
from appliance.devices.errors import BlackPicture
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import BITS_STORED, LINE_BYTES_PER_PIXEL, PixelFormat
from tests.acquire.conftest import Room
from tests.acquire.nodes import SIZE, Node, noise, solid_jpeg
from tests.acquire.world import errors_of, fragments_of, open_exam_of, unpadded
from tests.devices.v4l2_fake import FakeInput, FakeMode, FakeTimings
from tests.peers import DEADLINE, wait_until

_LUMINANCE: dict[PixelFormat, Callable[[bytes], bytes]] = {
    PixelFormat.YUYV: lambda data: data[0::2],
    PixelFormat.UYVY: lambda data: data[1::2],
    PixelFormat.NV12: lambda data: data[: SIZE[0] * SIZE[1]],
}


_RANGES = [(one, 0) for one in (PixelFormat.MJPEG, *LINE_BYTES_PER_PIXEL)]
_RANGES += [(one, abi.QUANTIZATION_FULL_RANGE) for one in _LUMINANCE]


@pytest.mark.parametrize(("pixels", "quantization"), _RANGES)
def test_ok__a_still_of_each_format(
    room: Room, make_node: Callable[..., Node], pixels: PixelFormat, quantization: int
) -> None:
    def prepare(node: Node) -> None:
        node.kernel.quantization = quantization

    node = make_node(pixels, prepare)
    exam = open_exam_of(room.facts)
    saved = node.runner.take_still(exam.exam_id)
    path = room.only_object("endoscope", exam.exam_id)
    if pixels in (PixelFormat.YUYV, PixelFormat.GREY, PixelFormat.Y10):  # one for each form of pixels
        assert not errors_of(path)
    stored = dcmread(path)
    assert (stored.Rows, stored.Columns) == SIZE[::-1]
    assert stored.VideoImageFormatAcquired == f"24p30 {pixels.name}"
    assert stored.LossyImageCompression == ("01" if pixels.is_jpeg else "00")
    is_full = quantization == abi.QUANTIZATION_FULL_RANGE
    gray = pixels is PixelFormat.GREY or pixels in BITS_STORED
    if pixels.is_jpeg:
        assert stored.PhotometricInterpretation == "YBR_FULL_422"
        assert node.given.keys() & {unpadded(one) for one in fragments_of(path)}
    elif gray:
        assert stored.PhotometricInterpretation == "MONOCHROME2"
        assert stored.BitsStored == BITS_STORED.get(pixels, 8)
        assert stored.PixelData in node.given
    elif pixels.is_ycbcr and is_full:
        assert stored.PhotometricInterpretation == "YBR_FULL"
        luminance = {_LUMINANCE[pixels](data) for data in node.given}
        assert stored.PixelData[0::3] in luminance
    else:
        assert stored.PhotometricInterpretation == "RGB"
        assert len(stored.PixelData) == SIZE[0] * SIZE[1] * 3
    assert pixel_array(stored).shape[:2] == SIZE[::-1]
    assert node.runner.thumbnails.get(saved.sop_instance_uid)
    assert node.runner.preview().startswith(b"\xff\xd8")


_CLASSES = {
    PixelFormat.MJPEG: ("1.2.840.10008.5.1.4.1.1.7.4", "YBR_FULL_422"),
    PixelFormat.YUYV: ("1.2.840.10008.5.1.4.1.1.7.4", "RGB"),
    PixelFormat.GREY: ("1.2.840.10008.5.1.4.1.1.7.2", "MONOCHROME2"),
    PixelFormat.Y12: ("1.2.840.10008.5.1.4.1.1.7.3", "MONOCHROME2"),
}


@pytest.mark.parametrize("pixels", list(_CLASSES))
def test_ok__a_clip_of_each_kind(room: Room, make_node: Callable[..., Node], pixels: PixelFormat) -> None:
    node = make_node(pixels)
    exam = open_exam_of(room.facts)
    node.wait_for(State.IDLE)
    node.runner.start_clip(exam.exam_id)
    wait_until(lambda: (node.runner.progress() or {"done": 0})["done"] >= 0.2, "some frames")
    saved = node.runner.stop_clip(exam.exam_id)
    path = room.only_object("endoscope", exam.exam_id)
    assert not errors_of(path)
    stored = dcmread(path)
    assert (stored.SOPClassUID, stored.PhotometricInterpretation) == _CLASSES[pixels]
    assert (stored.NumberOfFrames, stored.VideoImageFormatAcquired) == (saved.frames, f"24p30 {pixels.name}")
    assert float(stored.FrameTime) >= 2  # the mean of what came, not the 33 ms that were asked for
    given = dict(node.given)
    if pixels.is_jpeg:
        numbers = [given[unpadded(one)] for one in fragments_of(path)]
    elif pixels is PixelFormat.YUYV:
        assert pixel_array(stored).shape == (saved.frames, *SIZE[::-1], 3)
        return
    else:
        size = len(stored.PixelData) // saved.frames
        numbers = [given[stored.PixelData[at * size : (at + 1) * size]] for at in range(saved.frames)]
    assert numbers == sorted(set(numbers))  # in order, none twice; a busy machine's driver drops some
    assert len(numbers) == saved.frames
    assert node.runner.thumbnails.get(saved.sop_instance_uid)


def test_ok__a_native_clip_ends_at_its_largest_size(room: Room, make_node: Callable[..., Node]) -> None:
    def prepare(node: Node) -> None:
        node.kernel.modes = [FakeMode(PixelFormat.RGB24, {(160, 120): (30,)})]
        node.frame = lambda number: noise(number, 160 * 120 * 3)

    node = make_node(PixelFormat.RGB24, prepare, max_clip_bytes=1_000_000)
    node.wait_for(State.IDLE)
    node.runner.start_clip(None)
    wait_until(lambda: bool(room.finding("clip_ended")), "it ends by itself")
    assert room.finding("clip_ended") == "The clip reached its largest size, 1 MB, and ended."
    assert 940_000 < room.only_object("endoscope", None).stat().st_size <= 1_000_000


def test_ok__diagnostic_quality_that_the_bus_does_not_carry_is_told_of(
    room: Room, make_node: Callable[..., Node]
) -> None:
    def prepare(node: Node) -> None:
        node.kernel.modes = [FakeMode(one, {(1280, 720): (30,)}) for one in (PixelFormat.YUYV, PixelFormat.MJPEG)]
        node.kernel.speed = 480.0

    node = make_node(PixelFormat.MJPEG, prepare, formats=("MJPEG", "YUYV"), quality="diagnostic")
    node.wait_for(State.IDLE)
    assert room.finding("compressed_picture") == (
        "The endoscope's picture comes compressed, against the wish for diagnostic quality: "
        "YUYV 1280×720 at 30/s needs 55 MB/s, and USB 2 carries 24."
    )
    node.kernel.unplug()
    node.wait_for(State.UNPLUGGED)
    node.kernel.speed = 5000.0
    node.frame = lambda number: noise(number, 1280 * 720 * 2)
    node.kernel.plug_in()
    node.wait_for(State.IDLE)
    assert room.finding("compressed_picture") == ""


def test_ok__another_size_in_the_middle_of_a_clip(room: Room, make_node: Callable[..., Node]) -> None:
    def prepare(node: Node) -> None:
        node.kernel.inputs = [FakeInput("HDMI", capabilities=abi.IN_CAP_DV_TIMINGS)]
        node.kernel.timings = FakeTimings(*SIZE)
        node.frame = lambda number: bytes((number % 100 + 100,)) * (node.kernel.pix.width * node.kernel.pix.height)

    node = make_node(PixelFormat.GREY, prepare)
    node.wait_for(State.IDLE)
    node.runner.start_clip(None)
    wait_until(lambda: (node.runner.progress() or {"done": 0})["done"] >= 0.1, "some frames")
    node.kernel.timings = FakeTimings(48, 24)
    node.kernel.change_source()
    wait_until(lambda: bool(room.finding("clip_ended")), "the clip ends")
    assert room.finding("clip_ended") == "The machine changed its picture format; the clip ended there."
    node.wait_for(State.IDLE)
    stored = dcmread(room.only_object("endoscope", None))
    assert (stored.Columns, stored.Rows) == SIZE
    wait_until(lambda: node.runner.next_frame(0.0, DEADLINE).width == 48, "the new size")


def test_ok__what_is_masked_and_cropped_is_in_no_object(room: Room, make_node: Callable[..., Node]) -> None:
    def prepare(node: Node) -> None:
        node.frame = lambda number: bytes((number % 100 + 100,)) * (SIZE[0] * SIZE[1])

    node = make_node(PixelFormat.GREY, prepare, crop=(4, 4, 20, 16), masks=((0, 0, 32, 8),))
    node.runner.take_still(None)
    stored = dcmread(room.only_object("endoscope", None))
    assert (stored.Rows, stored.Columns) == (16, 20)
    found = pixel_array(stored)
    assert not found[:4].any() and found[4:].all()
    assert stored.VideoImageFormatAcquired == "24p30 GREY"  # what was acquired, not what is kept of it


def test_ok__television_says_its_own_rate(room: Room, make_node: Callable[..., Node]) -> None:
    def prepare(node: Node) -> None:
        node.kernel.inputs = [FakeInput("S-Video", capabilities=abi.IN_CAP_STD)]
        node.kernel.field = abi.FIELD_INTERLACED
        node.frame = lambda number: bytes((number % 100 + 100,)) * (720 * 576)

    node = make_node(PixelFormat.GREY, prepare, input="S-Video", standard="PAL")
    node.runner.take_still(None)
    stored = dcmread(room.only_object("endoscope", None))
    assert (stored.Rows, stored.Columns, stored.VideoImageFormatAcquired) == (576, 720, "576i25 GREY")


def test_ok__unplugged_and_back(room: Room, make_node: Callable[..., Node]) -> None:
    node = make_node(PixelFormat.YUYV)
    node.wait_for(State.IDLE)
    node.kernel.unplug()
    node.wait_for(State.UNPLUGGED)
    assert room.finding("no_signal") == "The endoscope's video is not there."
    node.kernel.plug_in()
    node.wait_for(State.IDLE)
    assert room.finding("no_signal") == ""
    node.runner.take_still(None)


def test_fail__no_signal_is_no_still(room: Room, make_node: Callable[..., Node]) -> None:
    node = make_node(PixelFormat.YUYV, frame_seconds=0.5)
    node.wait_for(State.IDLE)
    node.kernel.inputs[0].status = abi.IN_ST_NO_SIGNAL  # and the driver goes on to give frames
    node.wait_for(State.NO_SIGNAL)
    assert room.finding("no_signal") == "The endoscope's grabber receives no signal."
    node.kernel.inputs[0].status = 0
    node.wait_for(State.IDLE)


@pytest.mark.parametrize("pixels", [PixelFormat.MJPEG, PixelFormat.YUYV])
def test_fail__a_black_picture_is_told_of_and_refused(
    room: Room, make_node: Callable[..., Node], pixels: PixelFormat
) -> None:
    """What a grabber gives whose cable is out: black, with a little noise, and all is well for its driver."""
    node = make_node(pixels)
    node.wait_for(State.IDLE)
    lit = node.frame
    size = len(lit(0))

    def black(number: int) -> bytes:
        if pixels.is_jpeg:
            return solid_jpeg(number % 5)
        return bytes((16 + number % 3, 128)) * (size // 2)

    node.frame = black
    wait_until(lambda: bool(room.finding("black_picture")), "it is said")
    assert room.finding("black_picture") == "The endoscope's picture is black."
    with pytest.raises(BlackPicture, match=r"The endoscope's picture is black; nothing was captured\."):
        node.runner.take_still(None)
    with pytest.raises(BlackPicture, match="no clip was started"):
        node.runner.start_clip(None)
    assert room.objects("endoscope", None) == []
    node.frame = lit
    wait_until(lambda: not room.finding("black_picture"), "it is over")
    node.runner.take_still(None)


def test_ok__black_that_is_meant_is_kept_and_told_of(room: Room, make_node: Callable[..., Node]) -> None:
    def prepare(node: Node) -> None:
        node.frame = lambda number: bytes((number % 3,)) * (SIZE[0] * SIZE[1])

    node = make_node(PixelFormat.GREY, prepare, refuse_black=False)
    wait_until(lambda: bool(room.finding("black_picture")), "it is said")
    node.runner.take_still(None)
    assert room.only_object("endoscope", None)


def test_ok__a_picture_that_stands_still_is_told_of(room: Room, make_node: Callable[..., Node]) -> None:
    node = make_node(PixelFormat.YUYV, frozen_seconds=0.3)
    node.wait_for(State.IDLE)
    moving = node.frame
    node.frame = lambda _: moving(1)
    wait_until(lambda: bool(room.finding("frozen_picture")), "it is said")
    sentence = "The endoscope's picture has not changed at all for more than 0.3 s."
    assert room.finding("frozen_picture") == sentence
    node.runner.take_still(None)  # a machine that was frozen on purpose looks the same
    node.frame = moving
    wait_until(lambda: not room.finding("frozen_picture"), "it is over")


def test_ok__lost_frames_are_counted_and_told_of(room: Room, make_node: Callable[..., Node]) -> None:
    node = make_node(PixelFormat.GREY)
    node.wait_for(State.IDLE)
    node.kernel.numbers = lambda number: number + 3
    wait_until(lambda: bool(room.finding("lost_frames")), "it is said")
    assert room.finding("lost_frames") == "3 frames of the endoscope got lost on the way."
    wait_until(lambda: not room.finding("lost_frames"), "it is over")


def test_ok__a_damaged_frame_is_not_counted_as_lost_too(room: Room, make_node: Callable[..., Node]) -> None:
    node = make_node(PixelFormat.GREY)
    node.wait_for(State.IDLE)
    node.kernel.deliver(bytes(SIZE[0] * SIZE[1]), flags=abi.BUF_FLAG_ERROR)
    wait_until(lambda: bool(room.finding("bad_frame")), "it is said")
    assert "1 damaged frame was left out" in room.finding("bad_frame")
    node.runner.next_frame(node.runner.clock.monotonic(), DEADLINE)
    assert room.finding("lost_frames") == ""


def test_fail__what_the_grabber_cannot_do_is_said(room: Room, make_node: Callable[..., Node]) -> None:
    node = make_node(PixelFormat.YUYV, input="HDMI")
    wait_until(lambda: bool(room.finding("no_signal")), "it is said")
    assert room.finding("no_signal") == "The endoscope's grabber has no input 'HDMI'."
    assert node.runner.state is State.NO_SIGNAL
