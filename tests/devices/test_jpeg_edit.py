"""Crop and masks of JPEG without loss, against coefficients that a decoder of the tests' own reads."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from appliance.devices.errors import BadFrame, DeviceError
from appliance.devices.frame import Encoding
from appliance.devices.video.jpeg import parse_jpeg
from appliance.devices.video.jpeg_edit import edit_of, edited_jpeg, unit_of
from appliance.devices.video.jpeg_frame import frame_from_jpeg
from appliance.devices.video.layout import Area
from appliance.devices.video.pixels import stored_from
from appliance.devices.video.small import small_jpeg_picture
from appliance.devices.video.watch import samples_from
from tests.devices.jpeg_coefficients import read_coefficients
from tests.devices.test_jpeg import make_jpeg, strip_huffman

# Pillow's names, and the unit that follows from each.
UNITS = {"4:4:4": (8, 8), "4:2:2": (16, 8), "4:2:0": (16, 16)}
SIZE = (101, 67)  # neither side ends on a unit


def picture(seed: int = 1, size: tuple[int, int] = SIZE, low: int = 90) -> np.ndarray:
    """Noise, nowhere dark."""
    return np.random.default_rng(seed).integers(low, 255, (size[1], size[0], 3), dtype=np.uint8)


def jpeg_of(pixels: np.ndarray, subsampling: str = "4:2:0", **options: object) -> bytes:
    coded = io.BytesIO()
    Image.fromarray(pixels).save(coded, "JPEG", quality=75, subsampling=subsampling, **options)
    return coded.getvalue()


def edited(data: bytes, crop: Area | None, *masks: Area) -> bytes:
    edit = edit_of(parse_jpeg(data), crop, masks, "endoscope")
    assert edit is not None
    return edited_jpeg(data, edit)


@pytest.mark.parametrize("subsampling", UNITS)
def test_ok__a_crop_has_the_same_coefficients(subsampling: str) -> None:
    data = jpeg_of(picture(), subsampling)
    unit = UNITS[subsampling]
    assert unit_of(parse_jpeg(data)) == unit
    crop = Area(32, 16, 48, 32)
    whole, part = read_coefficients(data), read_coefficients(edited(data, crop))
    assert (part.width, part.height, part.quantisers) == (48, 32, whole.quantisers)
    for component, blocks in enumerate(part.blocks):
        width, height = (8, 8) if not component else unit  # chrominance: one block a unit
        assert len(blocks) == 48 // width * (32 // height)
        for (row, column), block in blocks.items():
            assert block == whole.blocks[component][row + 16 // height, column + 32 // width]


def test_ok__a_crop_up_to_the_picture_s_edge() -> None:
    data = jpeg_of(picture())
    part = read_coefficients(edited(data, Area(16, 32, 85, 35)))
    assert (part.width, part.height) == (85, 35)
    whole = read_coefficients(data)
    assert part.blocks[0][3, 9] == whole.blocks[0][7, 11]


@pytest.mark.parametrize("subsampling", UNITS)
@pytest.mark.parametrize("is_cropped", [False, True])
def test_ok__of_a_mask_s_area_nothing_is_left(subsampling: str, is_cropped: bool) -> None:
    """Two pictures that differ in the mask alone give the same bytes."""
    mask, crop = Area(32, 16, 48, 32), Area(16, 0, 48, 48) if is_cropped else None
    one, other = picture(), picture()
    other[mask.top : mask.top + mask.height, mask.left : mask.left + mask.width] = picture(2, (48, 32))
    assert jpeg_of(one, subsampling) != jpeg_of(other, subsampling)
    found = edited(jpeg_of(one, subsampling), crop, mask)
    assert found == edited(jpeg_of(other, subsampling), crop, mask)
    kept = crop or Area(0, 0, *SIZE)
    seen = mask.within(kept)
    assert seen is not None
    luminance = np.asarray(Image.open(io.BytesIO(found)).convert("L"))
    inside = luminance[seen.top : seen.top + seen.height, seen.left : seen.left + seen.width]
    assert inside[1:-1, 1:-1].max() == 0
    assert (luminance == 0).sum() <= inside.size


@settings(max_examples=15, deadline=None)
@given(
    subsampling=st.sampled_from(list(UNITS)),
    left=st.integers(0, 5),
    top=st.integers(0, 3),
    width=st.integers(1, 7),
    height=st.integers(1, 5),
    quality=st.sampled_from([5, 75, 100]),
)
def test_ok__outside_of_a_mask_every_coefficient_is_what_it_was(
    subsampling: str, left: int, top: int, width: int, height: int, quality: int
) -> None:
    unit = UNITS[subsampling]
    coded = io.BytesIO()
    Image.fromarray(picture()).save(coded, "JPEG", quality=quality, subsampling=subsampling)
    data = coded.getvalue()
    mask = Area(left * unit[0], top * unit[1], width * unit[0], height * unit[1]).within(Area(0, 0, *SIZE))
    assert mask is not None
    before, after = read_coefficients(data), read_coefficients(edited(data, None, mask))
    black = 0
    for component, blocks in enumerate(after.blocks):
        w, h = (8, 8) if not component else unit
        limits = (-(-SIZE[0] // w), -(-SIZE[1] // h))
        for (row, column), block in blocks.items():
            if column >= limits[0] or row >= limits[1]:
                continue  # what fills the last unit up, and lies outside of the picture
            is_masked = (
                mask.left <= column * w < mask.left + mask.width and mask.top <= row * h < mask.top + mask.height
            )
            if not is_masked:
                assert block == before.blocks[component][row, column]
                continue
            black += 1
            assert not any(block[1:])
            level = block[0] * after.quantisers[component][0]
            assert level == 0 if component else -1024 - after.quantisers[0][0] < level <= -1024
    assert black >= 3  # at least a block of each component


def test_ok__what_fills_the_last_unit_up_is_not_kept_of_a_mask() -> None:
    """A unit at the edge codes pixels that no decoder shows, and they are the mask's too."""
    mask = Area(96, 0, 5, 67)
    data = jpeg_of(picture(), "4:2:0")
    after = read_coefficients(edited(data, None, mask))
    assert (after.width, after.height) == SIZE
    for component, first in ((0, 12), (1, 6), (2, 6)):
        blocks = [block for (_, column), block in after.blocks[component].items() if column >= first]
        assert blocks and not any(any(block[1:]) for block in blocks)


@pytest.mark.parametrize("data", [jpeg_of(picture()), jpeg_of(picture(), optimize=True)], ids=["typical", "own tables"])
def test_ok__gray_restarts_and_missing_tables(data: bytes) -> None:
    whole = read_coefficients(data)
    assert read_coefficients(edited(data, None, Area(0, 0, 16, 16))).blocks[0][7, 7] == whole.blocks[0][7, 7]
    gray = make_jpeg(mode="L", size=(64, 48))
    assert unit_of(parse_jpeg(gray)) == (8, 8)
    found = read_coefficients(edited(gray, Area(8, 8, 40, 32), Area(8, 8, 8, 8)))
    assert (found.width, found.height) == (40, 32)
    assert found.blocks[0][0, 0][0] < 0 and found.blocks[0][1, 1] == read_coefficients(gray).blocks[0][2, 2]
    restarted = make_jpeg("4:2:2", restart_marker_blocks=3)
    assert parse_jpeg(restarted).restart_interval
    part = read_coefficients(edited(restarted, Area(16, 8, 32, 32)))
    assert part.blocks[0][0, 0] == read_coefficients(restarted).blocks[0][1, 2]


def test_ok__what_stands_around_the_scan_does_not_come_along() -> None:
    """A thumbnail would show what is masked."""
    exif = Image.Exif()
    exif[0x010E] = "a name"
    data = jpeg_of(picture(), exif=exif, comment=b"a name")
    assert data.count(b"a name") == 2
    found = edited(data + b"a name behind its end", None, Area(0, 0, 16, 16))
    assert b"a name" not in found
    assert set(read_coefficients(found).markers) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}


def test_ok__without_crop_and_masks_a_frame_is_what_came() -> None:
    data = jpeg_of(picture(), "4:2:2")
    frame = frame_from_jpeg(strip_huffman(data), 3, 1.5, "endoscope")
    assert frame.edit is None and stored_from(frame) is frame
    assert parse_jpeg(frame.data).has_huffman_tables
    assert frame.data[parse_jpeg(frame.data).scan_offset :] == data[parse_jpeg(data).scan_offset :]


def test_ok__a_frame_is_shown_as_it_is_stored() -> None:
    mask, crop = Area(32, 32, 96, 32), Area(16, 16, 320, 208)
    data = jpeg_of(picture(size=(640, 480)))
    frame = frame_from_jpeg(data, 3, 1.5, "endoscope", crop, (mask,))
    assert (frame.encoding, frame.width, frame.height, frame.data) == (Encoding.JPEG, 320, 208, data)
    stored = stored_from(frame)
    assert (stored.width, stored.height, stored.edit) == (320, 208, None)
    header = parse_jpeg(stored.data)
    assert (header.width, header.height) == (320, 208)
    for size, step in (((320, 208), 1), ((160, 104), 2), ((40, 26), 8)):
        shown = small_jpeg_picture(frame, "RGB", size)
        assert shown.size == (320 // step, 208 // step)
        pixels = np.asarray(shown)
        inside = pixels[16 // step : 48 // step, 16 // step : 112 // step]
        assert not inside.any()
        assert pixels[: 16 // step - 1].min() > 30 and pixels[48 // step + 1 :].min() > 30
    plain, shown = Image.open(io.BytesIO(stored.data)), small_jpeg_picture(frame, "RGB", (320, 208))
    below = (1, 60, 319, 207)
    assert plain.crop(below).tobytes() == shown.crop(below).tobytes()
    assert len(samples_from(frame)) < len(samples_from(frame_from_jpeg(data, 3, 1.5, "endoscope")))


@pytest.mark.parametrize(
    ("subsampling", "crop", "nearest"),
    [
        ("4:2:0", Area(10, 0, 80, 48), "[16, 0, 64, 48]"),
        ("4:2:0", Area(0, 0, 101, 66), "[0, 0, 101, 64]"),
        ("4:2:2", Area(0, 12, 64, 32), "[0, 16, 64, 24]"),
        ("4:4:4", Area(0, 0, 3, 3), "[0, 0, 8, 8]"),  # inside of it nothing is left
        ("4:2:0", Area(90, 60, 11, 7), "[96, 64, 5, 3]"),
    ],
)
def test_fail__a_crop_off_the_units(subsampling: str, crop: Area, nearest: str) -> None:
    header = parse_jpeg(jpeg_of(picture(), subsampling))
    unit = "{}×{}".format(*UNITS[subsampling])
    with pytest.raises(DeviceError) as refused:
        edit_of(header, crop, (), "endoscope")
    words = f"`crop` of endoscope is not on the coded units of its JPEG picture, which are {unit} pixels."
    assert refused.value.sentence == words
    assert refused.value.suggestion == f"Configure crop = {nearest}, or leave MJPEG out of `formats`."


def test_fail__a_mask_off_the_units_names_the_one_that_covers_it() -> None:
    header = parse_jpeg(jpeg_of(picture()))
    with pytest.raises(DeviceError) as refused:
        edit_of(header, None, (Area(0, 0, 16, 16), Area(10, 10, 86, 50)), "endoscope")
    assert refused.value.sentence.startswith("A mask of endoscope, [10, 10, 86, 50], is not on the coded units")
    assert refused.value.suggestion.startswith("Configure [0, 0, 96, 64], which covers it, or leave MJPEG out")


def test_fail__outside_of_the_picture() -> None:
    header = parse_jpeg(jpeg_of(picture()))
    with pytest.raises(DeviceError, match="lies outside of its picture of 101×67"):
        edit_of(header, Area(0, 0, 112, 64), (), "endoscope")


def test_fail__a_picture_that_is_damaged_between_sound_markers() -> None:
    data = bytearray(jpeg_of(picture()))
    at = parse_jpeg(bytes(data)).scan_offset + 200
    data[at : at + 400] = bytes(400)
    edit = edit_of(parse_jpeg(bytes(data)), None, (Area(0, 0, 16, 16),), "endoscope")
    assert edit is not None
    with pytest.raises(BadFrame, match="cannot be cropped or masked"):
        edited_jpeg(bytes(data), edit)
    with pytest.raises(BadFrame, match="another size"):
        edited_jpeg(jpeg_of(picture(size=(48, 48))), edit)
