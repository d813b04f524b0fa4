"""The header of a clip that was cut off, as both kinds of salvage read it, and of the still that one frame becomes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from appliance.base.errors import ApplianceError
from appliance.compose.encode import Slot, encode_dataset, file_lead_bytes
from appliance.spool.names import TemporaryName

_ENCAPSULATED = ("NumberOfFrames", "LossyImageCompressionRatio")
_CLIP_FIELDS = ("NumberOfFrames", "FrameIncrementPointer", "FrameTime")
# What gray frames have besides in a multi-frame class, and not in a still.
_GRAY_FIELDS = ("PresentationLUTShape", "RescaleIntercept", "RescaleSlope", "RescaleType")


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


@dataclass(frozen=True, slots=True)
class ClipHeader:
    """What the file's header says; `slots` are the fields of fixed width that a clip's end fills in."""

    data: bytes
    dataset: FileDataset
    slots: dict[str, Slot]
    frame_bytes: int  # of one frame without compression


def read_header(path: Path, name: TemporaryName, pixels: bytes, slotted: Sequence[str] = _ENCAPSULATED) -> ClipHeader:
    """The header of the clip at `path`, which ends with `pixels`. DamagedClipError; OSError when unreadable."""
    with path.open("rb") as file:
        data = file.read(name.offset)
    if not data.endswith(pixels):
        raise DamagedClipError(f"The header of {path.name} is damaged.")
    data = data.removesuffix(pixels)
    try:
        for _ in dcmread(io.BytesIO(data)).iterall():
            pass  # pydicom reads a value when it is asked for it, and only then complains
        dataset = dcmread(io.BytesIO(data))
        slots = {keyword: _slot_in(dataset, keyword) for keyword in slotted}
        frame_bytes = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
        frame_bytes *= int(dataset.BitsAllocated) // 8
        for keyword in _CLIP_FIELDS:
            if keyword not in dataset:
                raise KeyError(keyword)
        if {str(dataset.SOPInstanceUID), str(dataset.file_meta.MediaStorageSOPInstanceUID)} != {name.sop_instance_uid}:
            raise ValueError("SOPInstanceUID")
    except Exception as error:  # on damaged bytes pydicom raises whatever its innermost line does
        raise DamagedClipError(f"The header of {path.name} is damaged.") from error
    return ClipHeader(data + pixels, dataset, slots, frame_bytes)


def _slot_in(dataset: FileDataset, keyword: str) -> Slot:
    """Where the file holds the value of `keyword`; before it was looked at, pydicom knows."""
    raw = dataset.get_item(keyword)
    if not isinstance(raw, RawDataElement):
        raise TypeError(f"{keyword} is not there as it was read")
    return Slot(raw.value_tell, raw.length)


def still_header(name: TemporaryName, header: ClipHeader) -> bytes:
    """A clip of one frame is a still (PS3.3 C.7.6.6): the same UID, another header, up to its pixel data."""
    dataset = header.dataset
    for keyword in (*_CLIP_FIELDS, *_GRAY_FIELDS):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    lead = file_lead_bytes(SecondaryCaptureImageStorage, name.sop_instance_uid, dataset.file_meta.TransferSyntaxUID)
    return lead + encode_dataset(dataset)
