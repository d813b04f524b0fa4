"""Sections 6 and 7: the configuration, associations, the order of messages, and what is done about answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from appliance.config.render import is_loopback
from appliance.conformance.chapters.front import Chapter, Said
from appliance.conformance.chapters.sequences import sequences
from appliance.conformance.chapters.services import status_table
from appliance.conformance.document import Paragraph, Table, table
from appliance.conformance.parameters import PERSONAL
from appliance.conformance.statement import Parameter, Role, Statement, Status
from appliance.conformance.statuses import ACTION_BEHAVIOUR, STORE_BEHAVIOUR, rejections
from appliance.conformance.words import bytes_text, seconds_text, services_named, uid_text
from appliance.dimse.association import MAX_PDU_BYTES, SHORTEST_PDU_BYTES
from appliance.dimse.commitment import COMMITMENT_CONTEXT, MAX_REFERENCES
from appliance.dimse.line import LONGEST_PDU_BYTES
from appliance.dimse.listener import (
    LIMIT_EXCEEDED,
    LISTENER_CONTEXTS,
    MAX_MESSAGE_BYTES,
    OTHER_TITLE,
    OTHER_VERSION,
)
from appliance.dimse.status import ActionVerdict, StoreVerdict
from appliance.dimse.transmit import MAX_DATA_BYTES
from appliance.dimse.visits import MOST_ASSOCIATIONS, MOST_CONNECTIONS

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The only one that there is (PS3.8 A.2.1)."""
_PEERS = ("worklist", "performed_step", "destinations")
DEADLINES: Final[Mapping[str, str]] = {
    "connect_seconds": "until the connection is made, and as long again for the handshake of TLS",
    "associate_seconds": "until the answer to the request for an association, or for its release",
    "answer_seconds": "until an answer to what was asked, and until anything more moves on the connection",
    "query_seconds": "until the broad query is answered whole; a patient query, in answer_seconds",
    "every_seconds": "between two broad queries, answered or not",
    "retry_first_seconds": "before the next try, after the first failure; doubled after each further one",
    "retry_longest_seconds": "the longest time before the next try; there is no last one",
    "commitment_seconds": "until a report on an accepted request for commitment",
    "stall_seconds": "until there is an association, and until anything more moves on the connection",
    "message_seconds": "from the association, or the message before, until the next message is whole",
}
"""What each wait of a connection is for."""


def _parameters(statement: Statement, wanted: tuple[str, ...]) -> Table:
    return _parameter_table([one for one in statement.parameters if _section_of(one) in wanted])


def _section_of(parameter: Parameter) -> str:
    return parameter.key.split(".")[0].split("[")[0]


def _parameter_table(rows: list[Parameter]) -> Table:
    return table(
        "Configuration parameters",
        ("Parameter", "Configurable", "Value", "Default", "Range"),
        ((one.key, "SERVICE", _text(one.value), _text(one.default), one.range) for one in rows),
    )


def _text(value: object) -> str:
    """As a configuration file has it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _configuration(_statement: Statement) -> Said:
    return (
        Paragraph(
            "One file, checked as a whole before it is used; support changes it over SSH, and sets a new box up at its "
            "panel or from a stick. SERVICE: by support staff. Keys and certificates are named by their files. Not "
            f"listed here, since they name people: {', '.join(sorted(PERSONAL))}."
        ),
    )


def _general(statement: Statement) -> Said:
    others = tuple(
        dict.fromkeys(name for one in statement.parameters if (name := _section_of(one)) not in (*_PEERS, "audit"))
    )
    return (_parameters(statement, others),)


def _of_peers(section: str, otherwise: str, *, commitment: bool | None = None) -> Chapter:
    """The keys of one kind of peer; of destinations those about commitment, or all others."""

    def say(statement: Statement) -> Said:
        rows = [
            one
            for one in statement.parameters
            if _section_of(one) == section and commitment in (None, _is_about_commitment(one))
        ]
        if not any("." in one.key for one in rows):
            return otherwise
        # A table that is left out has its keys, without values.
        is_there = any(one.value is not None for one in rows)
        return (*(() if is_there else (Paragraph(otherwise),)), _parameter_table(rows))

    return say


def _is_about_commitment(parameter: Parameter) -> bool:
    return parameter.key.split(".")[-1].startswith(("commitment", "report_", "verify_by_find"))


def _audit(statement: Statement) -> Said:
    rows = _parameters(statement, ("audit",))
    if not statement.security.audit_collector:
        return (Paragraph("No collector of the audit trail is configured: it stays on the product."), rows)
    return (rows,)


def _associations(statement: Statement) -> Said:
    product = statement.product
    return (
        table(
            "Table 7-1 General association parameters",
            ("Name", "Value"),
            (
                ("Application Context Name", APPLICATION_CONTEXT),
                ("Implementation Class UID", product.implementation_class_uid),
                ("Implementation Version Name", product.implementation_version_name),
                ("Maximum PDU Length, received", f"{statement.max_pdu_bytes} bytes"),
                (
                    "Maximum PDU Length, sent",
                    f"the peer's, of C-STORE and C-FIND at most {MAX_PDU_BYTES} bytes; as initiator A-ABORT where it "
                    f"is below {SHORTEST_PDU_BYTES} bytes",
                ),
                ("Asynchronous operations", "not negotiated: one outstanding operation"),
                ("SOP Class Extended Negotiation", "none"),
                ("User Identity Negotiation", "none"),
                ("ARTIM timer", "as initiator associate_seconds, as acceptor stall_seconds, of each connection"),
            ),
        ),
        table(
            "Connections and their deadlines",
            ("With", "As", "Encrypted", "Both authenticated", "At once", "Deadlines"),
            (
                (
                    one.name,
                    one.role,
                    "Y" if one.is_encrypted else "N",
                    "Y" if one.is_authenticated_mutually else "N",
                    one.simultaneous,
                    ", ".join(f"{name} {seconds_text(value)}" for name, value in one.deadlines.items()),
                )
                for one in statement.connections
            ),
        ),
        table(
            "What each deadline is",
            ("Deadline", "Meaning"),
            (
                (name, DEADLINES[name])
                for name in dict.fromkeys(name for one in statement.connections for name in one.deadlines)
            ),
        ),
        Paragraph(
            "At once are the most associations at a time; the listener's ports share theirs. What a person or support "
            "tries (Verification, `appliance test`, `appliance conformance check --live`) opens one of its own beside "
            "them."
        ),
    )


def _initiation(statement: Statement) -> Said:
    rows = [
        (
            ", ".join(context.peers or service.peers),
            uid_text(context.abstract_syntax),
            ", ".join(map(uid_text, context.transfer_syntaxes)),
            context.role,
            "None",
        )
        for service in statement.services
        if service.role is Role.SCU
        for context in service.contexts
    ]
    if not rows:
        return "No peer is configured: no association is opened."
    return (
        Paragraph(
            "An association is opened when something is due for a peer and released when it is done, also behind an "
            "answer that is a failure. Destinations and performed-step managers in trouble are left alone for a time "
            "that doubles up to a limit; where only one association more does not come about, the others to that "
            "destination go on. A worklist is asked again at its next time. What a person asked for (a patient query, "
            "Verification, a test) is not repeated: the person is told."
        ),
        Paragraph(
            f"Of a peer that was called, too, a PDU may have {bytes_text(LONGEST_PDU_BYTES)}, and a message "
            f"{bytes_text(MAX_DATA_BYTES)}; what is longer ends the association."
        ),
        Paragraph(
            "To a destination is proposed, in this order: for each transfer syntax in which an object that is due can "
            "be sent a context of its own, in the order of its `transfer_syntaxes`; Verification, always; Storage "
            "Commitment, where it is configured; C-FIND, where something is to be looked for. "
            "`appliance test` proposes to an application entity at once all that the configuration uses of it, "
            "Verification first, and then each service alone; `appliance conformance check --live` beside these what a "
            "purchaser's profile asks for."
        ),
        table(
            "Proposed presentation contexts",
            ("To", "Abstract syntax", "Transfer syntaxes", "Role", "Extended negotiation"),
            rows,
        ),
    )


def _acceptance(statement: Statement) -> Said:
    rows = [
        (
            uid_text(context.abstract_syntax),
            ", ".join(map(uid_text, context.transfer_syntaxes)),
            *(
                (Role.SCU, "SCP/SCU role selection, where asked")
                if context == COMMITMENT_CONTEXT
                else (Role.SCP, "None")
            ),
        )
        for context in LISTENER_CONTEXTS
    ]
    words = {(source, reason): said for source, reason, said in rejections()}
    is_awaited = any(one.is_requested for one in statement.commitment)
    host = next((str(one.value) for one in statement.parameters if one.key == "listener.host"), "")
    alone = " It listens on the loopback alone (listener.host): nobody reaches it over the network."
    counts = "from its archive alone" if is_awaited else "for nothing: no destination is configured with commitment"
    return (
        Paragraph(
            "Anyone may ask who calls the product by its AE title, and at the encrypted port shows a certificate that "
            f"it trusts. A report counts {counts}.{alone if is_loopback(host) else ''}"
        ),
        table(
            "Accepted presentation contexts",
            ("Abstract syntax", "Transfer syntaxes", "Role", "Extended negotiation"),
            rows,
        ),
        Paragraph(
            "Of the transfer syntaxes in the table the first that is proposed is accepted; every other context is "
            f"rejected. A PDU may have {bytes_text(LONGEST_PDU_BYTES)}, a message {bytes_text(MAX_MESSAGE_BYTES)}; "
            f"what is longer ends the association. A report that names more than {MAX_REFERENCES} objects is not "
            f"taken. Beside {MOST_ASSOCIATIONS} associations there may be connections that have none yet, "
            f"{MOST_CONNECTIONS} in all; the oldest of those makes room."
        ),
        table(
            "Rejections",
            ("Result", "Source", "Reason", "Meaning"),
            (
                (result, source, reason, words[source, reason])
                for result, source, reason in (OTHER_TITLE, OTHER_VERSION, LIMIT_EXCEEDED)
            ),
        ),
    )


def _failure_as_initiator(_statement: Statement) -> Said:
    return (
        table(
            "Table 7-8 Communication failure as initiator",
            ("Failure", "Behaviour"),
            (
                (
                    "Timeout",
                    "A-ABORT, or within a PDU the end of the connection; what was under way is tried again later, and "
                    "people are told why it waits.",
                ),
                ("Association aborted", "What was under way is tried again later, and people are told why it waits."),
                ("Network disconnect", "What was under way is tried again later, and people are told why it waits."),
                ("Association rejected", "What was due is tried again later, and people are told why it waits."),
                ("No connection, or TLS fails", "What was due is tried again later, and people are told why it waits."),
                ("No context at all", "What was due is tried again later, and people are told why it waits."),
                ("No context for an object", STORE_BEHAVIOUR[StoreVerdict.REFUSED]),
                ("No context for commitment", f"{ACTION_BEHAVIOUR[ActionVerdict.RETRY]} People are told."),
                ("No context for a query or a step", "It is asked again later, and people are told."),
                ("Any of these, of a patient query or a test", "It is not repeated; whoever asked is told."),
            ),
        ),
    )


def _failure_as_acceptor(_statement: Statement) -> Said:
    return (
        table(
            "Table 7-9 Communication failure as acceptor",
            ("Failure", "Handling"),
            (
                (
                    "Timeout",
                    "A-ABORT where nothing moves between two PDUs of an association; otherwise the connection is "
                    "closed. A report that did not come whole changes nothing.",
                ),
                ("Association aborted", "A report that was answered is durable; any other changes nothing."),
                ("Network disconnect", "A report that was answered is durable; any other changes nothing."),
            ),
        ),
    )


def _looked(statement: Statement) -> Said:
    found = [one for one in services_named(statement, "C-FIND") if "C-CANCEL" not in one.operations]
    if not found:
        return "No destination is configured to be looked at (verify_by_find)."
    return (status_table("C-FIND of what was stored", found[0].statuses),)


def _statuses(operation: str, caption: str, otherwise: str) -> Chapter:
    def say(statement: Statement) -> Said:
        services = services_named(statement, operation)
        statuses: tuple[Status, ...] = services[0].statuses if services else ()
        return (status_table(caption, statuses),) if statuses else otherwise

    return say


def _one(words: str) -> Chapter:
    return lambda _statement: (Paragraph(words),)


SECTIONS: Final[Mapping[str, Chapter]] = {
    "6": _configuration,
    "6.1": _general,
    "6.2": _one("By service. What all of them share, such as the AE title and the listener, is in 6.1."),
    "6.2.1": _of_peers("worklist", "No worklist is configured."),
    "6.2.2": _of_peers("performed_step", "No performed-step manager is configured."),
    "6.2.5": _of_peers("destinations", "No destination is configured.", commitment=False),
    "6.2.6": _of_peers("destinations", "No destination is configured.", commitment=True),
    "6.6": _audit,
    "7": _one("Associations, their contexts, the order of messages, and what is done about answers."),
    "7.1": _one("One application entity; what follows is true of all its associations."),
    "7.1.1": _associations,
    "7.2": _one("One application entity."),
    "7.2.1": _one("Its activities, and the associations that they open."),
    "7.2.1.1": sequences,
    "7.2.1.3": _initiation,
    "7.2.1.4": _acceptance,
    "7.3": _one("What each answer of a peer leads to."),
    "7.3.1": _one("Nothing that is saved is lost by a failure of communication."),
    "7.3.1.1": _failure_as_initiator,
    "7.3.1.2": _failure_as_acceptor,
    "7.3.2": _one(
        "By service. Of C-ECHO, 0000 says that the peer answers; any other status is told to whoever asked, and "
        "nothing follows from it. The product itself answers C-ECHO with 0000."
    ),
    "7.3.2.1": _statuses("C-CANCEL", "Table 7-10 C-FIND of the worklist", "No worklist is configured."),
    "7.3.2.2": _statuses("N-CREATE", "Tables 7-12, 7-13 N-CREATE, N-SET", "No performed-step manager is configured."),
    "7.3.2.5": _statuses("C-STORE", "Table 7-42 C-STORE", "No device or no destination is configured."),
    "7.3.2.7": _looked,
    "7.3.2.6": _statuses("N-ACTION", "Tables 7-44, 7-45 Storage commitment", "No destination commits."),
}
