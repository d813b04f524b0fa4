"""Black all over, and standing still: what is, what is not, and when it is believed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from appliance.devices.errors import BadFrame
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video import watch
from appliance.devices.video.layout import LINE_BYTES_PER_PIXEL, PixelFormat, RawLayout
from appliance.devices.video.watch import FreezeTrigger, PictureWatch, is_black, is_black_frame, samples_from

SIZE = (960, 540)


def jpeg_frame(picture: Image.Image, timestamp: float = 0.0) -> Frame:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return Frame(buffer.getvalue(), Encoding.JPEG, *picture.size, 8, 0, timestamp)


def noisy(level: int, spread: int) -> Image.Image:
    noise = np.random.default_rng(1).integers(max(0, level - spread), level + spread + 1, SIZE[::-1], dtype=np.uint8)
    return Image.fromarray(noise).convert("RGB")


def with_text(words: str) -> Image.Image:
    picture = Image.new("RGB", SIZE, (16, 16, 16))
    ImageDraw.Draw(picture).text((40, 40), words, fill=(235, 235, 235), font_size=24)
    return picture


def with_light() -> Image.Image:
    picture = noisy(14, 6)
    ImageDraw.Draw(picture).ellipse((400, 200, 480, 280), fill=(90, 40, 30))
    return picture


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("RGB", SIZE, (0, 0, 0)), True),
        (Image.new("RGB", SIZE, (16, 16, 16)), True),
        (noisy(16, 8), True),
        (Image.new("L", SIZE, 10), True),
        (noisy(60, 20), False),
        (Image.new("RGB", SIZE, (0, 0, 255)), True),  # the blue screen of a converter is as dark
        (with_light(), False),  # an endoscope in the dark
        (with_text("2026-11-23 10:14   DEPTH 12 cm   GAIN 40   FREEZE   Right kidney, longitudinal"), False),
    ],
    ids=["black", "studio black", "noise", "gray JPEG", "dim", "blue", "a light", "a line of text"],
)
def test_ok__black(picture: Image.Image, expected: bool) -> None:
    assert is_black_frame(jpeg_frame(picture)) is expected


@pytest.mark.parametrize("pixels", list(LINE_BYTES_PER_PIXEL))
@pytest.mark.parametrize(("level", "expected"), [(16, True), (120, False)])
def test_ok__black_of_raw_frames(pixels: PixelFormat, level: int, expected: bool) -> None:
    width, height = 96, 48
    black = {
        PixelFormat.YUYV: bytes((level, 128)) * (width * height),
        PixelFormat.UYVY: bytes((128, level)) * (width * height),
        PixelFormat.NV12: bytes((level,)) * (width * height) + b"\x80" * (width * height // 2),
        PixelFormat.Y10: (level << 2).to_bytes(2, "little") * (width * height),
        PixelFormat.Y12: (level << 4).to_bytes(2, "little") * (width * height),
        PixelFormat.Y16: (level << 8).to_bytes(2, "little") * (width * height),
    }
    size = LINE_BYTES_PER_PIXEL[pixels]
    data = black.get(pixels, bytes((level,)) * (width * height * size))
    layout = RawLayout(pixels, width, height, width * size, is_full_range=False)
    frame = Frame(data, Encoding.RAW, width, height, 8, 0, 0.0, layout=layout)
    assert is_black_frame(frame) is expected
    assert len(set(samples_from(frame))) == 1


def test_ok__single_pixels_may_sparkle() -> None:
    assert is_black(bytes(4992) + b"\xff" * 8)
    assert not is_black(bytes(4980) + b"\xff" * 20)
    assert is_black(b"")


def test_fail__what_cannot_be_decoded_is_not_black() -> None:
    frame = Frame(b"\xff\xd8\xff\xd9", Encoding.JPEG, *SIZE, 8, 0, 0.0)
    assert not is_black_frame(frame)
    with pytest.raises(BadFrame):
        samples_from(frame)


def test_ok__two_looks_a_second_apart_believe_it_and_one_ends_it() -> None:
    watch = PictureWatch()
    black = [jpeg_frame(Image.new("RGB", SIZE, (level,) * 3)) for level in (10, 36, 60)]

    def see(frame: Frame, timestamp: float) -> bool:
        watch.see(Frame(frame.data, Encoding.JPEG, *SIZE, 8, 0, timestamp))
        return watch.is_black

    assert not see(black[2], 0.0)
    assert not see(black[0], 0.5)  # nobody looked
    assert not see(black[0], 1.0)
    assert not see(black[0], 1.9)
    assert see(black[0], 2.0)
    assert see(black[1], 3.0)  # a little brighter is no picture yet
    assert not see(black[2], 4.0)
    assert not see(black[1], 5.0)  # and a little darker is no black
    assert not see(black[1], 6.0)


def test_ok__frozen_is_every_bit_the_same_since() -> None:
    watch = PictureWatch()
    one, other = jpeg_frame(noisy(60, 20)), jpeg_frame(noisy(61, 20))
    assert watch.frozen_seconds == 0.0
    for frame, timestamp, frozen in (
        (one, 10.0, 0.0),
        (one, 11.0, 1.0),
        (one, 25.0, 15.0),
        (other, 26.0, 0.0),
        (one, 27.0, 0.0),
        (one, 27.5, 0.5),
    ):
        watch.see(Frame(frame.data, Encoding.JPEG, *SIZE, 8, 0, timestamp))
        assert watch.frozen_seconds == pytest.approx(frozen)
    watch.begin()
    assert (watch.frozen_seconds, watch.is_black) == (0.0, False)


def moving(number: int, spread: int = 5) -> Image.Image:
    """An ultrasound: a fan of speckle that is another in each frame, a still frame around it, and a little noise."""
    random = np.random.default_rng(number)
    picture = random.integers(16, 16 + spread, SIZE[::-1], dtype=np.uint8)
    picture[150:400, 300:660] = random.integers(20, 200, (250, 360), dtype=np.uint8)
    return Image.fromarray(picture).convert("RGB")


def frozen(number: int, spread: int = 5) -> Image.Image:
    """The same picture each time, with a converter's noise on it."""
    noise = np.random.default_rng(number).integers(0, spread, SIZE[::-1], dtype=np.uint8)
    return Image.fromarray(np.asarray(moving(0).convert("L")) // 8 * 8 + noise).convert("RGB")


def test_ok__a_freeze_fires_once_and_only_after_it_moved() -> None:
    trigger, fired, at = FreezeTrigger(), [], 0.0
    scenes = [(frozen, 15), (moving, 10), (frozen, 20), (moving, 1), (frozen, 10), (moving, 5), (frozen, 10)]
    for scene, (make, looks) in enumerate(scenes):
        for number in range(looks):
            at += 0.2
            if trigger.see(jpeg_frame(make(100 * scene + number), at)):
                fired.append((scene, number))
    # Not at the beginning, once in the first freeze, not after a flicker, and once more.
    assert [scene for scene, _ in fired] == [2, 6]
    assert all(4 <= number <= 7 for _, number in fired)


def test_ok__a_black_picture_is_no_freeze() -> None:
    trigger = FreezeTrigger()
    pictures = [moving(number) for number in range(5)] + [Image.new("RGB", SIZE)] * 10
    assert not any(trigger.see(jpeg_frame(one, 0.2 * at)) for at, one in enumerate(pictures))


def test_ok__it_looks_five_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def look(frame: Frame) -> bytes:
        looks.append(frame.timestamp)
        return bytes(100)

    monkeypatch.setattr(watch, "samples_from", look)
    trigger = FreezeTrigger()
    for number in range(120):
        trigger.see(Frame(b"", Encoding.JPEG, *SIZE, 8, number, number / 60))
    assert 10 <= len(looks) <= 11
