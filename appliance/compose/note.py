"""The note that rejects images which went to the wrong patient: a Key Object Selection (PS3.3 A.35.4, C.17.6).

IHE RAD TF-3 4.66 (Image Object Change Management): it lies in the study of the images that it rejects, its title says
why, and it names each of them. An archive that knows the profile hides them then; one that does not shows the note.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from typing import Any, Final

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from appliance.compose.attributes import PATIENT, STUDY
from appliance.compose.charset import set_character_set
from appliance.compose.chosen import chosen_from
from appliance.compose.encode import encode_dataset, file_lead_bytes
from appliance.compose.instance import generated_from
from appliance.compose.rows import (
    Facts,
    Gather,
    Presence,
    Row,
    Rows,
    configured,
    dataset_from,
    fixed,
    generated,
    mwl,
)
from appliance.config.schema import Box
from appliance.exam.exam import Exam, Instance

ALWAYS, VNAP, ANAP, EMPTY = Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY

MODALITY: Final = "KO"
SOP_CLASS_UID: Final = str(KeyObjectSelectionDocumentStorage)
INCORRECT_ENTRY: Final = ("113038", "DCM", "Incorrect Modality Worklist Entry")
"""The document's title (PS3.16 CID 7011)."""

_CODE: Rows = (
    Row("CodeValue", "1", ALWAYS, (fixed(INCORRECT_ENTRY[0]),)),
    Row("CodingSchemeDesignator", "1", ALWAYS, (fixed(INCORRECT_ENTRY[1]),)),
    Row("CodeMeaning", "1", ALWAYS, (fixed(INCORRECT_ENTRY[2]),)),
)
_TEMPLATE: Rows = (
    Row("MappingResource", "1", ALWAYS, (fixed("DCMR"),)),
    Row("TemplateIdentifier", "1", ALWAYS, (fixed("2010"),)),
)
_REQUEST: Rows = (
    Row("StudyInstanceUID", "1", ALWAYS, (generated("study_instance_uid"),)),
    Row("ReferencedStudySequence", "2", VNAP, (mwl("ReferencedStudySequence"),)),
    Row("AccessionNumber", "2", VNAP, (mwl("AccessionNumber"),)),
    Row("PlacerOrderNumberImagingServiceRequest", "2", VNAP, (mwl("PlacerOrderNumberImagingServiceRequest"),)),
    Row("FillerOrderNumberImagingServiceRequest", "2", VNAP, (mwl("FillerOrderNumberImagingServiceRequest"),)),
    Row("RequestedProcedureID", "2", VNAP, (mwl("RequestedProcedureID"),)),
    Row("RequestedProcedureDescription", "2", VNAP, (mwl("RequestedProcedureDescription"),)),
    Row("RequestedProcedureCodeSequence", "2", VNAP, (mwl("RequestedProcedureCodeSequence", gather=Gather.ALL),)),
)

_REFERENCE: Rows = (
    Row("ReferencedSOPClassUID", "1", ALWAYS, (generated("rejected_class"),)),
    Row("ReferencedSOPInstanceUID", "1", ALWAYS, (generated("rejected_uid"),)),
)
_EVIDENCE_SERIES: Rows = (
    Row("SeriesInstanceUID", "1", ALWAYS, (generated("rejected_series"),)),
    Row("ReferencedSOPSequence", "1", ALWAYS, (generated("references"),), holds=_REFERENCE),
)
_EVIDENCE: Rows = (
    Row("StudyInstanceUID", "1", ALWAYS, (generated("study_instance_uid"),)),
    Row("ReferencedSeriesSequence", "1", ALWAYS, (generated("rejected_by_series"),), holds=_EVIDENCE_SERIES),
)
_CONTENT: Rows = (
    Row("RelationshipType", "1", ALWAYS, (fixed("CONTAINS"),)),
    Row("ValueType", "1", ALWAYS, (generated("value_type"),)),
    Row("ReferencedSOPSequence", "1", ALWAYS, (generated("references"),), holds=_REFERENCE),
)

# Series, equipment, document and content (PS3.3 C.17.6.1, C.7.5.1, C.17.6.2, C.17.3, C.12.1).
NOTE: Rows = (
    *PATIENT,
    *STUDY,
    Row("Modality", "1", ALWAYS, (fixed(MODALITY),)),
    Row("SeriesInstanceUID", "1", ALWAYS, (generated("series_instance_uid"),)),
    Row("SeriesNumber", "1", ALWAYS, (generated("series_number"),)),
    Row("SeriesDescription", "3", ALWAYS, (fixed("Rejection note"),)),
    Row("ReferencedPerformedProcedureStepSequence", "2", EMPTY),
    Row("Manufacturer", "2", ALWAYS, (fixed("Modality Bridge"),)),
    Row("ManufacturerModelName", "3", ALWAYS, (fixed("modality-bridge"),)),
    Row("StationName", "3", ANAP, (configured("box_name"),)),
    Row("InstitutionName", "3", ANAP, (mwl("InstitutionName", gather=Gather.COMMON), configured("institution"))),
    Row("SoftwareVersions", "3", ALWAYS, (generated("software_version"),)),
    Row("InstanceNumber", "1", ALWAYS, (generated("instance_number"),)),
    Row("ContentDate", "1", ALWAYS, (generated("captured_date"),)),
    Row("ContentTime", "1", ALWAYS, (generated("captured_time"),)),
    Row("ReferencedRequestSequence", "1C", ANAP, when="scheduled", item=_REQUEST, is_each=True),
    Row("CurrentRequestedProcedureEvidenceSequence", "1", ALWAYS, (generated("evidence"),), holds=_EVIDENCE),
    Row("ValueType", "1", ALWAYS, (fixed("CONTAINER"),)),
    Row("ConceptNameCodeSequence", "1", ALWAYS, item=_CODE),
    Row("ContinuityOfContent", "1", ALWAYS, (fixed("SEPARATE"),)),
    Row("ContentTemplateSequence", "1C", ALWAYS, item=_TEMPLATE),
    Row("ContentSequence", "1C", ALWAYS, (generated("content"),), holds=_CONTENT),
    Row("SOPClassUID", "1", ALWAYS, (generated("sop_class_uid"),)),
    Row("SOPInstanceUID", "1", ALWAYS, (generated("sop_instance_uid"),)),
    Row("TimezoneOffsetFromUTC", "3", ALWAYS, (generated("timezone"),)),
)


def compose_note(exam: Exam, box: Box, device: str, sop_instance_uid: str, rejected: SequenceOf[Instance]) -> bytes:
    """The whole file of the note that rejects these images of the study of `exam`, which is the note's own exam."""
    chosen = chosen_from(exam)
    generated_facts = generated_from(
        exam,
        device,
        "",
        exam.opened_at,
        instance_number=1,
        sop_class_uid=SOP_CLASS_UID,
        sop_instance_uid=sop_instance_uid,
    )
    series = [
        _item(
            _EVIDENCE_SERIES,
            rejected_series=uid,
            references=Sequence([_reference(one) for one in rejected if one.series_instance_uid == uid]),
        )
        for uid in dict.fromkeys(one.series_instance_uid for one in rejected)
    ]
    evidence = _item(_EVIDENCE, study_instance_uid=exam.study_instance_uid, rejected_by_series=Sequence(series))
    content = [_item(_CONTENT, value_type=_value_type(one), references=Sequence([_reference(one)])) for one in rejected]
    facts = Facts(
        entries=chosen.entries,
        generated={
            **chosen.generated,
            **generated_facts,
            "evidence": Sequence([evidence]),
            "content": Sequence(content),
        },
        configuration={"box_name": box.name, "institution": box.institution, **chosen.configuration},
        device={},
        user=chosen.user,
        conditions=chosen.conditions,
    )
    dataset = dataset_from(NOTE, facts)
    set_character_set(dataset, chosen.entries)
    return file_lead_bytes(SOP_CLASS_UID, sop_instance_uid, ExplicitVRLittleEndian) + encode_dataset(dataset)


def _value_type(one: Instance) -> str:
    """What a content item refers to (PS3.16 TID 2010): a document is no image."""
    return "COMPOSITE" if one.sop_class_uid == EncapsulatedPDFStorage else "IMAGE"


def _reference(one: Instance) -> Dataset:
    return _item(_REFERENCE, rejected_class=one.sop_class_uid, rejected_uid=one.sop_instance_uid)


def _item(rows: Rows, **facts: Any) -> Dataset:
    return dataset_from(rows, Facts((), facts, {}, {}, {}, frozenset()))
