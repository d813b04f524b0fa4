"""Data sets as bytes: the file's lead, values of fixed width, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID

from appliance.base.durable import SECTOR_BYTES
from appliance.base.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE = b"\0" * 128 + b"DICM"


@dataclass(frozen=True, slots=True)
class Slot:
    """A field of fixed width that is patched later: `position` in the file, `width` bytes, padded with spaces.

    IS and DS may be padded in front and behind (PS3.5 6.2).
    """

    position: int
    width: int

    @property
    def end(self) -> int:
        """Behind it."""
        return self.position + self.width

    def fill(self, value: str) -> bytes:
        """The bytes for `value`, which lies in one sector of the file if it has at most half the width.

        So a power cut while it is patched leaves the old value or the new one. ValueError when it is too long.
        """
        if len(value) > self.width:
            raise ValueError(f"{value!r} does not fit into {self.width} bytes")
        front = min(-self.position % SECTOR_BYTES, self.width)
        if front < self.width - front and len(value) <= self.width - front:
            value = " " * front + value
        return value.encode("ascii").ljust(self.width)


def zone_from(moment: datetime) -> timezone:
    """The offset from UTC that was in force at `moment`, which is aware, in whole minutes as (0008,0201) has it.

    One object or message has one offset, for every date and time in it (PS3.3 C.12.1.1).
    """
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("a moment without its offset from UTC")
    return timezone(timedelta(minutes=round(offset / timedelta(minutes=1))))


def date_from(moment: datetime) -> str:
    """DA (PS3.5 6.2)."""
    return f"{moment:%Y%m%d}"


def time_from(moment: datetime) -> str:
    """TM with its fraction where there is one (PS3.5 6.2)."""
    return f"{moment:%H%M%S.%f}" if moment.microsecond else f"{moment:%H%M%S}"


def format_frame_time(milliseconds: float) -> str:
    """Frame Time (0018,1063) as DS of at most 8 characters, half of what it may have: see `Slot.fill`."""
    return f"{min(milliseconds, 99_999_999):.5f}"[:8].removesuffix(".")


def wide_number(number: Any, text: str, width: int) -> Any:
    # pydicom writes a number's original text as it is: the way to a field of fixed width.
    number.original_string = text.ljust(width)
    return number


def slot_of(dataset: Dataset, keyword: str, lead: int) -> Slot:
    """Where the value of `keyword` lies: behind everything with a smaller tag and its own 8-byte header (IS and DS)."""
    tag = Tag(keyword)
    before = dataset[:tag]
    assert isinstance(before, Dataset)
    before.SpecificCharacterSet = dataset.get("SpecificCharacterSet")
    if "SpecificCharacterSet" not in dataset:
        del before.SpecificCharacterSet
    through = Dataset()
    through.add(dataset[tag])
    position = lead + len(encode_dataset(before)) + 8
    return Slot(position, len(encode_dataset(through)) - 8)


def encode_dataset(dataset: Dataset) -> bytes:
    """`dataset` in Explicit VR Little Endian, without file meta information."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    value: bytes = buffer.getvalue()
    return value


def file_lead_bytes(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and file meta information (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return _PREAMBLE + bytes(buffer.getvalue())
