"""Drivers' layouts against an independent reckoning by numpy: the order of bytes, padding, colours, crop, masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.devices.errors import BadFrame
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.layout import BITS_STORED, LINE_BYTES_PER_PIXEL, Area, PixelFormat, Primaries, RawLayout
from appliance.devices.video.pixels import reduced_from, stored_from

Bytes = npt.NDArray[np.uint8]
COLUMNS, LINES = 12, 8
YCBCR = [PixelFormat.YUYV, PixelFormat.UYVY, PixelFormat.NV12]
PACKED = {PixelFormat.YUYV: (0, 1, 3), PixelFormat.UYVY: (1, 0, 2)}  # Y, Cb, Cr of the first pixel


def lay_out(pixels: PixelFormat, seed: int = 0, padding: int = 0, **more: object) -> Frame:
    """A raw frame of noise."""
    size = LINE_BYTES_PER_PIXEL[pixels] * COLUMNS
    lines = LINES * 3 // 2 if pixels is PixelFormat.NV12 else LINES
    noise = np.random.default_rng(seed).integers(0, 256, (lines, size + padding), dtype=np.uint8)
    if pixels in BITS_STORED:
        noise[:, 1:size:2] &= (1 << BITS_STORED[pixels] - 8) - 1
    layout = RawLayout(pixels, COLUMNS, LINES, size + padding, **more)  # type: ignore[arg-type]
    kept = layout.kept
    return Frame(noise.tobytes(), Encoding.RAW, kept.width, kept.height, 8, 3, 1.5, layout=layout, format=pixels.name)


def planes_of(frame: Frame) -> tuple[Bytes, Bytes, Bytes]:
    """Y, Cb and Cr of every pixel of the whole picture."""
    layout = frame.layout
    assert layout is not None
    each = np.frombuffer(frame.data, np.uint8).reshape(-1, layout.bytes_per_line)
    if layout.format is PixelFormat.NV12:
        chroma = each[LINES:, :COLUMNS].repeat(2, 0)
        return each[:LINES, :COLUMNS], chroma[:, 0::2].repeat(2, 1), chroma[:, 1::2].repeat(2, 1)
    y, cb, cr = PACKED[layout.format]
    lines = each[:, : COLUMNS * 2]
    return lines[:, y::2], lines[:, cb::4].repeat(2, 1), lines[:, cr::4].repeat(2, 1)


def samples_of(frame: Frame) -> npt.NDArray[np.int64]:
    """Lines × pixels × samples of a stored frame."""
    shape = (frame.height, frame.width)
    match frame.encoding:
        case Encoding.GRAY16:
            return np.frombuffer(frame.data, "<u2").reshape(*shape, 1).astype(np.int64)
        case Encoding.GRAY8:
            return np.frombuffer(frame.data, np.uint8).reshape(*shape, 1).astype(np.int64)
        case _:
            return np.frombuffer(frame.data, np.uint8).reshape(*shape, 3).astype(np.int64)


# R'G'B' → Y'PbPr as the recommendations print it; inverted here by numpy, not by us.
FORWARD = {
    Primaries.BT601: ((0.299, 0.587, 0.114), 1.772, 1.402),
    Primaries.BT709: ((0.2126, 0.7152, 0.0722), 1.8556, 1.5748),
    Primaries.BT2020: ((0.2627, 0.6780, 0.0593), 1.8814, 1.4746),
}


def rgb_of(frame: Frame) -> npt.NDArray[np.float64]:
    layout = frame.layout
    assert layout is not None
    y, cb, cr = (plane.astype(np.float64) for plane in planes_of(frame))
    if layout.is_full_range:
        y, cb, cr = y / 255, (cb - 128) / 255, (cr - 128) / 255
    else:
        y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    weights, of_blue, of_red = FORWARD[layout.primaries]
    luma = np.array(weights)
    forward = np.array([luma, (np.array((0, 0, 1)) - luma) / of_blue, (np.array((1, 0, 0)) - luma) / of_red])
    rgb = np.einsum("ij,jkl->kli", np.linalg.inv(forward), np.array([y, cb, cr]))
    return np.clip(rgb, 0, 1) * 255


@pytest.mark.parametrize("pixels", YCBCR)
@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("crop", [None, Area(3, 1, 5, 5), Area(0, 2, 12, 4)])
def test_ok__full_range_ycbcr_passes_through_as_ybr_full(pixels: PixelFormat, padding: int, crop: Area | None) -> None:
    frame = lay_out(pixels, padding=padding, crop=crop)
    kept = stored_from(frame)
    box = crop or Area(0, 0, COLUMNS, LINES)
    expected = np.stack(planes_of(frame), -1)[box.top : box.top + box.height, box.left : box.left + box.width]
    assert (kept.encoding, kept.width, kept.height) == (Encoding.YBR, box.width, box.height)
    assert np.array_equal(samples_of(kept), expected)
    assert (kept.sequence, kept.timestamp, kept.format) == (3, 1.5, pixels.name)


@pytest.mark.parametrize("pixels", YCBCR)
@pytest.mark.parametrize("primaries", list(Primaries))
@pytest.mark.parametrize("is_full_range", [False, True])
@pytest.mark.parametrize("crop", [None, Area(3, 1, 5, 6)])
def test_ok__other_ycbcr_becomes_rgb_rounded_once(
    pixels: PixelFormat, primaries: Primaries, is_full_range: bool, crop: Area | None
) -> None:
    frame = lay_out(pixels, padding=8, primaries=primaries, is_full_range=is_full_range, crop=crop)
    kept = stored_from(frame, is_clip=True)
    box = crop or Area(0, 0, COLUMNS, LINES)
    expected = rgb_of(frame)[box.top : box.top + box.height, box.left : box.left + box.width]
    assert kept.encoding is Encoding.RGB
    assert np.abs(samples_of(kept) - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("y", "cb", "cr", "rgb"),
    [(16, 128, 128, (0, 0, 0)), (235, 128, 128, (255, 255, 255)), (81, 90, 240, (255, 0, 0)), (0, 128, 128, (0, 0, 0))],
)
def test_ok__colours_of_television(y: int, cb: int, cr: int, rgb: tuple[int, int, int]) -> None:
    """BT.601 in the studio range: black, white, the red of colour bars, and what is blacker than black."""
    layout = RawLayout(PixelFormat.YUYV, 2, 1, 4, is_full_range=False)
    kept = stored_from(Frame(bytes((y, cb, y, cr)), Encoding.RAW, 2, 1, 8, 0, 0.0, layout=layout))
    assert all(abs(found - wanted) <= 1 for found, wanted in zip(kept.data, rgb * 2, strict=True))


@pytest.mark.parametrize("pixels", [PixelFormat.RGB24, PixelFormat.BGR24, PixelFormat.GREY, *BITS_STORED])
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("crop", [None, Area(3, 2, 7, 5)])
def test_ok__what_needs_no_matrix_is_passed_through(pixels: PixelFormat, padding: int, crop: Area | None) -> None:
    frame = lay_out(pixels, padding=padding, crop=crop)
    kept = stored_from(frame)
    box = crop or Area(0, 0, COLUMNS, LINES)
    size = LINE_BYTES_PER_PIXEL[pixels]
    lines = np.frombuffer(frame.data, np.uint8).reshape(LINES, -1)[:, : COLUMNS * size].reshape(LINES, COLUMNS, size)
    expected = lines[box.top : box.top + box.height, box.left : box.left + box.width]
    if pixels is PixelFormat.BGR24:
        expected = expected[..., ::-1]
    assert kept.data == expected.tobytes()
    assert kept.bits_stored == BITS_STORED.get(pixels, 8)
    assert kept.encoding is {1: Encoding.GRAY8, 2: Encoding.GRAY16, 3: Encoding.RGB}[size]


@pytest.mark.parametrize("pixels", [PixelFormat.RGB24, PixelFormat.BGR24])
def test_ok__rgb_of_the_studio_range_is_stretched(pixels: PixelFormat) -> None:
    layout = RawLayout(pixels, 2, 1, 6, is_full_range=False)
    kept = stored_from(Frame(bytes((16, 16, 16, 235, 235, 235)), Encoding.RAW, 2, 1, 8, 0, 0.0, layout=layout))
    assert kept.data == bytes((0, 0, 0, 255, 255, 255))


@pytest.mark.parametrize("pixels", list(LINE_BYTES_PER_PIXEL))
@pytest.mark.parametrize("is_full_range", [False, True])
def test_ok__a_mask_is_black_and_nothing_else_is_touched(pixels: PixelFormat, is_full_range: bool) -> None:
    crop, mask, outside = Area(2, 2, 8, 6), Area(4, 0, 4, 4), Area(0, 0, 2, 2)
    bare = stored_from(lay_out(pixels, crop=crop, is_full_range=is_full_range))
    kept = stored_from(lay_out(pixels, crop=crop, masks=(mask, outside), is_full_range=is_full_range))
    expected = samples_of(bare).copy()
    expected[0:2, 2:6] = (0, 128, 128) if bare.encoding is Encoding.YBR else 0
    assert kept.encoding is bare.encoding
    assert np.array_equal(samples_of(kept), expected)


@pytest.mark.parametrize("pixels", [one for one in LINE_BYTES_PER_PIXEL if one not in BITS_STORED])
@pytest.mark.parametrize("crop", [None, Area(2, 1, 8, 6), Area(0, 2, 12, 5), Area(0, 3, 12, 1)])
def test_ok__one_field_and_the_means_of_its_lines(pixels: PixelFormat, crop: Area | None) -> None:
    woven = samples_of(stored_from(lay_out(pixels, crop=crop), is_clip=True))
    kept = samples_of(stored_from(lay_out(pixels, crop=crop, is_one_field=True), is_clip=True))
    first = (crop.top if crop else 0) % 2  # the field that has the picture's first line
    lines = range(first, len(woven), 2)
    for line in range(len(woven)):
        if line in lines or not lines:
            expected = woven[line]
        else:
            near = [woven[at] for at in (line - 1, line + 1) if at in lines]
            expected = (near[0] + near[-1]) // 2
        assert np.array_equal(kept[line], expected), line


@pytest.mark.parametrize("pixels", list(LINE_BYTES_PER_PIXEL))
def test_fail__too_few_bytes(pixels: PixelFormat) -> None:
    whole = lay_out(pixels)
    torn = Frame(whole.data[:-1], Encoding.RAW, COLUMNS, LINES, 8, 0, 0.0, layout=whole.layout)
    with pytest.raises(BadFrame, match="torn"):
        stored_from(torn)
    assert reduced_from(torn, 4) is torn


def test_ok__what_is_not_raw_stays_as_it_is() -> None:
    frame = Frame(b"abc", Encoding.RGB, 1, 1, 8, 0, 0.0)
    assert stored_from(frame) is frame
    assert reduced_from(frame, 1) is frame


@pytest.mark.parametrize("pixels", list(LINE_BYTES_PER_PIXEL))
@pytest.mark.parametrize("width", [3, 6, 12])
@pytest.mark.parametrize("crop", [None, Area(0, 2, 12, 4), Area(2, 0, 8, 8)])
def test_ok__a_reduced_frame_has_every_nth_pixel(pixels: PixelFormat, width: int, crop: Area | None) -> None:
    frame = lay_out(pixels, padding=4, crop=crop, is_full_range=False)
    step = frame.width // width
    if not step:
        return
    if frame.height // step < 2:
        assert reduced_from(frame, width) is frame  # too flat to be reduced
        return
    whole = samples_of(stored_from(frame))
    small = samples_of(stored_from(reduced_from(frame, width)))
    columns, lines = frame.width // step // 2 * 2, frame.height // step // 2 * 2
    picked = whole[: lines * step : step, : columns * step : step]
    assert small.shape[:2] == (lines, columns)
    if pixels in YCBCR and step > 1:  # a chrominance sample may be a neighbour's
        reduced = reduced_from(frame, width)
        assert reduced.layout is not None
        full = replace(reduced, layout=replace(reduced.layout, is_full_range=True))
        everything = replace(frame, layout=replace(frame.layout, is_full_range=True, primaries=Primaries.BT601))
        luminance = samples_of(stored_from(everything))[..., 0]
        assert np.array_equal(
            samples_of(stored_from(full))[..., 0], luminance[: lines * step : step, : columns * step : step]
        )
    else:
        assert np.array_equal(small, picked)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ok__a_reduced_frame_never_shows_what_is_masked(data: st.DataObject) -> None:
    """Every pixel that the mask covers is white in the frame; whatever n is, none of it may be seen."""
    left, top = data.draw(st.integers(0, COLUMNS - 1)), data.draw(st.integers(0, LINES - 1))
    mask = Area(left, top, data.draw(st.integers(1, COLUMNS - left)), data.draw(st.integers(1, LINES - top)))
    crop = Area(2, 2, 8, 6) if data.draw(st.booleans()) else None
    lines = np.zeros((LINES, COLUMNS), np.uint8)
    lines[mask.top : mask.top + mask.height, mask.left : mask.left + mask.width] = 255
    layout = RawLayout(PixelFormat.GREY, COLUMNS, LINES, COLUMNS, crop=crop, masks=(mask,))
    kept = layout.kept
    frame = Frame(lines.tobytes(), Encoding.RAW, kept.width, kept.height, 8, 0, 0.0, layout=layout)
    assert not any(stored_from(frame).data)
    small = reduced_from(frame, data.draw(st.integers(1, COLUMNS)))
    assert not any(stored_from(small).data)
