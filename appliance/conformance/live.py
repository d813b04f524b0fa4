"""What the hospital's systems answered just now, as evidence for the requirements that they take part in.

A statement says what the box would do; an association with every context that the profile wants, a worklist query, and
on demand a performed step, an object and its commitment under the test patient say whether it is done with these peers.
What a peer does not take is not met, whatever is stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.conformance.comparison import Comparison, Finding, Verdict
from appliance.conformance.needs import (
    AnyNeed,
    CommitmentNeed,
    EndOfStudyNeed,
    ObjectNeed,
    ServiceNeed,
    TimerNeed,
    WorklistKeyNeed,
)
from appliance.conformance.profile import Profile
from appliance.conformance.statement import Role, Statement
from appliance.conformance.words import uid_text
from appliance.dimse.uid_names import KEYWORD_UIDS, uid_name_of

KEPT_OPEN = "kept open"
"""How the check ends in which the archive may report on the association that asked."""
# Who accepts a context may still refuse what is said on it: these are said without --write.
_USED = {
    KEYWORD_UIDS["Verification"]: ("verification",),
    KEYWORD_UIDS["ModalityWorklistInformationModelFind"]: ("worklist query",),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one peer: the contexts that it took, and the checks that were made of it. `trouble`: it could not be asked.

    `roles` are what it is to the box: worklist, performed-step, destination.
    """

    name: str
    roles: tuple[str, ...]
    accepted: Mapping[str, Sequence[str]]
    checks: tuple[Mapping[str, Any], ...]
    trouble: str = ""

    def checked(self, *beginnings: str) -> list[Mapping[str, Any]]:
        """The checks whose names begin so."""
        return [one for one in self.checks if str(one["name"]).startswith(beginnings)]


def answer_from(report: Mapping[str, Any]) -> Answer:
    """From the report of the forward process (`appliance test`)."""
    checks = tuple(report["checks"])
    failed = next((one for one in checks if one["name"] == "association" and one["verdict"] != "good"), None)
    return Answer(
        str(report["name"]), tuple(report["roles"]), report["accepted"], checks, str(failed["words"]) if failed else ""
    )


def wanted_contexts(profile: Profile, statement: Statement) -> list[tuple[str, str]]:
    """Abstract and transfer syntax of everything that the profile wants of a peer, each once."""
    return list(
        dict.fromkeys(pair for one in profile.requirements for need in one.needs for pair in _pairs(need, statement))
    )


def with_answers(comparison: Comparison, answers: Sequence[Answer], *, is_written: bool) -> Comparison:
    """The comparison with what was answered; a requirement that no peer bears out is not met."""
    findings = tuple(_with_answers(one, answers, is_written) for one in comparison.findings)
    return replace(comparison, findings=findings)


def _pairs(need: AnyNeed, statement: Statement) -> Iterator[tuple[str, str]]:
    match need:
        case ServiceNeed(role=Role.SCU) | ObjectNeed():
            if need.transfer_syntax is not None:
                yield need.sop_class, need.transfer_syntax
                return
            for service in statement.services_of(need.sop_class, Role.SCU):
                for context in service.contexts:
                    yield from ((need.sop_class, syntax) for syntax in context.transfer_syntaxes)


@dataclass(frozen=True, slots=True)
class _Said:
    """What one peer has to do with a need: whether it bears it out, and in words for people."""

    is_good: bool
    words: str


def _with_answers(finding: Finding, answers: Sequence[Answer], is_written: bool) -> Finding:
    if finding.verdict in (Verdict.NOT_UNDERSTOOD, Verdict.NOT_MET, Verdict.MET_IF):
        return finding
    is_borne_out = True
    said: list[str] = []
    for need in finding.requirement.needs:
        if not _is_asked_of_peers(need):
            continue
        if _is_written_alone(need) and not is_written:
            silent = [one.words for answer in answers if answer.trouble for one in _of_need(need, answer, is_written)]
            said += [*silent, "Not tried with anybody: that needs --write."]
            is_borne_out = is_borne_out and not silent
            continue
        of_peers = [found for answer in answers if (found := _of_need(need, answer, is_written))]
        said += [one.words for found in of_peers for one in found]
        if not of_peers:
            said.append(f"Nobody asked has a part in it: {', '.join(one.name for one in answers)}.")
        goods = [all(one.is_good for one in found) for found in of_peers]
        # A context is enough from one peer, others may be for something else; what a peer was tried for it must do.
        is_enough = any(goods) if isinstance(need, ServiceNeed | ObjectNeed) else bool(goods) and all(goods)
        is_borne_out = is_borne_out and is_enough
    verdict = finding.verdict if is_borne_out else Verdict.NOT_MET
    return replace(finding, verdict=verdict, live=tuple(dict.fromkeys(said)))


def _is_asked_of_peers(need: AnyNeed) -> bool:
    match need:
        case ServiceNeed():
            return need.role is Role.SCU
        case TimerNeed():
            return need.at_most is not None and _timed_checks(need) != ()
        case _:
            return isinstance(need, ObjectNeed | WorklistKeyNeed | CommitmentNeed | EndOfStudyNeed)


def _is_written_alone(need: AnyNeed) -> bool:
    if isinstance(need, TimerNeed):
        return not _timed_checks(need)[0].startswith(("association", "worklist"))
    return isinstance(need, CommitmentNeed | EndOfStudyNeed)


def _of_need(need: AnyNeed, answer: Answer, is_written: bool) -> list[_Said]:
    """Of one peer; nothing where it has no part in it."""
    role = _role_of(need)
    if role and role not in answer.roles:
        return []
    if answer.trouble:
        return [_Said(False, f"{answer.name} could not be asked: {answer.trouble}")]
    match need:
        case WorklistKeyNeed():
            return _of_checks(answer, "worklist query")
        case ServiceNeed() | ObjectNeed():
            tried = _of_class(answer, need.sop_class) if is_written and isinstance(need, ObjectNeed) else []
            used = _of_checks(answer, *_USED[need.sop_class]) if need.sop_class in _USED else []
            return [_of_context(need, answer), *tried, *used]
        case CommitmentNeed():
            return _of_commitment(need, answer)
        case EndOfStudyNeed():
            return _of_checks(answer, "performed step")
        case TimerNeed():
            return _of_timer(need, answer)
        case _:
            return []


def _role_of(need: AnyNeed) -> str:
    """What a peer must be to have a part in it; empty where it may be anything."""
    match need:
        case WorklistKeyNeed():
            return "worklist"
        case CommitmentNeed():
            return "destination"
        case EndOfStudyNeed():
            return "performed-step"
        case TimerNeed():
            return need.connection
        case _:
            return ""


def _of_class(answer: Answer, sop_class_uid: str) -> list[_Said]:
    """The test's own object of this class, at whichever name the peer has as an archive."""
    ending = f": {uid_name_of(sop_class_uid)}"
    return [_said(answer, one) for one in answer.checked("store at ") if str(one["name"]).endswith(ending)]


def _of_commitment(need: CommitmentNeed, answer: Answer) -> list[_Said]:
    """An archive chooses the association of its report: the ways that are needed must work, any of them otherwise."""
    ways = answer.checked("commitment at ")
    kept = [one for one in ways if str(one["name"]).endswith(KEPT_OPEN)]
    released = [one for one in ways if one not in kept]
    wanted = [*(kept if need.same_association else ()), *(released if need.new_association else ())]
    if not wanted:
        wanted = [one for one in ways if _is_good(one)] or ways
    return [*_of_checks(answer, "store at "), *(_said(answer, one) for one in wanted)]


def _of_timer(need: TimerNeed, answer: Answer) -> list[_Said]:
    """How long it took just now, of what was answered at all."""
    timed = [one for one in answer.checked(*_timed_checks(need)) if _is_good(one) and one["seconds"] is not None]
    at_most = need.at_most or 0.0
    return [
        _Said(
            one["seconds"] <= at_most, f"{answer.name}, {one['name']}: {one['seconds']:.2f} s of at most {at_most:g} s."
        )
        for one in timed
    ]


def _timed_checks(need: TimerNeed) -> tuple[str, ...]:
    """The checks that show how long this wait is in truth."""
    by_connection = {
        "worklist": ("worklist query",),
        "performed-step": ("performed step",),
        "destination": ("store at ",),
    }
    match need.name:
        case "connect_seconds":
            return ("association",)
        case "answer_seconds":
            return by_connection.get(need.connection, ())
        case "commitment_seconds":
            return ("commitment at ",)
        case _:
            return ()


def _of_context(need: ServiceNeed | ObjectNeed, answer: Answer) -> _Said:
    taken = answer.accepted.get(need.sop_class, [])
    name = uid_text(need.sop_class, with_uid=False)
    if need.transfer_syntax is not None:
        wanted = uid_text(need.transfer_syntax, with_uid=False)
        is_taken = need.transfer_syntax in taken
        return _Said(is_taken, f"{answer.name} {'accepts' if is_taken else 'does not accept'} {name} in {wanted}.")
    return _Said(bool(taken), f"{answer.name} {'accepts' if taken else 'does not accept'} {name}.")


def _of_checks(answer: Answer, *beginnings: str) -> list[_Said]:
    return [_said(answer, check) for check in answer.checked(*beginnings)]


def _said(answer: Answer, check: Mapping[str, Any]) -> _Said:
    seconds = f" ({check['seconds']:.2f} s)" if check.get("seconds") is not None else ""
    return _Said(_is_good(check), f"{answer.name}, {check['name']}: {check['words']}{seconds}")


def _is_good(check: Mapping[str, Any]) -> bool:
    return bool(check["verdict"] == "good")
