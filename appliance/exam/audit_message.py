"""Audit messages: a record in the DICOM audit message schema (PS3.15 A.5), and in the syslog message that carries it.

Pure functions: the same record gives the same bytes, so that one which had to be sent twice is recognised as such.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from appliance.config.schema import Box
from appliance.exam import audit_codes as codes
from appliance.exam.audit_codes import Code, Event, meaning_of
from appliance.exam.audit_record import Act, Effect, Record

# What XML 1.0 cannot hold (2.2), and what a log keeper would write as an escape since a line ends with it.
_NOT_IN_XML = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_HEADER = re.compile(r"[^!-~]")
_FACILITY_SECURITY, _WARNING, _NOTICE = 10, 4, 5
_MOST_SEQUENCE = 2_147_483_647
_PROCESS_OF_DICOM = "forward"


@dataclass(frozen=True, slots=True)
class _Participant:
    """ActiveParticipant: who did it, on whose wish, from where."""

    user: str
    is_requestor: bool
    roles: tuple[Code, ...] = ()
    alternative: str = ""
    address: str = ""
    media: Code | None = None


def message_from(record: Record, box: Box) -> bytes:
    """The AuditMessage in UTF-8, on one line. A record of MOST_OBJECTS objects stays below the 32,768 octets of A.6."""
    meaning = meaning_of(record)
    root = Xml.Element("AuditMessage")
    event = _add(
        root,
        "EventIdentification",
        EventActionCode=meaning.action,
        EventDateTime=record.at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=str(int(record.outcome)),
    )
    _add_code(event, "EventID", meaning.event.value)
    _add_code(event, "EventTypeCode", meaning.event_type)
    if record.detail:
        _add(event, "EventOutcomeDescription").text = _clean(record.detail)
    for participant in _participants_of(record, meaning.event, box):
        _add_participant(root, participant)
    site = box.institution or None
    source = _add(root, "AuditSourceIdentification", AuditEnterpriseSiteID=site, AuditSourceID=box.name)
    _add(source, "AuditSourceTypeCode", **{"csd-code": "2"})  # data acquisition device
    if meaning.event in (Event.SECURITY_ALERT, Event.AUDIT_LOG_USED):
        _add_resource(root, record)
    elif meaning.event not in (Event.APPLICATION_ACTIVITY, Event.USER_AUTHENTICATION):
        _add_study(root, record, meaning.life_cycle)
        _add_patient(root, record)
    text = Xml.tostring(root, encoding="unicode")
    return b'<?xml version="1.0" encoding="UTF-8"?>' + text.encode("utf-8")


def syslog_from(record: Record, box: Box) -> bytes:
    """The SYSLOG-MSG of RFC 5424 that carries the record (PS3.15 A.6).

    PRI is facility 10 with severity 5, or 4 where something failed. HOSTNAME is the box's name, PROCID the process,
    `sequenceId` (RFC 5424 7.3.1) the record's number, which goes on for as long as the trail does: who receives a
    second message with the same three has it already. The byte order mark says that MSG is UTF-8 (6.4).
    """
    severity = _NOTICE if record.outcome is Effect.SUCCESS else _WARNING
    sequence = (record.number - 1) % _MOST_SEQUENCE + 1
    header = " ".join(
        (
            f"<{_FACILITY_SECURITY * 8 + severity}>1",
            record.at.isoformat(timespec="microseconds"),
            _NOT_IN_HEADER.sub("-", box.name),
            "modality-bridge",
            _NOT_IN_HEADER.sub("-", record.process),
            "DICOM+RFC3881",
            f'[meta sequenceId="{sequence}"]',
        )
    )
    return header.encode("ascii") + b" \xef\xbb\xbf" + message_from(record, box)


def _participants_of(record: Record, event: Event, box: Box) -> Iterator[_Participant]:
    """Who took part, in the order of the event's table. One at most is the requestor (A.5.2)."""
    process, actor = _user_of(record.process, box), _user_of(record.actor, box)
    titles = f"AETITLES={box.ae_title}" if record.process == _PROCESS_OF_DICOM else ""  # A.5.2.2
    is_alone = record.actor == record.process
    party, address = (record.party.name, record.party.address) if record.party else ("", "")
    match event:
        case Event.APPLICATION_ACTIVITY:
            yield _Participant(process, False, (codes.APPLICATION,), titles, box.name)
        case Event.USER_AUTHENTICATION:
            yield _Participant(actor, True, address=address or box.name)
            yield _Participant(process, False, (codes.APPLICATION,), titles, box.name)
        case Event.SECURITY_ALERT:
            yield _Participant(process, True, (codes.APPLICATION,), titles, box.name)
            if not is_alone:
                yield _Participant(actor, False)
        case Event.BEGIN_TRANSFERRING | Event.INSTANCES_TRANSFERRED:
            yield _Participant(process, is_alone, (codes.SOURCE_ROLE,), titles, box.name)
            yield _Participant(party, False, (codes.DESTINATION_ROLE,), f"AETITLES={party}" if party else "", address)
            if not is_alone:
                yield _Participant(actor, True)
        case Event.DATA_EXPORT:
            yield _Participant(process, is_alone, (codes.SOURCE_ROLE, codes.APPLICATION), titles, box.name)
            if not is_alone:
                yield _Participant(actor, True, (codes.SOURCE_ROLE,))
            yield _Participant(party or "medium", False, (codes.DESTINATION_MEDIA,), address, media=codes.USB_DISK)
        case Event.INSTANCES_ACCESSED | Event.PROCEDURE_RECORD | Event.AUDIT_LOG_USED:
            if not is_alone:
                yield _Participant(actor, True)
            yield _Participant(process, is_alone, (codes.APPLICATION,), titles, box.name)


def _user_of(name: str, box: Box) -> str:
    """UserID in the form name@domain (A.5.2.1); what is no name but words stays as it is."""
    return name if " " in name else f"{name}@{box.name}"


def _add_participant(root: Xml.Element, participant: _Participant) -> None:
    element = _add(
        root,
        "ActiveParticipant",
        UserID=participant.user,
        AlternativeUserID=participant.alternative or None,
        UserIsRequestor="true" if participant.is_requestor else "false",
        NetworkAccessPointID=participant.address or None,
        NetworkAccessPointTypeCode=_access_point_type_of(participant.address),
    )
    for role in participant.roles:
        _add_code(element, "RoleIDCode", role)
    if participant.media:
        _add_code(_add(element, "MediaIdentifier"), "MediaType", participant.media)


def _add_study(root: Xml.Element, record: Record, life_cycle: str) -> None:
    """The study, its accession numbers, and the objects that the act was about, by their classes (A.5.2)."""
    subject = record.subject
    study = _add_object(
        root,
        ("2", "3"),
        codes.STUDY_INSTANCE_UID,
        subject.study_instance_uid if subject else "unassigned",
        f"exam {subject.exam_id}" if subject else "images of no exam",
        life_cycle,
    )
    if not record.objects and not (subject and subject.accession_numbers):
        return
    description = _add(study, "ParticipantObjectDescription")
    for number in subject.accession_numbers if subject else ():
        _add(description, "Accession", Number=number)
    by_class: dict[str, list[str]] = {} if record.objects else {"": []}
    for uid, sop_class in zip(record.objects, record.sop_classes or ("",) * len(record.objects), strict=True):
        by_class.setdefault(sop_class, []).append(uid)
    for sop_class, uids in by_class.items():
        element = _add(description, "SOPClass", UID=sop_class or None, NumberOfInstances=str(len(uids)))
        for uid in uids:
            _add(element, "Instance", UID=uid)


def _add_patient(root: Xml.Element, record: Record) -> None:
    subject = record.subject
    patient = _add_object(
        root,
        ("1", "1"),
        codes.PATIENT_NUMBER,
        subject.patient_id if subject else "unknown",
        subject.patient_name if subject else "",
    )
    if subject and subject.issuer_of_patient_id:
        _add_detail(patient, "IssuerOfPatientID", subject.issuer_of_patient_id)


def _add_resource(root: Xml.Element, record: Record) -> None:
    """What was read (A.5.3.2) or the alert is about (A.5.3.11): the trail as a security resource, the configuration as
    a master file."""
    is_configuration = record.act is Act.CONFIGURATION_CHANGED
    role, name = ("5", "Configuration") if is_configuration else ("13", "Security Audit Log")
    path = "config/active.toml" if is_configuration else "audit"
    resource = _add_object(root, ("2", role), codes.URI, f"file:///var/lib/appliance/{path}", name)
    if record.act is not Act.TRAIL_READ:
        _add_detail(resource, "Alert Description", record.detail)


def _add_object(
    root: Xml.Element, kind: tuple[str, str], id_type: Code, identifier: str, name: str, life_cycle: str = ""
) -> Xml.Element:
    """A ParticipantObjectIdentification; `kind` is its ParticipantObjectTypeCode and -TypeCodeRole."""
    element = _add(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectTypeCode=kind[0],
        ParticipantObjectTypeCodeRole=kind[1],
        ParticipantObjectDataLifeCycle=life_cycle or None,
        ParticipantObjectID=identifier,
    )
    _add_code(element, "ParticipantObjectIDTypeCode", id_type)
    _add(element, "ParticipantObjectName").text = _clean(name)
    return element


def _add_detail(element: Xml.Element, kind: str, value: str) -> None:
    """A type and a value in base64, whatever it holds (A.5.1, ValuePair)."""
    encoded = base64.b64encode(value.encode("utf-8", "replace")).decode("ascii")
    _add(element, "ParticipantObjectDetail", type=kind, value=encoded)


def _add_code(parent: Xml.Element, name: str, code: Code) -> None:
    _add(parent, name, **{"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning})


def _add(parent: Xml.Element, name: str, **attributes: str | None) -> Xml.Element:
    """A new element; attributes that are None are left out."""
    return Xml.SubElement(parent, name, {key: _clean(value) for key, value in attributes.items() if value is not None})


def _access_point_type_of(address: str) -> str | None:
    """NetworkAccessPointTypeCode: 2 for an IP address, 1 for a machine's name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "1" if address else None
    return "2"


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
