"""The datasets that the tests of the hospital start from."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from appliance.base.uids import new_uid
from tests.peers import SECONDARY_CAPTURE, small_object


def step_creation() -> Dataset:
    """The attribute list of an N-CREATE as a modality sends it: complete, for an ASCII patient."""
    scheduled = Dataset()
    scheduled.StudyInstanceUID = new_uid()
    scheduled.ReferencedStudySequence = Sequence()
    scheduled.AccessionNumber = "A26112209"
    scheduled.RequestedProcedureID = "RP26112209"
    scheduled.RequestedProcedureDescription = "Obstetric ultrasound"
    scheduled.ScheduledProcedureStepID = "SPS26112209"
    scheduled.ScheduledProcedureStepDescription = "Anatomy"
    scheduled.ScheduledProtocolCodeSequence = Sequence()
    step = Dataset()
    step.ScheduledStepAttributesSequence = Sequence([scheduled])
    step.PatientName = "Okafor^Adaeze"
    step.PatientID = "HS-102290"
    step.PatientBirthDate = "19940812"
    step.PatientSex = "F"
    step.ReferencedPatientSequence = Sequence()
    step.PerformedProcedureStepID = "PPS1"
    step.PerformedStationAETitle = "BRIDGE"
    step.PerformedStationName = ""
    step.PerformedLocation = ""
    step.PerformedProcedureStepStartDate = "20261122"
    step.PerformedProcedureStepStartTime = "103000"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.PerformedProcedureStepDescription = ""
    step.PerformedProcedureTypeDescription = ""
    step.ProcedureCodeSequence = Sequence()
    step.PerformedProcedureStepEndDate = ""
    step.PerformedProcedureStepEndTime = ""
    step.Modality = "US"
    step.StudyID = "RP26112209"
    step.PerformedProtocolCodeSequence = Sequence()
    step.PerformedSeriesSequence = Sequence()
    return step


def step_end(state: str = "COMPLETED") -> Dataset:
    """The modification list of the N-SET that ends it, with one series of one image."""
    image = Dataset()
    image.ReferencedSOPClassUID = SECONDARY_CAPTURE
    image.ReferencedSOPInstanceUID = new_uid()
    series = Dataset()
    series.PerformingPhysicianName = ""
    series.ProtocolName = "Anatomy"
    series.OperatorsName = ""
    series.SeriesInstanceUID = new_uid()
    series.SeriesDescription = ""
    series.RetrieveAETitle = ""
    series.ReferencedImageSequence = Sequence([image])
    series.ReferencedNonImageCompositeSOPInstanceSequence = Sequence()
    end = Dataset()
    end.PerformedProcedureStepStatus = state
    end.PerformedProcedureStepEndDate = "20261122"
    end.PerformedProcedureStepEndTime = "104500"
    end.PerformedSeriesSequence = Sequence([series])
    return end


def encapsulated_object(syntax: UID, fragment: bytes) -> Dataset:
    """A Secondary Capture with one fragment that only claims to be what `syntax` says."""
    instance = small_object()
    instance.file_meta.TransferSyntaxUID = syntax
    offsets = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"  # Item of an empty Basic Offset Table (PS3.5 A.4)
    item = b"\xfe\xff\x00\xe0" + len(fragment).to_bytes(4, "little") + fragment
    instance.add_new("PixelData", "OB", offsets + item)
    instance["PixelData"].is_undefined_length = True
    return instance
