"""The attribute table of the objects: which attribute, when, and where its value comes from.

Read from PS3.3 A.8 (Secondary Capture IODs), C.7, C.8.6 and C.12.1, IHE RAD TF-2 4.8 and Appendix A (worklist → image →
performed step). The order of rows is the order of modules; elements are written in the order of their tags.
Conditions: `still`, `clip`, `film`, `scheduled` (there is an exam), `color`, `lossy`, `calibrated`.
"""

from __future__ import annotations

from appliance.compose.rows import Presence, Row, Rows, configured, device, fixed, generated, mwl, user

ALWAYS, VNAP, ANAP, EMPTY = Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY

_STEP = "ScheduledProcedureStepSequence"

PATIENT: Rows = (
    Row("PatientName", VNAP, (mwl("PatientName"),)),
    Row("PatientID", VNAP, (mwl("PatientID"),)),
    Row("IssuerOfPatientID", ANAP, (mwl("IssuerOfPatientID"),)),
    Row("IssuerOfPatientIDQualifiersSequence", ANAP, (mwl("IssuerOfPatientIDQualifiersSequence"),)),
    Row("PatientBirthDate", VNAP, (mwl("PatientBirthDate"),)),
    Row("PatientSex", VNAP, (mwl("PatientSex"),)),
    Row("OtherPatientIDsSequence", ANAP, (mwl("OtherPatientIDsSequence"),)),
    Row("PatientSize", ANAP, (mwl("PatientSize"),)),
    Row("PatientWeight", ANAP, (mwl("PatientWeight"),)),
    Row("AdmissionID", ANAP, (mwl("AdmissionID"),)),
    Row("IssuerOfAdmissionIDSequence", ANAP, (mwl("IssuerOfAdmissionIDSequence"),)),
    Row("RouteOfAdmissions", ANAP, (mwl("RouteOfAdmissions"),)),
)

STUDY: Rows = (
    Row("StudyInstanceUID", ALWAYS, (mwl("StudyInstanceUID"), generated("study_instance_uid"))),
    Row("StudyDate", ALWAYS, (generated("started_date"),)),
    Row("StudyTime", ALWAYS, (generated("started_time"),)),
    Row("AccessionNumber", VNAP, (mwl("AccessionNumber"),)),
    Row("IssuerOfAccessionNumberSequence", ANAP, (mwl("IssuerOfAccessionNumberSequence"),)),
    Row("ReferringPhysicianName", VNAP, (mwl("ReferringPhysicianName"),)),
    Row("ReferringPhysicianIdentificationSequence", ANAP, (mwl("ReferringPhysicianIdentificationSequence"),)),
    Row("StudyID", VNAP, (mwl("RequestedProcedureID"),)),
    Row("StudyDescription", ANAP, (mwl("RequestedProcedureDescription"),)),
    Row("ProcedureCodeSequence", ANAP, (mwl("RequestedProcedureCodeSequence"),)),
    Row("ReferencedStudySequence", ANAP, (mwl("ReferencedStudySequence"),)),
    Row("RequestingService", ANAP, (mwl("RequestingService"),)),
    Row("RequestingServiceCodeSequence", ANAP, (mwl("RequestingServiceCodeSequence"),)),
    Row("ReasonForPerformedProcedureCodeSequence", ANAP, (mwl("ReasonForRequestedProcedureCodeSequence"),)),
)

_REQUEST: Rows = (
    Row("AccessionNumber", ANAP, (mwl("AccessionNumber"),)),
    Row("IssuerOfAccessionNumberSequence", ANAP, (mwl("IssuerOfAccessionNumberSequence"),)),
    Row("ReferencedStudySequence", ANAP, (mwl("ReferencedStudySequence"),)),
    Row("StudyInstanceUID", ANAP, (mwl("StudyInstanceUID"),)),
    Row("RequestedProcedureID", ANAP, (mwl("RequestedProcedureID"),)),
    Row("RequestedProcedureDescription", ANAP, (mwl("RequestedProcedureDescription"),)),
    Row("RequestedProcedureCodeSequence", ANAP, (mwl("RequestedProcedureCodeSequence"),)),
    Row("ReasonForTheRequestedProcedure", ANAP, (mwl("ReasonForTheRequestedProcedure"),)),
    Row("ReasonForRequestedProcedureCodeSequence", ANAP, (mwl("ReasonForRequestedProcedureCodeSequence"),)),
    Row("RequestingPhysician", ANAP, (mwl("RequestingPhysician"),)),
    Row("RequestingPhysicianIdentificationSequence", ANAP, (mwl("RequestingPhysicianIdentificationSequence"),)),
    Row("RequestingService", ANAP, (mwl("RequestingService"),)),
    Row("RequestingServiceCodeSequence", ANAP, (mwl("RequestingServiceCodeSequence"),)),
    Row("ScheduledProcedureStepID", ANAP, (mwl(_STEP, "ScheduledProcedureStepID"),)),
    Row("ScheduledProcedureStepDescription", ANAP, (mwl(_STEP, "ScheduledProcedureStepDescription"),)),
    Row("ScheduledProtocolCodeSequence", ANAP, (mwl(_STEP, "ScheduledProtocolCodeSequence"),)),
)

_PERFORMED_STEP_REFERENCE: Rows = (
    Row("ReferencedSOPClassUID", ALWAYS, (fixed("1.2.840.10008.3.1.2.3.3"),)),
    Row("ReferencedSOPInstanceUID", ALWAYS, (generated("performed_step_uid"),)),
)

SERIES: Rows = (
    Row("Modality", ALWAYS, (configured("modality"),)),
    Row("SeriesInstanceUID", ALWAYS, (generated("series_instance_uid"),)),
    Row("SeriesNumber", ALWAYS, (generated("series_number"),)),
    Row("Laterality", EMPTY),
    Row("SeriesDescription", ANAP, (configured("series_description"),)),
    Row("ProtocolName", ANAP, (configured("protocol_name"),), when="scheduled"),
    Row("PerformingPhysicianName", ANAP, (mwl(_STEP, "ScheduledPerformingPhysicianName"),)),
    Row("OperatorsName", ANAP, (user("operators_name"),)),
    Row("ReferencedPerformedProcedureStepSequence", ALWAYS, when="scheduled", item=_PERFORMED_STEP_REFERENCE),
    Row("RequestAttributesSequence", ANAP, when="scheduled", item=_REQUEST),
    Row("PerformedProcedureStepID", ALWAYS, (generated("performed_step_id"),), when="scheduled"),
    Row("PerformedProcedureStepStartDate", ALWAYS, (generated("started_date"),), when="scheduled"),
    Row("PerformedProcedureStepStartTime", ALWAYS, (generated("started_time"),), when="scheduled"),
    Row("PerformedProcedureStepDescription", ANAP, (mwl("RequestedProcedureDescription"),), when="scheduled"),
    Row("PerformedProtocolCodeSequence", ANAP, (mwl(_STEP, "ScheduledProtocolCodeSequence"),), when="scheduled"),
)

EQUIPMENT: Rows = (
    Row("Manufacturer", VNAP, (configured("manufacturer"),)),
    Row("InstitutionName", ANAP, (mwl("InstitutionName"), configured("institution"))),
    Row("StationName", ANAP, (configured("station_name"),)),
    Row("ManufacturerModelName", ANAP, (configured("model"),)),
    Row("DeviceSerialNumber", ANAP, (configured("serial_number"),)),
    Row("ConversionType", ALWAYS, (configured("conversion_type"),)),
    Row("SecondaryCaptureDeviceID", ALWAYS, (configured("box_name"),)),
    Row("SecondaryCaptureDeviceManufacturer", ALWAYS, (fixed("Modality Bridge"),)),
    Row("SecondaryCaptureDeviceManufacturerModelName", ALWAYS, (fixed("modality-bridge"),)),
    Row("SecondaryCaptureDeviceSoftwareVersions", ALWAYS, (generated("software_version"),)),
    Row("VideoImageFormatAcquired", ANAP, (device("video_format"),)),
    Row("DigitalImageFormatAcquired", ANAP, (device("digital_format"),)),
)

IMAGE: Rows = (
    Row("InstanceNumber", ALWAYS, (generated("instance_number"),)),
    Row("PatientOrientation", EMPTY),
    Row("ContentDate", ALWAYS, (generated("captured_date"),)),
    Row("ContentTime", ALWAYS, (generated("captured_time"),)),
    Row("AcquisitionDate", ALWAYS, (generated("captured_date"),)),
    Row("AcquisitionTime", ALWAYS, (generated("captured_time"),)),
    Row("DateOfSecondaryCapture", ALWAYS, (generated("captured_date"),)),
    Row("TimeOfSecondaryCapture", ALWAYS, (generated("captured_time"),)),
    Row("ImageType", ALWAYS, (fixed(("ORIGINAL", "PRIMARY")),)),
    Row("BurnedInAnnotation", ALWAYS, (configured("burned_in_annotation"),)),
    Row("LossyImageCompression", ALWAYS, (device("lossy"),)),
    Row("LossyImageCompressionRatio", ALWAYS, (device("lossy_ratio"),), when="lossy"),
    Row("LossyImageCompressionMethod", ALWAYS, (device("lossy_method"),), when="lossy"),
    Row("NominalScannedPixelSpacing", ALWAYS, (device("scanned_spacing"),), when="film"),
    Row("NumberOfFrames", ALWAYS, (device("frames"),), when="clip"),
    Row("NumberOfFrames", ALWAYS, (fixed(1),), when="film"),
    Row("FrameIncrementPointer", ALWAYS, (fixed(0x00181063),), when="clip"),
    Row("FrameTime", ALWAYS, (device("frame_time"),), when="clip"),
    Row("PresentationLUTShape", ALWAYS, (fixed("IDENTITY"),), when="film"),
    Row("RescaleIntercept", ALWAYS, (fixed("0"),), when="film"),
    Row("RescaleSlope", ALWAYS, (fixed("1"),), when="film"),
    Row("RescaleType", ALWAYS, (fixed("US"),), when="film"),
)

PIXEL: Rows = (
    Row("SamplesPerPixel", ALWAYS, (device("samples"),)),
    Row("PhotometricInterpretation", ALWAYS, (device("photometric"),)),
    Row("PlanarConfiguration", ALWAYS, (fixed(0),), when="color"),
    Row("Rows", ALWAYS, (device("rows"),)),
    Row("Columns", ALWAYS, (device("columns"),)),
    Row("BitsAllocated", ALWAYS, (device("bits_allocated"),)),
    Row("BitsStored", ALWAYS, (device("bits_stored"),)),
    Row("HighBit", ALWAYS, (device("high_bit"),)),
    Row("PixelRepresentation", ALWAYS, (fixed(0),)),
)

COMMON: Rows = (
    Row("SOPClassUID", ALWAYS, (generated("sop_class_uid"),)),
    Row("SOPInstanceUID", ALWAYS, (generated("sop_instance_uid"),)),
    Row("TimezoneOffsetFromUTC", ALWAYS, (generated("timezone"),)),
)

# One table for every object: what differs between still, clip and film stands in the rows' conditions.
OBJECT: Rows = (*PATIENT, *STUDY, *SERIES, *EQUIPMENT, *IMAGE, *PIXEL, *COMMON)
