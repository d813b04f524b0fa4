"""A part of a JPEG frame, or a frame without some areas, and not one pixel of it coded anew (ITU-T T.81).

libjpeg-turbo's transform takes the quantised coefficients out of the scan and writes them again: cut at the borders of
coded units, and with the blocks of masked areas set to black. Every other coefficient is what it was. What stands
around the scan (an Exif thumbnail, comments) is left out, for it could show what the picture no longer does.
"""

from __future__ import annotations

import ctypes
import struct
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_ubyte, c_ulong, c_void_p
from functools import lru_cache
from typing import Any

from appliance.devices.errors import BadFrame, DeviceError
from appliance.devices.video.jpeg import JpegHeader, parse_jpeg
from appliance.devices.video.layout import Area, JpegEdit

_LIBRARY = "libturbojpeg.so.0"
_BLOCK = 8
_BLOCK_BYTES = 2 * _BLOCK * _BLOCK  # of its coefficients, 16 bits each
# 8 times -128, the level of black under T.81's shift (A.3.1, A.3.3).
_BLACK_DC = -1024
# turbojpeg.h
_CROP, _COPY_NONE, _STOP_ON_WARNING = 4, 64, 8192

# By component and row of blocks: where the coefficients go that replace what is there.
_Spans = dict[tuple[int, int], list[tuple[int, bytes]]]


def edit_of(header: JpegHeader, crop: Area | None, masks: tuple[Area, ...], name: str) -> JpegEdit | None:
    """What is to be done with each frame of this kind; None when that is nothing.

    DeviceError where `crop` or `masks` cannot be had without loss: it says the nearest that can.
    """
    if crop is None and not masks:
        return None
    whole = Area(0, 0, header.width, header.height)
    for area in (crop or whole, *masks):
        if not area.is_inside(header.width, header.height):
            size = f"{header.width}×{header.height}"
            raise DeviceError(f"`crop` or `masks` of {name} lies outside of its picture of {size}.", "Correct them.")
    unit = unit_of(header)
    words = f"is not on the coded units of its JPEG picture, which are {unit[0]}×{unit[1]} pixels"
    otherwise = "or leave MJPEG out of `formats`"
    if crop is not None and (nearest := _nearest(crop, unit, whole, is_outward=False)) != crop:
        raise DeviceError(f"`crop` of {name} {words}.", f"Configure crop = {_listed(nearest)}, {otherwise}.")
    for mask in masks:
        if (nearest := _nearest(mask, unit, whole, is_outward=True)) != mask:
            said = f"A mask of {name}, {_listed(mask)}, {words}."
            raise DeviceError(said, f"Configure {_listed(nearest)}, which covers it, {otherwise}.")
    _turbojpeg()
    return JpegEdit(header.width, header.height, crop, masks)


def unit_of(header: JpegHeader) -> tuple[int, int]:
    """Width and height in pixels of a minimum coded unit (A.2); a picture of one component has single blocks."""
    if header.components == 1:
        return _BLOCK, _BLOCK
    across, down = (max(factors) for factors in zip(*header.sampling, strict=True))
    return _BLOCK * across, _BLOCK * down


def edited_jpeg(data: bytes, edit: JpegEdit) -> bytes:
    """The part of `data` that `edit` keeps, as a JPEG picture of its own. BadFrame when it is damaged."""
    header = parse_jpeg(data)
    if (header.width, header.height) != (edit.columns, edit.lines):
        raise BadFrame("A frame has another size than the one that it was to be cut from.")
    spans = _spans_of(header, edit)

    def blacken(
        coefficients: int, array: _Region, _plane: _Region, component: int, _number: int, _transform: Any
    ) -> int:
        for offset, black in spans.get((component, array.y // _BLOCK), ()):
            ctypes.memmove(coefficients + offset, black, len(black))
        return 0

    kept = edit.kept
    wanted = _Transform(
        region=_Region(kept.left, kept.top, kept.width, kept.height),
        options=_COPY_NONE | (_CROP if edit.crop is not None else 0),
        custom_filter=_Filter(blacken),
    )
    return _transformed(data[: header.end], wanted)


def _nearest(area: Area, unit: tuple[int, int], whole: Area, *, is_outward: bool) -> Area:
    """`area` with its edges on coded units, or on the picture's edge; inside of it, unless that would be nothing."""
    left, right = _nearest_edges(area.left, area.width, unit[0], whole.width, is_outward)
    top, bottom = _nearest_edges(area.top, area.height, unit[1], whole.height, is_outward)
    return Area(left, top, right - left, bottom - top)


def _nearest_edges(first: int, length: int, unit: int, end: int, is_outward: bool) -> tuple[int, int]:
    last = first + length
    outside = first // unit * unit, min(-(-last // unit) * unit, end)
    inside = -(-first // unit) * unit, last if last == end else last // unit * unit
    return outside if is_outward or inside[0] >= inside[1] else inside


def _listed(area: Area) -> str:
    return f"[{area.left}, {area.top}, {area.width}, {area.height}]"


def _spans_of(header: JpegHeader, edit: JpegEdit) -> _Spans:
    """The black blocks in the coefficients of the part that is kept."""
    spans: _Spans = {}
    unit = unit_of(header)
    # At or below black, for a multiple of the quantiser does not hit it exactly; what is below is clipped.
    black = struct.pack("=h", _BLACK_DC // header.dc_step)
    for mask in edit.masks:
        seen = mask.within(edit.kept)
        if seen is None:
            continue
        for component, factors in enumerate(header.sampling if header.components > 1 else ((1, 1),)):
            width, height = unit[0] // factors[0], unit[1] // factors[1]  # pixels for which a block stands
            first, last = seen.left // width, -(-(seen.left + seen.width) // width)
            block = (bytes(2) if component else black) + bytes(_BLOCK_BYTES - 2)
            for row in range(seen.top // height, -(-(seen.top + seen.height) // height)):
                spans.setdefault((component, row), []).append((first * _BLOCK_BYTES, block * (last - first)))
    return spans


class _Region(Structure):
    """tjregion"""

    _fields_ = (("x", c_int), ("y", c_int), ("w", c_int), ("h", c_int))


# The last pointer is to the transform itself, which the filter has no need of.
_Filter = ctypes.CFUNCTYPE(c_int, c_void_p, _Region, _Region, c_int, c_int, c_void_p)


class _Transform(Structure):
    """tjtransform"""

    _fields_ = (("region", _Region), ("op", c_int), ("options", c_int), ("data", c_void_p), ("custom_filter", _Filter))


@lru_cache(maxsize=1)
def _turbojpeg() -> Any:
    """TurboJPEG's interface of version 2, which version 3 still has. DeviceError when it is not installed."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise DeviceError(
            "JPEG pictures cannot be cropped or masked: the library TurboJPEG is missing.",
            "Install the package libturbojpeg0.",
        ) from error
    library.tjInitTransform.restype = c_void_p
    library.tjDestroy.argtypes = (c_void_p,)
    library.tjFree.argtypes = (c_void_p,)
    library.tjFree.restype = None
    library.tjTransform.argtypes = (
        *(c_void_p, c_char_p, c_ulong, c_int),
        *(POINTER(POINTER(c_ubyte)), POINTER(c_ulong), POINTER(_Transform), c_int),
    )
    return library


def _transformed(data: bytes, wanted: _Transform) -> bytes:
    library: Any = _turbojpeg()
    handle = library.tjInitTransform()
    if not handle:
        raise MemoryError("tjInitTransform")
    coded, size = POINTER(c_ubyte)(), c_ulong()
    try:
        if library.tjTransform(handle, data, len(data), 1, byref(coded), byref(size), byref(wanted), _STOP_ON_WARNING):
            raise BadFrame("A frame's picture is damaged, so that it cannot be cropped or masked.")
        return ctypes.string_at(coded, size.value)
    finally:
        library.tjFree(coded)
        library.tjDestroy(handle)
