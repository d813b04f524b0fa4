"""How the samples of an uncompressed picture lie in a driver's buffer, and which part of the picture may be kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PixelFormat(StrEnum):
    """The formats that are taken from a V4L2 device; each value is the kernel's four-character code."""

    MJPEG = "MJPG"
    JPEG = "JPEG"
    YUYV = "YUYV"
    UYVY = "UYVY"
    NV12 = "NV12"
    RGB24 = "RGB3"
    BGR24 = "BGR3"
    GREY = "GREY"
    Y10 = "Y10 "
    Y12 = "Y12 "
    Y16 = "Y16 "

    @property
    def is_jpeg(self) -> bool:
        return self in (PixelFormat.MJPEG, PixelFormat.JPEG)

    @property
    def is_ycbcr(self) -> bool:
        """Luminance and subsampled chrominance, uncompressed."""
        return self in (PixelFormat.YUYV, PixelFormat.UYVY, PixelFormat.NV12)

    @property
    def code(self) -> int:
        """As the kernel's structures hold it: the first character in the lowest byte."""
        return int.from_bytes(self.value.encode("ascii"), "little")


# Bits of each sample that say something. Y10 and Y12 lie in the low bits of 16, as V4L2 defines them.
BITS_STORED = {PixelFormat.Y10: 10, PixelFormat.Y12: 12, PixelFormat.Y16: 16}
# Bytes of the first plane's line for each pixel.
LINE_BYTES_PER_PIXEL = {
    PixelFormat.YUYV: 2,
    PixelFormat.UYVY: 2,
    PixelFormat.NV12: 1,
    PixelFormat.RGB24: 3,
    PixelFormat.BGR24: 3,
    PixelFormat.GREY: 1,
    PixelFormat.Y10: 2,
    PixelFormat.Y12: 2,
    PixelFormat.Y16: 2,
}


class Primaries(StrEnum):
    """Which matrix made Y'CbCr of R'G'B' (ITU-R BT.601, BT.709, BT.2020 with non-constant luminance)."""

    BT601 = "BT.601"
    BT709 = "BT.709"
    BT2020 = "BT.2020"


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in pixels of the picture as the grabber delivers it."""

    left: int
    top: int
    width: int
    height: int

    def is_inside(self, width: int, height: int) -> bool:
        """Whether it lies wholly in a picture of that size, and is not empty."""
        return (
            self.left >= 0
            and self.top >= 0
            and self.width > 0
            and self.height > 0
            and self.left + self.width <= width
            and self.top + self.height <= height
        )

    def within(self, kept: Area) -> Area | None:
        """What of it lies in `kept`, in coordinates of `kept`; None where that is nothing."""
        left, top = max(self.left, kept.left), max(self.top, kept.top)
        right = min(self.left + self.width, kept.left + kept.width)
        bottom = min(self.top + self.height, kept.top + kept.height)
        if left >= right or top >= bottom:
            return None
        return Area(left - kept.left, top - kept.top, right - left, bottom - top)

    def shrunk(self, step: int) -> Area:
        """What it covers in a picture of every `step`-th pixel of every `step`-th line, at least."""
        left, top = self.left // step, self.top // step
        right, bottom = -(-(self.left + self.width) // step), -(-(self.top + self.height) // step)
        return Area(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class RawLayout:
    """What a buffer of `lines` lines holds, `columns` pixels each, one line every `bytes_per_line` bytes.

    NV12 has a second plane behind the first: half as many lines of the same length, Cb and Cr in turns. `is_full_range`
    and `primaries` are of Y'CbCr. `crop` is what is kept of the picture, all of it where None; `masks` are areas of it
    that are never kept, in the coordinates of the whole picture. `is_one_field`: of two fields, a moment apart, one is
    kept, and the lines of the other are the mean of their neighbours.
    """

    format: PixelFormat
    columns: int
    lines: int
    bytes_per_line: int
    is_full_range: bool = True
    primaries: Primaries = Primaries.BT601
    crop: Area | None = None
    masks: tuple[Area, ...] = ()
    is_one_field: bool = False

    @property
    def kept(self) -> Area:
        """The part of the picture that is kept."""
        return self.crop or Area(0, 0, self.columns, self.lines)

    @property
    def buffer_bytes(self) -> int:
        """Bytes of a whole picture; fewer are a torn one."""
        planes = self.bytes_per_line * self.lines
        return planes + planes // 2 if self.format is PixelFormat.NV12 else planes


@dataclass(frozen=True, slots=True)
class JpegEdit:
    """What is kept of a JPEG picture of `columns` × `lines`, and the areas of it that never are, as in `RawLayout`.

    Both lie on the picture's coded units (`jpeg_edit.edit_of`), so that no pixel is coded anew.
    """

    columns: int
    lines: int
    crop: Area | None = None
    masks: tuple[Area, ...] = ()

    @property
    def kept(self) -> Area:
        """The part of the picture that is kept."""
        return self.crop or Area(0, 0, self.columns, self.lines)
