"""What went wrong, in a sentence that a person understands, and what that person can do."""

from __future__ import annotations

from dataclasses import dataclass


class ApplianceError(Exception):
    """An error that is shown to people: `sentence` says what happened, `suggestion` what to do.

    Neither may hold a patient's name or identifier: both are logged and shown on every screen.
    """

    def __init__(self, sentence: str, suggestion: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.suggestion = suggestion

    def __str__(self) -> str:
        return f"{self.sentence} {self.suggestion}".rstrip()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong now: a stable `code`, a sentence, a suggestion, and where it was found."""

    code: str
    sentence: str
    suggestion: str = ""
    subject: str = ""


def ended_sentence(words: str) -> str:
    """`words`, a peer's perhaps, with a full stop, so that another sentence can follow."""
    return words if words.endswith((".", "!", "?")) else f"{words}."


def counted(count: int, what: str) -> str:
    """`1 exam`, `2 exams`: for words that take an s."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def finding_from(error: ApplianceError, code: str, subject: str = "") -> Finding:
    """The finding that shows `error` on the panel."""
    return Finding(code, error.sentence, error.suggestion, subject)
