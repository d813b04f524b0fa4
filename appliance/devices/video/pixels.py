"""Uncompressed pictures as drivers lay them out become what an object can hold (PS3.3 C.7.6.3.1.2). Pure.

What can be passed through is: RGB, 8-bit gray, 10- to 16-bit gray, and Y'CbCr in the full range by BT.601, which is
YBR_FULL sample by sample (YBR_FULL_422 would be smaller, but without compression few programs read it). Other Y'CbCr
(the studio range 16 to 235, BT.709, BT.2020) has no photometric interpretation that is not retired, and becomes RGB by
one matrix, each sample rounded once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from PIL import Image, ImageChops

from appliance.devices.errors import BadFrame
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.jpeg_edit import edited_jpeg
from appliance.devices.video.layout import BITS_STORED, LINE_BYTES_PER_PIXEL, Area, PixelFormat, Primaries, RawLayout

# Kr and Kb: how much red and blue weigh in luminance (ITU-R BT.601, BT.709, BT.2020).
_WEIGHTS: Final = {
    Primaries.BT601: (0.299, 0.114),
    Primaries.BT709: (0.2126, 0.0722),
    Primaries.BT2020: (0.2627, 0.0593),
}
_BLACK_Y, _NEUTRAL = 16, 128
# R'G'B' of the studio range in the full one.
_FULL_OF_STUDIO: Final = bytes(min(255, max(0, round((value - 16) * 255 / 219))) for value in range(256))
# Where Y, Cb and Cr lie in the four bytes of two pixels: first, step.
_PACKED: Final = {
    PixelFormat.YUYV: ((0, 2), (1, 4), (3, 4)),
    PixelFormat.UYVY: ((1, 2), (0, 4), (2, 4)),
}
Matrix = tuple[float, float, float, float, float, float, float, float, float, float, float, float]


def stored_from(frame: Frame, *, is_clip: bool = False) -> Frame:
    """`frame` cropped, masked, and in an encoding that a still, or a frame of a clip, is stored in.

    A clip's colours are RGB: the multi-frame class has no other without compression (PS3.3 A.8.5.4). JPEG stays JPEG,
    and a frame of which all is kept comes back as it is. BadFrame when the bytes are fewer than the layout says, and
    for a JPEG frame that cannot be cropped or masked since it is damaged.
    """
    if frame.edit is not None:
        return replace(frame, data=edited_jpeg(frame.data, frame.edit), edit=None)
    layout = frame.layout
    if frame.encoding is not Encoding.RAW or layout is None:
        return frame
    if len(frame.data) < layout.buffer_bytes:
        raise BadFrame("A frame is torn: its end is missing.")
    match layout.format:
        case PixelFormat.GREY:
            encoding, data = Encoding.GRAY8, _masked(_cut(frame.data, layout), layout, b"\0")
        case PixelFormat.Y10 | PixelFormat.Y12 | PixelFormat.Y16:
            encoding, data = Encoding.GRAY16, _masked(_cut(frame.data, layout), layout, b"\0\0")
        case PixelFormat.RGB24 | PixelFormat.BGR24:
            rgb = _cut(frame.data, layout)
            rgb = rgb if layout.format is PixelFormat.RGB24 else _swapped(rgb)
            rgb = rgb if layout.is_full_range else rgb.translate(_FULL_OF_STUDIO)
            encoding, data = Encoding.RGB, _masked(rgb, layout, b"\0\0\0")
        case _ if not is_clip and may_be_passed_through(layout):
            black = bytes((0, _NEUTRAL, _NEUTRAL))
            encoding, data = Encoding.YBR, _masked(_merged(frame.data, layout, None), layout, black)
        case _:
            rgb = _merged(frame.data, layout, rgb_matrix_from(layout))
            encoding, data = Encoding.RGB, _masked(rgb, layout, b"\0\0\0")
    kept = layout.kept
    if layout.is_one_field:
        data = _one_field(data, kept.height, kept.top % 2)
    bits = BITS_STORED.get(layout.format, 8)
    return replace(
        frame, data=data, encoding=encoding, width=kept.width, height=kept.height, bits_stored=bits, layout=None
    )


def may_be_passed_through(layout: RawLayout) -> bool:
    """Whether Y'CbCr is YBR_FULL sample by sample: full range, BT.601."""
    return layout.format.is_ycbcr and layout.is_full_range and layout.primaries is Primaries.BT601


def reduced_from(frame: Frame, width: int) -> Frame:
    """A raw frame of every n-th pixel of every n-th line of what is kept, at least `width` wide where it was.

    For what is looked at and never stored. Masks cover at least what they covered. What is not raw stays as it is.
    """
    layout = frame.layout
    if frame.encoding is not Encoding.RAW or layout is None or len(frame.data) < layout.buffer_bytes:
        return frame
    kept = layout.kept
    step = max(1, kept.width // width)
    size = LINE_BYTES_PER_PIXEL[layout.format]
    unit = 2 if layout.format.is_ycbcr else 1  # pixels that share their chrominance stay together
    left = -(-kept.left // unit) * unit
    area = Area(left, kept.top, kept.width - (left - kept.left), kept.height)
    columns, lines = area.width // step // 2 * 2, area.height // step // 2 * 2
    if not columns or not lines:
        return frame
    length = columns * step * size
    starts = [(kept.top + line * step) * layout.bytes_per_line + left * size for line in range(lines)]
    picked = b"".join(frame.data[start : start + length] for start in starts)
    found = bytearray(columns * lines * size)
    offsets = _offsets(layout.format, step)
    for to, at in enumerate(offsets):
        found[to :: len(offsets)] = picked[at :: len(offsets) * step]
    if layout.format is PixelFormat.NV12:
        first = layout.lines * layout.bytes_per_line + left
        starts = [first + (kept.top + 2 * line * step) // 2 * layout.bytes_per_line for line in range(lines // 2)]
        picked = b"".join(frame.data[start : start + length] for start in starts)
        chroma = bytearray(columns * lines // 2)
        chroma[0::2], chroma[1::2] = picked[0 :: 2 * step], picked[1 :: 2 * step]
        found += chroma
    masks = tuple(mask.shrunk(step) for mask in _visible(replace(layout, crop=area)))
    small = replace(
        layout,
        columns=columns,
        lines=lines,
        bytes_per_line=columns * size,
        crop=None,
        masks=_inside(masks, columns, lines),
        is_one_field=layout.is_one_field and step % 2 == 1,
    )
    return replace(frame, data=bytes(found), width=columns, height=lines, layout=small)


def _offsets(pixels: PixelFormat, step: int) -> tuple[int, ...]:
    """Where, in what `step` pixels or pairs of pixels take, the bytes of one lie that stands for them."""
    if pixels in _PACKED:
        (y, _), _, _ = _PACKED[pixels]
        # The second pixel of a pair comes from half-way on, so that the pixels stay evenly spaced.
        return tuple(at if at % 2 != y or at == y else 2 * step + y for at in range(4))
    return tuple(range(LINE_BYTES_PER_PIXEL[pixels]))


def _inside(areas: Iterable[Area], columns: int, lines: int) -> tuple[Area, ...]:
    """The areas cut to a picture of that size; those outside of it are left out."""
    cut = (
        Area(a.left, a.top, min(a.width, columns - a.left), min(a.height, lines - a.top))
        for a in areas
        if a.left < columns and a.top < lines
    )
    return tuple(cut)


def rgb_matrix_from(layout: RawLayout) -> Matrix:
    """Y', Cb, Cr (8 bits) → R', G', B', three rows of three factors and an offset (BT.601 2.5, BT.709 3, BT.2020 4)."""
    red, blue = _WEIGHTS[layout.primaries]
    green = 1.0 - red - blue
    y, c = (1.0, 1.0) if layout.is_full_range else (255 / 219, 255 / 224)
    black = 0 if layout.is_full_range else _BLACK_Y
    of_cr, of_cb = 2 * (1 - red) * c, 2 * (1 - blue) * c
    green_cb, green_cr = -of_cb * blue / green, -of_cr * red / green
    rows = ((y, 0.0, of_cr), (y, green_cb, green_cr), (y, of_cb, 0.0))
    each = [(*row, -row[0] * black - (row[1] + row[2]) * _NEUTRAL) for row in rows]
    return (*each[0], *each[1], *each[2])


def _cut(data: bytes, layout: RawLayout) -> bytes:
    """The kept part of the first plane, without the driver's padding."""
    kept, size = layout.kept, LINE_BYTES_PER_PIXEL[layout.format]
    if kept.width * size == layout.bytes_per_line:
        return data[kept.top * layout.bytes_per_line : (kept.top + kept.height) * layout.bytes_per_line]
    view = memoryview(data)
    starts = (line * layout.bytes_per_line + kept.left * size for line in range(kept.top, kept.top + kept.height))
    return b"".join(view[start : start + kept.width * size] for start in starts)


def _one_field(data: bytes, lines: int, first: int) -> bytes:
    """Every second line from `first` on, and between two of them their mean; at an edge the only neighbour."""
    field = range(first, lines, 2)
    if not field:
        return data
    picture = Image.frombytes("L", (len(data) // lines, lines), data)
    width = picture.width
    for line in range(1 - first, lines, 2):
        near = [at for at in (line - 1, line + 1) if at in field]
        above, below = (picture.crop((0, at, width, at + 1)) for at in (near[0], near[-1]))
        picture.paste(ImageChops.add(above, below, scale=2.0), (0, line))
    return picture.tobytes()


def _swapped(data: bytes) -> bytes:
    swapped = bytearray(data)
    swapped[0::3], swapped[2::3] = data[2::3], data[0::3]
    return bytes(swapped)


def _planes(data: bytes, layout: RawLayout) -> tuple[bytes, bytes, bytes, int]:
    """Y of every pixel, Cb and Cr of every second one in a line, all lines whole; and lines of Cb for one of Y."""
    lines = layout.lines * layout.bytes_per_line
    if layout.format is PixelFormat.NV12:
        chroma = data[lines : lines + lines // 2]
        return data[:lines], chroma[0::2], chroma[1::2], 2
    (y, y_step), (cb, step), (cr, _) = _PACKED[layout.format]
    return data[y:lines:y_step], data[cb:lines:step], data[cr:lines:step], 1


def _merged(data: bytes, layout: RawLayout, matrix: Matrix | None) -> bytes:
    """Three samples of each kept pixel; a chrominance sample stands for every pixel that shares it."""
    y, cb, cr, lines_for_one = _planes(data, layout)
    stride = len(y) // layout.lines
    size = (stride, layout.lines)
    chroma_size = (stride // 2, layout.lines // lines_for_one)
    bands = [Image.frombytes("L", size, y)]
    bands += [Image.frombytes("L", chroma_size, one).resize(size, Image.Resampling.NEAREST) for one in (cb, cr)]
    kept = layout.kept
    box = (kept.left, kept.top, kept.left + kept.width, kept.top + kept.height)
    if box != (0, 0, *size):
        bands = [band.crop(box) for band in bands]
    # Merged as if it were RGB, for Pillow applies a matrix to that mode alone.
    picture = Image.merge("RGB", bands)
    return (picture if matrix is None else picture.convert("RGB", matrix)).tobytes()


def _visible(layout: RawLayout) -> Iterable[Area]:
    """The masks where they lie in the kept part, in its own coordinates."""
    for mask in layout.masks:
        seen = mask.within(layout.kept)
        if seen is not None:
            yield seen


def _masked(data: bytes, layout: RawLayout, black: bytes) -> bytes:
    if not layout.masks:
        return data
    found = bytearray(data)
    for area in _visible(layout):
        _fill(found, layout.kept.width * len(black), area, black * area.width, len(black))
    return bytes(found)


def _fill(found: bytearray, line_bytes: int, area: Area, line: bytes, pixel_bytes: int) -> None:
    for row in range(area.top, area.top + area.height):
        at = row * line_bytes + area.left * pixel_bytes
        found[at : at + len(line)] = line
