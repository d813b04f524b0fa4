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
from appliance.conformance.profile import (
    AnyNeed,
    CommitmentNeed,
    EndOfStudyNeed,
    ObjectNeed,
    Profile,
    ServiceNeed,
    WorklistKeyNeed,
)
from appliance.conformance.statement import Role, Statement
from appliance.conformance.words import uid_text
from appliance.dimse.uid_names import KEYWORD_UIDS

_WORKLIST = KEYWORD_UIDS["ModalityWorklistInformationModelFind"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one peer: the contexts that it took, and the checks that were made of it. `trouble`: it could not be asked."""

    name: str
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
    return Answer(str(report["name"]), report["accepted"], checks, str(failed["words"]) if failed else "")


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


def _with_answers(finding: Finding, answers: Sequence[Answer], is_written: bool) -> Finding:
    if finding.verdict in (Verdict.NOT_UNDERSTOOD, Verdict.NOT_MET, Verdict.MET_IF):
        return finding
    borne_out: list[bool] = []
    said: list[str] = []
    for need in finding.requirement.needs:
        found = [one for answer in answers if (one := _of_need(need, answer, is_written))]
        said += [words for of_peer in found for _, words in of_peer]
        if found:
            # One peer that does all of it is enough: others may be for something else.
            borne_out.append(any(all(is_good for is_good, _ in of_peer) for of_peer in found))
    verdict = finding.verdict if all(borne_out) else Verdict.NOT_MET
    return replace(finding, verdict=verdict, live=tuple(dict.fromkeys(said)))


def _of_need(need: AnyNeed, answer: Answer, is_written: bool) -> list[tuple[bool, str]]:
    """What one peer has to do with `need`: for each thing whether it bears it out, and in words."""
    if answer.trouble:
        is_asked = isinstance(need, ServiceNeed | ObjectNeed | WorklistKeyNeed | CommitmentNeed | EndOfStudyNeed)
        return [(False, f"{answer.name} could not be asked: {answer.trouble}")] if is_asked else []
    match need:
        case ServiceNeed(role=Role.SCU) | ObjectNeed():
            return [_of_context(need, answer)]
        case WorklistKeyNeed() if _WORKLIST in answer.accepted:
            return _of_checks(answer, "worklist query")
        case CommitmentNeed() if is_written:
            return _of_checks(answer, "store", "commitment")
        case EndOfStudyNeed() if is_written:
            return _of_checks(answer, "performed step")
        case _:
            return []


def _of_context(need: ServiceNeed | ObjectNeed, answer: Answer) -> tuple[bool, str]:
    taken = answer.accepted.get(need.sop_class, [])
    name = uid_text(need.sop_class, with_uid=False)
    if need.transfer_syntax is not None:
        wanted = uid_text(need.transfer_syntax, with_uid=False)
        is_taken = need.transfer_syntax in taken
        return is_taken, f"{answer.name} {'accepts' if is_taken else 'does not accept'} {name} in {wanted}."
    return bool(taken), f"{answer.name} {'accepts' if taken else 'does not accept'} {name}."


def _of_checks(answer: Answer, *beginnings: str) -> list[tuple[bool, str]]:
    return [(check["verdict"] == "good", _check_words(answer, check)) for check in answer.checked(*beginnings)]


def _check_words(answer: Answer, check: Mapping[str, Any]) -> str:
    seconds = f" ({check['seconds']:.2f} s)" if check.get("seconds") is not None else ""
    return f"{answer.name}, {check['name']}: {check['words']}{seconds}"
