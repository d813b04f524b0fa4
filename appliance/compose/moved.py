"""A saved object as one of another exam: who it is of comes from that exam, what was captured stays as it is.

Every attribute that has to do with a patient, a request or a step is made anew by the same table as at the capture
(attributes.py); nothing of it is taken from the old object. What the machine, its configuration and the pixels gave is
copied. So nothing of the first patient is left but what the machine itself wrote into its picture or onto its page.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import DA, TM

from appliance.compose.attributes import CLOCK_IN_DOUBT, OBJECT
from appliance.compose.charset import set_character_set
from appliance.compose.chosen import chosen_from
from appliance.compose.encode import encode_dataset, file_lead_bytes
from appliance.compose.instance import MAX_COMMENTS, generated_from
from appliance.compose.rows import Facts, Row, Source, dataset_from
from appliance.config.schema import Box
from appliance.exam.exam import Exam
from appliance.spool.cut_short import PREAMBLE_BYTES

# Configured for the device, and fixed by the exam's opening.
_OF_EXAM: Final = frozenset({"SeriesDescription", "ProtocolName"})
_ANEW: Final = frozenset({Source.MWL, Source.USER, Source.GENERATED})


def is_of_exam(row: Row) -> bool:
    """Whether the attribute says whose object it is, and is made anew when that changes."""
    sources = {origin.source for origin in row.origins}
    return bool(row.item or sources & _ANEW) or not sources or row.keyword in _OF_EXAM


def header_as_moved(
    source: Dataset, exam: Exam, device: str, box: Box, sop_instance_uid: str, instance_number: int
) -> bytes:
    """All bytes of the object in front of its Pixel Data (7FE0,0010), which follows as it was.

    `source` is the object's data set without pixels, with its preamble and file meta information. ValueError when it
    does not say when it was captured, KeyError when the exam has no series for the device.
    """
    chosen = chosen_from(exam)
    series = exam.series_of(device)
    facts = Facts(
        entries=chosen.entries,
        generated=generated_from(
            exam,
            device,
            str(source.Modality),
            captured_at_of(source),
            instance_number=instance_number,
            sop_class_uid=str(source.SOPClassUID),
            sop_instance_uid=sop_instance_uid,
        ),
        configuration={
            "institution": box.institution,
            "series_description": series.series_description,
            "protocol_name": series.protocol_name,
        },
        device={},
        user=chosen.user,
        conditions=chosen.conditions,
    )
    dataset = dataset_from(tuple(row for row in OBJECT if is_of_exam(row)), facts)
    for row in OBJECT:
        if not is_of_exam(row) and row.keyword in source:
            dataset.add(source[row.keyword])
    if not exam.is_clock_trusted:
        _doubt_times(dataset)
    set_character_set(dataset, chosen.entries)
    lead = file_lead_bytes(dataset.SOPClassUID, sop_instance_uid, str(source.file_meta.TransferSyntaxUID))
    # The mark of a clip that was cut short lies in the preamble.
    preamble = bytes(source.preamble or b"\0" * PREAMBLE_BYTES)
    return preamble + lead[PREAMBLE_BYTES:] + encode_dataset(dataset)


def captured_at_of(source: Dataset) -> datetime:
    """When the object was captured, aware. ValueError when it does not say so."""
    day, moment = DA(source.get("AcquisitionDate")), TM(source.get("AcquisitionTime"))
    zone = str(source.get("TimezoneOffsetFromUTC") or "")
    if day is None or moment is None or not zone:
        raise ValueError("an object that does not say when it was captured")
    return datetime.strptime(f"{day:%Y%m%d}{moment:%H%M%S.%f}{zone}", "%Y%m%d%H%M%S.%f%z")


def _doubt_times(dataset: Dataset) -> None:
    said = str(dataset.get("ImageComments") or "")
    if CLOCK_IN_DOUBT not in said:
        text = f"{CLOCK_IN_DOUBT}\r\n\r\n{said}" if said else CLOCK_IN_DOUBT
        dataset.add_new(Tag("ImageComments"), "LT", text[:MAX_COMMENTS])
