"""`appliance conformance check`: a purchaser's profile against this box, another product, or the hospital just now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from appliance.base.paths import Paths
from appliance.cli.checks import ask_test
from appliance.config.in_force import read_in_force
from appliance.config.load import load_configuration
from appliance.conformance.comparison import Comparison, compare_box, compare_statement
from appliance.conformance.live import Answer, answer_from, wanted_contexts, with_answers
from appliance.conformance.printing import Format, print_document
from appliance.conformance.profile import PROFILES, Profile, read_profile, schema
from appliance.conformance.report import report_from, report_json, report_lines
from appliance.conformance.statement import Statement, read_statement


def print_example() -> int:
    """The commented example; 0."""
    print((PROFILES / "example.toml").read_text(encoding="utf-8"), end="")
    return 0


def print_schema() -> int:
    """The JSON Schema of a profile, for editors; 0."""
    print(json.dumps(schema(), indent=1))
    return 0


def check_profile(
    profile: str,
    *,
    configuration: Path | None,
    statement: Path | None,
    live: Sequence[str],
    may_write: bool,
    form: str,
) -> int:
    """Print the report. The status says whether every *shall* is met (0), not (1), or a person must look (3)."""
    wanted = read_profile(_file_of(profile))
    if statement is not None:
        comparison = compare_statement(wanted, read_statement(statement))
    else:
        known = (
            load_configuration(configuration)
            if configuration
            else read_in_force(Paths.from_environment().configuration).configuration
        )
        comparison = compare_box(wanted, known)
        if live:
            answers = [_ask(name, wanted, comparison.statement, may_write) for name in live]
            comparison = with_answers(comparison, answers, is_written=may_write)
    _print(comparison, form)
    return comparison.status


def _file_of(profile: str) -> Path:
    """A file, or one of the product's own by its name."""
    own = PROFILES / f"{profile}.toml"
    return own if "/" not in profile and own.is_file() else Path(profile)


def _ask(name: str, profile: Profile, statement: Statement, may_write: bool) -> Answer:
    """ApplianceError when nobody is called so: that is no answer of a peer."""
    return answer_from(ask_test(name, may_write=may_write, contexts=wanted_contexts(profile, statement)))


def _print(comparison: Comparison, form: str) -> None:
    if form == "json":
        print(json.dumps(report_json(comparison), indent=1, ensure_ascii=False))
    elif form == "text":
        print("\n".join(report_lines(comparison)))
    else:
        print(print_document(report_from(comparison, datetime.now().astimezone().date()), Format(form)), end="")
