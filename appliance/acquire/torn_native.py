"""A clip of native frames that was cut off: its whole frames, as many as were counted, become the object.

Nothing in such a frame says where it ends, and what never reached flash reads as zeros, which black pixels are too. So
the recorder counts in the header what a sync has made durable, and only after that sync: what is counted is there. The
count lies in one sector of the file (`Slot.fill`): a power cut leaves the one before it or the new one. A frame behind
those is kept if it is whole and no sector of the file, as far as it is the frame's, is all zeros.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from appliance.acquire.torn_header import Mended, read_header, still_header
from appliance.base.durable import SECTOR_BYTES, make_directory, remove_file
from appliance.compose.encode import Slot
from appliance.compose.pixels import native_length, padding, pixel_data_header
from appliance.spool.cut_short import PREAMBLE_BYTES, cut_short_preamble, is_cut_short
from appliance.spool.names import TemporaryName
from appliance.spool.writer import ObjectWriter, publish_salvaged

_LENGTH_BYTES = 4
_HEADERS = tuple(pixel_data_header(vr, 0)[:-_LENGTH_BYTES] for vr in (b"OB", b"OW"))


def is_native_clip(path: Path, name: TemporaryName) -> bool:
    """Whether the file's header ends as that of native pixel data does. OSError when unreadable."""
    return _pixels_header(path, name)[:-_LENGTH_BYTES] in _HEADERS


def mend_native_clip(path: Path, name: TemporaryName, target: Path, *, is_certain: bool) -> Mended | None:
    """As `torn_clip.mend_clip`, for a clip that `is_native_clip`."""
    if path.stat().st_size == name.offset:
        return None
    lead = _pixels_header(path, name)
    header = read_header(path, name, lead, ("NumberOfFrames",))
    slot = header.slots["NumberOfFrames"]
    counted = int(header.dataset.NumberOfFrames)
    with path.open("rb") as file:
        frames = _count_frames(file, name.offset, header.frame_bytes, counted, is_certain=is_certain)
    if not frames:
        return None
    length = frames * header.frame_bytes
    if frames == 1:
        form = lead[:-_LENGTH_BYTES] + native_length(length + length % 2)
        published = _publish_still(path, name, still_header(name, header) + form, length, target)
        remove_file(path)
        return Mended(published, 1, is_cut_short=True)
    is_short = _repair(path, name, lead, length, slot, frames)
    return Mended(publish_salvaged(path, name, target), frames, is_short)


def _pixels_header(path: Path, name: TemporaryName) -> bytes:
    length = len(_HEADERS[0]) + _LENGTH_BYTES
    with path.open("rb") as file:
        file.seek(max(0, name.offset - length))
        return file.read(length)


def _count_frames(file: BinaryIO, offset: int, frame_bytes: int, counted: int, *, is_certain: bool) -> int:
    """The frames from the beginning on that are whole; those that were counted need no look."""
    there = (os.fstat(file.fileno()).st_size - offset) // frame_bytes
    if is_certain:
        return there
    frames = min(counted, there)
    file.seek(offset + frames * frame_bytes)
    while frames < there and not _has_lost_sector(file.read(frame_bytes), offset + frames * frame_bytes):
        frames += 1
    return frames


def _has_lost_sector(frame: bytes, position: int) -> bool:
    """Whether a sector of the file may never have been written, of a frame that begins at `position`."""
    first = -position % SECTOR_BYTES
    edges = [0, *range(first, len(frame), SECTOR_BYTES), len(frame)]
    return any(before < end and not frame[before:end].strip(b"\0") for before, end in pairwise(edges))


def _repair(path: Path, name: TemporaryName, lead: bytes, length: int, slot: Slot, frames: int) -> bool:
    """Cut behind the last whole frame, fill in the header, and mark what was cut short: true then.

    The mark is durable before the file is cut: from then on nothing else tells it from a clip that came to its end.
    """
    whole = length + length % 2
    with path.open("r+b") as file:
        is_short = is_cut_short(os.pread(file.fileno(), PREAMBLE_BYTES, 0))
        if lead[-_LENGTH_BYTES:] != native_length(whole):
            is_short = True
            os.pwrite(file.fileno(), cut_short_preamble(), 0)
            os.fsync(file.fileno())
        os.pwrite(file.fileno(), slot.fill(str(frames)), slot.position)
        os.pwrite(file.fileno(), native_length(whole), name.offset - _LENGTH_BYTES)
        file.truncate(name.offset + length)
        file.seek(name.offset + length)
        file.write(padding(length))
        file.flush()
        os.fsync(file.fileno())
    return is_short


def _publish_still(path: Path, name: TemporaryName, header: bytes, length: int, target: Path) -> Path:
    """The file's first frame as a new object in `target`; the file stays (a crash: as `torn_clip`'s copy)."""
    make_directory(target)
    remove_file(target / str(TemporaryName(name.sop_instance_uid, 0)))
    writer = ObjectWriter(target, name.sop_instance_uid, cut_short_preamble() + header[PREAMBLE_BYTES:])
    try:
        with path.open("rb") as file:
            file.seek(name.offset)
            writer.append(file.read(length) + padding(length))
        return writer.publish()
    except BaseException:
        writer.abandon()
        raise
