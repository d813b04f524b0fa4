"""Patients as a viewer may see them: by their initials."""

from __future__ import annotations

from collections.abc import Sequence


def initials_from(names: Sequence[str]) -> str:
    """`M.A.` of the first group (PS3.5 6.2.1) of `Müller^Anna^^Dr.`: family and given name alone; `-` without any."""
    parts = names[0].split("^")[:2] if names else []
    letters = [part.strip()[0].upper() for part in parts if part.strip()]
    return "".join(f"{letter}." for letter in letters) or "-"
