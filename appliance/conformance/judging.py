"""Holding one need against a statement: whether it is met, and the row or key that shows it.

What a statement does not say is not done. Of every kind of object (or connection, or destination) that a need is about
each must do: the first that does not is the evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.conformance.needs import (
    AnyNeed,
    AttributeNeed,
    CharacterSetNeed,
    CommitmentNeed,
    EndOfStudyNeed,
    ExtensionNeed,
    LimitNeed,
    ObjectNeed,
    PersonNeed,
    RetentionNeed,
    SecurityNeed,
    ServiceNeed,
    TimerNeed,
    WorklistKeyNeed,
    keywords_of,
)
from appliance.conformance.statement import Attribute, Matching, Role, Statement
from appliance.conformance.words import seconds_text, uid_text

_PIXELS = ("PixelData",)


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a need is met; None where a person must decide. `evidence` is a sentence with the row or key."""

    is_met: bool | None
    evidence: str


def judge(need: AnyNeed, statement: Statement) -> Judged:
    """What `statement` says of `need`."""
    match need:
        case ServiceNeed():
            return _judge_service(need, statement)
        case ObjectNeed():
            return _judge_object(need, statement)
        case AttributeNeed():
            return _judge_attribute(need, statement)
        case WorklistKeyNeed():
            return _judge_worklist_key(need, statement)
        case CharacterSetNeed():
            known = getattr(statement.character_sets, need.direction)
            is_known = need.term in known
            return Judged(is_known, f"{need.term} is {'' if is_known else 'not '}{need.direction}.")
        case SecurityNeed():
            return _judge_security(need, statement)
        case TimerNeed():
            return _judge_timer(need, statement)
        case LimitNeed():
            size = statement.max_pdu_bytes
            return Judged(size is not None and size >= need.at_least, f"PDUs of up to {size or '?'} bytes are taken.")
        case EndOfStudyNeed():
            return _judge_end_of_study(need, statement)
        case CommitmentNeed():
            return _judge_commitment(need, statement)
        case RetentionNeed():
            return _judge_retention(need, statement)
        case ExtensionNeed():
            private = statement.private_attributes
            return Judged(not private, f"Private attributes: {', '.join(private) or 'none'}.")
        case PersonNeed():
            return Judged(None, need.look_at)


def _judge_service(need: ServiceNeed, statement: Statement) -> Judged:
    name = f"{uid_text(need.sop_class)} as {need.role}"
    services = list(statement.services_of(need.sop_class, need.role))
    if not services:
        return Judged(False, f"{name} is not among the services.")
    peers = ", ".join(dict.fromkeys(peer for one in services for peer in one.peers))
    if need.transfer_syntax is not None:
        fitting = [
            context.peers or one.peers
            for one in services
            for context in one.contexts
            if need.transfer_syntax in context.transfer_syntaxes
        ]
        if not fitting:
            return Judged(False, f"{name} is not proposed in {uid_text(need.transfer_syntax)}.")
        peers = ", ".join(dict.fromkeys(peer for names in fitting for peer in names))
    return Judged(True, f"{name}{f', with {peers}' if peers else ''}.")


def _judge_object(need: ObjectNeed, statement: Statement) -> Judged:
    name = uid_text(need.sop_class)
    kinds = [one for one in statement.objects if one.sop_class_uid == need.sop_class]
    if not kinds:
        return Judged(False, f"No object of the class {name} is made.")
    if need.transfer_syntax is not None:
        sent = {
            uid
            for service in statement.services_of(need.sop_class, Role.SCU)
            for context in service.contexts
            for uid in context.transfer_syntaxes
        }
        if need.transfer_syntax not in sent:
            return Judged(False, f"{name} is not sent in {uid_text(need.transfer_syntax)}.")
    devices = ", ".join(dict.fromkeys(device for kind in kinds for device in kind.devices))
    return Judged(True, f"{name} is made{f' of {devices}' if devices else ''}.")


def _judge_attribute(need: AttributeNeed, statement: Statement) -> Judged:
    tables = list(_tables_for(need, statement))
    if not tables:
        return Judged(
            False, f"There is no {'such object' if need.within in ('objects', 'images') else need.within} to have it."
        )
    path = keywords_of(need.path)
    evidence = ""
    for name, attributes in tables:
        found = next((one for one in attributes if one.path == path), None)
        fault = _fault_of(need, found)
        if fault:
            return Judged(False, f"{need.path} in {name}: {fault}.")
        evidence = f"{need.path} in {name}: {_row_words(found)}."
    more = f" So in {len(tables)} kinds of object." if len(tables) > 1 else ""
    return Judged(True, evidence + more)


def _tables_for(need: AttributeNeed, statement: Statement) -> Iterable[tuple[str, tuple[Attribute, ...]]]:
    if need.within in ("objects", "images"):
        for kind in statement.objects:
            is_wanted = need.within == "objects" or any(one.path == _PIXELS for one in kind.attributes)
            if is_wanted and need.sop_class in (None, kind.sop_class_uid):
                yield f"{kind.form} of {', '.join(kind.devices) or 'the product'}", kind.attributes
    else:
        for message in statement.messages:
            if message.name == need.within:
                yield message.name, message.attributes


def _fault_of(need: AttributeNeed, found: Attribute | None) -> str:
    if need.is_absent:
        return f"it is there ({_row_words(found)})" if found else ""
    if found is None:
        return "it is never there"
    if found.presence not in need.presence:
        return f"its presence is {found.presence}{f' ({found.when})' if found.when else ''}"
    lacking = [source for source in need.sources if source not in found.sources]
    if lacking:
        return f"its sources are {', '.join(found.sources) or 'none'}, and not {lacking[0]}"
    if need.from_worklist is not None and keywords_of(need.from_worklist) not in found.worklist_paths:
        return f"it is not the worklist's {need.from_worklist}"
    if need.value is not None and found.value != need.value:
        return f"its value is {found.value or 'not stated'}"
    return ""


def _row_words(found: Attribute | None) -> str:
    if found is None:
        return "not there"
    said = [found.presence, ", ".join(found.sources), found.value, found.when]
    return "; ".join(part for part in said if part)


def _judge_worklist_key(need: WorklistKeyNeed, statement: Statement) -> Judged:
    path = keywords_of(need.path)
    found = next((one for one in statement.worklist_keys if one.path == path), None)
    if found is None:
        return Judged(False, f"{need.path} is not asked for.")
    if need.matching is not None and need.matching not in found.matching:
        return Judged(False, f"{need.path} is no matching key of the {need.matching} query.")
    if need.matching is Matching.BROAD and found.broad_of:
        return Judged(False, f"{need.path} is a matching key of {', '.join(found.broad_of)} alone.")
    if need.is_shown and not found.is_shown:
        return Judged(False, f"{need.path} is not shown.")
    uses = [f"matching in the {one} query" for one in found.matching] + (["shown"] if found.is_shown else [])
    said = f": {', '.join(uses)}" if uses else ""
    return Judged(True, f"{need.path} is asked for{said}.")


def _judge_security(need: SecurityNeed, statement: Statement) -> Judged:
    for role in need.encrypted:
        of_role = [one for one in statement.connections if one.role == role]
        if not of_role:
            return Judged(False, f"There is no connection as {role}.")
        for one in of_role:
            if not (one.is_encrypted and one.is_authenticated_mutually):
                return Judged(False, f"{one.name} is not encrypted with both sides authenticated.")
    if need.audit_collector and not statement.security.audit_collector:
        return Judged(False, "The audit trail goes to no collector.")
    said = [f"{role}: encrypted, both sides authenticated" for role in need.encrypted]
    return Judged(True, "; ".join(said + (["the audit trail is collected"] if need.audit_collector else [])) + ".")


def _judge_timer(need: TimerNeed, statement: Statement) -> Judged:
    waits = [(one.name, one.deadlines.get(need.name)) for one in statement.connections if one.role == need.connection]
    if not waits:
        return Judged(False, f"There is no connection as {need.connection}.")
    for name, seconds in waits:
        if seconds is None:
            return Judged(False, f"{name} has no {need.name}.")
        if seconds < need.at_least or (need.at_most is not None and seconds > need.at_most):
            return Judged(False, f"{need.name} of {name} is {seconds_text(seconds)}.")
    return Judged(True, "; ".join(f"{need.name} of {name} is {seconds_text(wait or 0)}" for name, wait in waits) + ".")


def _judge_end_of_study(need: EndOfStudyNeed, statement: Statement) -> Judged:
    end = statement.end_of_study
    if not end.is_notified:
        return Judged(False, "Nobody is told that an examination ended.")
    lacking: list[str] = [state for state in need.states if state not in end.states]
    lacking += [code for code in need.reasons if not any(f"({code}," in reason for reason in end.reasons)]
    if lacking:
        return Judged(False, f"{lacking[0]} is not told.")
    if need.lists_objects and not end.is_told_what_was_made:
        return Judged(False, "The end does not list what was made.")
    if need.is_told_after_failure and not end.is_told_after_failure:
        return Judged(False, "After a failure it is not told again.")
    listed = ", with every object" if end.is_told_what_was_made else ""
    return Judged(True, f"By {end.by}: {' or '.join(end.states)}{listed}.")


def _judge_commitment(need: CommitmentNeed, statement: Statement) -> Judged:
    if not statement.commitment:
        return Judged(False, "There is no destination.")
    for one in statement.commitment:
        if not one.is_requested:
            return Judged(False, f"{one.destination} is not asked for commitment.")
        if need.same_association and not one.report_on_same_association:
            return Judged(False, f"A report of {one.destination} is not taken on the same association.")
        if need.new_association and not one.report_on_new_association:
            return Judged(False, f"A report of {one.destination} is not taken on a new association.")
    return Judged(True, f"Asked of {', '.join(one.destination for one in statement.commitment)}.")


def _judge_retention(need: RetentionNeed, statement: Statement) -> Judged:
    kept = statement.retention
    if kept is None:
        return Judged(False, "Nothing is stated of what stays.")
    if need.until_committed and not kept.is_kept_until_committed:
        return Judged(False, "Objects may go before they are committed.")
    if need.saved_before_shown and not kept.is_saved_before_shown:
        return Judged(False, "Objects are shown as saved before they are durable.")
    if kept.committed_days < need.committed_days:
        return Judged(False, f"retention.committed_days is {kept.committed_days:g}.")
    return Judged(True, f"Kept until committed, and then {kept.committed_days:g} days.")
