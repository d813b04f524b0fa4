"""Section 5: what each service does with its attributes, keys and objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydicom.datadict import dictionary_VR

from appliance.compose.rows import Source
from appliance.conformance.chapters.front import Chapter, Said, until_let_go
from appliance.conformance.document import Block, Paragraph, Table, table
from appliance.conformance.statement import Attribute, Matching, Message, Statement, Status, WorklistKey
from appliance.conformance.words import (
    bytes_text,
    nested_text,
    seconds_text,
    services_named,
    status_text,
    tag_text,
    uid_text,
)
from appliance.dimse.commitment import AFTER_RESTART_SECONDS, HOLD_SECONDS, MOST_ASKED
from appliance.dimse.decoding import can_recode
from appliance.dimse.find import UIDS_IN_QUERY, query_from
from appliance.dimse.store import MOST_STORED, ORDER_OF_CHOICE
from appliance.dimse.worklist import MAX_ANSWER_BYTES, MAX_PATIENT_ITEMS
from appliance.dimse.worklist_query import IDENTIFIERS, MATCHING_KEYWORDS

_CHARACTERS = ("SpecificCharacterSet",)
_NO_WORKLIST = "No worklist is configured."
_NO_STEPS = "No performed-step manager is configured."
_NO_COMMITMENT = "No destination is configured with commitment."
_NOTHING_STORED = "No device or no destination is configured: nothing is stored."


def _mapping(statement: Statement) -> Said:
    return (
        table(
            "Table 5-1 Services of the application entity",
            ("Service", "Role", "Operations", "With"),
            (
                (uid_text(one.sop_class_uid), one.role, ", ".join(one.operations), ", ".join(one.peers))
                for one in statement.services
            ),
        ),
    )


def _worklist(statement: Statement) -> Said:
    if not statement.worklist_keys:
        return _NO_WORKLIST
    return (
        Paragraph(
            "The broad query asks by day, and by modality and station where they are configured; the patient query by "
            "what was typed or scanned, with every other key empty. Specific Character Set has a value where what was "
            "typed is beyond ASCII: that of `worklist.character_set` where it has every character, otherwise "
            "ISO_IR 192. Both may be several C-FIND on one association: one for each of `worklist.modalities`, and one "
            "for each way in which what was typed or scanned may be meant. Entries are shown to a person, who chooses "
            "one or, of one patient, several; no value of an entry can be edited. Of a patient query "
            f"{MAX_PATIENT_ITEMS} entries are taken at most, of either those of `worklist.max_items` and "
            f"{bytes_text(MAX_ANSWER_BYTES)} of them; what is beyond that is cancelled."
        ),
        table(
            "Table 5-2 Keys of the worklist query",
            ("Attribute", "Tag", "Matching", "Value from", "Shown", "In objects", "In MPPS"),
            (_key_row(key) for key in statement.worklist_keys),
        ),
    )


def _key_row(key: WorklistKey) -> Iterable[str]:
    uses = [_use_words(key, one) for one in key.matching]
    # No key that is matched: it says in which characters the others are (PS3.4 C.2.2.2).
    matched, source = ("none", f"EMPTY; {Source.GENERATED}") if key.path == _CHARACTERS else ("UNIVERSAL", "EMPTY")
    yield nested_text(key.path)
    yield tag_text(key.path[-1])
    yield "; ".join(matching for matching, _source in uses) or matched
    yield "; ".join(given for _matching, given in uses) or source
    yield from ("Y" if one else "N" for one in (key.is_shown, key.is_copied_to_objects, key.is_copied_to_steps))


def _use_words(key: WorklistKey, query: Matching) -> tuple[str, str]:
    """Matching type and source of the value (PS3.2 N.5.2.1). A range is of dates alone (PS3.4 C.2.2.2.5)."""
    keyword = key.path[-1]
    if query is Matching.PATIENT:
        is_scanned = keyword in {MATCHING_KEYWORDS[one] for one in IDENTIFIERS}
        return f"SINGLE_VALUE or WILDCARD ({query} query)", f"{Source.USER}; SCANNED" if is_scanned else Source.USER
    if dictionary_VR(keyword) == "DA":
        return f"SINGLE_VALUE or RANGE ({query} query)", f"{Source.GENERATED}; {Source.CONFIGURATION}"
    asked = f" of {', '.join(key.broad_of)}" if key.broad_of else ""
    return f"SINGLE_VALUE ({query} query{asked})", Source.CONFIGURATION


def _step(statement: Statement) -> Said:
    if not statement.messages:
        return _NO_STEPS
    begun, ended = statement.messages
    return (
        Paragraph(
            "One performed step for each modality that was used. N-CREATE follows the first durable frame, N-SET the "
            "end, in this order, for as long as it takes. What N-SET fills was created empty. Where the answer to "
            "N-CREATE gives the step another SOP Instance UID, N-SET names that one."
        ),
        _message_table("Table 5-4 Performed procedure step, N-CREATE", begun),
        _message_table("Table 5-4 Performed procedure step, N-SET", ended),
        table(
            "Procedure discontinuation reasons (PS3.16 CID 9300)",
            ("Code",),
            ((reason,) for reason in statement.end_of_study.reasons),
        ),
    )


def _message_table(caption: str, message: Message) -> Table:
    return attribute_table(caption, message.attributes)


def attribute_table(caption: str, attributes: Iterable[Attribute]) -> Table:
    """Attributes with presence and source (PS3.2 N.5.2.2, N.9)."""
    return table(
        caption,
        ("Attribute", "Tag", "VR", "Type", "Presence", "Source", "Value", "Condition"),
        (
            (
                nested_text(one.path),
                tag_text(one.path[-1]),
                one.vr,
                one.type,
                one.presence,
                "; ".join(one.sources),
                one.value,
                one.when,
            )
            for one in attributes
        ),
    )


def _store(statement: Statement) -> Said:
    stores = services_named(statement, "C-STORE")
    if not stores:
        return _NOTHING_STORED
    return (
        Paragraph(
            "The objects of an examination are stored when it is closed, at each destination by itself, at most "
            f"{MOST_STORED} on one association. A retry sends the same object under the same SOP Instance UID. The "
            "objects are described in A.A."
        ),
        *_kept(statement),
        status_table("Statuses of C-STORE", stores[0].statuses),
    )


def _kept(statement: Statement) -> tuple[Paragraph, ...]:
    kept = statement.retention
    if kept is None:
        return ()
    days = []
    if any(one.is_requested for one in statement.commitment):
        days.append(f"{kept.committed_days:g} days where it is committed")
    found = "" if kept.is_kept_until_committed else "where C-FIND found it or "
    days.append(f"{kept.unproven_days:g} days {found}where a person let go of it")
    return (
        Paragraph(
            f"An object is kept {until_let_go(statement)}, and nothing more is to be done with it at any destination. "
            f"Then it stays for a time: {', '.join(days)}; less where flash runs short."
        ),
    )


def _transcoding(statement: Statement) -> Said:
    encodings = tuple(dict.fromkeys(kind.transfer_syntax_uid for kind in statement.objects))
    stores = services_named(statement, "C-STORE")
    negotiable = tuple(
        dict.fromkeys(uid for one in stores for context in one.contexts for uid in context.transfer_syntaxes)
    )
    if not encodings or not negotiable:
        return _NOTHING_STORED
    rows = (
        (
            uid_text(stored),
            *("SUPPORTED" if sent == stored or can_recode(stored, sent) else "NOT_SUPPORTED" for sent in negotiable),
        )
        for stored in encodings
    )
    others = ", ".join(uid_text(uid) for uid in ORDER_OF_CHOICE if uid in negotiable)
    return (
        table(
            "Table 5-9 Stored encoding and negotiated transfer syntax", ("Encoding", *map(uid_text, negotiable)), rows
        ),
        Paragraph(
            "SUPPORTED: sent under the same SOP Instance UID; what is compressed is decoded while it is sent, where "
            "the archive does not take it as it is. Nothing is compressed for being sent."
        ),
        Paragraph(
            "Where an archive accepts several, an object goes as it lies; if that is not among them, in the first of "
            f"these that is and is supported: {others}."
        ),
    )


def _commitment(statement: Statement) -> Said:
    asked = [one for one in statement.commitment if one.is_requested]
    if not asked:
        return _NO_COMMITMENT
    services = services_named(statement, "N-ACTION")
    return (
        Paragraph(
            f"Commitment is asked for every object that such a destination stored, for at most {MOST_ASKED} in one "
            "request. Without a report in its time the same is asked again under a new Transaction UID, at once; after "
            "so many requests in vain (commitment_rounds) people are told, the objects are looked for by C-FIND where "
            "the destination is configured for that (verify_by_find), and each further request waits for "
            "retry_longest_seconds."
        ),
        Paragraph(
            f"The association that asked stays open for a report for {seconds_text(HOLD_SECONDS)}, unless something "
            "else is due there; then it is released, and the report is awaited on another one. After a restart of the "
            f"product a report is awaited for {seconds_text(AFTER_RESTART_SECONDS)} more at most. Of a late or further "
            "report what is committed counts, as long as its object was not stored again since; what failed does not, "
            "since it was asked for again."
        ),
        Paragraph(
            "The two sequences of a report count, whatever its Event Type ID. An object that neither names is not "
            "committed, and is asked for again later."
        ),
        table(
            "Storage commitment by destination",
            ("Destination", "Report on the same association", "Report on a new association", "Report awaited for"),
            (
                (
                    one.destination,
                    "Y" if one.report_on_same_association else "N",
                    "Y" if one.report_on_new_association else "N",
                    seconds_text(one.report_seconds or 0),
                )
                for one in asked
            ),
        ),
        status_table("Table 5-15 Failure reasons and statuses", services[0].statuses),
    )


def status_table(caption: str, statuses: Iterable[Status]) -> Table:
    """Codes, meanings and what follows (PS3.2 N.7.3.2)."""
    return table(
        caption,
        ("Operation", "Code", "Meaning", "Behaviour"),
        ((one.operation, status_text(one), one.meaning, one.behaviour) for one in statuses),
    )


def _looked(statement: Statement) -> Said:
    found = [one for one in services_named(statement, "C-FIND") if "C-CANCEL" not in one.operations]
    if not found:
        return "The product is no query/retrieve provider, and no destination is configured to be looked at."
    # As it leaves, of any object.
    query = query_from("1", "1", ["1"])
    return (
        Paragraph(
            "As SCU only: objects that were stored are looked for at the level of images, those of one series at once "
            f"and at most {UIDS_IN_QUERY} in a query, which is answered whole in answer_seconds. An object counts as "
            "found where it is named and not said to be unavailable."
        ),
        table(
            "Keys of the query for objects",
            ("Attribute", "Tag", "Matching", "Value from"),
            (
                (nested_text((one.keyword,)), tag_text(one.keyword), *_look_words(one.keyword, is_empty=one.is_empty))
                for one in query
            ),
        ),
    )


def _look_words(keyword: str, *, is_empty: bool) -> tuple[str, str]:
    if is_empty:
        return "UNIVERSAL", "EMPTY"
    if keyword == "QueryRetrieveLevel":
        return "none", Source.FIXED
    return ("LIST_OF_UID" if keyword == "SOPInstanceUID" else "SINGLE_VALUE"), Source.GENERATED


def _media(_statement: Statement) -> Said:
    return (
        Paragraph(
            "`appliance export` writes objects and a DICOMDIR onto a mounted medium, reads each file back from it, and "
            "adds to a file-set of its own that is there already."
        ),
    )


def _cross(_statement: Statement) -> Said:
    return (
        Paragraph(
            "Objects, performed steps and commitment requests of one examination share the Study Instance UID, the "
            "Series Instance UIDs and the SOP Instance UIDs that were fixed when it was opened and when each frame "
            "was taken."
        ),
    )


def _heading(*words: str) -> Chapter:
    blocks: tuple[Block, ...] = tuple(Paragraph(one) for one in words)
    return lambda _statement: blocks


def _worklist_heading(statement: Statement) -> Said:
    return (Paragraph("As SCU only."),) if statement.worklist_keys else _NO_WORKLIST


def _step_heading(statement: Statement) -> Said:
    return (Paragraph("As SCU only."),) if statement.messages else _NO_STEPS


def _store_heading(statement: Statement) -> Said:
    return (Paragraph("As SCU only."),) if services_named(statement, "C-STORE") else _NOTHING_STORED


def _commitment_heading(statement: Statement) -> Said:
    return (Paragraph("As SCU only."),) if services_named(statement, "N-ACTION") else _NO_COMMITMENT


SECTIONS: Final[Mapping[str, Chapter]] = {
    "5": _heading("What each service does, and with which attributes."),
    "5.1": _mapping,
    "5.2": _heading("The services over DIMSE follow."),
    "5.2.1": _worklist_heading,
    "5.2.1.1": _worklist,
    "5.2.2": _step_heading,
    "5.2.2.1": _step,
    "5.2.5": _store_heading,
    "5.2.5.1": _store,
    "5.2.5.1.1": _transcoding,
    "5.2.6": _commitment_heading,
    "5.2.6.1": _commitment,
    "5.2.7": _looked,
    "5.4": _media,
    "5.6": _cross,
    "5.7": _heading("Those of section 1.7, for worklists, objects and performed steps alike."),
}
