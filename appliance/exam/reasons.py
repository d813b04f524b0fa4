"""Why an examination was discontinued: what a person chooses at its end, and the code that the performed step says.

PS3.16 CID 9300 (Procedure Discontinuation Reasons) has more; here is what happens in front of an old machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """A code of the scheme DCM with its meaning as PS3.16 has it, and the sentence that people choose it by."""

    code: str
    meaning: str
    sentence: str


UNSPECIFIED: Final = Reason("110513", "Discontinued for unspecified reason", "Another reason.")
WRONG_ENTRY: Final = Reason("110514", "Incorrect worklist entry selected", "The wrong entry was chosen.")

# In the order in which they are shown.
REASONS: Final[tuple[Reason, ...]] = (
    WRONG_ENTRY,
    Reason("110505", "Patient refused to continue procedure", "The patient refused or left."),
    Reason("110507", "Patient did not arrive", "The patient did not come."),
    Reason("110515", "Patient condition prevented continuing", "The patient's condition did not allow it."),
    Reason("110506", "Patient taken for treatment or surgery", "The patient was needed elsewhere."),
    Reason("110501", "Equipment failure", "The machine or the cable failed."),
    Reason("110500", "Doctor canceled procedure", "A doctor cancelled it."),
    Reason("110502", "Incorrect procedure ordered", "The wrong procedure was ordered."),
    UNSPECIFIED,
)

# Why a person takes an image out, before anything was sent; in the order in which they are shown.
DISCARD_REASONS: Final[Mapping[str, str]] = {
    "quality": "The image is not good enough.",
    "mistake": "It was taken by mistake.",
    "twice": "It is here twice.",
    "test": "It is a test image.",
    "nobody": "It is of nobody.",
    "other": "Another reason.",
}

_BY_CODE: Final = {reason.code: reason for reason in REASONS}
# What exams that were closed by earlier releases say instead of a code.
_EARLIER_WORDS: Final = {"wrong entry": WRONG_ENTRY}


def is_reason(code: str) -> bool:
    """True when `code` is one that a person may choose."""
    return code in _BY_CODE


def reason_from(text: str) -> Reason:
    """The reason that an exam's end names; unspecified where it names none that this release knows."""
    return _BY_CODE.get(text) or _EARLIER_WORDS.get(text) or UNSPECIFIED
