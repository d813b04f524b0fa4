"""A clip's file that was cut off, by whatever: find its whole frames, end it behind them, and publish it.

A clip of one frame becomes a still under the same UID. Every step can be repeated after a crash and comes to the same.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.acquire.torn_header import ClipHeader, Mended, publish_as_still, read_header
from appliance.acquire.torn_native import is_native_clip, mend_native_clip
from appliance.base.durable import forget_cached, sync_directory
from appliance.compose.pixels import (
    ITEM_HEADER_BYTES,
    SEQUENCE_DELIMITER,
    UNDEFINED_LENGTH,
    format_ratio,
    fragment_header,
    padding,
    pixel_data_header,
)
from appliance.devices.errors import BadFrame
from appliance.devices.video.jpeg import parse_jpeg
from appliance.spool.cut_short import CUT_SHORT_PREAMBLE, PREAMBLE_BYTES, is_cut_short
from appliance.spool.names import TemporaryName, digest_of, temporary_name_from
from appliance.spool.writer import publish_salvaged

_ITEM = struct.Struct("<HHL")
_ITEM_TAG = (0xFFFE, 0xE000)
_LONGEST_FRAME = 256 * 1024 * 1024
_BLOCK = 1024 * 1024
# A page that was never written reads as zeros; the pages around it may have been. No coded picture holds so many.
_LOST_PAGE = re.compile(rb"\x00{4096}")


@dataclass(frozen=True, slots=True)
class _WholeFrame:
    """Where a JPEG image lies in the file, without its padding."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length + self.length % 2


def mend_clip(path: Path, target: Path, *, is_certain: bool = False) -> Mended | None:
    """Publish the whole frames of the temporary file `path` into `target`; None when there are none, and it stays.

    `is_certain`: nothing that the file holds can be lost, as after a crash it can. DamagedHeaderError, or OSError when
    the medium fails; the file then stays as it was or was repaired in part.
    """
    name = temporary_name_from(path.name)
    if name is None or not name.offset:
        raise ValueError(f"{path.name} is not a clip's temporary name")
    # After a sync that failed, memory may hold what the medium never got.
    forget_cached(path)
    if is_native_clip(path, name):
        return mend_native_clip(path, name, target, is_certain=is_certain)
    with path.open("rb") as file:
        frames = list(_whole_frames(file, name.offset))
    if not frames:
        return None
    header = read_header(path, name, pixel_data_header(b"OB", UNDEFINED_LENGTH))
    if len(frames) == 1:
        frame = frames[0]
        lead = pixel_data_header(b"OB", UNDEFINED_LENGTH) + fragment_header(frame.length + frame.length % 2)
        trailer = padding(frame.length) + SEQUENCE_DELIMITER
        header.dataset.LossyImageCompressionRatio = format_ratio(header.frame_bytes, frame.length)
        still = publish_as_still(path, name, header, frame.start, frame.length, lead, trailer, target)
        return Mended(still, 1, is_cut_short=True)
    is_short = _repair_clip(path, header, frames)
    return Mended(publish_salvaged(path, name, target), len(frames), is_short)


def renew_file(path: Path) -> None:
    """Put a new copy of the temporary file `path` in its place, after a sync of it failed.

    The kernel then takes for written what it could not write: it may be in memory and nowhere else, and the next sync
    of the same file succeeds. The copy is written from memory, synced, and compared with what the medium gives back.
    (1) copy: a crash leaves the old file, perhaps beside a part of the copy, which the salvage takes away with it; (2)
    rename, (3) sync of the directory: the old or the new. OSError leaves the old one, without a copy.
    """
    name = temporary_name_from(path.name)
    assert name is not None
    copy = path.with_name(str(TemporaryName(name.sop_instance_uid, 0)))
    try:
        with path.open("rb") as old, copy.open("wb") as new:
            written = hashlib.sha256()
            while block := old.read(_BLOCK):
                written.update(block)
                new.write(block)
            new.flush()
            os.fsync(new.fileno())
        forget_cached(copy)
        if digest_of(copy, 0) != written.hexdigest():
            raise OSError(errno.EIO, "the copy is not what was written")
        copy.rename(path)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _whole_frames(file: BinaryIO, position: int) -> Iterator[_WholeFrame]:
    """The frames from `position` on, up to the first that is cut off, lost or anything else than a frame."""
    size = os.fstat(file.fileno()).st_size
    while position + ITEM_HEADER_BYTES <= size:
        file.seek(position)
        group, element, length = _ITEM.unpack(file.read(ITEM_HEADER_BYTES))
        start = position + ITEM_HEADER_BYTES
        if (group, element) != _ITEM_TAG or length % 2 or length > min(_LONGEST_FRAME, size - start):
            return
        data = file.read(length)
        try:
            header = parse_jpeg(data)
        except BadFrame:
            return
        if header.end + header.end % 2 != length or _LOST_PAGE.search(data, header.scan_offset):
            return
        yield _WholeFrame(start, header.end)
        position = start + length


def _repair_clip(path: Path, header: ClipHeader, frames: list[_WholeFrame]) -> bool:
    """Cut behind the last whole frame, end the sequence, fill in the header, and mark what was cut short: true then.

    The mark is durable before the file is cut: from then on nothing else tells it from a clip that came to its end.
    """
    coded = sum(frame.length for frame in frames)
    values = {
        "NumberOfFrames": str(len(frames)),
        "LossyImageCompressionRatio": format_ratio(header.frame_bytes * len(frames), coded),
    }
    with path.open("r+b") as file:
        is_short = is_cut_short(os.pread(file.fileno(), PREAMBLE_BYTES, 0))
        if os.pread(file.fileno(), len(SEQUENCE_DELIMITER) + 1, frames[-1].end) != SEQUENCE_DELIMITER:
            is_short = True
            os.pwrite(file.fileno(), CUT_SHORT_PREAMBLE, 0)
            os.fsync(file.fileno())
        for keyword, value in values.items():
            slot = header.slots[keyword]
            os.pwrite(file.fileno(), slot.fill(value), slot.position)
        file.truncate(frames[-1].end)
        file.seek(frames[-1].end)
        file.write(SEQUENCE_DELIMITER)
        file.flush()
        os.fsync(file.fileno())
    return is_short
