"""The DICOMDIR: what lies on the medium as records of patients, studies, series and images (PS3.3 Annex F).

Records are built from the headers of the files on the medium. pydicom's FileSet would copy each object whole, through
memory and through a temporary directory on the box's flash, and name files by their place among the others; so only the
directory is written here, and FileSet reads it in the tests. The keys are those of the profile STD-GEN-USB-JPEG
(PS3.11 Annex J), where the object has them. Values are copied as they stand in the object, byte for byte.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MediaStorageDirectoryStorage,
)

from appliance.base.uids import new_uid
from appliance.compose.encode import encode_dataset, file_lead_bytes
from appliance.export.medium import FILE_SET_ID, FileId
from appliance.spool.summary import DamagedObjectError, read_summary

_KEYS: Final = {
    "PATIENT": ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    "STUDY": ("StudyDate", "StudyTime", "AccessionNumber", "StudyDescription", "StudyInstanceUID", "StudyID"),
    "SERIES": ("Modality", "InstitutionName", "PerformingPhysicianName", "SeriesInstanceUID", "SeriesNumber"),
    "IMAGE": ("ImageType", "InstanceNumber", "NumberOfFrames", "Rows", "Columns", "LossyImageCompressionRatio"),
    # PS3.3 F.5.33; beside them the concept name, which no document of this box has.
    "ENCAP DOC": ("ContentDate", "ContentTime", "InstanceNumber", "DocumentTitle", "MIMETypeOfEncapsulatedDocument"),
    # PS3.3 F.5.27: a rejection note.
    "KEY OBJECT DOC": ("ContentDate", "ContentTime", "InstanceNumber", "ConceptNameCodeSequence"),
}
_KIND_OF: Final = {EncapsulatedPDFStorage: "ENCAP DOC", KeyObjectSelectionDocumentStorage: "KEY OBJECT DOC"}
# Type 2: there, if need be without a value.
_MAY_BE_EMPTY: Final = frozenset({"PatientName", "AccessionNumber", "StudyDescription", "DocumentTitle"})
_READ: Final = [
    *(keyword for keys in _KEYS.values() for keyword in keys),
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "IssuerOfPatientID"),
]
_NO_PATIENT, _NO_NUMBER = "NO-PATIENT", "NO-NUMBER"
# In an encoded record, behind the header of its item: (0004,1400) is first, (0004,1410) a US, (0004,1420) third.
_ITEM: Final = struct.Struct("<HHI")
_NEXT_AT, _LOWER_AT = 8, 8 + 4 + 10 + 8
_OFFSET: Final = struct.Struct("<I")
_SEQUENCE: Final = struct.Struct("<HH2sHI")
_MOST_BYTES = 2**32 - 2


@dataclass(slots=True)
class Record:
    """A directory record: its bytes with empty offsets, what tells it from its siblings, and what is below it."""

    data: bytearray
    number: int = 0
    children: dict[object, Record] = field(default_factory=dict)
    offset: int = 0

    def ordered(self) -> list[Record]:
        """What is below it, by series or instance number."""
        return sorted(self.children.values(), key=lambda record: record.number)


class DirectoryTree:
    """Collects the records of files, in the order in which they are added."""

    def __init__(self) -> None:
        self._patients: dict[object, Record] = {}
        self._patient_ids: dict[str, int] = {}
        self.count = 0

    def add(self, file_id: FileId, path: Path) -> None:
        """The records of the object at `path`. DamagedObjectError when it is none, OSError when unreadable."""
        read_summary(path)  # which says what is damaged
        header = dcmread(path, stop_before_pixels=True, specific_tags=_READ)
        here = self._patients
        study = str(header.StudyInstanceUID)
        patient = (_text(header, "PatientID"), _text(header, "IssuerOfPatientID"), _text(header, "PatientName"))
        # Two images without an ID need not be of one person, nor two of one number under different names.
        key: object = patient if patient[0] else study
        if key not in here:
            here[key] = _record_of("PATIENT", header, {"PatientID": self._unique_id(patient[0])})
        here = here[key].children
        if study not in here:
            here[study] = _record_of("STUDY", header, {"StudyID": _NO_NUMBER})
        here = here[study].children
        series = str(header.SeriesInstanceUID)
        if series not in here:
            here[series] = _record_of("SERIES", header, {"SeriesNumber": "0"})
        kind = _KIND_OF.get(header.SOPClassUID, "IMAGE")
        image = _record_of(kind, header, {"InstanceNumber": "0"}, file_id)
        here[series].children[str(header.SOPInstanceUID)] = image
        self.count += 1

    def _unique_id(self, patient_id: str) -> str:
        """The Patient ID of a new record: different in each (PS3.11 J.3.3), though two issuers may give one number."""
        patient_id = patient_id or _NO_PATIENT
        self._patient_ids[patient_id] = count = self._patient_ids.get(patient_id, 0) + 1
        return patient_id if count == 1 else f"{patient_id[:58]} ({count})"

    def encode(self) -> bytes:
        """The DICOMDIR file (PS3.10 8.6). OverflowError beyond 4 GB."""
        first, last = 0, 0
        lead = file_lead_bytes(MediaStorageDirectoryStorage, new_uid(), ExplicitVRLittleEndian)
        start = len(lead) + len(_identification_bytes(first, last)) + _SEQUENCE.size
        records = list(_walk(self._patients.values()))
        end = start
        for record in records:
            record.offset = end
            end += _ITEM.size + len(record.data)
        if end > _MOST_BYTES:
            raise OverflowError("a DICOMDIR ends at 4 GB")
        _link(list(self._patients.values()))
        if records:
            tops = list(self._patients.values())
            first, last = tops[0].offset, tops[-1].offset
        body = b"".join(_ITEM.pack(0xFFFE, 0xE000, len(record.data)) + record.data for record in records)
        return lead + _identification_bytes(first, last) + _SEQUENCE.pack(4, 0x1220, b"SQ", 0, len(body)) + body


def directory_of(
    root: Path, file_ids: Iterable[FileId], on_damaged: Callable[[FileId], None], on_each: Callable[[], None]
) -> tuple[bytes, int]:
    """The DICOMDIR of these files below `root`, and how many it lists. OSError is the medium's."""
    tree = DirectoryTree()
    for file_id in file_ids:
        try:
            tree.add(file_id, root.joinpath(*file_id))
        except DamagedObjectError:
            on_damaged(file_id)
        on_each()
    return tree.encode(), tree.count


def _identification_bytes(first: int, last: int) -> bytes:
    dataset = Dataset()
    dataset.FileSetID = FILE_SET_ID
    dataset.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = first
    dataset.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = last
    dataset.FileSetConsistencyFlag = 0
    return encode_dataset(dataset)


def _record_of(kind: str, header: Dataset, needed: dict[str, str], file_id: FileId | None = None) -> Record:
    """The record of this level. `needed` are values of type 1 that the directory must have where the object has none;
    a Patient ID stands in place of the object's."""
    record = Dataset()
    record.OffsetOfTheNextDirectoryRecord = 0
    record.RecordInUseFlag = 0xFFFF
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.DirectoryRecordType = kind
    if file_id is not None:
        record.ReferencedFileID = list(file_id)
        record.ReferencedSOPClassUIDInFile = header.SOPClassUID
        record.ReferencedSOPInstanceUIDInFile = header.SOPInstanceUID
        record.ReferencedTransferSyntaxUIDInFile = header.file_meta.TransferSyntaxUID
    # No key of an image's record is text.
    for keyword in (*(("SpecificCharacterSet",) if kind != "IMAGE" else ()), *_KEYS[kind]):
        element = header.get_item(keyword) if keyword in header else None
        if keyword == "PatientID" and _text(header, keyword) != needed[keyword]:
            record.PatientID = needed[keyword]
        elif element is not None and _has_value(element):
            record[Tag(keyword)] = element
        elif keyword in needed or keyword in _MAY_BE_EMPTY:
            setattr(record, keyword, needed.get(keyword, ""))
    if kind == "ENCAP DOC":
        record.ConceptNameCodeSequence = []
    number = _text(record, "InstanceNumber") or _text(record, "SeriesNumber") or "0"
    return Record(bytearray(encode_dataset(record)), int(number) if number.lstrip("-").isdecimal() else 0)


def _has_value(element: DataElement | RawDataElement) -> bool:
    return bool(element.value) if isinstance(element, RawDataElement) else not element.is_empty


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword, "") or "")


def _walk(records: Iterable[Record]) -> Iterator[Record]:
    for record in records:
        yield record
        yield from _walk(record.ordered())


def _link(siblings: list[Record]) -> None:
    """Write into each record where its next sibling and its first child lie, 0 where there is none."""
    for record, following in zip_longest(siblings, siblings[1:]):
        children = record.ordered()
        _OFFSET.pack_into(record.data, _NEXT_AT, following.offset if following else 0)
        _OFFSET.pack_into(record.data, _LOWER_AT, children[0].offset if children else 0)
        _link(children)
