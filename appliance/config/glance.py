"""Names out of the configuration for commands that need no more of it, without what checks the whole."""

from __future__ import annotations

import tomllib
from pathlib import Path


def names_in(path: Path, section: str) -> list[str] | None:
    """The names of the `[[section]]`s; None where the file does not say them: then whoever loads it says why."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return [str(one["name"]) for one in tree.get(section, [])]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
