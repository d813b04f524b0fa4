"""The picture in a file that a machine sent: passed through where DICOM can hold it as it is, decoded otherwise."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, UnidentifiedImageError

from appliance.devices.errors import BadFrame, BadImage
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.jpeg import JpegHeader, parse_jpeg, with_standard_huffman_tables

# Pillow knows some forty formats; an imaging machine of the time knows these, and each more is a way in. TGA has no
# mark of its own: nearly any bytes would pass for one.
_FORMATS: Final = ("PNG", "BMP", "DIB", "PCX", "TIFF", "GIF", "JPEG", "PPM")
_GRAY16_MODES: Final = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_GRAY8_MODES: Final = frozenset({"1", "L", "LA", "La"})
_COLOUR_MODES: Final = frozenset({"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr"})
_PADDING: Final = b"\x1a"
_PCX_WITH_PALETTE: Final = b"\x0a\x05"
_PCX_PALETTE: Final = 769
_PCX_PALETTE_MARK: Final = 0x0C
_PCX_SAYS_GRAY: Final = 2
_DICOM_LONGEST_SIDE: Final = 65535  # Rows and Columns are US (PS3.3 C.7.6.3)


def picture_from_file(data: bytes, max_pixels: int, *, sequence: int = 0, timestamp: float = 0.0) -> Frame:
    """The first picture of the image file `data`, which may end in XMODEM's padding.

    A baseline JPEG, gray or YCbCr, passes as it is up to its end marker, without a look at its EXIF orientation.
    Everything else is decoded: palettes and colours to RGB without their transparency, one bit and gray to GRAY8, 16
    bit gray to GRAY16; what was decoded from a lossy form says so in `lossy_bytes`. Raises BadImage in one sentence for
    what is no image, is damaged, or has more than `max_pixels` pixels; nothing is decoded before its size is known.
    """
    if data[:2] == b"\xff\xd8":
        frame = _frame_from_baseline_jpeg(data, max_pixels, sequence, timestamp)
        if frame is not None:
            return frame
    if data[:2] == _PCX_WITH_PALETTE:
        data = _without_padding_behind_palette(data)
    return _decode(data, max_pixels, sequence, timestamp)


def _without_padding_behind_palette(data: bytes) -> bytes:
    """A PCX file of version 5 less XMODEM's padding: its palette is found from the end of the file, or not at all.

    A mark 0CH and 256 colours of 3 bytes. Without them the colour numbers would pass for shades of gray: BadImage,
    unless the picture does not need them (more than one plane, fewer bits) or says that it is gray.
    """
    if len(data) < 128 or data[3] != 8 or data[65] != 1:
        return data
    end_of_data = len(data.rstrip(_PADDING))
    for end in range(end_of_data, len(data) + 1):  # the last colours may look like padding
        if end >= 128 + _PCX_PALETTE and data[end - _PCX_PALETTE] == _PCX_PALETTE_MARK:
            return data[:end]
    if data[68] != _PCX_SAYS_GRAY:
        raise BadImage("The image that arrived is damaged.", "Send the image once more.")
    return data


def _frame_from_baseline_jpeg(data: bytes, max_pixels: int, sequence: int, timestamp: float) -> Frame | None:
    """The frame that passes through; none when the JPEG is of another kind, or so damaged that Pillow may judge it."""
    try:
        header: JpegHeader = parse_jpeg(data)
    except BadFrame:
        return None
    if not header.is_gray_or_ycbcr:
        return None
    _check_size(header.width, header.height, max_pixels)
    whole = with_standard_huffman_tables(data, header)
    # A scan can be damaged between sound markers: only decoding finds out. The result is not used.
    _load(whole, max_pixels).close()
    return Frame(whole, Encoding.JPEG, header.width, header.height, 8, sequence, timestamp)


def _decode(data: bytes, max_pixels: int, sequence: int, timestamp: float) -> Frame:
    with _load(data, max_pixels) as image:
        mode, (width, height) = image.mode, image.size
        lossy_bytes = len(data) if _is_lossy(image) else 0
        if mode in _GRAY16_MODES:
            encoding, bits, pixels = Encoding.GRAY16, 16, image.tobytes("raw", "I;16")
        elif mode in _GRAY8_MODES:
            encoding, bits, pixels = Encoding.GRAY8, 8, image.convert("L").tobytes()
        elif mode in _COLOUR_MODES:
            encoding, bits, pixels = Encoding.RGB, 8, image.convert("RGB").tobytes()
        else:
            raise BadImage(f"The image's pixels are of a kind that is not accepted ({mode}).")
    return Frame(pixels, encoding, width, height, bits, sequence, timestamp, lossy_bytes)


def _load(data: bytes, max_pixels: int) -> Image.Image:
    """The decoded first picture, of any mode. Raises BadImage."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_size(*image.size, max_pixels)
        image.load()
        return image
    except BadImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"The image is larger than the {max_pixels:,} pixels that are accepted.") from error
    except UnidentifiedImageError as error:
        raise BadImage(
            "The file that arrived is no image.", "Check which file format the machine is set to send."
        ) from error
    except Exception as error:
        raise BadImage("The image that arrived is damaged.", "Send the image once more.") from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise BadImage("The image that arrived has no pixels.")
    if width * height > max_pixels or max(width, height) > _DICOM_LONGEST_SIDE:
        raise BadImage(
            f"The image has {width:,} × {height:,} pixels; at most {max_pixels:,} pixels are accepted.",
            "Send a smaller image, or raise the limit in the configuration.",
        )


def _is_lossy(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO") or image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")
