"""Section 8 and the annexes: security, objects attribute by attribute, audit messages, mapping and codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from appliance.compose.attributes import CLOCK_IN_DOUBT
from appliance.compose.rows import Source
from appliance.conformance.chapters.front import Chapter, Said
from appliance.conformance.chapters.services import attribute_table
from appliance.conformance.document import Paragraph, Table, table
from appliance.conformance.statement import Attribute, ObjectKind, Statement
from appliance.conformance.words import attribute_text, nested_text, tag_text, uid_text
from appliance.dimse.tls import CIPHER_SUITES, LEAST_VERSION
from appliance.dimse.tls_reason import PINNED_TOO

# EventID of PS3.15 A.5.3 (PS3.16 CID 400).
_AUDIT_MESSAGES: Final = (
    *("Application Activity", "Audit Log Used", "Begin Transferring DICOM Instances", "Export", "Import"),
    *("DICOM Instances Accessed", "DICOM Instances Transferred", "DICOM Study Deleted", "Network Entry"),
    *("Order Record", "Patient Record", "Procedure Record", "Query", "Security Alert", "User Authentication"),
)
_TITLE: Final = ("ConceptNameCodeSequence", "CodeMeaning")
_INBOUND: Final = frozenset({"listener", "metrics"})
_ENCRYPTED: Final = frozenset({"audit", "logs"})


def _introduction(_statement: Statement) -> Said:
    return (Paragraph("The product stands in the hospital's network and names patients in what it sends there."),)


def _network(statement: Statement) -> Said:
    return (
        Paragraph("A time server; a name service where peers are configured by name."),
        Paragraph(
            f"Peers: {', '.join(one.name for one in statement.connections if one.role != 'listener') or 'none'}."
        ),
    )


def _ports(statement: Statement) -> Said:
    given = {one.key: one.value for one in statement.parameters}
    rows = []
    for key, value in given.items():
        section, _, name = key.rpartition(".")
        if name not in ("port", "tls_port") or value is None:
            continue
        is_inbound = section in _INBOUND
        is_encrypted = name == "tls_port" or section in _ENCRYPTED or given.get(f"{section}.tls") is True
        rows.append((value, "inbound" if is_inbound else "outbound", key, "Y" if is_encrypted else "N"))
    return (
        table("TCP ports", ("Port", "Direction", "Parameter", "Encrypted"), rows),
        Paragraph(
            "Nothing else is opened by the product's own programs but the panel's port, on the loopback. The operating "
            "system listens for SSH, and asks for time and names."
        ),
    )


def _transport(statement: Statement) -> Said:
    profiles = [one for one in statement.security.profiles if "TLS Secure Transport" in one]
    if not profiles:
        return "No connection of this configuration is encrypted."
    encrypted = ", ".join(one.name for one in statement.connections if one.is_encrypted)
    return (
        *(Paragraph(one) for one in profiles),
        Paragraph(f"Connections: {encrypted}. Both sides are authenticated."),
        Paragraph(
            f"{LEAST_VERSION.name.replace('v1_', ' 1.')} at least. Cipher suites below TLS 1.3: "
            f"{', '.join(CIPHER_SUITES)}. The certificate of a peer that is called is one of an authority of "
            "`tls.authorities` with the peer's name among its alternative names, or exactly the one that is pinned "
            "(tls_pin). At the listener any certificate of such an authority is let in, whatever its name, or one that "
            f"is pinned (tls_pin, report_tls_pins). There {PINNED_TOO[0].lower()}{PINNED_TOO[1:]} Whether a report "
            "counts, its own archive's name or pin decides."
        ),
    )


def _additional(statement: Statement) -> Said:
    return tuple(Paragraph(one) for one in statement.security.profiles if "Audit" in one)


def _network_security(_statement: Statement) -> Said:
    return (
        Paragraph(
            "A commitment report counts only from the AE titles of its archive and, where TLS is configured, under its "
            "certificate, since deletion follows from it. Anyone may call; what a caller may take is bounded (7.2.1.4)."
        ),
    )


def _other(_statement: Statement) -> Said:
    return (
        Paragraph(
            "What can touch a device cannot reach the network, and what can reach the network cannot touch a device: "
            "they are processes of different users."
        ),
    )


def _private(statement: Statement) -> Said:
    names = ", ".join(statement.private_attributes)
    return (Paragraph(f"Private attributes: {names}."),) if names else "No object has a private attribute."


def _time(statement: Statement) -> Said:
    servers = next((one.value for one in statement.parameters if one.key == "time.servers"), ())
    named = f"of {', '.join(servers)} (time.servers)" if servers else "of what DHCP and the operating system name"
    return (
        Paragraph(f"The operating system's NTP client (chrony) keeps the clock, by the time {named}."),
        Paragraph("The product looks whether it does."),
        Paragraph(
            "What was made while the clock was in doubt says so: an image and a performed step in their comments, a "
            f"document in its title; a rejection note does not. {CLOCK_IN_DOUBT}"
        ),
    )


def _objects_heading(_statement: Statement) -> Said:
    return (
        Paragraph(
            "Presence: ALWAYS there with a value; VNAP, there, its value not always; ANAP, not always there; EMPTY, "
            "there without a value. Type is that of the attribute in its module."
        ),
    )


def _objects(statement: Statement) -> Said:
    return _tables(statement.objects) or "No device is configured."


def _test_objects(statement: Statement) -> Said:
    return _tables(statement.test_objects) or "No test patient is configured: nothing is stored but examinations."


def _tables(kinds: Iterable[ObjectKind]) -> tuple[Table, ...]:
    return tuple(
        attribute_table(
            f"{' of '.join(filter(None, (kind.form.capitalize(), ', '.join(kind.devices))))}: "
            f"{uid_text(kind.sop_class_uid)} in "
            f"{uid_text(kind.transfer_syntax_uid)}",
            kind.attributes,
        )
        for kind in kinds
    )


def _audit_messages(statement: Statement) -> Said:
    return (
        table(
            "Table A.C-2 Audit messages",
            ("Message", "Used"),
            (
                *((one, "Y") for one in statement.security.audit_events),
                *((one, "N") for one in _AUDIT_MESSAGES if one not in statement.security.audit_events),
            ),
        ),
    )


def _mapping(statement: Statement) -> Said:
    in_objects = _by_worklist_path(one for kind in statement.objects for one in kind.attributes)
    in_steps = _by_worklist_path(one for message in statement.messages for one in message.attributes)
    paths = list(dict.fromkeys((*in_objects, *in_steps)))
    if not paths:
        return "No worklist is configured: nothing is taken from one."
    return (
        table(
            "Worklist, object, performed step",
            ("Modality worklist", "Tag", "Object", "Performed step"),
            (
                (
                    nested_text(path),
                    tag_text(path[-1]),
                    "; ".join(in_objects.get(path, ())),
                    "; ".join(in_steps.get(path, ())),
                )
                for path in paths
            ),
        ),
    )


def _by_worklist_path(attributes: Iterable[Attribute]) -> dict[tuple[str, ...], tuple[str, ...]]:
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for one in attributes:
        for path in one.worklist_paths:
            text = " > ".join(attribute_text(keyword) for keyword in one.path)
            found[path] = tuple(dict.fromkeys((*found.get(path, ()), text)))
    return found


def _codes(statement: Statement) -> Said:
    coded = [
        one
        for group in (
            *(kind.attributes for kind in statement.objects),
            *(each.attributes for each in statement.messages),
        )
        for one in group
        if one.path[-1].endswith("CodeSequence") and Source.MWL in one.sources
    ]
    names = ", ".join(dict.fromkeys(attribute_text(one.path[-1]) for one in coded))
    titles = [one for kind in statement.objects for one in kind.attributes if one.path == _TITLE]
    return (
        Paragraph("The product has no code set of its own."),
        Paragraph(f"Title of a rejection note (PS3.16 CID 7011): {', '.join(one.value for one in titles) or 'none'}."),
        Paragraph(f"Copied from the worklist as they are: {names or 'none'}."),
        Paragraph(f"Discontinuation reasons: {'; '.join(statement.end_of_study.reasons) or 'none'}."),
    )


def _security(_statement: Statement) -> Said:
    return (Paragraph("What the network must give, and the details of the security profiles."),)


def _shared(statement: Statement) -> Said:
    shared = Paragraph("Rows that several kinds of object share are of one table; each kind prints its own.")
    beyond: dict[tuple[str, ...], list[str]] = {}
    for kind in statement.objects:
        for one in kind.attributes:
            if one.is_extension:
                beyond.setdefault(one.path, []).append(uid_text(kind.sop_class_uid, with_uid=False))
    if not beyond:
        return (shared, Paragraph("No object has an attribute beside those of its modules."))
    return (
        shared,
        table(
            "Attributes beside those of the modules (Standard Extended SOP Classes)",
            ("Attribute", "Tag", "In"),
            (
                (" > ".join(map(attribute_text, path)), tag_text(path[-1]), ", ".join(dict.fromkeys(classes)))
                for path, classes in beyond.items()
            ),
        ),
    )


def _requirements(_statement: Statement) -> Said:
    return (Paragraph("See also 8.2."),)


def _profiles(statement: Statement) -> Said:
    return tuple(Paragraph(one) for one in statement.security.profiles)


def _section(_statement: Statement) -> Said:
    return (Paragraph("As this configuration uses them."),)


def _content(statement: Statement) -> Said:
    trees = [kind for kind in statement.objects if any(one.path[0] == "ContentSequence" for one in kind.attributes)]
    if not trees:
        return "No structured reports are made."
    named = ", ".join(uid_text(kind.sop_class_uid) for kind in trees)
    return (Paragraph(f"The content of {named} stands in its table in A.A.2, below Content Sequence."),)


SECTIONS: Final[Mapping[str, Chapter]] = {
    "8": _section,
    "8.1": _introduction,
    "8.2": _network,
    "8.3": _ports,
    "8.4": _section,
    "8.4.2": _transport,
    "8.4.6": _additional,
    "8.7": _section,
    "8.7.2": _network_security,
    "8.7.3": _other,
    "A.A": _objects_heading,
    "A.A.1": _shared,
    "A.A.1.3": _private,
    "A.A.2": _objects,
    "A.A.3": _test_objects,
    "A.B": _content,
    "A.C": _security,
    "A.C.1": _requirements,
    "A.C.1.1": _time,
    "A.C.2": _profiles,
    "A.C.2.2": _audit_messages,
    "A.D": _mapping,
    "A.E": _codes,
}
