"""What an object's header says of itself, read without its pixels."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError

from appliance.base.durable import forget_cached
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.spool.cut_short import is_cut_short, left_out_of

_log = logging.getLogger(__name__)

_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "Modality",
    "PatientID",
    "AccessionNumber",
    "NumberOfFrames",
    "FrameTime",
    "DateOfSecondaryCapture",
    "TimeOfSecondaryCapture",
    "ContentDate",
    "ContentTime",
    "TimezoneOffsetFromUTC",
]
_CAPTURED_AT = ("DateOfSecondaryCapture", "TimeOfSecondaryCapture", "TimezoneOffsetFromUTC")
# A document has no secondary capture's; it was made when its content was.
_MADE_AT = ("ContentDate", "ContentTime", "TimezoneOffsetFromUTC")

# What pydicom raises for bytes that are no data set; OSError stays what it is, the medium's.
DAMAGE = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    TypeError,
    ValueError,
)


class DamagedObjectError(ApplianceError):
    """A file that bears an object's name is none."""


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """Identity and place of one object; `frames` is 1 for a still.

    `captured_at` is DICOM's date and time joined, with the object's offset from UTC behind it where it says one: a DT.

    `saved_at` is the file's last change: nobody writes to an object that is saved, and a rename is none. `seconds` is
    the frames' running time at their Frame Time (0018,1063), 0 for a still. `left_out`: how many frames of a clip that
    was cut short were damaged.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    study_instance_uid: str
    modality: str
    patient_id: str
    accession_number: str
    frames: int
    captured_at: str
    bytes: int
    saved_at: datetime
    seconds: float
    is_cut_short: bool
    left_out: int


def read_summary(path: Path) -> ObjectSummary:
    """The summary of the object at `path`. DamagedObjectError when it is not a DICOM file, OSError when unreadable.

    What looks damaged is read once more: the medium may have given it wrongly once.
    """
    try:
        return _read_summary(path)
    except DamagedObjectError:
        forget_cached(path)
        return _read_summary(path)


def _read_summary(path: Path) -> ObjectSummary:
    try:
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        status = path.stat()
        frames = int(dataset.get("NumberOfFrames", 1) or 1)
        return ObjectSummary(
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
            series_instance_uid=str(dataset.SeriesInstanceUID),
            study_instance_uid=str(dataset.StudyInstanceUID),
            modality=str(dataset.get("Modality", "")),
            patient_id=str(dataset.get("PatientID", "") or ""),
            accession_number=str(dataset.get("AccessionNumber", "") or ""),
            frames=frames,
            captured_at="".join(
                str(dataset.get(keyword, "") or "")
                for keyword in (_CAPTURED_AT if "DateOfSecondaryCapture" in dataset else _MADE_AT)
            ),
            bytes=status.st_size,
            saved_at=datetime.fromtimestamp(status.st_mtime).astimezone(),
            seconds=frames * float(dataset.get("FrameTime", 0) or 0) / 1000.0,
            is_cut_short=is_cut_short(dataset.preamble),
            left_out=left_out_of(dataset.preamble),
        )
    except DAMAGE as error:
        sentence = f"The file {path.name} is not a readable object."
        raise DamagedObjectError(sentence, "It is set aside in quarantine.") from error


def highest_instance_number(paths: Iterable[Path]) -> int:
    """The highest Instance Number (0020,0013) of these objects; 0 where there are none, a damaged one is one more."""
    highest = 0
    for path in paths:
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["InstanceNumber"])
            highest = max(highest, int(header.get("InstanceNumber") or 0))
        except Exception as error:  # noqa: BLE001 -- an old object's damage must not keep a new one from being captured
            why = reason_of(error) if isinstance(error, OSError) else type(error).__name__
            _log.warning("the number of %s cannot be read (%s)", path.name, why)
            highest += 1
    return highest
