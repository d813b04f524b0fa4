"""What a UID is called in words for people: PS3.6's names."""

from __future__ import annotations

import re
from typing import Final

from pydicom._uid_dict import UID_dictionary  # PS3.6 Table A-1, which pydicom.uid reads and does not export
from pydicom.uid import UID

KEYWORD_UIDS: Final[dict[str, str]] = {entry[4]: uid for uid, entry in UID_dictionary.items() if entry[4]}
"""The UID of each keyword of PS3.6, as `VerificationSOPClass`."""


def uid_name_of(uid: str) -> str:
    """PS3.6's name without the words that all of them have; the UID itself where PS3.6 has none."""
    return re.sub(r" (Image Storage|SOP Class|\(Process 1\))", "", UID(uid).name)


def is_known_uid(uid: str) -> bool:
    """Whether PS3.6 has it."""
    return uid in UID_dictionary
