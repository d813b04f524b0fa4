"""Unique identifiers without a registered root: UUIDs under 2.25 (PS3.5 B.2, ITU-T X.667)."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("6f0ecb6e-5d0f-4b7e-9d0e-5a3c54a1b6d1")


def new_uid() -> str:
    """A fresh UID of at most 44 characters."""
    return f"2.25.{uuid.uuid4().int}"


def uid_from_parts(*parts: str) -> str:
    """The UID that these parts always give: a repeated act finds the object that it already made.

    Parts are joined by NUL, which none of them may hold, so that ("a", "bc") and ("ab", "c") differ.
    """
    if any("\0" in part for part in parts):
        raise ValueError("a part of a UID's name holds NUL")
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"
