"""The statement of this box under one configuration: every fact from the table or key that the code itself reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from appliance.base.version import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, VERSION
from appliance.compose.attributes import MANUFACTURER, MODEL
from appliance.compose.charset import UTF_8, written_terms
from appliance.config.render import is_loopback
from appliance.config.schema import Configuration, Destination, Listener, Peer
from appliance.conformance.objects import kinds_for_test, messages_of, object_kinds
from appliance.conformance.parameters import parameters_of
from appliance.conformance.services import services_of
from appliance.conformance.statement import (
    CharacterSets,
    Commitment,
    Connection,
    EndOfStudy,
    Message,
    ObjectKind,
    Product,
    Retention,
    Security,
    Statement,
)
from appliance.conformance.statuses import is_step_told_until_taken
from appliance.conformance.worklist_keys import worklist_keys
from appliance.dimse.association import MAX_PDU_BYTES, associate_seconds_of
from appliance.dimse.commitment import COMMITMENT_CONTEXT
from appliance.dimse.listener import LISTENER_CONTEXTS, MESSAGE_STALLS, STALL_SECONDS
from appliance.dimse.performed_step import RETRY_FIRST_SECONDS, RETRY_LONGEST_SECONDS
from appliance.dimse.text import READ_TERMS
from appliance.dimse.visits import MOST_ASSOCIATIONS
from appliance.dimse.worklist import MOST_SEARCHES, WHOLE_QUERY
from appliance.exam.audit_codes import Event
from appliance.exam.exam import Outcome
from appliance.exam.reasons import REASONS

# TLS 1.2 at least, and never below: B.9 lets older ones be negotiated.
_BCP_195 = "BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 B.12)"
_AUDIT = "Audit Trail Message Format Profile (PS3.15 A.5)"
_SYSLOG = "Audit Trail Message Transmission Profile - SYSLOG-TLS (PS3.15 A.6)"


_WHAT_WAS_MADE = {
    ("PerformedSeriesSequence", "SeriesInstanceUID"),
    ("PerformedSeriesSequence", "ReferencedImageSequence", "ReferencedSOPInstanceUID"),
}


def statement_of(configuration: Configuration) -> Statement:
    """What the box does, configured so."""
    objects, messages = object_kinds(configuration), messages_of(configuration)
    return Statement(
        product=Product(
            name=MODEL,
            version=VERSION,
            manufacturer=MANUFACTURER,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        ),
        services=services_of(configuration),
        objects=objects,
        test_objects=kinds_for_test(configuration),
        messages=messages,
        worklist_keys=worklist_keys(configuration, objects, messages),
        character_sets=_character_sets(configuration),
        max_pdu_bytes=MAX_PDU_BYTES,
        connections=tuple(_connections(configuration)),
        security=_security(configuration),
        end_of_study=_end_of_study(messages),
        commitment=tuple(_commitment(one, configuration.listener) for one in configuration.destinations),
        retention=_retention(configuration),
        parameters=parameters_of(configuration),
        private_attributes=tuple(_private(objects, messages)),
    )


def _retention(configuration: Configuration) -> Retention:
    """What C-FIND verified may go too, where an archive is configured without commitment and is looked at.

    That nothing else may go, and that *saved* is said behind the last sync alone, no table says: the tests hold the
    code against it (tests/conformance/test_behaviours.py, tests/crash).
    """
    is_verified_enough = any(one.verify_by_find and not one.commitment for one in configuration.destinations)
    return Retention(
        is_kept_until_committed=not is_verified_enough,
        committed_days=configuration.retention.committed_days,
        unproven_days=configuration.retention.unproven_days,
        is_saved_before_shown=True,
    )


def _character_sets(configuration: Configuration) -> CharacterSets:
    """Without a worklist nothing is read, and nothing has its entry's set."""
    if not configuration.worklist:
        return CharacterSets(written=(UTF_8,))
    return CharacterSets(read=READ_TERMS, written=written_terms())


def _private(objects: Iterable[ObjectKind], messages: Iterable[Message]) -> Iterator[str]:
    """Attributes of an odd group (PS3.5 7.8), wherever they stand."""
    attributes = [
        *(one for kind in objects for one in kind.attributes),
        *(one for each in messages for one in each.attributes),
    ]
    for keyword in dict.fromkeys(keyword for one in attributes for keyword in one.path):
        tag = tag_for_keyword(keyword)
        if tag is None or Tag(tag).is_private:
            yield keyword


def _connections(configuration: Configuration) -> Iterator[Connection]:
    for source in configuration.worklist:
        waits = {"query_seconds": WHOLE_QUERY * source.answer_seconds, "every_seconds": source.every_seconds}
        yield _to_peer(source.name, "worklist", source, 1 + MOST_SEARCHES, waits)
    if configuration.performed_step:
        waits = {"retry_first_seconds": RETRY_FIRST_SECONDS, "retry_longest_seconds": RETRY_LONGEST_SECONDS}
        yield _to_peer("performed-step", "performed-step", configuration.performed_step, 1, waits)
    for one in configuration.destinations:
        waits = {"retry_first_seconds": one.retry_first_seconds, "retry_longest_seconds": one.retry_longest_seconds}
        if one.commitment:
            waits["commitment_seconds"] = one.commitment_seconds
        yield _to_peer(one.name, "destination", one, one.concurrency, waits)
    for port, is_encrypted in ((configuration.listener.port, False), (configuration.listener.tls_port, True)):
        if port is not None:
            yield Connection(
                name=f"listener, port {port}",
                role="listener",
                is_encrypted=is_encrypted,
                is_authenticated_mutually=is_encrypted,
                simultaneous=MOST_ASSOCIATIONS,
                deadlines={"stall_seconds": STALL_SECONDS, "message_seconds": MESSAGE_STALLS * STALL_SECONDS},
            )
    if configuration.audit:
        yield Connection(
            name="audit",
            role="audit",
            is_encrypted=True,
            is_authenticated_mutually=True,
            simultaneous=1,
            deadlines={
                "connect_seconds": configuration.audit.connect_seconds,
                "stall_seconds": configuration.audit.stall_seconds,
            },
        )


def _to_peer(
    name: str,
    role: Literal["worklist", "performed-step", "destination"],
    peer: Peer,
    simultaneous: int,
    waits: dict[str, float],
) -> Connection:
    return Connection(
        name=name,
        role=role,
        is_encrypted=peer.tls,
        is_authenticated_mutually=peer.tls,
        simultaneous=simultaneous,
        deadlines={
            "connect_seconds": peer.connect_seconds,
            "associate_seconds": associate_seconds_of(peer),
            "answer_seconds": peer.answer_seconds,
            **waits,
        },
    )


def _security(configuration: Configuration) -> Security:
    profiles = [_AUDIT]
    if any(one.is_encrypted and one.role != "audit" for one in _connections(configuration)):
        profiles.insert(0, _BCP_195)
    if configuration.audit:
        profiles.append(_SYSLOG)
    return Security(
        profiles=tuple(profiles),
        audit_events=tuple(event.value.meaning for event in Event),
        audit_collector=configuration.audit is not None,
    )


def _end_of_study(messages: Sequence[Message]) -> EndOfStudy:
    """By the two messages of a performed step, where there is somebody to hear them."""
    if not messages:
        return EndOfStudy(is_notified=False)
    _begun, ended = messages
    paths = {one.path for one in ended.attributes}
    return EndOfStudy(
        is_notified=True,
        by="performed-step",
        states=tuple(str(outcome) for outcome in Outcome),
        is_told_what_was_made=paths >= _WHAT_WAS_MADE,
        reasons=tuple(f"({reason.code}, DCM, {reason.meaning})" for reason in REASONS),
        is_told_after_failure=is_step_told_until_taken(),
    )


def _commitment(destination: Destination, listener: Listener) -> Commitment:
    is_reached = not is_loopback(listener.host) or is_loopback(destination.host)
    return Commitment(
        destination=destination.name,
        is_requested=destination.commitment,
        # On the association that asked a report is taken by the handlers of report_handlers: the wire's test sees both.
        report_on_same_association=destination.commitment,
        report_on_new_association=destination.commitment and COMMITMENT_CONTEXT in LISTENER_CONTEXTS and is_reached,
        report_seconds=destination.commitment_seconds if destination.commitment else None,
        is_verified_by_find=destination.verify_by_find,
    )
