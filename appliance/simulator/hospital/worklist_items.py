"""A line of the schedule as a Modality Worklist item (PS3.4 K.6.1.2.2), complete.

Complete: the item holds every attribute that this hospital can answer, empty where it does not know, because an
attribute that an item lacks altogether is one that the matching treats as unsupported.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Items
from dataclasses import replace
from datetime import date

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.base.uids import uid_from_parts
from appliance.simulator.hospital.entries import SCHEDULE, Code, ScheduledEntry

ISSUER = "HOSPITAL"


def items_of_day(day: date, box_ae: str, schedule: Items[ScheduledEntry] = SCHEDULE) -> list[Dataset]:
    """Every worklist item of `day`, in the schedule's order; `box_ae` stands where an entry names no station."""
    return [item_from_entry(entry, day, box_ae) for entry in schedule]


def many_items_of_day(day: date, box_ae: str, count: int) -> Iterator[Dataset]:
    """`count` items, one after the other: the schedule again and again, each under a number of its own."""
    for number in range(1, count + 1):
        entry = SCHEDULE[(number - 1) % len(SCHEDULE)]
        yield item_from_entry(replace(entry, number=number, step_of=None, patient_id=f"HUGE-{number:06}"), day, box_ae)


def item_from_entry(entry: ScheduledEntry, day: date, box_ae: str) -> Dataset:
    """The item that a query of `day` finds; the same entry and day give the same identifiers after any restart."""
    procedure = entry.number if entry.step_of is None else entry.step_of
    token = f"{day:%y%m%d}{procedure:02d}"  # with its letters below the 16 characters of SH
    item = Dataset()
    if entry.character_set:
        item.SpecificCharacterSet = list(entry.character_set)
    item.AccessionNumber = f"A{token}"
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = ISSUER
    item.IssuerOfAccessionNumberSequence = Sequence([issuer])
    item.ReferringPhysicianName = entry.referring
    item.ReferencedStudySequence = Sequence()
    item.ReferencedPatientSequence = Sequence()
    item.PatientName = entry.name
    item.PatientID = entry.patient_id
    item.IssuerOfPatientID = ISSUER
    item.PatientBirthDate = entry.birth_date
    item.PatientSex = entry.sex
    item.PatientSize = ""
    item.PatientWeight = entry.weight_kg
    item.MedicalAlerts = entry.alerts
    item.Allergies = entry.allergies
    item.EthnicGroup = ""
    item.PregnancyStatus = entry.pregnancy
    item.AdditionalPatientHistory = ""
    item.StudyInstanceUID = uid_from_parts("hospital", "study", f"{day:%Y%m%d}", str(procedure))
    item.RequestingPhysician = entry.requesting
    item.RequestingService = ""
    item.RequestedProcedureDescription = entry.procedure
    item.RequestedProcedureCodeSequence = _sequence_from_code(entry.procedure_code)
    item.AdmissionID = entry.admission
    item.CurrentPatientLocation = entry.ward
    item.PatientState = ""
    item.SpecialNeeds = ""
    item.RequestedProcedureID = f"RP{token}"
    item.ReasonForTheRequestedProcedure = entry.reason
    item.RequestedProcedurePriority = entry.priority
    item.PatientTransportArrangements = ""
    item.NamesOfIntendedRecipientsOfResults = ""
    item.RequestedProcedureComments = ""
    item.ConfidentialityConstraintOnPatientDataDescription = ""
    item.PlacerOrderNumberImagingServiceRequest = f"PL{token}"
    item.FillerOrderNumberImagingServiceRequest = f"FI{token}"
    item.ScheduledProcedureStepSequence = Sequence([_step_from_entry(entry, day, box_ae)])
    return item


def _step_from_entry(entry: ScheduledEntry, day: date, box_ae: str) -> Dataset:
    step = Dataset()
    step.Modality = entry.modality
    step.RequestedContrastAgent = ""
    step.ScheduledStationAETitle = entry.station_ae or box_ae
    step.ScheduledProcedureStepStartDate = f"{day:%Y%m%d}"
    step.ScheduledProcedureStepStartTime = f"{entry.time}00"
    step.ScheduledPerformingPhysicianName = entry.performing
    step.ScheduledProcedureStepDescription = entry.step
    step.ScheduledProtocolCodeSequence = _sequence_from_code(entry.protocol_code)
    step.ScheduledProcedureStepID = f"SPS{day:%y%m%d}{entry.number:02d}"
    step.ScheduledStationName = entry.station_name
    step.ScheduledProcedureStepLocation = entry.room
    step.PreMedication = ""
    step.ScheduledProcedureStepStatus = "SCHEDULED"
    step.CommentsOnTheScheduledProcedureStep = ""
    return step


def _sequence_from_code(code: Code | None) -> Sequence:
    if code is None:
        return Sequence()
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodingSchemeVersion = ""
    item.CodeMeaning = code.meaning
    return Sequence([item])
