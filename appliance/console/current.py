"""The exam that occupies the box."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.exam.exam import Exam


@dataclass(frozen=True, slots=True)
class CurrentExam:
    """The exam that occupies the box: open, or closing while `waiting_for` (devices) finish what is under way.

    `is_interrupted`: the box started anew while it was open, and nobody has said yet that it goes on.
    """

    exam: Exam
    is_closing: bool
    waiting_for: tuple[str, ...] = ()
    is_interrupted: bool = False
