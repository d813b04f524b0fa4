"""Which message of PS3.15 A.5.3 tells of which act, and the codes of PS3.16 (CID 400 to 405) in it; as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from appliance.exam.audit_record import Act, Record


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value: csd-code, codeSystemName and originalText (PS3.15 A.5.1)."""

    value: str
    meaning: str
    scheme: str = "DCM"


class Event(Enum):
    """EventID (CID 400): the message, by its section of PS3.15."""

    APPLICATION_ACTIVITY = Code("110100", "Application Activity")  # A.5.3.1
    AUDIT_LOG_USED = Code("110101", "Audit Log Used")  # A.5.3.2
    BEGIN_TRANSFERRING = Code("110102", "Begin Transferring DICOM Instances")  # A.5.3.3
    DATA_EXPORT = Code("110106", "Export")  # A.5.3.4
    INSTANCES_ACCESSED = Code("110103", "DICOM Instances Accessed")  # A.5.3.6
    INSTANCES_TRANSFERRED = Code("110104", "DICOM Instances Transferred")  # A.5.3.7
    SECURITY_ALERT = Code("110113", "Security Alert")  # A.5.3.11
    USER_AUTHENTICATION = Code("110114", "User Authentication")  # A.5.3.12
    PROCEDURE_RECORD = Code("110111", "Procedure Record")  # A.5.3.15


# RoleIDCode (CID 402).
APPLICATION = Code("110150", "Application")
DESTINATION_ROLE = Code("110152", "Destination Role ID")
SOURCE_ROLE = Code("110153", "Source Role ID")
DESTINATION_MEDIA = Code("110154", "Destination Media")
# ParticipantObjectIDTypeCode (CID 404 and A.5.1.2.4).
STUDY_INSTANCE_UID = Code("110180", "Study Instance UID")
PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")
URI = Code("12", "URI", "RFC-3881")
# MediaType (CID 405).
USB_DISK = Code("110030", "USB Disk Emulation")
# What no code of the standard says: what was done, in the product's own words.
OWN_SCHEME = "99MODALITYBRIDGE"

CREATION, AMENDMENT, EXPORT, LOGICAL_DELETION, PERMANENT_ERASURE = "1", "3", "10", "14", "15"
"""ParticipantObjectDataLifeCycle (A.5.1.2.3)."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """How an act is told: the message, EventActionCode, EventTypeCode, and what becomes of the data."""

    event: Event
    action: str
    event_type: Code
    life_cycle: str = ""


def _own(act: Act) -> Code:
    return Code(act, act.replace("-", " ").capitalize(), OWN_SCHEME)


_MEANINGS = {
    # The start of an exam is a record of a procedure that this box begins.
    Act.EXAM_OPENED: Meaning(Event.PROCEDURE_RECORD, "C", _own(Act.EXAM_OPENED)),
    Act.OBJECT_DISCARDED: Meaning(Event.INSTANCES_ACCESSED, "D", _own(Act.OBJECT_DISCARDED), LOGICAL_DELETION),
    Act.OBJECT_REASSIGNED: Meaning(Event.INSTANCES_ACCESSED, "U", _own(Act.OBJECT_REASSIGNED), AMENDMENT),
    # A released object stays until its time is over; what changed is that no archive has to take it any more.
    Act.OBJECT_RELEASED: Meaning(Event.INSTANCES_ACCESSED, "U", _own(Act.OBJECT_RELEASED), AMENDMENT),
    Act.OBJECT_EXPIRED: Meaning(Event.INSTANCES_ACCESSED, "D", _own(Act.OBJECT_EXPIRED), PERMANENT_ERASURE),
    Act.OBJECTS_EXPORTED: Meaning(Event.DATA_EXPORT, "R", _own(Act.OBJECTS_EXPORTED), EXPORT),
    Act.TRANSFER_BEGUN: Meaning(Event.BEGIN_TRANSFERRING, "E", _own(Act.TRANSFER_BEGUN)),
    # "R" is for a sender who does not know what the receiver held before (A.5.3.7).
    Act.OBJECTS_TRANSFERRED: Meaning(Event.INSTANCES_TRANSFERRED, "R", _own(Act.OBJECTS_TRANSFERRED)),
    Act.TRAIL_READ: Meaning(Event.AUDIT_LOG_USED, "R", _own(Act.TRAIL_READ)),
    # What went over a machine's line is images and results before they are instances, of whom nobody knows.
    Act.TRANSCRIPT_READ: Meaning(Event.INSTANCES_ACCESSED, "R", _own(Act.TRANSCRIPT_READ)),
    # EventTypeCode is the standard's own in these (CID 401 and 403).
    Act.CONFIGURATION_CHANGED: Meaning(Event.SECURITY_ALERT, "E", Code("110131", "Software Configuration")),
    Act.RECORDS_DROPPED: Meaning(Event.SECURITY_ALERT, "E", Code("110133", "Audit Recording Stopped")),
    Act.LOGIN: Meaning(Event.USER_AUTHENTICATION, "E", Code("110122", "Login")),
    Act.SERVICE_STARTED: Meaning(Event.APPLICATION_ACTIVITY, "E", Code("110120", "Application Start")),
    Act.SERVICE_STOPPED: Meaning(Event.APPLICATION_ACTIVITY, "E", Code("110121", "Application Stop")),
    Act.OTHER: Meaning(Event.APPLICATION_ACTIVITY, "E", _own(Act.OTHER)),
}


def meaning_of(record: Record) -> Meaning:
    """The message for `record`.

    The end of an exam with images tells of all of them at once as created, which also says that the exam ended: one
    message for each image would say nothing more. Without images it is a change of the procedure's record.
    """
    if record.act in (Act.EXAM_CLOSED, Act.EXAM_DISCONTINUED):
        if record.objects:
            return Meaning(Event.INSTANCES_ACCESSED, "C", _own(record.act), CREATION)
        return Meaning(Event.PROCEDURE_RECORD, "U", _own(record.act))
    return _MEANINGS[record.act]
