"""The attribute tables of the modality performed procedure step, and its two messages (PS3.4 F.7.2, PS3.3 B.17).

N-CREATE says that the step began: everything that N-SET will fill is created empty, since only what was created may be
set. N-SET says how it ended, with every object of the step. Times are the exam's own, whenever the message leaves, in
the offset from UTC of its opening, which N-CREATE says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EncapsulatedPDFStorage

from appliance.compose.attributes import CLOCK_IN_DOUBT, IDENTITY
from appliance.compose.charset import set_character_set
from appliance.compose.chosen import Chosen, chosen_from
from appliance.compose.encode import date_from, time_from, zone_from
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
    user,
)
from appliance.config.schema import Box
from appliance.exam.exam import Closed, Exam, Instance, Outcome, PlannedSeries, PlannedStep
from appliance.exam.reasons import reason_from

ALWAYS, VNAP, ANAP, EMPTY = Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY
COMMON, ALL = Gather.COMMON, Gather.ALL

_STEP = "ScheduledProcedureStepSequence"

SCHEDULED_STEP: Rows = (
    Row("StudyInstanceUID", "1", ALWAYS, (mwl("StudyInstanceUID"), generated("study_instance_uid"))),
    Row("ReferencedStudySequence", "2", VNAP, (mwl("ReferencedStudySequence"),)),
    Row("AccessionNumber", "2", VNAP, (mwl("AccessionNumber"),)),
    Row(
        "IssuerOfAccessionNumberSequence",
        "3",
        ANAP,
        (mwl("IssuerOfAccessionNumberSequence"),),
        beside="AccessionNumber",
    ),
    Row("OrderPlacerIdentifierSequence", "3", ANAP, (mwl("OrderPlacerIdentifierSequence"),)),
    Row("OrderFillerIdentifierSequence", "3", ANAP, (mwl("OrderFillerIdentifierSequence"),)),
    Row("PlacerOrderNumberImagingServiceRequest", "3", ANAP, (mwl("PlacerOrderNumberImagingServiceRequest"),)),
    Row("FillerOrderNumberImagingServiceRequest", "3", ANAP, (mwl("FillerOrderNumberImagingServiceRequest"),)),
    Row("RequestedProcedureID", "2", VNAP, (mwl("RequestedProcedureID"),)),
    Row("RequestedProcedureCodeSequence", "3", ANAP, (mwl("RequestedProcedureCodeSequence"),)),
    Row("RequestedProcedureDescription", "2", VNAP, (mwl("RequestedProcedureDescription"),)),
    Row("ScheduledProcedureStepID", "2", VNAP, (mwl(_STEP, "ScheduledProcedureStepID"),)),
    Row("ScheduledProcedureStepDescription", "2", VNAP, (mwl(_STEP, "ScheduledProcedureStepDescription"),)),
    Row("ScheduledProtocolCodeSequence", "2", VNAP, (mwl(_STEP, "ScheduledProtocolCodeSequence"),)),
)

CREATION: Rows = (
    Row("ScheduledStepAttributesSequence", "1", ALWAYS, item=SCHEDULED_STEP, is_each=True),
    *IDENTITY,
    Row("PatientSexNeutered", "3", ANAP, (mwl("PatientSexNeutered"),)),
    Row("ReferencedPatientSequence", "2", EMPTY),
    Row("AdmissionID", "3", ANAP, (mwl("AdmissionID", gather=COMMON),)),
    Row("IssuerOfAdmissionIDSequence", "3", ANAP, (mwl("IssuerOfAdmissionIDSequence"),), beside="AdmissionID"),
    Row("PerformedProcedureStepID", "1", ALWAYS, (generated("performed_step_id"),)),
    Row("PerformedStationAETitle", "1", ALWAYS, (configured("box_ae_title"),)),
    Row("PerformedStationName", "2", VNAP, (configured("box_name"),)),
    Row("PerformedLocation", "2", EMPTY),
    Row("PerformedProcedureStepStartDate", "1", ALWAYS, (generated("started_date"),)),
    Row("PerformedProcedureStepStartTime", "1", ALWAYS, (generated("started_time"),)),
    Row("PerformedProcedureStepStatus", "1", ALWAYS, (fixed("IN PROGRESS"),)),
    Row("PerformedProcedureStepDescription", "2", VNAP, (mwl("RequestedProcedureDescription", gather=COMMON),)),
    Row("PerformedProcedureTypeDescription", "2", EMPTY),
    Row("ProcedureCodeSequence", "2", VNAP, (mwl("RequestedProcedureCodeSequence", gather=ALL),)),
    Row(
        "ReasonForPerformedProcedureCodeSequence",
        "3",
        ANAP,
        (mwl("ReasonForRequestedProcedureCodeSequence", gather=ALL),),
    ),
    Row("PerformedProcedureStepEndDate", "2", EMPTY),
    Row("PerformedProcedureStepEndTime", "2", EMPTY),
    Row("PerformedProcedureStepDiscontinuationReasonCodeSequence", "3", EMPTY),
    Row("Modality", "1", ALWAYS, (generated("modality"),)),
    Row("StudyID", "2", VNAP, (mwl("RequestedProcedureID", gather=COMMON),)),
    Row("PerformedProtocolCodeSequence", "2", VNAP, (mwl(_STEP, "ScheduledProtocolCodeSequence", gather=ALL),)),
    Row("PerformedSeriesSequence", "2", EMPTY),
    Row("CommentsOnThePerformedProcedureStep", "3", ALWAYS, (fixed(CLOCK_IN_DOUBT),), when="clock in doubt"),
    Row("TimezoneOffsetFromUTC", "3", ALWAYS, (generated("timezone"),)),
)

REFERENCE: Rows = (
    Row("ReferencedSOPClassUID", "1", ALWAYS, (generated("sop_class_uid"),)),
    Row("ReferencedSOPInstanceUID", "1", ALWAYS, (generated("sop_instance_uid"),)),
)

PERFORMED_SERIES: Rows = (
    Row("SeriesInstanceUID", "1", ALWAYS, (generated("series_instance_uid"),)),
    Row("ProtocolName", "1", ALWAYS, (generated("protocol_name"),)),
    Row("SeriesDescription", "2", VNAP, (generated("series_description"),)),
    Row("PerformingPhysicianName", "2", VNAP, (mwl(_STEP, "ScheduledPerformingPhysicianName", gather=COMMON),)),
    Row("OperatorsName", "2", VNAP, (user("operators_name"),)),
    Row("RetrieveAETitle", "2", EMPTY),
    Row("ReferencedImageSequence", "2", VNAP, (generated("images"),), holds=REFERENCE),
    Row(
        "ReferencedNonImageCompositeSOPInstanceSequence",
        "2",
        VNAP,
        (generated("documents"),),
        holds=REFERENCE,
    ),
)

REASON: Rows = (
    Row("CodeValue", "1", ALWAYS, (user("reason_code"),)),
    Row("CodingSchemeDesignator", "1", ALWAYS, (fixed("DCM"),)),
    Row("CodeMeaning", "1", ALWAYS, (user("reason_meaning"),)),
)

FINAL: Rows = (
    Row("PerformedProcedureStepStatus", "3", ALWAYS, (generated("outcome"),)),
    Row("PerformedProcedureStepEndDate", "1C", ALWAYS, (generated("ended_date"),)),
    Row("PerformedProcedureStepEndTime", "1C", ALWAYS, (generated("ended_time"),)),
    Row(
        "PerformedProcedureStepDiscontinuationReasonCodeSequence",
        "3",
        ALWAYS,
        when="discontinued",
        item=REASON,
    ),
    Row("PerformedSeriesSequence", "1C", ALWAYS, (generated("performed_series"),), holds=PERFORMED_SERIES),
)


def creation_from(exam: Exam, step: PlannedStep, box: Box) -> Dataset:
    """The N-CREATE data set of `step`: one item of scheduled attributes for each entry that was chosen."""
    chosen = chosen_from(exam)
    opened_at = exam.opened_at.astimezone(zone_from(exam.opened_at))
    facts = _facts(
        chosen,
        {
            "study_instance_uid": exam.study_instance_uid,
            "performed_step_id": step.performed_procedure_step_id,
            "started_date": date_from(opened_at),
            "started_time": time_from(opened_at),
            "timezone": f"{opened_at:%z}",
            "modality": step.modality,
        },
        configuration={"box_ae_title": box.ae_title, "box_name": box.name},
        conditions=frozenset(() if exam.is_clock_trusted else {"clock in doubt"}),
    )
    dataset = dataset_from(CREATION, facts)
    set_character_set(dataset, chosen.entries)
    return dataset


def final_from(exam: Exam, step: PlannedStep, closed: Closed) -> Dataset:
    """The N-SET data set of `step`: its outcome, and every object of its modality by series."""
    chosen = chosen_from(exam)
    ended_at = closed.closed_at.astimezone(zone_from(exam.opened_at)).replace(microsecond=0)
    series = [planned for planned in exam.series if planned.modality == step.modality]
    performed = [
        _performed_series(chosen, planned, uid, instances)
        for planned in series
        for uid, instances in _series_filled(planned, closed.instances)
    ] or [_performed_series(chosen, series[0], series[0].series_instance_uid, [])]  # a final state needs a series
    reason = reason_from(closed.reason)
    facts = _facts(
        chosen,
        {
            "outcome": str(closed.outcome),
            "ended_date": date_from(ended_at),
            "ended_time": time_from(ended_at),
            "performed_series": Items(performed),
        },
        people={"reason_code": reason.code, "reason_meaning": reason.meaning},
        conditions=frozenset({"discontinued"} if closed.outcome is Outcome.DISCONTINUED else ()),
    )
    dataset = dataset_from(FINAL, facts)
    set_character_set(dataset, chosen.entries)
    return dataset


def _series_filled(planned: PlannedSeries, instances: Iterable[Instance]) -> Iterator[tuple[str, Sequence[Instance]]]:
    """The device's images, and its documents, which are a series of their own; only what there is."""
    of_device = [one for one in instances if one.device == planned.device]
    images = [one for one in of_device if one.sop_class_uid != EncapsulatedPDFStorage]
    documents = [one for one in of_device if one.sop_class_uid == EncapsulatedPDFStorage]
    if images:
        yield planned.series_instance_uid, images
    if documents:
        yield documents[0].series_instance_uid, documents


def _performed_series(chosen: Chosen, planned: PlannedSeries, uid: str, instances: Sequence[Instance]) -> Dataset:
    documents = [one for one in instances if one.sop_class_uid == EncapsulatedPDFStorage]
    images = [one for one in instances if one not in documents]
    facts = _facts(
        chosen,
        {
            "series_instance_uid": uid,
            "protocol_name": planned.protocol_name or planned.modality,
            "series_description": planned.series_description,
            "images": Items([_reference_item(chosen, instance) for instance in images]),
            "documents": Items([_reference_item(chosen, instance) for instance in documents]),
        },
    )
    return dataset_from(PERFORMED_SERIES, facts)


def _facts(
    chosen: Chosen,
    generated_facts: dict[str, Any],
    configuration: dict[str, Any] | None = None,
    people: dict[str, Any] | None = None,
    conditions: frozenset[str] = frozenset(),
) -> Facts:
    return Facts(
        entries=chosen.entries,
        generated={**chosen.generated, **generated_facts},
        configuration={**chosen.configuration, **(configuration or {})},
        device={},
        user={**chosen.user, **(people or {})},
        conditions=chosen.conditions | conditions,
    )


def _reference_item(chosen: Chosen, instance: Instance) -> Dataset:
    uids = {"sop_class_uid": instance.sop_class_uid, "sop_instance_uid": instance.sop_instance_uid}
    return dataset_from(REFERENCE, _facts(chosen, uids))
