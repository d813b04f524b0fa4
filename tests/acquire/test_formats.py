"""What the objects of each of a grabber's formats say of their pixels, as a table; dciodvfy reads every one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.pixels import pixel_array

from appliance.acquire.clip import video_format_of
from appliance.compose.instance import compose_clip, compose_still
from appliance.compose.pixels import format_ratio, fragment_header, native_length, padding, pixel_form_from
from appliance.devices.frame import Frame
from appliance.devices.video.jpeg_frame import frame_from_jpeg
from appliance.devices.video.layout import PixelFormat, Primaries
from appliance.devices.video.pixels import stored_from
from tests.acquire.world import errors_of
from tests.compose.world import GRABBER, jpeg, origins_of
from tests.devices.test_pixels import COLUMNS, LINES, lay_out

STILL, COLOUR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"
BYTES, WORDS = "1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.3"
JPEG, NATIVE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"


@dataclass(frozen=True)
class Said:
    """Of a still, of a clip: PhotometricInterpretation; the clip's class; bits stored; whether it was ever lossy."""

    still: str
    clip: str
    clip_class: str
    bits: int = 8
    is_lossy: bool = False


_COLOUR = Said("RGB", "RGB", COLOUR)
# PS3.5 8.2.1 for JPEG; PS3.3 C.7.6.3.1.2 for the others; A.8.3 to A.8.5 for what a clip may be.
TABLE = {
    PixelFormat.MJPEG: Said("YBR_FULL_422", "YBR_FULL_422", COLOUR, is_lossy=True),
    PixelFormat.YUYV: Said("YBR_FULL", "RGB", COLOUR),
    PixelFormat.UYVY: Said("YBR_FULL", "RGB", COLOUR),
    PixelFormat.NV12: Said("YBR_FULL", "RGB", COLOUR),
    PixelFormat.RGB24: _COLOUR,
    PixelFormat.BGR24: _COLOUR,
    PixelFormat.GREY: Said("MONOCHROME2", "MONOCHROME2", BYTES),
    PixelFormat.Y10: Said("MONOCHROME2", "MONOCHROME2", WORDS, bits=10),
    PixelFormat.Y12: Said("MONOCHROME2", "MONOCHROME2", WORDS, bits=12),
    PixelFormat.Y16: Said("MONOCHROME2", "MONOCHROME2", WORDS, bits=16),
}


def frame_of(pixels: PixelFormat, number: int) -> Frame:
    if pixels.is_jpeg:
        return replace(frame_from_jpeg(jpeg(is_odd=True, quality=80 - number), 0, 0.0, "x"), format="MJPEG")
    return lay_out(pixels, seed=number)


def write(path: Path, pixels: PixelFormat, count: int) -> int:
    """A still, or a clip of `count` frames, as acquire writes it; the bytes of its coded frames."""
    frames = [stored_from(frame_of(pixels, number), is_clip=count > 1) for number in range(count)]
    form = pixel_form_from(frames[0])
    said = video_format_of(GRABBER, frame_of(pixels, 0))
    origins = replace(origins_of(None, GRABBER), video_format=said)
    size = sum(len(frame.data) for frame in frames)
    if count == 1:
        composed = compose_still(origins, form, size)
        path.write_bytes(composed.header + frames[0].data + composed.trailer)
        return size
    composed = compose_clip(origins, form, 1000 / 30)
    content = bytearray(composed.header)
    values = {"NumberOfFrames": str(count), "FrameTime": "33.366700"}
    values["LossyImageCompressionRatio"] = format_ratio(form.frame_bytes * count, size)
    for keyword, slot in composed.slots.items():
        content[slot.position : slot.position + slot.width] = slot.fill(values[keyword])
    if form.is_native:
        content[-4:] = native_length(size + size % 2)
        content += b"".join(frame.data for frame in frames) + padding(size)
    else:
        for frame in frames:
            pad = padding(len(frame.data))
            content += fragment_header(len(frame.data) + len(pad)) + frame.data + pad
        content += composed.trailer
    path.write_bytes(content)
    return size


def test_ok__the_table_has_every_format() -> None:
    assert set(TABLE) == set(PixelFormat) - {PixelFormat.JPEG}  # which is MJPEG by another name


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("pixels", TABLE)
def test_ok__what_an_object_says_of_its_pixels(tmp_path: Path, pixels: PixelFormat, count: int) -> None:
    said, path = TABLE[pixels], tmp_path / "object.dcm"
    size = write(path, pixels, count)
    assert errors_of(path) == []
    stored = dcmread(path)
    lines = 32 if pixels.is_jpeg else LINES
    assert stored.VideoImageFormatAcquired == f"{lines}p30 {pixels.name}"
    assert stored.PhotometricInterpretation == (said.still if count == 1 else said.clip)
    assert stored.SOPClassUID == (STILL if count == 1 else said.clip_class)
    is_gray = said.still == "MONOCHROME2"
    allocated = 16 if said.bits > 8 else 8
    assert (stored.SamplesPerPixel, "PlanarConfiguration" in stored) == ((1, False) if is_gray else (3, True))
    assert (stored.BitsAllocated, stored.BitsStored, stored.HighBit) == (allocated, said.bits, said.bits - 1)
    assert stored.file_meta.TransferSyntaxUID == (JPEG if said.is_lossy else NATIVE)
    assert stored.LossyImageCompression == ("01" if said.is_lossy else "00")
    assert ("LossyImageCompressionRatio" in stored, "LossyImageCompressionMethod" in stored) == (said.is_lossy,) * 2
    if said.is_lossy:
        assert stored.LossyImageCompressionMethod == "ISO_10918_1"
        whole = stored.Rows * stored.Columns * 3 * count
        assert float(stored.LossyImageCompressionRatio) == pytest.approx(whole / size, abs=0.005)
    if count > 1:
        assert (stored.NumberOfFrames, stored.FrameIncrementPointer, stored.FrameTime) == (3, 0x00181063, 33.3667)
    shape = (stored.Rows, stored.Columns) if pixels.is_jpeg else (LINES, COLUMNS)
    colours = () if is_gray else (3,)
    assert pixel_array(stored).shape == ((count,) if count > 1 else ()) + shape + colours


@pytest.mark.parametrize("pixels", [PixelFormat.YUYV, PixelFormat.UYVY, PixelFormat.NV12])
@pytest.mark.parametrize("more", [{"is_full_range": False}, {"primaries": Primaries.BT709}])
def test_ok__other_colours_than_ybr_full_become_rgb(pixels: PixelFormat, more: dict[str, object]) -> None:
    """The studio range and BT.709 have no photometric interpretation that is not retired."""
    assert pixel_form_from(stored_from(lay_out(pixels, **more))).photometric == "RGB"
