"""A clip's file that was cut off, by whatever: find its whole frames, end it behind them, and publish it.

A clip of one frame becomes a still under the same UID. Every step can be repeated after a crash and comes to the same.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from appliance.base.durable import forget_cached, make_directory, remove_file, sync_directory
from appliance.base.errors import ApplianceError
from appliance.compose.encode import Slot, encode_dataset, file_lead_bytes
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
from appliance.spool.writer import ObjectWriter, publish_salvaged

_ITEM = struct.Struct("<HHL")
_ITEM_TAG = (0xFFFE, 0xE000)
_LONGEST_FRAME = 256 * 1024 * 1024
_BLOCK = 1024 * 1024
_CLIP_FIELDS = ("NumberOfFrames", "FrameIncrementPointer", "FrameTime")
# A page that was never written reads as zeros; the pages around it may have been. No coded picture holds so many.
_LOST_PAGE = re.compile(rb"\x00{4096}")


class DamagedHeaderError(ApplianceError):
    """The file's header, which was durable before its first frame, cannot be read."""


@dataclass(frozen=True, slots=True)
class Mended:
    """The published object and how many frames it has; not cut short is one whose end had been written."""

    path: Path
    frames: int
    is_cut_short: bool


@dataclass(frozen=True, slots=True)
class _WholeFrame:
    """Where a JPEG image lies in the file, without its padding."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length + self.length % 2


def mend_clip(path: Path, target: Path) -> Mended | None:
    """Publish the whole frames of the temporary file `path` into `target`; None when there are none, and it stays.

    DamagedHeaderError, or OSError when the medium fails; the file then stays as it was or was repaired in part.
    """
    name = temporary_name_from(path.name)
    if name is None or not name.offset:
        raise ValueError(f"{path.name} is not a clip's temporary name")
    # After a sync that failed, memory may hold what the medium never got.
    forget_cached(path)
    with path.open("rb") as file:
        frames = list(_whole_frames(file, name.offset))
    if not frames:
        return None
    header = _header_of(path, name)
    if len(frames) == 1:
        return Mended(_publish_as_still(path, name, header, frames[0], target), 1, is_cut_short=True)
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


@dataclass(frozen=True, slots=True)
class _Header:
    """What the file's header says; `slots` are the fields of fixed width that a clip's end fills in."""

    dataset: FileDataset
    slots: dict[str, Slot]
    frame_bytes: int  # of one frame without compression


def _header_of(path: Path, name: TemporaryName) -> _Header:
    with path.open("rb") as file:
        data = file.read(name.offset)
    pixels = pixel_data_header(b"OB", UNDEFINED_LENGTH)
    if not data.endswith(pixels):
        raise DamagedHeaderError(f"The header of {path.name} is damaged.")
    data = data.removesuffix(pixels)
    try:
        for _ in dcmread(io.BytesIO(data)).iterall():
            pass  # pydicom reads a value when it is asked for it, and only then complains
        dataset = dcmread(io.BytesIO(data))
        slots = {keyword: _slot_in(dataset, keyword) for keyword in ("NumberOfFrames", "LossyImageCompressionRatio")}
        frame_bytes = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
        for keyword in _CLIP_FIELDS:
            if keyword not in dataset:
                raise KeyError(keyword)
        if {str(dataset.SOPInstanceUID), str(dataset.file_meta.MediaStorageSOPInstanceUID)} != {name.sop_instance_uid}:
            raise ValueError("SOPInstanceUID")
    except Exception as error:  # on damaged bytes pydicom raises whatever its innermost line does
        raise DamagedHeaderError(f"The header of {path.name} is damaged ({type(error).__name__}).") from error
    return _Header(dataset, slots, frame_bytes)


def _slot_in(dataset: FileDataset, keyword: str) -> Slot:
    """Where the file holds the value of `keyword`; before it was looked at, pydicom knows."""
    raw = dataset.get_item(keyword)
    if not isinstance(raw, RawDataElement):
        raise TypeError(f"{keyword} is not there as it was read")
    return Slot(raw.value_tell, raw.length)


def _repair_clip(path: Path, header: _Header, frames: list[_WholeFrame]) -> bool:
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


def _publish_as_still(path: Path, name: TemporaryName, header: _Header, frame: _WholeFrame, target: Path) -> Path:
    """A clip of one frame is a still (PS3.3 C.7.6.6): the same UID, another header."""
    dataset = header.dataset
    with path.open("rb") as file:
        file.seek(frame.start)
        data = file.read(frame.length)
    for keyword in _CLIP_FIELDS:
        delattr(dataset, keyword)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.LossyImageCompressionRatio = format_ratio(header.frame_bytes, len(data))
    lead = file_lead_bytes(SecondaryCaptureImageStorage, name.sop_instance_uid, dataset.file_meta.TransferSyntaxUID)
    pixels = pixel_data_header(b"OB", UNDEFINED_LENGTH) + fragment_header(len(data) + len(data) % 2)
    make_directory(target)
    remove_file(target / str(TemporaryName(name.sop_instance_uid, 0)))  # of a salvage that was cut off
    whole = CUT_SHORT_PREAMBLE + lead[PREAMBLE_BYTES:] + encode_dataset(dataset) + pixels
    writer = ObjectWriter(target, name.sop_instance_uid, whole)
    try:
        writer.append(data + padding(len(data)) + SEQUENCE_DELIMITER)
        published = writer.publish()
    except BaseException:
        writer.abandon()
        raise
    remove_file(path)
    return published
