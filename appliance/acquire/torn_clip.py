"""A clip's file that was cut off, by whatever: publish its whole frames (`torn_frames`) under its UID.

Whole frames without a gap are ended in place. With a gap, or where flash does not give back all of the file, they are
written to a new one; one frame becomes a still. Every step can be repeated after a crash and comes to the same.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from appliance.acquire.torn_frames import TornFrames, WholeFrame, find_frames
from appliance.base.durable import forget_cached, make_directory, move_file, remove_file, sync_directory
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
from appliance.spool.cut_short import PREAMBLE_BYTES, cut_short_preamble, is_cut_short
from appliance.spool.names import TemporaryName, digest_of, temporary_name_from
from appliance.spool.tree import ensure_room
from appliance.spool.writer import ObjectWriter, publish_salvaged

_BLOCK = 1024 * 1024
_ASIDE = "interrupted-"
_CLIP_FIELDS = ("NumberOfFrames", "FrameIncrementPointer", "FrameTime")
# Stays free for the exams' own files while a copy is written; what a capture keeps free is the configuration's.
_SPARE_BYTES = 64 * 1024 * 1024


class DamagedClipError(ApplianceError):
    """No frame can be given: the file's header, durable before the first of them, is damaged, or the way to them."""


@dataclass(frozen=True, slots=True)
class Mended:
    """The published object, how many frames it has and how many before its last one were damaged and left out.

    Not cut short is one whose end had been written and of which nothing was left out.
    """

    path: Path
    frames: int
    is_cut_short: bool
    left_out: int = 0


def mend_clip(path: Path, target: Path, quarantine: Path) -> Mended | None:
    """Publish the whole frames of the temporary file `path` into `target`; None when there are none, and it stays.

    What holds more than can be given goes to `quarantine` afterwards. DamagedClipError, NoRoomError where a copy has
    no room, or OSError when the medium fails; the file then stays as it was or was repaired in part.
    """
    name = _name_of(path)
    # After a sync that failed, memory may hold what the medium never got.
    forget_cached(path)
    torn = find_frames(path, name.offset)
    frames = torn.whole
    if not frames:
        if torn.has_more:
            raise DamagedClipError(f"The first frame of {path.name} is damaged.")
        return None
    header = _header_of(path, name)
    if len(frames) > 1 and not torn.left_out and not torn.has_more:
        is_short = _repair_clip(path, header, frames)
        return Mended(publish_salvaged(path, name, target), len(frames), is_short)
    data = _still_header(name, header, frames[0]) if len(frames) == 1 else _clip_header(header, frames)
    published = _publish_copy(path, name, cut_short_preamble(torn.left_out) + data[PREAMBLE_BYTES:], frames, target)
    _clear_away(path, torn, quarantine)
    return Mended(published, len(frames), is_cut_short=True, left_out=torn.left_out)


def clear_away(path: Path, quarantine: Path) -> None:
    """Take away the temporary file `path` of a clip that was published, or set aside what could not be given of it.

    A crash leaves it under its name or is over. OSError as `mend_clip`, and the file stays.
    """
    _clear_away(path, find_frames(path, _name_of(path).offset), quarantine)


def _clear_away(path: Path, torn: TornFrames, quarantine: Path) -> None:
    if torn.has_more:
        set_aside(path, quarantine)
    else:
        remove_file(path)


def set_aside(path: Path, quarantine: Path) -> None:
    """Move the temporary file `path` to `quarantine`, under a name that nobody sweeps (a crash: `move_file`)."""
    name = _name_of(path)
    make_directory(quarantine)
    move_file(path, quarantine / f"{_ASIDE}{name.sop_instance_uid}~{name.offset}")


def is_aside(quarantine: Path, sop_instance_uid: str) -> bool:
    """Whether the file of this clip lies in `quarantine`."""
    return any(quarantine.glob(f"{_ASIDE}{sop_instance_uid}~*"))


def _name_of(path: Path) -> TemporaryName:
    name = temporary_name_from(path.name)
    if name is None or not name.offset:
        raise ValueError(f"{path.name} is not a clip's temporary name")
    return name


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


@dataclass(frozen=True, slots=True)
class _Header:
    """What the file's header says; `slots` are the fields of fixed width that a clip's end fills in."""

    data: bytes
    dataset: FileDataset
    slots: dict[str, Slot]
    frame_bytes: int  # of one frame without compression


def _header_of(path: Path, name: TemporaryName) -> _Header:
    with path.open("rb") as file:
        data = file.read(name.offset)
    pixels = pixel_data_header(b"OB", UNDEFINED_LENGTH)
    if not data.endswith(pixels):
        raise DamagedClipError(f"The header of {path.name} is damaged.")
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
        raise DamagedClipError(f"The header of {path.name} is damaged.") from error
    return _Header(data + pixels, dataset, slots, frame_bytes)


def _slot_in(dataset: FileDataset, keyword: str) -> Slot:
    """Where the file holds the value of `keyword`; before it was looked at, pydicom knows."""
    raw = dataset.get_item(keyword)
    if not isinstance(raw, RawDataElement):
        raise TypeError(f"{keyword} is not there as it was read")
    return Slot(raw.value_tell, raw.length)


def _repair_clip(path: Path, header: _Header, frames: Sequence[WholeFrame]) -> bool:
    """Cut behind the last whole frame, end the sequence, fill in the header, and mark what was cut short: true then.

    The mark is durable before the file is cut: from then on nothing else tells it from a clip that came to its end.
    """
    with path.open("r+b") as file:
        is_short = is_cut_short(os.pread(file.fileno(), PREAMBLE_BYTES, 0))
        if os.pread(file.fileno(), len(SEQUENCE_DELIMITER) + 1, frames[-1].end) != SEQUENCE_DELIMITER:
            is_short = True
            os.pwrite(file.fileno(), cut_short_preamble(), 0)
            os.fsync(file.fileno())
        for position, value in _end_values(header, frames):
            os.pwrite(file.fileno(), value, position)
        file.truncate(frames[-1].end)
        file.seek(frames[-1].end)
        file.write(SEQUENCE_DELIMITER)
        file.flush()
        os.fsync(file.fileno())
    return is_short


def _end_values(header: _Header, frames: Sequence[WholeFrame]) -> Iterator[tuple[int, bytes]]:
    """What a clip's end fills into its header, and where."""
    coded = sum(frame.length for frame in frames)
    values = {
        "NumberOfFrames": str(len(frames)),
        "LossyImageCompressionRatio": format_ratio(header.frame_bytes * len(frames), coded),
    }
    for keyword, value in values.items():
        slot = header.slots[keyword]
        yield slot.position, slot.fill(value)


def _clip_header(header: _Header, frames: Sequence[WholeFrame]) -> bytes:
    """The header of a file with these frames."""
    data = bytearray(header.data)
    for position, value in _end_values(header, frames):
        data[position : position + len(value)] = value
    return bytes(data)


def _still_header(name: TemporaryName, header: _Header, frame: WholeFrame) -> bytes:
    """A clip of one frame is a still (PS3.3 C.7.6.6): the same UID, another header."""
    dataset = header.dataset
    for keyword in _CLIP_FIELDS:
        delattr(dataset, keyword)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.LossyImageCompressionRatio = format_ratio(header.frame_bytes, frame.length)
    lead = file_lead_bytes(SecondaryCaptureImageStorage, name.sop_instance_uid, dataset.file_meta.TransferSyntaxUID)
    return lead + encode_dataset(dataset) + pixel_data_header(b"OB", UNDEFINED_LENGTH)


def _publish_copy(path: Path, name: TemporaryName, header: bytes, frames: Sequence[WholeFrame], target: Path) -> Path:
    """A new object in `target` of `header` and the `frames` of the temporary file `path`, which stays.

    NoRoomError and OSError leave no object. (1) The directory is made and an earlier copy that was cut off removed: a
    crash leaves the file at `path` alone; (2) the copy is written and published: that, perhaps beside a part of the
    copy or the whole object.
    """
    needed = len(header) + sum(ITEM_HEADER_BYTES + frame.end - frame.start for frame in frames)
    make_directory(target)
    remove_file(target / str(TemporaryName(name.sop_instance_uid, 0)))
    ensure_room(target, needed, _SPARE_BYTES)
    writer = ObjectWriter(target, name.sop_instance_uid, header)
    try:
        with path.open("rb") as file:
            for frame in frames:
                file.seek(frame.start)
                data = file.read(frame.length)
                pad = padding(len(data))
                writer.append(b"".join((fragment_header(len(data) + len(pad)), data, pad)))
        writer.append(SEQUENCE_DELIMITER)
        return writer.publish()
    except BaseException:
        writer.abandon()
        raise
