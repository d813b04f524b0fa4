"""UIDs from the wire become file names here, so what is none must never reach the disk."""

from __future__ import annotations

import re

_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")


def is_uid(text: str) -> bool:
    """Is `text` a UID by PS3.5 9.1: at most 64 characters, numbers without leading zeros, joined by dots?"""
    return len(text) <= 64 and _UID.fullmatch(text) is not None
