"""What `appliance echo` and `appliance test` print: a line for each check, and how many came to which verdict."""

from __future__ import annotations

import pytest

from appliance.base.clock import Deadline, SystemClock
from appliance.cli.checks import lines_of
from appliance.forward.self_test_report import Check, Report, Verdict


def test_ok__the_report_for_people() -> None:
    report = Report("archive", "PACS at 10.0.0.7:104", Deadline.after(SystemClock(), 300.0))
    report.checks += [
        Check("association", Verdict.GOOD, "PACS takes it.", seconds=0.034),
        Check("proposed: X", Verdict.FAILED, "Refused.", "Allow it."),
    ]
    report.written["study"] = "2.25.1"
    assert lines_of(report.as_json()) == [
        "archive: PACS at 10.0.0.7:104",
        "good    0.03 s  association  PACS takes it.",
        "failed          proposed: X  Refused.",
        "                             Allow it.",
        "What stays there, marked as no examination (Quality Control Image):",
        "  study: 2.25.1",
        "Not all is well: 1 failed, 1 good.",
    ]


@pytest.mark.parametrize(
    ("verdicts", "end"),
    [
        ("good good", "All is well."),
        ("good noted", "All is well."),
        ("failed skipped", "Not all is well: 1 failed, 1 skipped."),
        ("good skipped failed skipped noted good good", "Not all is well: 1 failed, 2 skipped, 1 noted, 3 good."),
    ],
)
def test_ok__the_verdicts_are_counted_apart(verdicts: str, end: str) -> None:
    """What was not tried did not fail."""
    report = Report("archive", "PACS at 10.0.0.7:104", Deadline.after(SystemClock(), 300.0))
    report.checks += [Check("X", Verdict(one), "") for one in verdicts.split()]
    document = report.as_json()
    assert document["counts"] == {one: verdicts.split().count(one) for one in ("good", "noted", "failed", "skipped")}
    assert lines_of(document)[-1] == end
