"""What a UID is called in words for people: PS3.6's names."""

from __future__ import annotations

import re

from pydicom.uid import UID


def uid_name_of(uid: str) -> str:
    """PS3.6's name without the words that all of them have; the UID itself where PS3.6 has none."""
    return re.sub(r" (Image Storage|SOP Class|\(Process 1\))", "", UID(uid).name)
