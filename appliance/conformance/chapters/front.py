"""Sections 1 to 4: the overview, the introduction and the implementation model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from appliance.conformance.document import Block, Contents, Flow, Paragraph, table
from appliance.conformance.statement import Role, Service, Statement
from appliance.conformance.words import services_named, uid_text

Said = tuple[Block, ...] | str
Chapter = Callable[[Statement], Said]

_OF_STORAGE = "C-STORE"
_OF_THE_MEDIUM = frozenset((str(ExplicitVRLittleEndian), str(JPEGBaseline8Bit)))
"""The transfer syntaxes of the media's profile (PS3.11 Table J.3-1), of those that are made."""


def _overview(statement: Statement) -> Said:
    forms = ", ".join(dict.fromkeys(kind.form for kind in statement.objects)) or "none yet: no device is configured"
    return (
        Paragraph(_what_it_does(statement)),
        Paragraph(f"Kinds of object in this configuration: {forms}."),
        _services_flow("Services of this configuration", statement),
    )


def _what_it_does(statement: Statement) -> str:
    chosen = "was chosen from the hospital's worklist or " if statement.worklist_keys else ""
    said = [
        "The product stands beside imaging machines that speak no DICOM.",
        f"It makes what they give an object of the patient who {chosen}was named at its panel, and keeps it on its own "
        "flash.",
    ]
    archives = [one.destination for one in statement.commitment]
    if services_named(statement, _OF_STORAGE):
        said.append(f"It stores every object in the hospital's archive: {', '.join(archives)}.")
        said.append(f"It keeps its own copy {until_let_go(statement)}.")
    if statement.end_of_study.is_notified:
        said.append("It tells the hospital when the examination began and when it ended.")
    return " ".join(said)


def until_let_go(statement: Statement) -> str:
    """What ends the keeping of an object: each that this configuration knows."""
    ends = []
    if any(one.is_requested for one in statement.commitment):
        ends.append("an archive has committed to it")
    if statement.retention and not statement.retention.is_kept_until_committed:
        ends.append("C-FIND finds it at an archive that does not commit")
    return f"until {' or '.join([*ends, 'a person lets go of it'])}"


def _services_flow(caption: str, statement: Statement) -> Flow:
    rows = [
        (one.activity, f"{one.name} ({one.role})", ", ".join(one.peers) or "anyone who is admitted")
        for one in statement.services
    ]
    asked = [at for at, one in enumerate(statement.services) if one.role is Role.SCP]
    for one in services_named(statement, "N-EVENT-REPORT"):
        reporting = [each.destination for each in statement.commitment if each.report_on_new_association]
        if reporting:
            asked.append(len(rows))
            said = "The archive reports what it committed, where it does not on the association that asked."
            rows.append((said, f"{one.name} ({one.role})", ", ".join(reporting)))
    return Flow(caption, tuple(rows), frozenset(asked))


def _content(statement: Statement) -> Said:
    extended = {kind.sop_class_uid for kind in statement.objects if any(one.is_extension for one in kind.attributes)}
    rows = [
        (
            uid_text(uid, with_uid=False),
            uid,
            ", ".join(uid_text(one, with_uid=False) for one in syntaxes),
            "SCU",
            "SE" if uid in extended else "S",
        )
        for uid, syntaxes in _stored(statement).items()
    ]
    if not rows:
        return "No device is configured, or no destination: nothing is stored."
    return (
        table(
            "Table 1-1 Storage SOP Classes",
            ("SOP Class", "UID", "Transfer Syntaxes", "DIMSE", "Create"),
            rows,
        ),
        Paragraph(
            "S: created as the standard has it. SE: Standard Extended, with the attributes of A.A.1 beside those of "
            "its modules; each is the standard's own, of type 3. Nothing is specialized, and no class is private."
        ),
    )


def _templates(statement: Statement) -> Said:
    """Of what has a content tree: a rejection note (PS3.16 TID 2010)."""
    found = [
        (uid_text(kind.sop_class_uid), one.value)
        for kind in statement.objects
        for one in kind.attributes
        if one.path[-1] == "TemplateIdentifier" and one.path[0] == "ContentTemplateSequence"
    ]
    if not found:
        return "No structured reports are made."
    return (table("Root templates (PS3.16)", ("SOP Class", "Template ID"), found),)


def _stored(statement: Statement) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for service in services_named(statement, _OF_STORAGE):
        syntaxes = [uid for context in service.contexts for uid in context.transfer_syntaxes]
        found[service.sop_class_uid] = tuple(dict.fromkeys((*found.get(service.sop_class_uid, ()), *syntaxes)))
    return found


def _services_table(services: list[Service], caption: str) -> Said:
    if not services:
        return "Not used in this configuration."
    uids = dict.fromkeys(one.sop_class_uid for one in services)
    roles = {(one.sop_class_uid, one.role) for one in services}
    return (
        table(
            caption,
            ("SOP Class", "UID", "SCU", "SCP"),
            (
                (uid_text(uid, with_uid=False), uid, *("Y" if (uid, role) in roles else "N" for role in Role))
                for uid in uids
            ),
        ),
    )


def _dimse(_statement: Statement) -> Said:
    return (Paragraph("The services, each as SCU (the product asks) or SCP (the product answers)."),)


def _verification(statement: Statement) -> Said:
    return _services_table(services_named(statement, "C-ECHO"), "Table 1-2 Verification")


def _storage(statement: Statement) -> Said:
    services = [*services_named(statement, _OF_STORAGE), *services_named(statement, "N-ACTION")]
    return _services_table(services, "Table 1-3 Storage and storage commitment")


def _workflow(statement: Statement) -> Said:
    services = [one for one in statement.services if "N-CREATE" in one.operations or "C-CANCEL" in one.operations]
    return _services_table(services, "Table 1-4 Workflow management")


def _query(statement: Statement) -> Said:
    services = [one for one in services_named(statement, "C-FIND") if "C-CANCEL" not in one.operations]
    return _services_table(services, "Table 1-5 Query/Retrieve")


def _media(statement: Statement) -> Said:
    return (
        Paragraph(
            "What no archive has committed can be written onto a mounted medium, as the last resort; on demand also "
            "whole examinations, or everything."
        ),
        table(
            "Table 1-6 Media services",
            ("Application profile", "Role"),
            [
                (
                    "General Purpose USB and Flash Memory with JPEG (STD-GEN-USB-JPEG)",
                    "File-set creator, file-set updater",
                )
            ],
        ),
        *(
            Paragraph(f"{one} It is written as it lies: no medium with it is of that profile.")
            for one in _beyond(statement)
        ),
    )


def _beyond(statement: Statement) -> list[str]:
    """What is made and does not belong onto a medium of the profile (PS3.11 J.3.1)."""
    kinds = {kind.transfer_syntax_uid for kind in statement.objects} - _OF_THE_MEDIUM
    return [f"{uid_text(uid)} is no transfer syntax of the profile." for uid in sorted(kinds)]


def character_sets(statement: Statement) -> Said:
    sets = statement.character_sets
    return (
        table(
            "Table 1-7 Specific Character Sets (0008,0005)",
            ("Defined term", "read from worklists", "written"),
            (
                (term, "Y" if term in sets.read else "N", "Y" if term in sets.written else "N")
                for term in dict.fromkeys((*sets.read, *sets.written))
            ),
        ),
        Paragraph(
            "An object carries the character set of its worklist entry (the first, of several) where every text fits "
            "it. Without an entry, or with one that names none, it carries none where every text is ASCII. Otherwise "
            "it carries ISO_IR 192."
        ),
    )


def _contents(_statement: Statement) -> Said:
    return (Contents(),)


def _introduction(_statement: Statement) -> Said:
    return (Paragraph("This statement is generated from the tables and the configuration that the product executes."),)


def _revision(statement: Statement) -> Said:
    return (
        table(
            "Table 3-1 Revision history",
            ("Product version", "Description"),
            [(statement.product.version, "generated for the configuration that section 6 lists")],
        ),
    )


def _audience(_statement: Statement) -> Said:
    return (
        Paragraph(
            "For those who purchase, connect and support the product, and know the terms of DICOM. Whether it is what "
            "was asked for, `appliance conformance check` says of a purchaser's profile."
        ),
    )


def _remarks(_statement: Statement) -> Said:
    return (
        Paragraph(
            "A conformance statement does not by itself assure that products work together. Comparing two statements "
            "is the first step; a test of both on the site's network is the second."
        ),
    )


def _terms(_statement: Statement) -> Said:
    return (
        table(
            "Table 3-2 Terms",
            ("Term", "Meaning"),
            (
                ("saved", "durable on this product's own flash"),
                ("stored", "the archive answered C-STORE with success or a warning"),
                ("committed", "the archive took responsibility, by storage commitment"),
                ("examination", "what a person opens and closes at the panel; its objects are of one study"),
                ("destination", "an archive that gets every object of an examination"),
            ),
        ),
    )


def _abbreviations(_statement: Statement) -> Said:
    return (
        table(
            "Table 3-3 Abbreviations",
            ("Abbreviation", "Meaning"),
            (
                ("AE", "Application Entity"),
                ("IOD", "Information Object Definition"),
                ("MPPS", "Modality Performed Procedure Step"),
                ("MWL", "Modality Worklist"),
                ("PDU", "Protocol Data Unit"),
                ("SCP, SCU", "Service Class Provider, Service Class User"),
            ),
        ),
    )


def _references(_statement: Statement) -> Said:
    return (
        table(
            "Table 3-4 References",
            ("Reference", "Title"),
            (
                ("DICOM PS3", "Digital Imaging and Communications in Medicine, NEMA PS3 / ISO 12052"),
                ("IHE RAD TF", "IHE Radiology Technical Framework"),
                ("BCP 195", "Recommendations for Secure Use of TLS and DTLS (RFC 9325)"),
            ),
        ),
    )


def _model(_statement: Statement) -> Said:
    return (Paragraph("One application entity does everything that is said on the network."),)


def _flow(statement: Statement) -> Said:
    return (_services_flow("Figure 4-1 Application data flow", statement),)


def _function(statement: Statement) -> Said:
    return tuple(Paragraph(f"{one.name} ({one.role}): {one.activity}") for one in statement.services)


SECTIONS: Final[Mapping[str, Chapter]] = {
    "1": _overview,
    "1.1": _content,
    "1.1.1": _templates,
    "1.2": _dimse,
    "1.2.1": _verification,
    "1.2.2": _storage,
    "1.2.3": _workflow,
    "1.2.4": _query,
    "1.4": _media,
    "1.7": character_sets,
    "2": _contents,
    "3": _introduction,
    "3.1": _revision,
    "3.2": _audience,
    "3.3": _remarks,
    "3.4": _terms,
    "3.5": _abbreviations,
    "3.6": _references,
    "4": _model,
    "4.1": _flow,
    "4.1.1": _function,
}
