"""Exam + PDF file → an Encapsulated PDF object (PS3.3 A.45.1), its document streamed between header and trailer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from appliance.base.uids import uid_from_parts
from appliance.compose.attributes import CLOCK_IN_DOUBT, DOCUMENT
from appliance.compose.charset import set_character_set
from appliance.compose.encode import encode_dataset, file_lead_bytes
from appliance.compose.instance import Composed, Origins, facts_from
from appliance.compose.pixels import padding
from appliance.compose.rows import Presence, Row, Rows, dataset_from, device

_DOCUMENT = Tag("EncapsulatedDocument")
# The document itself, which is streamed and stands in no table that is executed.
ENCAPSULATED: Rows = (Row("EncapsulatedDocument", "1", Presence.ALWAYS, (device("document"),)),)
# Characters of a Short Text (PS3.5 6.2).
_MAX_TITLE = 1024
# A document's series counts on behind the images' of all devices, which are a box's few.
_SERIES_STEP = 1000


def document_series_uid_from(series_instance_uid: str) -> str:
    """The series of a device's documents, beside that of its images: the same for all of one exam."""
    return uid_from_parts("documents", series_instance_uid)


def compose_document(origins: Origins, title: str, length: int) -> Composed:
    """An Encapsulated PDF object of a file of `length` bytes, which follows the header."""
    facts = facts_from(origins, EncapsulatedPDFStorage, {"document"}, {})
    facts = replace(
        facts,
        generated=document_facts_from(facts.generated),
        device={
            **facts.device,
            "document_title": document_title_from(title, has_doubt="clock in doubt" in facts.conditions),
            "document_length": length,
        },
    )
    dataset = dataset_from(DOCUMENT, facts)
    set_character_set(dataset, facts.entries)
    header, trailer = split_at_document(dataset)
    lead = file_lead_bytes(dataset.SOPClassUID, dataset.SOPInstanceUID, ExplicitVRLittleEndian)
    # An element of explicit VR OB: tag, VR, two reserved bytes, a 32-bit length (PS3.5 7.1.2).
    element = _DOCUMENT.group.to_bytes(2, "little") + _DOCUMENT.element.to_bytes(2, "little") + b"OB\0\0"
    return Composed(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        header=lead + encode_dataset(header) + element + (length + length % 2).to_bytes(4, "little"),
        trailer=padding(length) + encode_dataset(trailer),
    )


def document_facts_from(generated: Mapping[str, Any]) -> dict[str, Any]:
    """What the table of documents needs beside what is generated for every object."""
    return {
        **generated,
        "captured_at": f"{generated['captured_date']}{generated['captured_time']}{generated['timezone']}",
        "document_series_uid": document_series_uid_from(generated["series_instance_uid"]),
        "document_series_number": generated["series_number"] + _SERIES_STEP,
    }


def document_title_from(title: str, *, has_doubt: bool) -> str:
    """The title, behind it what the box has to say of its times."""
    return (f"{title}. {CLOCK_IN_DOUBT}" if has_doubt else title)[:_MAX_TITLE]


def split_at_document(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """What stands before the document, and what behind it, in the order of tags. Behind it is no text of a patient."""
    before, behind = Dataset(), Dataset()
    for element in dataset:
        (before if element.tag < _DOCUMENT else behind).add(element)
    return before, behind
