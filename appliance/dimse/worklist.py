"""Asking a modality worklist: C-FIND on the Modality Worklist Information Model (PS3.4 Annex K)."""

from __future__ import annotations

import base64
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.filereader import read_dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from appliance.base.errors import ApplianceError
from appliance.config.schema import WorklistSource
from appliance.dimse.association import Association, Caller, Context, encoded_for, open_association
from appliance.exam.item import WorklistItem

_log = logging.getLogger(__name__)

MAX_IDENTIFIER_BYTES = 256 * 1024
_MAX_DEPTH = 8
_PENDING = (0xFF00, 0xFF01)  # PS3.4 Table K.4-1
_CANCELLED = 0xFE00

# The return keys (PS3.4 Table K.6-1), empty: universal matching. (0008,0005) is asked for because some sources name
# their character set only to those who ask.
_RETURN_KEYS = (
    "SpecificCharacterSet",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "RequestedProcedurePriority",
    "RequestedProcedureComments",
    "ReasonForTheRequestedProcedure",
    "ReasonForRequestedProcedureCodeSequence",
    "StudyInstanceUID",
    "ReferencedStudySequence",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "RequestingPhysician",
    "RequestingPhysicianIdentificationSequence",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "OrderPlacerIdentifierSequence",
    "OrderFillerIdentifierSequence",
    "InstitutionName",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "RouteOfAdmissions",
    "CurrentPatientLocation",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientSex",
    "PatientSexNeutered",
    "PatientSize",
    "PatientWeight",
    "PregnancyStatus",
    "MedicalAlerts",
    "Allergies",
    "PatientState",
    "ConfidentialityConstraintOnPatientDataDescription",
)
_STEP_RETURN_KEYS = (
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
    "ScheduledProcedureStepID",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
    "PreMedication",
    "ScheduledProcedureStepStatus",
)


class WorklistRefused(ApplianceError):
    """The source answered with a status that ends the query."""


@dataclass(slots=True)
class WorklistFound:
    """What a query brought: the items, whether more were there than may be kept, how many could not be read at all."""

    items: list[WorklistItem] = field(default_factory=list)
    is_cut_off: bool = False
    unreadable: int = 0


def query_worklist(source: WorklistSource, caller: Caller, day: date) -> WorklistFound:
    """The steps scheduled around `day` as `source` is configured: one query, or one for each modality.

    A (0008,0060) key matches a single value (PS3.4 C.2.2.2.1), so several modalities are several queries on one
    association; an entry that comes twice is kept once. At most `max_items` are kept; the rest is cancelled.
    Raises the errors of `open_association`, and WorklistRefused.
    """
    found = WorklistFound()
    contexts = [Context(str(ModalityWorklistInformationFind))]
    with open_association(source, caller, contexts) as association:
        context = association.context_for(str(ModalityWorklistInformationFind))
        keys_seen: set[str] = set()
        for modality in source.modalities or ("",):
            query = query_from(source, day, modality)
            for received in _find(association, context, query, source, found):
                item = item_from(received, context.transfer_syntax[0], source)
                if item is None:
                    found.unreadable += 1
                elif item.key not in keys_seen:
                    keys_seen.add(item.key)
                    found.items.append(item)
            if found.is_cut_off:
                break
    return found


def query_from(source: WorklistSource, day: date, modality: str = "") -> Dataset:
    """The identifier of a broad query (IHE RAD-5): date window, modality and station as configured, all return keys."""
    step = Dataset()
    for keyword in _STEP_RETURN_KEYS:
        setattr(step, keyword, None)
    step.ScheduledStationAETitle = source.scheduled_station_ae_title or ""
    step.ScheduledProcedureStepStartDate = _date_range(
        day - timedelta(days=source.days_back), day + timedelta(days=source.days_ahead)
    )
    step.Modality = modality
    query = Dataset()
    for keyword in _RETURN_KEYS:
        setattr(query, keyword, None)
    query.ScheduledProcedureStepSequence = [step]
    return query


def _date_range(first: date, last: date) -> str:
    # PS3.4 C.2.2.2.5: a single value, or first-last with both included.
    return f"{first:%Y%m%d}" if first == last else f"{first:%Y%m%d}-{last:%Y%m%d}"


def _find(
    association: Association,
    context: PresentationContext,
    query: Dataset,
    source: WorklistSource,
    found: WorklistFound,
) -> Iterator[bytes]:
    # Not the library's send_c_find: that decodes each identifier and forgets the bytes, and they are to be kept.
    request = C_FIND()
    request.MessageID = association.next_message_id()
    request.AffectedSOPClassUID = ModalityWorklistInformationFind
    request.Priority = 2
    request.Identifier = encoded_for(context, query)
    assert context.context_id is not None
    with association.speaking():
        association.dimse.send_msg(request, context.context_id)
        for count in itertools.count(len(found.items)):
            response = association.receive(source.answer_seconds)
            if not isinstance(response, C_FIND) or response.Status is None:
                raise WorklistRefused(f"The worklist {source.name} answered with something that is no C-FIND response.")
            if response.Status not in _PENDING:
                if response.Status not in (0x0000, _CANCELLED):
                    raise WorklistRefused(
                        f"The worklist {source.name} refused the query (status {response.Status:04X}H).",
                        "Its administrator can find the reason in its log.",
                    )
                return
            if found.is_cut_off:
                continue  # what was under way when we cancelled
            if count >= source.max_items:
                found.is_cut_off = True
                _cancel(association, context.context_id, request.MessageID)
                continue
            yield response.Identifier.getvalue() if response.Identifier else b""


def _cancel(association: Association, context_id: int, message_id: int) -> None:
    request = C_CANCEL()
    request.MessageIDBeingRespondedTo = message_id
    association.dimse.send_msg(request, context_id)


def item_from(received: bytes, syntax: UID, source: WorklistSource) -> WorklistItem | None:
    """The item in an identifier's bytes; None when they hold no data set."""
    try:
        item = WorklistItem(
            source=source.name,
            elements=elements_from(received, syntax, source.character_set),
            received=base64.b64encode(received).decode("ascii"),
            transfer_syntax_uid=str(syntax),
        )
        # Everything that people are shown is looked at once: an explicit VR may make a sequence of a text.
        _looked_at = (item.key, item.patient_name.groups(), item.modality, item.procedure, list(item.missing()))
    except Exception as error:  # noqa: BLE001  a stranger's bytes may break the parser in any way; the rest must go on
        # Only the kind: the message may quote the value.
        _log.warning("an entry of worklist %s cannot be read (%s)", source.name, type(error).__name__)
        return None
    return item


def elements_from(received: bytes, syntax: UID, character_set: str) -> dict[str, Any]:
    """The identifier's elements in the DICOM JSON model, text decoded by its own Specific Character Set.

    Without one, `character_set` is assumed (a defined term, or several separated by a backslash). An element that
    cannot be decoded is left out and the others are kept. Raises whatever the parser does when there is no data set.
    """
    if not received or len(received) > MAX_IDENTIFIER_BYTES:
        raise ValueError(f"an identifier of {len(received)} bytes")
    dataset = read_dataset(BytesIO(received), syntax.is_implicit_VR, syntax.is_little_endian)
    if not dataset.get("SpecificCharacterSet"):
        dataset.set_original_encoding(
            syntax.is_implicit_VR, syntax.is_little_endian, convert_encodings(character_set.split("\\"))
        )
    return _json_from(dataset, 0)


def _json_from(dataset: Dataset, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise ValueError("sequences are nested too deeply")
    elements: dict[str, Any] = {}
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
            if not isinstance(element, DataElement) or element.tag.element == 0:
                continue
            value = (
                {"vr": "SQ", "Value": [_json_from(item, depth + 1) for item in element.value]}
                if element.VR == "SQ"
                else element.to_json_dict(None, 0)
            )
        except Exception as error:  # noqa: BLE001  as above: one broken element must not hide a patient's entry
            _log.warning("element %s of a worklist entry cannot be read (%s)", tag, type(error).__name__)
            continue
        if element.VR == "SQ" and not value["Value"]:
            del value["Value"]
        elements[f"{int(tag):08X}"] = value
    return elements
