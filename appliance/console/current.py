"""The exam that occupies the box."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.exam.exam import Exam


@dataclass(frozen=True, slots=True)
class CurrentExam:
    """The exam that occupies the box: open, or closing while `waiting_for` (devices) finish what is under way."""

    exam: Exam
    is_closing: bool
    waiting_for: tuple[str, ...] = ()
