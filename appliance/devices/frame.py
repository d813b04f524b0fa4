"""One picture as it came from a machine, with nothing about a patient in it but what the machine burned in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.devices.video.layout import JpegEdit, RawLayout


class Encoding(StrEnum):
    """How the pixels lie in `Frame.data`.

    JPEG: one whole baseline interchange file, YCbCr or gray, 8 bit, with its Huffman tables and its end marker.
    RGB: 3 bytes a pixel, row by row, no padding.  GRAY8: 1 byte a pixel.  GRAY16: 2 bytes a pixel, little-endian.
    YBR: 3 bytes a pixel, Y Cb Cr, full range by BT.601.  RAW: as `Frame.layout` says; never stored so.
    """

    JPEG = "jpeg"
    RGB = "rgb"
    GRAY8 = "gray8"
    GRAY16 = "gray16"
    YBR = "ybr"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of `width` × `height` pixels.

    `sequence` counts a source's frames, so that a gap shows how many were lost on the way. `timestamp` is the moment
    of the first byte in seconds of the monotonic clock (CLOCK_MONOTONIC, as `Clock.monotonic`). `lossy_bytes` is not
    zero where the pixels were decoded from a lossy form, and then is that form's length: such pixels stay lossy for
    ever (PS3.3 C.7.6.1.1.5). `width` and `height` are of what is kept: `layout` says that of a raw frame, `edit` of a
    JPEG frame that is not kept as it came. `format` is the grabber's own word for its pixels, `rate` the frames a
    second that it was set to, where that is known; `is_interlaced` says that two fields, a moment apart, share the
    picture.
    """

    data: bytes
    encoding: Encoding
    width: int
    height: int
    bits_stored: int
    sequence: int
    timestamp: float
    lossy_bytes: int = 0
    layout: RawLayout | None = None
    edit: JpegEdit | None = None
    format: str = ""
    rate: float | None = None
    is_interlaced: bool = False
