"""After a crash: what a device's captures left half-written becomes a whole object, or is removed and reported.

A clip's temporary file holds a header and fragments; everything up to the last whole frame is kept. Anything else was
never answered *saved* and cannot be completed: it is removed, and whoever was capturing is told to repeat it.
Runs at boot for every device, plugged in or not, and at the start of each device's own process.
"""

from __future__ import annotations

import io
import logging
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import SecondaryCaptureImageStorage

from appliance.base.durable import remove_file
from appliance.compose.encode import Slot, encode_dataset, file_lead_bytes
from appliance.compose.pixels import (
    EMPTY_OFFSET_TABLE,
    ITEM_HEADER_BYTES,
    SEQUENCE_DELIMITER,
    UNDEFINED_LENGTH,
    format_ratio,
    fragment_header,
    padding,
    pixel_data_header,
)
from appliance.exam.facts import ExamFacts
from appliance.spool.names import TemporaryName, temporary_name_from
from appliance.spool.tree import UNASSIGNED, Spool, list_temporaries
from appliance.spool.writer import ObjectWriter, publish_salvaged

_log = logging.getLogger(__name__)

_ITEM = struct.Struct("<HHL")
_CLIP_FIELDS = ("NumberOfFrames", "FrameIncrementPointer", "FrameTime")


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of one interrupted capture: an object of `frames` frames, or nothing (0)."""

    device: str
    exam_id: str | None
    sop_instance_uid: str
    frames: int

    @property
    def sentence(self) -> str:
        if self.frames:
            return f"A clip was cut short by an interruption; its {self.frames} frames up to there are saved."
        return "A capture was interrupted before it was saved; nothing of it is kept."

    @property
    def suggestion(self) -> str:
        return "Record it again if more is needed." if self.frames else "Capture it again."


def salvage_device(spool: Spool, facts: ExamFacts, device: str) -> list[Salvaged]:
    """Deal with every temporary file of `device`. The caller holds the device's lock. OSError when the medium fails."""
    top = spool.captured(device, None).parent
    found: list[Salvaged] = []
    if not top.is_dir():
        return found
    for directory in sorted(entry for entry in top.iterdir() if entry.is_dir()):
        exam_id = None if directory.name == UNASSIGNED else directory.name
        for path in list_temporaries(directory):
            salvaged = _salvage_file(spool, facts, device, exam_id, path)
            found.append(salvaged)
            _log.warning(
                "salvage of %s for exam %s: %s", salvaged.sop_instance_uid, exam_id or "none", salvaged.sentence
            )
    return found


def _salvage_file(spool: Spool, facts: ExamFacts, device: str, exam_id: str | None, path: Path) -> Salvaged:
    name = temporary_name_from(path.name)
    frames = _whole_frames(path, name.offset) if name is not None and name.offset else []
    uid = name.sop_instance_uid if name is not None else ""
    if name is None or not frames:
        remove_file(path)
        return Salvaged(device, exam_id, uid, 0)
    # An exam that is closed lists its objects for ever: what is found later belongs to nobody until a person says so.
    target = path.parent if exam_id and facts.closed(exam_id) is None else spool.captured(device, None)
    if len(frames) == 1:
        _publish_as_still(path, name, frames[0], target)
    else:
        _repair_clip(path, name, frames)
        publish_salvaged(path, name, target)
    return Salvaged(device, exam_id, uid, len(frames))


def _whole_frames(path: Path, offset: int) -> list[tuple[int, int]]:
    """(position, length) of each fragment's data that is whole: a JPEG image from its first marker to its last."""
    frames: list[tuple[int, int]] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        position = offset
        while position + ITEM_HEADER_BYTES <= size:
            file.seek(position)
            group, element, length = _ITEM.unpack(file.read(ITEM_HEADER_BYTES))
            start = position + ITEM_HEADER_BYTES
            if (group, element) != (0xFFFE, 0xE000) or length < 4 or start + length > size:
                break
            if file.read(2) != b"\xff\xd8":
                break
            file.seek(start + length - 3)
            # The image ends with the fragment, or one byte of padding before.
            if b"\xff\xd9" not in file.read(3):
                break
            frames.append((start, length))
            position = start + length
    return frames


def _repair_clip(path: Path, name: TemporaryName, frames: list[tuple[int, int]]) -> None:
    """Cut behind the last whole frame, end the sequence, and fill in the header. Repeating it gives the same file."""
    dataset = _header_of(path, name.offset)
    slots = {keyword: _slot_in(dataset, keyword) for keyword in ("NumberOfFrames", "LossyImageCompressionRatio")}
    end = frames[-1][0] + frames[-1][1]
    uncompressed = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * len(frames)
    values = {
        "NumberOfFrames": str(len(frames)),
        "LossyImageCompressionRatio": format_ratio(uncompressed, sum(length for _, length in frames)),
    }
    with path.open("r+b") as file:
        for keyword, value in values.items():
            slot = slots[keyword]
            os.pwrite(file.fileno(), slot.fill(value), slot.position)
        file.truncate(end)
        file.seek(end)
        file.write(SEQUENCE_DELIMITER)
        file.flush()
        os.fsync(file.fileno())


def _publish_as_still(path: Path, name: TemporaryName, frame: tuple[int, int], target: Path) -> None:
    """A clip of one frame is a still (PS3.3 C.7.6.6): the same UID, another header."""
    dataset = _header_of(path, name.offset)
    with path.open("rb") as file:
        file.seek(frame[0])
        data = file.read(frame[1])
    for keyword in _CLIP_FIELDS:
        delattr(dataset, keyword)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.LossyImageCompressionRatio = format_ratio(
        int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel), len(data)
    )
    lead = file_lead_bytes(SecondaryCaptureImageStorage, name.sop_instance_uid, dataset.file_meta.TransferSyntaxUID)
    pixels = pixel_data_header(b"OB", UNDEFINED_LENGTH) + fragment_header(len(data) + len(data) % 2)
    writer = ObjectWriter(target, name.sop_instance_uid, lead + encode_dataset(dataset) + pixels)
    writer.append(data + padding(len(data)) + SEQUENCE_DELIMITER)
    writer.publish()
    remove_file(path)


def _slot_in(dataset: FileDataset, keyword: str) -> Slot:
    """Where the file holds the value of `keyword`; before it was looked at, pydicom knows."""
    raw = dataset.get_item(keyword)
    assert isinstance(raw, RawDataElement)
    return Slot(raw.value_tell, raw.length)


def _header_of(path: Path, offset: int) -> FileDataset:
    """The data set before the pixels, as it was composed. OSError when the file's header was lost."""
    with path.open("rb") as file:
        header = file.read(offset)
    pixels = len(pixel_data_header(b"OB", UNDEFINED_LENGTH))
    assert header.endswith(EMPTY_OFFSET_TABLE)
    try:
        return dcmread(io.BytesIO(header[:-pixels]))
    except InvalidDicomError as error:
        raise OSError(f"the header of {path.name} is damaged") from error
