"""The attribute tables of the modality performed procedure step, and its two messages (PS3.4 F.7.2, PS3.3 B.17).

N-CREATE says that the step began: everything that N-SET will fill is created empty, since only what was created may be
set. N-SET says how it ended, with every object of the step. Times are the exam's own, whenever the message leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence

from appliance.compose.charset import set_character_set
from appliance.compose.encode import date_from, time_from
from appliance.compose.rows import Facts, Presence, Row, Rows, configured, dataset_from, fixed, generated, mwl, user
from appliance.config.schema import Box
from appliance.exam.exam import Closed, Exam, Instance, Outcome, PlannedSeries, PlannedStep

ALWAYS, VNAP, ANAP, EMPTY = Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY

_STEP = "ScheduledProcedureStepSequence"

SCHEDULED_STEP: Rows = (
    Row("StudyInstanceUID", ALWAYS, (mwl("StudyInstanceUID"), generated("study_instance_uid"))),
    Row("ReferencedStudySequence", VNAP, (mwl("ReferencedStudySequence"),)),
    Row("AccessionNumber", VNAP, (mwl("AccessionNumber"),)),
    Row("IssuerOfAccessionNumberSequence", ANAP, (mwl("IssuerOfAccessionNumberSequence"),)),
    Row("OrderPlacerIdentifierSequence", ANAP, (mwl("OrderPlacerIdentifierSequence"),)),
    Row("OrderFillerIdentifierSequence", ANAP, (mwl("OrderFillerIdentifierSequence"),)),
    Row("PlacerOrderNumberImagingServiceRequest", ANAP, (mwl("PlacerOrderNumberImagingServiceRequest"),)),
    Row("FillerOrderNumberImagingServiceRequest", ANAP, (mwl("FillerOrderNumberImagingServiceRequest"),)),
    Row("RequestedProcedureID", VNAP, (mwl("RequestedProcedureID"),)),
    Row("RequestedProcedureCodeSequence", ANAP, (mwl("RequestedProcedureCodeSequence"),)),
    Row("RequestedProcedureDescription", VNAP, (mwl("RequestedProcedureDescription"),)),
    Row("ScheduledProcedureStepID", VNAP, (mwl(_STEP, "ScheduledProcedureStepID"),)),
    Row("ScheduledProcedureStepDescription", VNAP, (mwl(_STEP, "ScheduledProcedureStepDescription"),)),
    Row("ScheduledProtocolCodeSequence", VNAP, (mwl(_STEP, "ScheduledProtocolCodeSequence"),)),
)

CREATION: Rows = (
    Row("ScheduledStepAttributesSequence", ALWAYS, item=SCHEDULED_STEP),
    Row("PatientName", VNAP, (mwl("PatientName"),)),
    Row("PatientID", VNAP, (mwl("PatientID"),)),
    Row("IssuerOfPatientID", ANAP, (mwl("IssuerOfPatientID"),)),
    Row("IssuerOfPatientIDQualifiersSequence", ANAP, (mwl("IssuerOfPatientIDQualifiersSequence"),)),
    Row("PatientBirthDate", VNAP, (mwl("PatientBirthDate"),)),
    Row("PatientSex", VNAP, (mwl("PatientSex"),)),
    Row("ReferencedPatientSequence", EMPTY),
    Row("AdmissionID", ANAP, (mwl("AdmissionID"),)),
    Row("IssuerOfAdmissionIDSequence", ANAP, (mwl("IssuerOfAdmissionIDSequence"),)),
    Row("PerformedProcedureStepID", ALWAYS, (generated("performed_step_id"),)),
    Row("PerformedStationAETitle", ALWAYS, (configured("box_ae_title"),)),
    Row("PerformedStationName", VNAP, (configured("box_name"),)),
    Row("PerformedLocation", EMPTY),
    Row("PerformedProcedureStepStartDate", ALWAYS, (generated("started_date"),)),
    Row("PerformedProcedureStepStartTime", ALWAYS, (generated("started_time"),)),
    Row("PerformedProcedureStepStatus", ALWAYS, (fixed("IN PROGRESS"),)),
    Row("PerformedProcedureStepDescription", VNAP, (mwl("RequestedProcedureDescription"),)),
    Row("PerformedProcedureTypeDescription", EMPTY),
    Row("ProcedureCodeSequence", VNAP, (mwl("RequestedProcedureCodeSequence"),)),
    Row("PerformedProcedureStepEndDate", EMPTY),
    Row("PerformedProcedureStepEndTime", EMPTY),
    Row("PerformedProcedureStepDiscontinuationReasonCodeSequence", EMPTY),
    Row("Modality", ALWAYS, (generated("modality"),)),
    Row("StudyID", VNAP, (mwl("RequestedProcedureID"),)),
    Row("PerformedProtocolCodeSequence", VNAP, (mwl(_STEP, "ScheduledProtocolCodeSequence"),)),
    Row("PerformedSeriesSequence", EMPTY),
)

FINAL: Rows = (
    Row("PerformedProcedureStepStatus", ALWAYS, (generated("outcome"),)),
    Row("PerformedProcedureStepEndDate", ALWAYS, (generated("ended_date"),)),
    Row("PerformedProcedureStepEndTime", ALWAYS, (generated("ended_time"),)),
    Row("PerformedProcedureStepDiscontinuationReasonCodeSequence", ANAP, (generated("reason"),), when="discontinued"),
    Row("PerformedSeriesSequence", ALWAYS, (generated("performed_series"),)),
)

PERFORMED_SERIES: Rows = (
    Row("SeriesInstanceUID", ALWAYS, (generated("series_instance_uid"),)),
    Row("ProtocolName", ALWAYS, (generated("protocol_name"),)),
    Row("SeriesDescription", VNAP, (generated("series_description"),)),
    Row("PerformingPhysicianName", VNAP, (mwl(_STEP, "ScheduledPerformingPhysicianName"),)),
    Row("OperatorsName", VNAP, (user("operators_name"),)),
    Row("RetrieveAETitle", EMPTY),
    Row("ReferencedImageSequence", VNAP, (generated("images"),)),
    Row("ReferencedNonImageCompositeSOPInstanceSequence", EMPTY),
)

# CID 9300, Procedure Discontinuation Reasons: what a step that was broken off says, by the reason that a person gave.
DISCONTINUATION_REASONS = {
    "": ("110513", "DCM", "Discontinued for unspecified reason"),
    "wrong entry": ("110514", "DCM", "Incorrect worklist entry selected"),
}


def creation_from(exam: Exam, step: PlannedStep, box: Box) -> Dataset:
    """The N-CREATE data set of `step`."""
    scheduled = Dataset.from_json(exam.item.elements)
    facts = _facts(
        exam,
        scheduled,
        {
            "study_instance_uid": exam.study_instance_uid,
            "performed_step_id": step.performed_procedure_step_id,
            "started_date": date_from(exam.opened_at),
            "started_time": time_from(exam.opened_at),
            "modality": step.modality,
        },
        configuration={"box_ae_title": box.ae_title, "box_name": box.name},
    )
    dataset = dataset_from(CREATION, facts)
    set_character_set(dataset, scheduled)
    return dataset


def final_from(exam: Exam, step: PlannedStep, closed: Closed) -> Dataset:
    """The N-SET data set of `step`: its outcome, and every object of its modality by series."""
    scheduled = Dataset.from_json(exam.item.elements)
    series = [planned for planned in exam.series if planned.modality == step.modality]
    performed = [
        _performed_series(exam, scheduled, planned, [one for one in closed.instances if one.device == planned.device])
        for planned in series
        if any(one.device == planned.device for one in closed.instances)
    ] or [_performed_series(exam, scheduled, series[0], [])]  # a final state needs at least one series
    reason = DISCONTINUATION_REASONS.get(closed.reason, DISCONTINUATION_REASONS[""])
    facts = _facts(
        exam,
        scheduled,
        {
            "outcome": str(closed.outcome),
            "ended_date": date_from(closed.closed_at),
            "ended_time": time_from(closed.closed_at.replace(microsecond=0)),
            "reason": Sequence([_code_item(*reason)]),
            "performed_series": Sequence(performed),
        },
        conditions=frozenset({"discontinued"} if closed.outcome is Outcome.DISCONTINUED else ()),
    )
    dataset = dataset_from(FINAL, facts)
    set_character_set(dataset, scheduled)
    return dataset


def _performed_series(exam: Exam, scheduled: Dataset, planned: PlannedSeries, instances: Iterable[Instance]) -> Dataset:
    facts = _facts(
        exam,
        scheduled,
        {
            "series_instance_uid": planned.series_instance_uid,
            "protocol_name": planned.protocol_name or planned.modality,
            "series_description": planned.series_description,
            "images": Sequence([_reference_item(instance) for instance in instances]),
        },
    )
    return dataset_from(PERFORMED_SERIES, facts)


def _facts(
    exam: Exam,
    scheduled: Dataset,
    generated_facts: dict[str, Any],
    configuration: dict[str, Any] | None = None,
    conditions: frozenset[str] = frozenset(),
) -> Facts:
    return Facts(
        scheduled=scheduled,
        generated=generated_facts,
        configuration=configuration or {},
        device={},
        user={"operators_name": exam.operators_name},
        conditions=conditions,
    )


def _reference_item(instance: Instance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return item


def _code_item(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item
