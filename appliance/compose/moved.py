"""A saved object as one of another exam: who it is of comes from that exam, what was captured stays as it is.

Every attribute that has to do with a patient, a request or a step is made anew by the same table as at the capture
(attributes.py); nothing of it is taken from the old object. What the machine, its configuration and the pixels gave is
copied. So nothing of the first patient is left but what the machine itself wrote into its picture or onto its page.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from os import SEEK_CUR, SEEK_END
from typing import BinaryIO, Final

from pydicom import Dataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import Tag
from pydicom.uid import EncapsulatedPDFStorage
from pydicom.valuerep import DA, DT, TM

from appliance.compose.attributes import CLOCK_IN_DOUBT, DOCUMENT, OBJECT
from appliance.compose.charset import set_character_set
from appliance.compose.chosen import chosen_from
from appliance.compose.document import document_facts_from, document_title_from, split_at_document
from appliance.compose.encode import encode_dataset, file_lead_bytes
from appliance.compose.instance import MAX_COMMENTS, generated_from
from appliance.compose.rows import Facts, Row, Source, dataset_from
from appliance.config.schema import Box
from appliance.exam.exam import Exam
from appliance.spool.cut_short import PREAMBLE_BYTES

# Configured for the device, and fixed by the exam's opening.
_OF_EXAM: Final = frozenset({"SeriesDescription", "ProtocolName"})
_DOCUMENT: Final = Tag("EncapsulatedDocument")
_KEPT: Final = frozenset({Tag("PixelData"), _DOCUMENT})
_ELEMENT: Final = struct.Struct("<HH4sI")
_ANEW: Final = frozenset({Source.MWL, Source.USER, Source.GENERATED})


@dataclass(frozen=True, slots=True)
class MovedObject:
    """What stands before and behind the bytes that stay: the element of the pixels, or of the document, as it is."""

    header: bytes
    trailer: bytes


def is_of_exam(row: Row) -> bool:
    """Whether the attribute says whose object it is, and is made anew when that changes."""
    sources = {origin.source for origin in row.origins}
    is_empty = not sources and not row.item
    return bool(sources & _ANEW) or is_empty or row.keyword in _OF_EXAM or any(map(is_of_exam, row.item))


def object_as_moved(
    source: Dataset, exam: Exam, device: str, box: Box, sop_instance_uid: str, instance_number: int
) -> MovedObject:
    """All bytes of the object around its Pixel Data (7FE0,0010) or its Encapsulated Document (0042,0011).

    `source` is the object's data set, perhaps without these, with its preamble and file meta information. ValueError
    when it does not say when it was captured, KeyError when the exam has no series for the device.
    """
    is_document = source.SOPClassUID == EncapsulatedPDFStorage
    table = DOCUMENT if is_document else OBJECT
    chosen = chosen_from(exam)
    series = exam.series_of(device)
    generated = {
        **chosen.generated,
        **generated_from(
            exam,
            device,
            str(source.Modality),
            captured_at_of(source),
            instance_number=instance_number,
            sop_class_uid=str(source.SOPClassUID),
            sop_instance_uid=sop_instance_uid,
        ),
    }
    facts = Facts(
        entries=chosen.entries,
        generated=document_facts_from(generated) if is_document else generated,
        configuration={
            "institution": box.institution,
            "series_description": series.series_description,
            "protocol_name": series.protocol_name,
            **chosen.configuration,
        },
        device={},
        # The exam knows how the series is called, whoever said it.
        user={**chosen.user, "series_description": series.series_description},
        conditions=chosen.conditions,
    )
    dataset = dataset_from(tuple(row for row in table if is_of_exam(row)), facts)
    for row in table:
        if not is_of_exam(row) and row.keyword in source:
            dataset.add(source[row.keyword])
    if not exam.is_clock_trusted:
        _doubt_times(dataset, is_document=is_document)
    set_character_set(dataset, chosen.entries)
    lead = file_lead_bytes(dataset.SOPClassUID, sop_instance_uid, str(source.file_meta.TransferSyntaxUID))
    # The mark of a clip that was cut short lies in the preamble.
    preamble = bytes(source.preamble or b"\0" * PREAMBLE_BYTES)
    before, behind = split_at_document(dataset) if is_document else (dataset, Dataset())
    return MovedObject(preamble + lead[PREAMBLE_BYTES:] + encode_dataset(before), encode_dataset(behind))


def read_around(file: BinaryIO) -> tuple[Dataset, int, int]:
    """The data set of an object without its pixels or its document, and where these begin and end in the file.

    They stay as they are, and are never read here: a document's element, else all from the pixels to the file's end.
    """
    source = read_partial(file, stop_when=lambda tag, _vr, _length: tag in _KEPT)
    start = file.tell()
    # Explicit VR OB: a tag, a VR, two reserved bytes and a 32-bit length stand before the value (PS3.5 7.1.2).
    element = file.read(_ELEMENT.size)
    if len(element) < _ELEMENT.size or _ELEMENT.unpack(element)[:2] != (_DOCUMENT.group, _DOCUMENT.element):
        return source, start, file.seek(0, SEEK_END)
    end = file.seek(_ELEMENT.unpack(element)[3], SEEK_CUR)
    source.update(read_dataset(file, is_implicit_VR=False, is_little_endian=True))
    return source, start, end


def captured_at_of(source: Dataset) -> datetime:
    """When the object was captured, aware. ValueError when it does not say so."""
    if "AcquisitionDateTime" in source:
        whole = DT(str(source.AcquisitionDateTime))
        if whole is None or whole.tzinfo is None:
            raise ValueError("a document that does not say when it was captured")
        return datetime.fromtimestamp(whole.timestamp(), whole.tzinfo)
    day, moment = DA(source.get("AcquisitionDate")), TM(source.get("AcquisitionTime"))
    zone = str(source.get("TimezoneOffsetFromUTC") or "")
    if day is None or moment is None or not zone:
        raise ValueError("an object that does not say when it was captured")
    return datetime.strptime(f"{day:%Y%m%d}{moment:%H%M%S.%f}{zone}", "%Y%m%d%H%M%S.%f%z")


def _doubt_times(dataset: Dataset, *, is_document: bool) -> None:
    keyword = "DocumentTitle" if is_document else "ImageComments"
    said = str(dataset.get(keyword) or "")
    if CLOCK_IN_DOUBT in said:
        return
    if is_document:
        dataset.DocumentTitle = document_title_from(said, has_doubt=True)
    else:
        text = f"{CLOCK_IN_DOUBT}\r\n\r\n{said}" if said else CLOCK_IN_DOUBT
        dataset.add_new(Tag(keyword), "LT", text[:MAX_COMMENTS])
