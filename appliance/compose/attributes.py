"""The attribute table of the objects: which attribute, when, and where its value comes from.

Read from PS3.3 A.8 (Secondary Capture IODs), C.7, C.8.6 and C.12.1, IHE RAD TF-2 4.8 and Appendix A (worklist → image →
performed step). The order of rows is the order of modules; elements are written in the order of their tags.
`CONDITIONS` says what a row's `when` means.

That the times are in doubt stands in Image Comments, of the General Image module (PS3.3 C.7.6.1), which viewers show.
Acquisition Time Synchronized (0018,1800), which asks nearly the same, is of the Synchronization module (C.7.4.2), which
no Secondary Capture IOD has and which needs a frame of reference shared with other equipment.

What a machine printed (Conversion Type DI, PS3.3 C.8.6.1: nothing was scanned) has its text in Image Comments too, free
text about the image, behind the doubt if there is one. In the object it is durable with the page, goes where the page
goes, and is deleted and de-identified (PS3.15 E.1) with it. A page has neither Pixel Spacing nor Nominal Scanned Pixel
Spacing: a distance on the paper is none in the patient, and no medium was scanned. Its pixels are square.

Several entries chosen for one exam (group case, PS3.17 J.4.1): what is one value in an image is the value that stands
in all of them, or empty where they differ (accession number, Study ID, descriptions); what may have items has the items
of all; each request keeps its own values in its item of the Request Attributes Sequence.

Not copied, though IHE's tables would let it: the patient's address, military rank, ethnic group and history (what
nobody needs in an image should not travel with it), alerts, allergies and pregnancy (they change; people are shown the
worklist's), Service Episode, Confidentiality Code.

Rows that are `beyond_iod` are in no module of these classes: archives' mappings take them from an image all the same.
They make of each class a Standard Extended one, and the conformance statement says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from appliance.compose.rows import Gather, Presence, Row, Rows, configured, device, fixed, generated, mwl, user

ALWAYS, VNAP, ANAP, EMPTY = Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY
COMMON, ALL = Gather.COMMON, Gather.ALL

_STEP = "ScheduledProcedureStepSequence"

MANUFACTURER, MODEL = "Modality Bridge", "modality-bridge"
"""What the box calls itself as the capturing device."""

CLOCK_IN_DOUBT = "The clock of the capturing device was not synchronized: dates and times may be wrong."

CONDITIONS: Final[Mapping[str, str]] = {
    "still": "a single image",
    "clip": "many frames",
    "film": "a digitized film",
    "film frame": "a digitized film, in a multi-frame class",
    "density": "a digitized film whose samples are known as optical densities",
    "color": "three samples per pixel",
    "gray frames": "one sample per pixel, in a multi-frame class",
    "lossy": "its pixels were compressed with loss",
    "printed": "a page with text",
    "video": "taken from a picture on video",
    "digital": "received as data, not as a picture",
    "exam": "an examination was open at its first byte",
    "step told": "an examination was open at its first byte, opened while a performed-step manager was configured",
    "scheduled": "the patient was chosen from a worklist",
    "worklist's study": "the worklist's entry has a usable Study Instance UID",
    "own study": "there is no entry, or none with a usable Study Instance UID",
    "self test": "an object of `appliance test --write`",
    "clock in doubt": "the box did not believe its clock",
    "discontinued": "the examination was discontinued",
}
"""What `when` may say of an object or of a performed step, in words."""

# One of each always holds.
ALTERNATIVES: Final = (frozenset({"worklist's study", "own study"}),)

# Who it is: the same rows in objects and in the performed step.
IDENTITY: Rows = (
    Row("PatientName", "2", VNAP, (mwl("PatientName"), user("patient_name"), configured("emergency_name"))),
    Row("PatientID", "2", VNAP, (mwl("PatientID"), user("patient_id"), generated("own_patient_id"))),
    Row(
        "IssuerOfPatientID",
        "3",
        ANAP,
        (mwl("IssuerOfPatientID"), configured("issuer_of_own_ids")),
        beside="PatientID",
    ),
    Row(
        "IssuerOfPatientIDQualifiersSequence",
        "3",
        ANAP,
        (mwl("IssuerOfPatientIDQualifiersSequence"),),
        beside="PatientID",
    ),
    Row("PatientBirthDate", "2", VNAP, (mwl("PatientBirthDate"), user("patient_birth_date"))),
    Row("PatientSex", "2", VNAP, (mwl("PatientSex"), user("patient_sex"))),
)

PATIENT: Rows = (
    *IDENTITY,
    Row("PatientSexNeutered", "2C", ANAP, (mwl("PatientSexNeutered"),)),
    Row("OtherPatientIDsSequence", "3", ANAP, (mwl("OtherPatientIDsSequence"),)),
    Row("PatientSize", "3", ANAP, (mwl("PatientSize"),)),
    Row("PatientWeight", "3", ANAP, (mwl("PatientWeight"),)),
    Row("AdmissionID", "3", ANAP, (mwl("AdmissionID", gather=COMMON),)),
    Row("IssuerOfAdmissionIDSequence", "3", ANAP, (mwl("IssuerOfAdmissionIDSequence"),), beside="AdmissionID"),
    Row("RouteOfAdmissions", "3", ANAP, (mwl("RouteOfAdmissions", gather=COMMON),), beyond_iod=True),
)

STUDY: Rows = (
    Row("StudyInstanceUID", "1", ALWAYS, (mwl("StudyInstanceUID"),), when="worklist's study"),
    Row("StudyInstanceUID", "1", ALWAYS, (generated("study_instance_uid"),), when="own study"),
    Row("StudyDate", "2", ALWAYS, (generated("study_date"),)),
    Row("StudyTime", "2", ALWAYS, (generated("study_time"),)),
    Row("AccessionNumber", "2", VNAP, (mwl("AccessionNumber", gather=COMMON),)),
    Row(
        "IssuerOfAccessionNumberSequence",
        "3",
        ANAP,
        (mwl("IssuerOfAccessionNumberSequence", gather=COMMON),),
        beside="AccessionNumber",
    ),
    Row("ReferringPhysicianName", "2", VNAP, (mwl("ReferringPhysicianName", gather=COMMON),)),
    Row(
        "ReferringPhysicianIdentificationSequence",
        "3",
        ANAP,
        (mwl("ReferringPhysicianIdentificationSequence", gather=COMMON),),
    ),
    Row("StudyID", "2", VNAP, (mwl("RequestedProcedureID", gather=COMMON),)),
    Row("StudyDescription", "3", ANAP, (mwl("RequestedProcedureDescription", gather=COMMON),)),
    Row("ProcedureCodeSequence", "3", ANAP, (mwl("RequestedProcedureCodeSequence", gather=ALL),)),
    Row("ReferencedStudySequence", "3", ANAP, (mwl("ReferencedStudySequence", gather=ALL),)),
    Row("RequestingService", "3", ANAP, (mwl("RequestingService", gather=COMMON),), beyond_iod=True),
    Row("RequestingServiceCodeSequence", "3", ANAP, (mwl("RequestingServiceCodeSequence", gather=COMMON),)),
    Row(
        "ReasonForPerformedProcedureCodeSequence",
        "3",
        ANAP,
        (mwl("ReasonForRequestedProcedureCodeSequence", gather=ALL),),
    ),
)

_REQUEST: Rows = (
    Row("AccessionNumber", "3", ANAP, (mwl("AccessionNumber"),)),
    Row(
        "IssuerOfAccessionNumberSequence",
        "3",
        ANAP,
        (mwl("IssuerOfAccessionNumberSequence"),),
        beside="AccessionNumber",
    ),
    Row("ReferencedStudySequence", "3", ANAP, (mwl("ReferencedStudySequence"),)),
    Row("StudyInstanceUID", "3", ANAP, (mwl("StudyInstanceUID"),)),
    Row("RequestedProcedureID", "1C", ANAP, (mwl("RequestedProcedureID"),)),
    Row("RequestedProcedureDescription", "3", ANAP, (mwl("RequestedProcedureDescription"),)),
    Row("RequestedProcedureCodeSequence", "3", ANAP, (mwl("RequestedProcedureCodeSequence"),)),
    Row("ReasonForTheRequestedProcedure", "3", ANAP, (mwl("ReasonForTheRequestedProcedure"),)),
    Row("ReasonForRequestedProcedureCodeSequence", "3", ANAP, (mwl("ReasonForRequestedProcedureCodeSequence"),)),
    *(
        Row(keyword, "3", ANAP, (mwl(keyword),), beyond_iod=True)
        for keyword in (
            "RequestingPhysician",
            "RequestingPhysicianIdentificationSequence",
            "RequestingService",
            "RequestingServiceCodeSequence",
        )
    ),
    Row("ScheduledProcedureStepID", "1C", ANAP, (mwl(_STEP, "ScheduledProcedureStepID"),)),
    Row("ScheduledProcedureStepDescription", "3", ANAP, (mwl(_STEP, "ScheduledProcedureStepDescription"),)),
    Row("ScheduledProtocolCodeSequence", "3", ANAP, (mwl(_STEP, "ScheduledProtocolCodeSequence"),)),
)

_PERFORMED_STEP_REFERENCE: Rows = (
    Row("ReferencedSOPClassUID", "1", ALWAYS, (fixed("1.2.840.10008.3.1.2.3.3"),)),
    Row("ReferencedSOPInstanceUID", "1", ALWAYS, (generated("performed_step_uid"),)),
)

SERIES: Rows = (
    Row("Modality", "1", ALWAYS, (configured("modality"),)),
    Row("SeriesInstanceUID", "1", ALWAYS, (generated("series_instance_uid"),)),
    Row("SeriesNumber", "2", ALWAYS, (generated("series_number"),)),
    Row("Laterality", "2C", EMPTY),
    Row("SeriesDescription", "3", ANAP, (user("series_description"), configured("series_description"))),
    Row("ProtocolName", "3", ANAP, (configured("protocol_name"),), when="exam"),
    Row("PerformingPhysicianName", "3", ANAP, (mwl(_STEP, "ScheduledPerformingPhysicianName", gather=COMMON),)),
    Row("OperatorsName", "3", ANAP, (user("operators_name"),)),
    Row("ReferencedPerformedProcedureStepSequence", "3", ALWAYS, when="step told", item=_PERFORMED_STEP_REFERENCE),
    Row("RequestAttributesSequence", "3", ANAP, when="scheduled", item=_REQUEST, is_each=True),
    Row("PerformedProcedureStepID", "3", ALWAYS, (generated("performed_step_id"),), when="exam"),
    Row("PerformedProcedureStepStartDate", "3", ALWAYS, (generated("started_date"),), when="exam"),
    Row("PerformedProcedureStepStartTime", "3", ALWAYS, (generated("started_time"),), when="exam"),
    Row(
        "PerformedProcedureStepDescription",
        "3",
        ANAP,
        (mwl("RequestedProcedureDescription", gather=COMMON),),
        when="exam",
    ),
    Row(
        "PerformedProtocolCodeSequence",
        "3",
        ANAP,
        (mwl(_STEP, "ScheduledProtocolCodeSequence", gather=ALL),),
        when="exam",
    ),
)

EQUIPMENT: Rows = (
    Row("Manufacturer", "2", VNAP, (configured("manufacturer"),)),
    Row("InstitutionName", "3", ANAP, (mwl("InstitutionName", gather=COMMON), configured("institution"))),
    Row("StationName", "3", ANAP, (configured("station_name"),)),
    Row("ManufacturerModelName", "3", ANAP, (configured("model"),)),
    Row("DeviceSerialNumber", "3", ANAP, (configured("serial_number"),)),
    Row("ConversionType", "1", ALWAYS, (configured("conversion_type"),)),
    Row("SecondaryCaptureDeviceID", "3", ALWAYS, (configured("box_name"),)),
    Row("SecondaryCaptureDeviceManufacturer", "3", ALWAYS, (fixed(MANUFACTURER),)),
    Row("SecondaryCaptureDeviceManufacturerModelName", "3", ALWAYS, (fixed(MODEL),)),
    Row("SecondaryCaptureDeviceSoftwareVersions", "3", ALWAYS, (generated("software_version"),)),
    Row("VideoImageFormatAcquired", "3", ALWAYS, (device("video_format"),), when="video"),
    Row("DigitalImageFormatAcquired", "3", ALWAYS, (device("digital_format"),), when="digital"),
)

# PS3.3 C.11.1: what lies behind the samples of a calibrated film.
_DENSITY: Rows = (
    Row("LUTDescriptor", "1", ALWAYS, (device("density_descriptor"),)),
    Row("LUTExplanation", "3", ALWAYS, (fixed("Step wedge"),)),
    Row("ModalityLUTType", "1", ALWAYS, (fixed("OD"),)),
    Row("LUTData", "1", ALWAYS, (device("density_data"),)),
)

IMAGE: Rows = (
    Row("InstanceNumber", "2", ALWAYS, (generated("instance_number"),)),
    Row("PatientOrientation", "2C", EMPTY),
    Row("ContentDate", "2C", ALWAYS, (generated("captured_date"),)),
    Row("ContentTime", "2C", ALWAYS, (generated("captured_time"),)),
    Row("AcquisitionDate", "3", ALWAYS, (generated("captured_date"),)),
    Row("AcquisitionTime", "3", ALWAYS, (generated("captured_time"),)),
    Row("DateOfSecondaryCapture", "3", ALWAYS, (generated("captured_date"),)),
    Row("TimeOfSecondaryCapture", "3", ALWAYS, (generated("captured_time"),)),
    Row("ImageType", "3", ALWAYS, (fixed(("ORIGINAL", "PRIMARY")),)),
    Row("QualityControlImage", "3", ALWAYS, (fixed("YES"),), when="self test"),
    Row("ImageComments", "3", ALWAYS, (fixed(CLOCK_IN_DOUBT),), when="clock in doubt"),
    Row("ImageComments", "3", ALWAYS, (device("printed_text"),), when="printed"),
    # General Image (C.7.6.1) has it optional, the multi-frame classes' own module (C.8.6.3) does not.
    Row("BurnedInAnnotation", "3", ALWAYS, (configured("burned_in_annotation"),), when="still"),
    Row("BurnedInAnnotation", "1", ALWAYS, (configured("burned_in_annotation"),), when="clip"),
    Row("BurnedInAnnotation", "1", ALWAYS, (configured("burned_in_annotation"),), when="film frame"),
    Row("LossyImageCompression", "3", ALWAYS, (device("lossy"),)),
    Row("LossyImageCompressionRatio", "3", ALWAYS, (device("lossy_ratio"),), when="lossy"),
    Row("LossyImageCompressionMethod", "3", ALWAYS, (device("lossy_method"),), when="lossy"),
    Row("NominalScannedPixelSpacing", "1C", ALWAYS, (device("scanned_spacing"),), when="film"),
    Row("NumberOfFrames", "1", ALWAYS, (device("frames"),), when="clip"),
    Row("NumberOfFrames", "1", ALWAYS, (fixed(1),), when="film frame"),
    Row("FrameIncrementPointer", "1C", ALWAYS, (fixed(0x00181063),), when="clip"),
    Row("FrameTime", "1C", ALWAYS, (device("frame_time"),), when="clip"),
    Row("PresentationLUTShape", "1C", ALWAYS, (fixed("IDENTITY"),), when="gray frames"),
    Row("RescaleIntercept", "1C", ALWAYS, (fixed("0"),), when="gray frames"),
    Row("RescaleSlope", "1C", ALWAYS, (fixed("1"),), when="gray frames"),
    Row("RescaleType", "1C", ALWAYS, (fixed("US"),), when="gray frames"),
    Row("ModalityLUTSequence", "1C", ALWAYS, when="density", item=_DENSITY),
    Row("WindowCenter", "1C", ALWAYS, (device("window_center"),), when="density"),
    Row("WindowWidth", "1C", ALWAYS, (device("window_width"),), when="density"),
)

PIXEL: Rows = (
    Row("SamplesPerPixel", "1", ALWAYS, (device("samples"),)),
    Row("PhotometricInterpretation", "1", ALWAYS, (device("photometric"),)),
    Row("PlanarConfiguration", "1C", ALWAYS, (fixed(0),), when="color"),
    Row("Rows", "1", ALWAYS, (device("rows"),)),
    Row("Columns", "1", ALWAYS, (device("columns"),)),
    Row("BitsAllocated", "1", ALWAYS, (device("bits_allocated"),)),
    Row("BitsStored", "1", ALWAYS, (device("bits_stored"),)),
    Row("HighBit", "1", ALWAYS, (device("high_bit"),)),
    Row("PixelRepresentation", "1", ALWAYS, (fixed(0),)),
)

SOP_COMMON: Rows = (
    Row("SOPClassUID", "1", ALWAYS, (generated("sop_class_uid"),)),
    Row("SOPInstanceUID", "1", ALWAYS, (generated("sop_instance_uid"),)),
    Row("TimezoneOffsetFromUTC", "3", ALWAYS, (generated("timezone"),)),
)

# One table for every image: what differs between still, clip and film stands in the rows' conditions.
OBJECT: Rows = (*PATIENT, *STUDY, *SERIES, *EQUIPMENT, *IMAGE, *PIXEL, *SOP_COMMON)

# Encapsulated PDF (PS3.3 A.45.1): Encapsulated Document Series (C.24.1), Secondary Capture Equipment (C.8.6.1) and
# Encapsulated Document (C.24.2). A document is no image: its series is one of its own beside the images', without side
# and people, which C.24.1 does not have, and it has no comments; that the clock is in doubt stands in its title.
_NOT_OF_DOCUMENTS = frozenset(
    {
        *("Laterality", "PerformingPhysicianName", "OperatorsName"),
        *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    }
)

DOCUMENT: Rows = (
    *PATIENT,
    *STUDY,
    *(row for row in SERIES if row.keyword not in _NOT_OF_DOCUMENTS),
    Row("SeriesInstanceUID", "1", ALWAYS, (generated("document_series_uid"),)),
    Row("SeriesNumber", "1", ALWAYS, (generated("document_series_number"),)),
    Row("SeriesDescription", "3", ANAP, (user("series_description"), configured("series_description"))),
    *(row for row in EQUIPMENT if row.when not in ("video", "digital")),
    Row("InstanceNumber", "1", ALWAYS, (generated("instance_number"),)),
    Row("ContentDate", "2", ALWAYS, (generated("captured_date"),)),
    Row("ContentTime", "2", ALWAYS, (generated("captured_time"),)),
    Row("AcquisitionDateTime", "2", ALWAYS, (generated("captured_at"),)),
    Row("BurnedInAnnotation", "1", ALWAYS, (configured("burned_in_annotation"),)),
    Row("DocumentTitle", "2", ALWAYS, (device("document_title"),)),
    Row("ConceptNameCodeSequence", "2", EMPTY),
    Row("MIMETypeOfEncapsulatedDocument", "1", ALWAYS, (fixed("application/pdf"),)),
    Row("EncapsulatedDocumentLength", "3", ALWAYS, (device("document_length"),)),
    *SOP_COMMON,
)
