"""What the self test found out, check by check."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from appliance.base.clock import Deadline
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.dimse.status import AnswerIsNo


class Verdict(StrEnum):
    """Of one check."""

    GOOD = "good"
    NOTED = "noted"  # not as it might be, and the box can do with it
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report; `seconds` is None for what took no time of its own."""

    name: str
    verdict: Verdict
    words: str
    suggestion: str = ""
    seconds: float | None = None


class CheckFailed(AnswerIsNo):
    """A peer's answer that is no success."""


@dataclass(slots=True)
class Report:
    """The checks so far, and the moment after which none is begun. `written` names what stays at the peer.

    `accepted` are the presentation contexts that it took, each abstract syntax with its transfer syntaxes;
    `roles` what the application entity is to the box: worklist, performed-step, destination.
    """

    name: str
    peer: str
    deadline: Deadline
    checks: list[Check] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, list[str]] = field(default_factory=dict)
    roles: tuple[str, ...] = ()

    def run(self, name: str, act: Callable[[], str]) -> bool:
        """Do one check, which answers in words or raises ApplianceError; whether it was good."""
        if self.deadline.is_over():
            self.skip(name, "The time for the whole test was over.")
            return False
        begun = time.monotonic()
        place = len(self.checks)
        try:
            verdict, words, suggestion = Verdict.GOOD, act(), ""
        except ApplianceError as error:
            verdict, words, suggestion = Verdict.FAILED, error.sentence, error.suggestion
        except OSError as error:
            verdict, words, suggestion = Verdict.FAILED, f"The box itself failed ({reason_of(error)}).", ""
        # In front of what it added itself.
        self.checks.insert(place, Check(name, verdict, words, suggestion, round(time.monotonic() - begun, 3)))
        return verdict is Verdict.GOOD

    def skip(self, name: str, why: str) -> None:
        """Say that a check was not done."""
        self.checks.append(Check(name, Verdict.SKIPPED, why))

    @property
    def is_good(self) -> bool:
        return all(check.verdict in (Verdict.GOOD, Verdict.NOTED) for check in self.checks)

    @property
    def counts(self) -> dict[str, int]:
        """How many checks came to each verdict."""
        return {verdict.value: sum(check.verdict is verdict for check in self.checks) for verdict in Verdict}

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "peer": self.peer,
            "roles": self.roles,
            "is_good": self.is_good,
            "counts": self.counts,
            "checks": [asdict(check) for check in self.checks],
            "written": self.written,
            "accepted": self.accepted,
        }
