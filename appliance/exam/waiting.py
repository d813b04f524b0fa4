"""Which exams are over and wait for their objects to be taken over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.settled import settled_path
from appliance.spool.tree import Spool


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many exams that are over wait for their objects to be taken over, and since when the first of them."""

    exams: int
    since: datetime | None

    @property
    def sentence(self) -> str:
        """`14 exams wait to be sent, the oldest since 2026-11-22 09:12.`"""
        if not self.exams:
            return "No exam waits to be sent."
        since = f"since {self.since:%Y-%m-%d %H:%M}" if self.since else ""
        if self.exams == 1:
            return f"1 exam waits to be sent{f', {since}' if since else ''}."
        return f"{self.exams} exams wait to be sent{f', the oldest {since}' if since else ''}."


def read_waiting(spool: Spool, facts: ExamFacts) -> Waiting:
    """The exams that are over and not settled: what they made is still on its way. OSError."""
    waiting = [
        exam_id
        for exam_id in facts.exam_ids()
        if (facts.directory / exam_id / "closed.json").exists() and not settled_path(spool, exam_id).exists()
    ]
    try:
        oldest = facts.closed_at(waiting[0]) if waiting else None
    except DamagedFactError:
        oldest = None
    return Waiting(len(waiting), oldest)
