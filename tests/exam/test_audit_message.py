"""Audit messages against PS3.15: golden ones attribute by attribute, all of them against the schema of A.5.1."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.schema import Box
from appliance.exam.audit import MOST_OBJECTS
from appliance.exam.audit_message import message_from, syslog_from
from appliance.exam.audit_record import Act, Effect, Party, Record, Subject
from tests.exam.audit_world import NOW, SUBJECT

BOX = Box(name="bridge-3", ae_title="BRIDGE3", institution="Klinik am Hügel")
SCHEMA = Path(__file__).parent / "audit-message.rng"
AT = NOW.astimezone(timezone(timedelta(hours=1)))
ULTRASOUND, SECONDARY = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.7"


def make_record(act: Act, **given: object) -> Record:
    return replace(Record(17, "console", AT, act, "panel", subject=SUBJECT), **given)  # type: ignore[arg-type]


def canonical(parts: list[str]) -> str:
    return Xml.canonicalize("".join(parts))


def check(record: Record, *parts: str) -> None:
    """The message's body is exactly `parts`, whatever the order of attributes."""
    assert Xml.canonicalize(message_from(record, BOX).decode()) == canonical(
        ["<AuditMessage>", *parts, "</AuditMessage>"]
    )


# What stands in every message. A.5.2: AuditSourceID M is the box, AuditEnterpriseSiteID U the hospital,
# AuditSourceTypeCode U 2 = data acquisition device (A.5.1.2.1).
SOURCE = (
    '<AuditSourceIdentification AuditSourceID="bridge-3" AuditEnterpriseSiteID="Klinik am Hügel">'
    '<AuditSourceTypeCode csd-code="2"/></AuditSourceIdentification>'
)
# The patient, in the tables that have one: ParticipantObjectTypeCode M 1 (person), -Role M 1 (patient), -IDTypeCode
# M (2, RFC-3881, "Patient Number"), -ID M the Patient ID, -Name the name (all groups of the PN, PS3.5 6.2.1);
# ParticipantObjectDetail U in base64: whose number it is ("KIS").
PATIENT = (
    '<ParticipantObjectIdentification ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1"'
    ' ParticipantObjectID="PID-0815">'
    '<ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number"/>'
    "<ParticipantObjectName>Yamada^Tarou=山田^太郎</ParticipantObjectName>"
    '<ParticipantObjectDetail type="IssuerOfPatientID" value="S0lT"/></ParticipantObjectIdentification>'
)
# The box's process: UserID M as in the internal logs (A.5.2.1), UserIsRequestor M, network access point U: the box.
CONSOLE = (
    '<ActiveParticipant UserID="console@bridge-3" UserIsRequestor="false" NetworkAccessPointID="bridge-3"'
    ' NetworkAccessPointTypeCode="1">'
    '<RoleIDCode csd-code="110150" codeSystemName="DCM" originalText="Application"/></ActiveParticipant>'
)
PANEL = '<ActiveParticipant UserID="panel@bridge-3" UserIsRequestor="true"/>'


def event(code: str, meaning: str, action: str, kind: str, outcome: str = "0", description: str = "") -> str:
    """EventIdentification: EventID M, EventActionCode, EventDateTime M with its zone (A.5.2.5), EventOutcomeIndicator
    M, EventTypeCode as code|scheme|meaning."""
    value, scheme, text = kind.split("|")
    said = f"<EventOutcomeDescription>{description}</EventOutcomeDescription>" if description else ""
    return (
        f'<EventIdentification EventActionCode="{action}" EventDateTime="2026-11-22T10:30:15.123+01:00"'
        f' EventOutcomeIndicator="{outcome}"><EventID csd-code="{code}" codeSystemName="DCM" originalText="{meaning}"/>'
        f'<EventTypeCode csd-code="{value}" codeSystemName="{scheme}" originalText="{text}"/>{said}'
        "</EventIdentification>"
    )


def own(act: str, text: str) -> str:
    return f"{act}|99MODALITYBRIDGE|{text}"


def study(life_cycle: str, description: str) -> str:
    """The study: ParticipantObjectTypeCode M 2 (system), -Role M 3 (report), -DataLifeCycle U, -IDTypeCode M (110180),
    -ID M the Study Instance UID, -Name, which the schema wants where there is no query."""
    stage = f' ParticipantObjectDataLifeCycle="{life_cycle}"' if life_cycle else ""
    return (
        '<ParticipantObjectIdentification ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3"'
        f'{stage} ParticipantObjectID="1.2.840.99.7">'
        '<ParticipantObjectIDTypeCode csd-code="110180" codeSystemName="DCM" originalText="Study Instance UID"/>'
        "<ParticipantObjectName>exam E000017-20261122-093015</ParticipantObjectName>"
        f"<ParticipantObjectDescription>{description}</ParticipantObjectDescription></ParticipantObjectIdentification>"
    )


# Accession U; SOPClass MC wherever one of these is there, with NumberOfInstances M by the schema.
NO_OBJECTS = '<Accession Number="ACC-7"/><SOPClass NumberOfInstances="0"/>'
TWO_OBJECTS = (
    f'<Accession Number="ACC-7"/><SOPClass UID="{SECONDARY}" NumberOfInstances="2">'
    '<Instance UID="1.2.3.1"/><Instance UID="1.2.3.2"/></SOPClass>'
)
TWO = {"objects": ("1.2.3.1", "1.2.3.2"), "sop_classes": (SECONDARY, SECONDARY)}


def test_ok__exam_opened_is_a_procedure_record() -> None:
    """A.5.3.15: EventID (110111), action C; user 1..2, study 0..N, patient 1."""
    check(
        make_record(Act.EXAM_OPENED),
        event("110111", "Procedure Record", "C", own("exam-opened", "Exam opened")),
        *(PANEL, CONSOLE, SOURCE, study("", NO_OBJECTS), PATIENT),
    )


def test_ok__exam_closed_is_instances_created() -> None:
    """A.5.3.6: EventID (110103), action C; person and process 1..2, studies 1..N, patient 1; life cycle 1: creation."""
    check(
        make_record(Act.EXAM_CLOSED, **TWO),
        event("110103", "DICOM Instances Accessed", "C", own("exam-closed", "Exam closed")),
        *(PANEL, CONSOLE, SOURCE, study("1", TWO_OBJECTS), PATIENT),
    )


def test_ok__exam_discontinued_without_images_is_an_updated_procedure_record() -> None:
    reason = "Incorrect worklist entry selected"
    check(
        make_record(Act.EXAM_DISCONTINUED, detail=reason),
        event("110111", "Procedure Record", "U", own("exam-discontinued", "Exam discontinued"), description=reason),
        *(PANEL, CONSOLE, SOURCE, study("", NO_OBJECTS), PATIENT),
    )


@pytest.mark.parametrize(
    ("act", "action", "life_cycle"),
    [
        (Act.OBJECT_DISCARDED, "D", "14"),  # logical deletion
        (Act.OBJECT_REASSIGNED, "U", "3"),  # amendment
        (Act.OBJECT_RELEASED, "U", "3"),
        (Act.OBJECT_EXPIRED, "D", "15"),  # permanent erasure
    ],
)
def test_ok__what_became_of_objects_is_instances_accessed(act: Act, action: str, life_cycle: str) -> None:
    check(
        make_record(act, **TWO),
        event("110103", "DICOM Instances Accessed", action, own(act, act.replace("-", " ").capitalize())),
        *(PANEL, CONSOLE, SOURCE, study(life_cycle, TWO_OBJECTS), PATIENT),
    )


@pytest.mark.parametrize(
    ("act", "code", "meaning", "action"),
    [
        (Act.TRANSFER_BEGUN, "110102", "Begin Transferring DICOM Instances", "E"),  # A.5.3.3
        (Act.OBJECTS_TRANSFERRED, "110104", "DICOM Instances Transferred", "R"),  # A.5.3.7: R from a sender
    ],
)
def test_ok__a_transfer_names_both_sides(act: Act, code: str, meaning: str, action: str) -> None:
    """Process that sends 1 (RoleIDCode M 110153), process that receives 1 (110152); AE titles as in A.5.2.2."""
    check(
        make_record(act, process="forward", actor="forward", party=Party("PACS", "10.1.2.3"), **TWO),
        event(code, meaning, action, own(act, act.replace("-", " ").capitalize())),
        '<ActiveParticipant UserID="forward@bridge-3" AlternativeUserID="AETITLES=BRIDGE3" UserIsRequestor="true"'
        ' NetworkAccessPointID="bridge-3" NetworkAccessPointTypeCode="1">'
        '<RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"/></ActiveParticipant>',
        '<ActiveParticipant UserID="PACS" AlternativeUserID="AETITLES=PACS" UserIsRequestor="false"'
        ' NetworkAccessPointID="10.1.2.3" NetworkAccessPointTypeCode="2">'
        '<RoleIDCode csd-code="110152" codeSystemName="DCM" originalText="Destination Role ID"/></ActiveParticipant>',
        *(SOURCE, study("", TWO_OBJECTS), PATIENT),
    )


def test_ok__an_export_names_its_medium() -> None:
    """A.5.3.4: EventID (110106), action R; user and process exporting 1..2 (110153), media 1 (110154, requestor false,
    MediaType of CID 405); life cycle 10: export."""
    check(
        make_record(
            Act.OBJECTS_EXPORTED, process="export", actor="maria", party=Party("/media/stick", "4A21-BC"), **TWO
        ),
        event("110106", "Export", "R", own("objects-exported", "Objects exported")),
        '<ActiveParticipant UserID="export@bridge-3" UserIsRequestor="false" NetworkAccessPointID="bridge-3"'
        ' NetworkAccessPointTypeCode="1">'
        '<RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"/>'
        '<RoleIDCode csd-code="110150" codeSystemName="DCM" originalText="Application"/></ActiveParticipant>',
        '<ActiveParticipant UserID="maria@bridge-3" UserIsRequestor="true">'
        '<RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"/></ActiveParticipant>',
        '<ActiveParticipant UserID="/media/stick" AlternativeUserID="4A21-BC" UserIsRequestor="false">'
        '<RoleIDCode csd-code="110154" codeSystemName="DCM" originalText="Destination Media"/>'
        '<MediaIdentifier><MediaType csd-code="110030" codeSystemName="DCM" originalText="USB Disk Emulation"/>'
        "</MediaIdentifier></ActiveParticipant>",
        *(SOURCE, study("10", TWO_OBJECTS), PATIENT),
    )


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (Act.SERVICE_STARTED, "110120|DCM|Application Start"),
        (Act.SERVICE_STOPPED, "110121|DCM|Application Stop"),
    ],
)
def test_ok__a_service_is_application_activity(act: Act, kind: str) -> None:
    """A.5.3.1: EventID (110100), action E, EventTypeCode M; application 1 (110150), AE titles MC where it speaks DICOM;
    no participant objects."""
    check(
        make_record(act, process="forward", actor="forward", subject=None),
        event("110100", "Application Activity", "E", kind),
        CONSOLE.replace('UserID="console@bridge-3"', 'UserID="forward@bridge-3" AlternativeUserID="AETITLES=BRIDGE3"'),
        SOURCE,
    )


def test_ok__a_login_is_user_authentication() -> None:
    """A.5.3.12: EventID (110114), action E, type (110122); person 1 with network access point M; node 0..1."""
    check(
        make_record(Act.LOGIN, process="login", actor="admin", subject=None, party=Party("ssh", "10.9.9.9")),
        event("110114", "User Authentication", "E", "110122|DCM|Login"),
        '<ActiveParticipant UserID="admin@bridge-3" UserIsRequestor="true" NetworkAccessPointID="10.9.9.9"'
        ' NetworkAccessPointTypeCode="2"/>',
        CONSOLE.replace("console@", "login@"),
        SOURCE,
    )


def test_ok__a_changed_configuration_is_a_security_alert() -> None:
    """A.5.3.11: EventID (110113), action E, type of CID 403; reporting 1..2, performing 0..N with requestor false;
    alert subject: type 2, role 5 (master file), URI; ParticipantObjectDetail M "Alert Description"."""
    check(
        make_record(Act.CONFIGURATION_CHANGED, process="cli", actor="admin", subject=None, detail="port 104"),
        event("110113", "Security Alert", "E", "110131|DCM|Software Configuration", description="port 104"),
        CONSOLE.replace("console@", "cli@").replace('"false"', '"true"'),
        '<ActiveParticipant UserID="admin@bridge-3" UserIsRequestor="false"/>',
        SOURCE,
        '<ParticipantObjectIdentification ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="5"'
        ' ParticipantObjectID="file:///var/lib/appliance/config/active.toml">'
        '<ParticipantObjectIDTypeCode csd-code="12" codeSystemName="RFC-3881" originalText="URI"/>'
        "<ParticipantObjectName>Configuration</ParticipantObjectName>"
        '<ParticipantObjectDetail type="Alert Description" value="cG9ydCAxMDQ="/></ParticipantObjectIdentification>',
    )


def test_ok__the_reading_of_the_trail_is_audit_log_used() -> None:
    """A.5.3.2: EventID (110101), action R; person and process 1..2; the log: type 2, role 13, URI, its fixed name."""
    check(
        make_record(Act.TRAIL_READ, process="cli", actor="admin", subject=None),
        event("110101", "Audit Log Used", "R", own("trail-read", "Trail read")),
        *('<ActiveParticipant UserID="admin@bridge-3" UserIsRequestor="true"/>', CONSOLE.replace("console@", "cli@")),
        SOURCE,
        '<ParticipantObjectIdentification ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="13"'
        ' ParticipantObjectID="file:///var/lib/appliance/audit">'
        '<ParticipantObjectIDTypeCode csd-code="12" codeSystemName="RFC-3881" originalText="URI"/>'
        "<ParticipantObjectName>Security Audit Log</ParticipantObjectName></ParticipantObjectIdentification>",
    )


def test_ok__objects_stand_with_their_classes() -> None:
    record = make_record(Act.EXAM_CLOSED, objects=("1.1", "1.2", "1.3"), sop_classes=(SECONDARY, ULTRASOUND, SECONDARY))
    root = Xml.fromstring(message_from(record, BOX))
    found = {
        one.get("UID"): (one.get("NumberOfInstances"), [instance.get("UID") for instance in one])
        for one in root.iter("SOPClass")
    }
    assert found == {SECONDARY: ("2", ["1.1", "1.3"]), ULTRASOUND: ("1", ["1.2"])}


# -- the schema

_TEXT = st.text(max_size=20)
_SUBJECTS = st.none() | st.builds(Subject, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, st.lists(_TEXT, max_size=2).map(tuple))
_RECORDS = st.builds(
    Record,
    st.integers(1, 2**40),
    _TEXT,
    st.just(AT),
    st.sampled_from(Act),
    _TEXT,
    st.sampled_from(Effect),
    _SUBJECTS,
    st.lists(_TEXT, max_size=3).map(tuple),
    st.just(()),
    st.none() | st.builds(Party, _TEXT, _TEXT),
    _TEXT,
)


def test_ok__every_act_is_valid_by_the_schema(tmp_path: Path) -> None:
    """xmllint is the judge; a message that is not valid shows that it does judge."""
    given = [
        replace(make_record(act, subject=subject, **objects), outcome=outcome, party=party, actor=actor)
        for act in Act
        for subject in (None, SUBJECT, Subject("", "", "", ""))
        for objects in ({}, TWO, {"objects": ("1.2.3",)})
        for outcome, party, actor in (
            (Effect.SUCCESS, None, "panel"),
            (Effect.MAJOR_FAILURE, Party("<&\"'>", "fe80::1"), "console"),
        )
    ]
    for number, record in enumerate(given):
        (tmp_path / f"{number}.xml").write_bytes(message_from(record, BOX))
    assert validate(*tmp_path.glob("*.xml")) == ""
    wrong = tmp_path / "wrong.xml"
    wrong.write_bytes(message_from(given[0], BOX).replace(b'UserIsRequestor="true"', b'UserIsRequestor="maybe"'))
    assert "wrong.xml fails to validate" in validate(wrong)


def validate(*files: Path) -> str:
    """What xmllint says of files that are not valid."""
    done = subprocess.run(
        ["/usr/bin/xmllint", "--noout", "--relaxng", SCHEMA, *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    return "\n".join(line for line in done.stderr.splitlines() if not line.endswith(" validates"))


@given(_RECORDS)
def test_ok__any_text_makes_one_line_of_well_formed_xml(record: Record) -> None:
    message = message_from(record, BOX)
    Xml.fromstring(message)
    assert b"\n" not in message and b"\r" not in message
    assert message_from(record, BOX) == message


@pytest.mark.parametrize("letter", ["x", "山", "&", "\x01"])
def test_ok__the_longest_record_fits_what_a_collector_must_take(letter: str) -> None:
    """PS3.15 A.6: systems support at least 32,768 octets. Texts of 64 characters are the longest that LO allows."""
    most = letter * 64
    record = make_record(
        Act.OBJECTS_TRANSFERRED,
        subject=Subject("E" * 23, "1" * 64, most, "=".join([most] * 3), most, (most[:16],) * 16),
        objects=("2" * 64,) * MOST_OBJECTS,
        sop_classes=tuple(f"1.2.840.10008.5.1.4.1.1.7.{number % 4}" for number in range(MOST_OBJECTS)),
        party=Party("A" * 16, "h" * 253),
        detail=letter * 1024,
    )
    assert len(syslog_from(record, BOX)) <= 32_768


# -- syslog


def test_ok__the_header_is_as_a_6_wants_it() -> None:
    record = make_record(Act.EXAM_OPENED)
    assert syslog_from(record, BOX).partition(b"<?xml")[0] == (
        b"<85>1"  # PRI: facility 10 (security), severity 5; VERSION 1
        b" 2026-11-22T10:30:15.123456+01:00"  # TIMESTAMP
        b" bridge-3"  # HOSTNAME
        b" modality-bridge"  # APP-NAME
        b" console"  # PROCID
        b" DICOM+RFC3881"  # MSGID
        b' [meta sequenceId="17"]'  # STRUCTURED-DATA
        b" \xef\xbb\xbf"  # MSG begins with the byte order mark: it is UTF-8
    )
    failed = replace(record, outcome=Effect.SERIOUS_FAILURE)
    assert syslog_from(failed, BOX).startswith(b"<84>1 ")  # severity 4, warning
    assert b'sequenceId="1"' in syslog_from(replace(record, number=2**31), BOX)  # RFC 5424 7.3.1: begins anew


def test_ok__an_actor_of_several_words_is_no_login_name() -> None:
    """A.5.2.1: loginName@domain-name for who has one."""
    record = make_record(Act.TRAIL_READ, process="cli", actor="maria (as told by the command line)", subject=None)
    users = [one.get("UserID") for one in Xml.fromstring(message_from(record, BOX)).iter("ActiveParticipant")]
    assert users == ["maria (as told by the command line)", "cli@bridge-3"]
