"""A profile held against a statement: a verdict and its evidence for each requirement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from pydantic import ValidationError

from appliance.base.errors import ended_sentence
from appliance.config.schema import Configuration
from appliance.conformance.box import statement_of
from appliance.conformance.judging import Judged, judge
from appliance.conformance.levers import smallest
from appliance.conformance.profile import Profile, Requirement, Strength
from appliance.conformance.statement import Statement


class Verdict(StrEnum):
    """What became of a requirement. Nothing but MET counts as met."""

    MET = "met"
    NOT_MET = "not met"
    MET_IF = "met if configured so"
    BY_PERSON = "cannot be decided by machine"
    NOT_UNDERSTOOD = "not understood"


@dataclass(frozen=True, slots=True)
class Finding:
    """A requirement with its verdict. `keys` are what to configure; `live` is what the hospital's systems answered."""

    requirement: Requirement
    verdict: Verdict
    evidence: tuple[str, ...]
    keys: tuple[str, ...] = ()
    live: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole report."""

    profile: Profile
    statement: Statement
    findings: tuple[Finding, ...]

    def count(self, strength: Strength, verdict: Verdict) -> int:
        return sum((one.requirement.strength, one.verdict) == (strength, verdict) for one in self.findings)

    @property
    def status(self) -> int:
        """0: every *shall* is met. 3: what is left of them a person must look at. 1: one is not met."""
        verdicts = {one.verdict for one in self.findings if one.requirement.strength is Strength.SHALL}
        if verdicts & {Verdict.NOT_MET, Verdict.MET_IF, Verdict.NOT_UNDERSTOOD}:
            return 1
        return 3 if Verdict.BY_PERSON in verdicts else 0


def compare_box(profile: Profile, configuration: Configuration) -> Comparison:
    """This box, configured so; what it lacks it may have under another configuration."""

    def met_by(requirement: Requirement) -> Callable[[Configuration], bool]:
        def is_met(other: Configuration) -> bool:
            statement = _stated(other.model_dump_json())
            return statement is not None and all(
                judge(need, statement).is_met is not False for need in requirement.needs
            )

        return is_met

    def keys_for(requirement: Requirement) -> tuple[str, ...] | None:
        levers = smallest(configuration, met_by(requirement))
        return None if levers is None else tuple(one.keys for one in levers)

    return _compare(profile, statement_of(configuration), keys_for)


@lru_cache(maxsize=64)
def _stated(written: str) -> Statement | None:
    """None where that is no configuration: nobody could write it. Most requirements try the same few."""
    try:
        return statement_of(Configuration.model_validate_json(written))
    except ValidationError:
        return None


def compare_statement(profile: Profile, statement: Statement) -> Comparison:
    """Another product, by what is stated of it."""
    return _compare(profile, statement, lambda _requirement: None)


def _compare(
    profile: Profile, statement: Statement, keys_for: Callable[[Requirement], tuple[str, ...] | None]
) -> Comparison:
    findings = tuple(_finding_of(one, statement, keys_for) for one in profile.requirements)
    return Comparison(profile, statement, findings)


def _finding_of(
    requirement: Requirement, statement: Statement, keys_for: Callable[[Requirement], tuple[str, ...] | None]
) -> Finding:
    if requirement.fault:
        return Finding(requirement, Verdict.NOT_UNDERSTOOD, (ended_sentence(requirement.fault),))
    judged = [judge(need, statement) for need in requirement.needs]
    failed = tuple(one.evidence for one in judged if one.is_met is False)
    if failed:
        keys = keys_for(requirement)
        return Finding(requirement, Verdict.NOT_MET if keys is None else Verdict.MET_IF, failed, keys or ())
    verdict = Verdict.BY_PERSON if any(one.is_met is None for one in judged) else Verdict.MET
    return Finding(requirement, verdict, _evidence(judged))


def _evidence(judged: Sequence[Judged]) -> tuple[str, ...]:
    return tuple(one.evidence if one.is_met is not None else f"Look at: {one.evidence}" for one in judged)
