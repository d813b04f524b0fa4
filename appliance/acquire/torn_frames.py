"""Which frames of a clip's file are whole, after a plug was pulled or flash damaged it.

The item headers lead from frame to frame, over one that is damaged too. Where a power cut tore the file the frames end:
nothing behind was ever synced. Where a header is damaged the way ends: nothing tells any more that what lies behind
belongs to this clip (flash may give back what another file left there), so it is never given as this patient's, only
noted.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.acquire.coded_scan import is_scan_of_zeros
from appliance.base.durable import SECTOR_BYTES
from appliance.compose.pixels import ITEM_HEADER_BYTES, fragment_header
from appliance.devices.errors import BadFrame
from appliance.devices.video.jpeg import JpegHeader, parse_jpeg

_ITEM = struct.Struct("<HHL")
_ITEM_TAG = (0xFFFE, 0xE000)
_FRAME_BEGINS = re.compile(re.escape(fragment_header(0)[:4]) + rb".{4}\xff\xd8", re.DOTALL)
_FRAME_BEGINS_BYTES = ITEM_HEADER_BYTES + 2
_LONGEST_FRAME = 256 * 1024 * 1024
_BLOCK = 1024 * 1024
_PAGE = 4096
_ZEROS = re.compile(rb"\x00{%d,}" % _PAGE)
# What is unsynced when the plug is pulled: a second's frames and a whole queue of them, with room to spare.
_MOST_UNSYNCED = 256 * 1024 * 1024
# A medium may take seconds for each place that it cannot give back.
_MOST_UNREADABLE = 64


@dataclass(frozen=True, slots=True)
class WholeFrame:
    """Where a JPEG image lies in the file, without its padding."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length + self.length % 2


@dataclass(frozen=True, slots=True)
class TornFrames:
    """The whole frames of a clip's file; `left_out` are those between and before them that are not whole.

    `has_more`: the file holds what cannot be given and must not be thrown away. Flash did not give back a place in it,
    or whole frames lie behind a damaged item header.
    """

    whole: tuple[WholeFrame, ...]
    left_out: int
    has_more: bool


def find_frames(path: Path, offset: int) -> TornFrames:
    """The frames from `offset` on, where the first item is.

    OSError when the medium fails and gives back no frame at all.
    """
    with path.open("rb") as file:
        medium = _Medium(file)
        whole: list[WholeFrame] = []
        left_out, bad, is_torn, position = 0, 0, False, offset
        while (length := _item_length(medium, position)) is not None:
            frame = _frame_in(medium, position + ITEM_HEADER_BYTES, length)
            if frame is None:
                if whole and _is_tear(medium, position, position + ITEM_HEADER_BYTES + length):
                    is_torn = True
                    break
                bad += 1
            else:
                whole.append(frame)
                left_out, bad = left_out + bad, 0
            position += ITEM_HEADER_BYTES + length
        is_lost = not is_torn and _is_way_lost(medium, whole[-1].end if whole else offset)
        if medium.error is not None and not whole:
            raise medium.error
        return TornFrames(tuple(whole), left_out, is_lost or medium.error is not None)


class _Medium:
    """A file of which flash may not give back every place."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self.error: OSError | None = None
        self._file = file
        self._failures = 0

    def read(self, position: int, length: int) -> bytes:
        """The bytes there, fewer at the file's end; none where flash fails, and behind too many such places."""
        if self._failures == _MOST_UNREADABLE:
            return b""
        try:
            self._file.seek(position)
            return self._file.read(length)
        except OSError as error:
            self.error = error
            self._failures += 1
            return b""


def _item_length(medium: _Medium, position: int) -> int | None:
    """The length in the item header at `position`; None where there is none, or one that the file has no room for."""
    header = medium.read(position, ITEM_HEADER_BYTES)
    if len(header) < ITEM_HEADER_BYTES:
        return None
    group, element, length = _ITEM.unpack(header)
    rest = medium.size - position - ITEM_HEADER_BYTES
    return length if (group, element) == _ITEM_TAG and not length % 2 and length <= min(_LONGEST_FRAME, rest) else None


def _frame_in(medium: _Medium, start: int, length: int) -> WholeFrame | None:
    """The frame that fills the item's value at `start`; None when it is cut off, lost or anything else than a frame."""
    data = medium.read(start, length)
    try:
        header = parse_jpeg(data)
    except BadFrame:
        return None
    is_whole = header.end + header.end % 2 == length and not _has_lost_page(data, start, header)
    return WholeFrame(start, header.end) if is_whole else None


def _has_lost_page(data: bytes, start: int, header: JpegHeader) -> bool:
    """Whether the coded picture lacks a page of the file that was never written; the pages around it may have been."""
    return any(
        start + run.end() - _page_from(start + run.start()) >= _PAGE
        for run in _ZEROS.finditer(data, header.scan_offset)
    ) and not is_scan_of_zeros(data, header)


def _page_from(position: int) -> int:
    """Where the first page begins that does not begin before `position`."""
    return -(-position // _PAGE) * _PAGE


def _is_tear(medium: _Medium, begin: int, end: int) -> bool:
    """Whether a power cut damaged what lies between the two places, and not flash later.

    Of what was not synced any sector may be missing, then zeros. More than can have been unsynced is no tear.
    """
    return medium.size - begin <= _MOST_UNSYNCED and _has_lost_sector(medium, begin, end)


def _is_way_lost(medium: _Medium, end: int) -> bool:
    """Whether whole frames lie behind `end`, where the item headers lead no further, and it is no tear."""
    found = _next_frame(medium, end)
    return found is not None and not _is_tear(medium, end, found)


def _next_frame(medium: _Medium, position: int) -> int | None:
    """Where the next item with a whole frame begins, from `position` on, whatever lies between."""
    while block := medium.read(position, _BLOCK):
        for match in _FRAME_BEGINS.finditer(block):
            begin = position + match.start()
            length = _item_length(medium, begin)
            if length is not None and _frame_in(medium, begin + ITEM_HEADER_BYTES, length) is not None:
                return begin
        if len(block) < _FRAME_BEGINS_BYTES:
            return None
        position += len(block) - _FRAME_BEGINS_BYTES + 1
    return None


def _has_lost_sector(medium: _Medium, begin: int, end: int) -> bool:
    """Whether a sector between the two places, of the first what is behind `begin`, reads as nothing but zeros."""
    while (stop := begin // SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES) <= end:
        sector = medium.read(begin, stop - begin)
        if not sector:
            return False
        if not any(sector):
            return True
        begin = stop
    return False
