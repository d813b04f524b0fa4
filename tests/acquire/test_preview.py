"""Small pictures: of every encoding, of a film that goes by in pieces of any size, and never more than the last few."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from appliance.acquire.preview import THUMBNAIL_SIZE, FilmThumbnail, Thumbnails, preview_jpeg_from, small_jpeg_from
from appliance.devices.errors import BadFrame
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.layout import PixelFormat, RawLayout
from tests.acquire.world import make_frame, picture


def opened(data: bytes) -> Image.Image:
    assert data[:2] == b"\xff\xd8"
    return Image.open(io.BytesIO(data))


def gray16(value: int, bits: int) -> Frame:
    return Frame(value.to_bytes(2, "little") * 400 * 300, Encoding.GRAY16, 400, 300, bits, 0, 0.0)


@pytest.mark.parametrize(
    ("frame", "mode", "size"),
    [
        (make_frame(picture(size=(640, 480))), "RGB", (192, 144)),
        (make_frame(picture(size=(64, 480), mode="L")), "L", (19, 144)),
        (Frame(bytes(500 * 100 * 3), Encoding.RGB, 500, 100, 8, 0, 0.0), "RGB", (192, 38)),
        (Frame(bytes(96 * 64), Encoding.GRAY8, 96, 64, 8, 0, 0.0), "L", (96, 64)),
        (gray16(0xFF00, 16), "L", (192, 144)),
        (Frame(bytes(60_000), Encoding.GRAY8, 60_000, 1, 8, 0, 0.0), "L", (192, 1)),
    ],
)
def test_ok__every_encoding(frame: Frame, mode: str, size: tuple[int, int]) -> None:
    small = opened(small_jpeg_from(frame, THUMBNAIL_SIZE))
    assert (small.mode, small.size) == (mode, size)


def raw(width: int, height: int) -> Frame:
    layout = RawLayout(PixelFormat.GREY, width, height, width)
    return Frame(bytes(width * height), Encoding.RAW, width, height, 8, 0, 0.0, layout=layout)


@pytest.mark.parametrize(
    ("frame", "width", "size"),
    [
        (make_frame(picture(size=(640, 480))), 320, (320, 240)),
        (make_frame(picture(size=(640, 480))), 319, (320, 240)),
        (make_frame(picture(size=(640, 480))), 321, (640, 480)),
        (make_frame(picture(size=(640, 480), subsampling=1)), 100, (160, 120)),
        (make_frame(picture(size=(96, 64))), 320, (96, 64)),
        (raw(640, 480), 200, (212, 160)),
        (Frame(bytes(500 * 100 * 3), Encoding.RGB, 500, 100, 8, 0, 0.0), 640, (500, 100)),
    ],
)
def test_ok__the_live_picture_has_the_size_at_which_it_is_decoded(
    frame: Frame, width: int, size: tuple[int, int]
) -> None:
    small = opened(preview_jpeg_from(frame, width))
    assert small.size == size
    assert min(width, frame.width) <= small.width < 2 * width


@pytest.mark.parametrize(("value", "bits"), [(0x8000, 16), (0x0800, 12), (0x0200, 10)])
def test_ok__half_of_the_range_is_half_gray(value: int, bits: int) -> None:
    small = opened(small_jpeg_from(gray16(value, bits), THUMBNAIL_SIZE))
    assert small.getextrema() == (128, 128)


@pytest.mark.parametrize("data", [b"", picture()[:200], b"\xff\xd8\xff\xd9"])
def test_fail__what_cannot_be_decoded(data: bytes) -> None:
    with pytest.raises(BadFrame, match="cannot be shown"):
        small_jpeg_from(Frame(data, Encoding.JPEG, 96, 64, 8, 0, 0.0), THUMBNAIL_SIZE)


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 500),
    cuts=st.lists(st.integers(0, 1_000_000), max_size=6),
)
def test_ok__a_film_in_pieces_of_any_size(width: int, height: int, cuts: list[int]) -> None:
    """However the rows are cut, the same picture comes out, and it fits the strip."""
    film = b"".join(bytes((0, row * 255 // height)) * width for row in range(height))
    whole, pieces = FilmThumbnail(width, height, 16), FilmThumbnail(width, height, 16)
    whole.feed(film)
    for start, end in pairwise(sorted({0, len(film), *(cut % (len(film) + 1) for cut in cuts)})):
        pieces.feed(film[start:end])
    assert pieces.jpeg() == whole.jpeg()
    small = opened(whole.jpeg())
    assert small.width <= THUMBNAIL_SIZE[0] and small.height <= THUMBNAIL_SIZE[1]
    step = max(1, -(-width // THUMBNAIL_SIZE[0]), -(-height // THUMBNAIL_SIZE[1]))
    assert small.size == (-(-width // step), -(-height // step))


def test_ok__no_film_no_picture() -> None:
    assert FilmThumbnail(10, 10, 16).jpeg() == b""


def test_ok__the_oldest_falls_off() -> None:
    thumbnails = Thumbnails()
    for number in range(70):
        thumbnails.put(str(number), b"x")
    assert [thumbnails.get(str(number)) is None for number in (5, 6)] == [True, False]
    thumbnails.put_frame("broken", Frame(b"", Encoding.JPEG, 1, 1, 8, 0, 0.0))
    assert thumbnails.get("broken") is None


@pytest.mark.parametrize(("bits", "samples"), [(8, b"\x10\xf0"), (12, b"\x00\x01\x00\x0f"), (16, b"\x00\x10\x00\xf0")])
def test_ok__a_film_of_each_depth(bits: int, samples: bytes) -> None:
    made = FilmThumbnail(2, 8, bits)
    made.feed(samples * 8)
    shown = Image.open(io.BytesIO(made.jpeg()))
    assert shown.size == (2, 8)
    assert abs(shown.getpixel((0, 4)) - 0x10) < 6 and abs(shown.getpixel((1, 4)) - 0xF0) < 6
