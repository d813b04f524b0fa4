"""The configuration for commands that only look at it, without what checks it all: that takes longer than the rest."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from appliance.base.paths import Paths
from appliance.config.effective import kept_effective, tree_from


def read_tree(paths: Paths, *, only_given: bool = False) -> dict[str, Any]:
    """What is in force as `effective.tree_from` says it, as it was kept when it came in force. ConfigurationError.

    What nobody has kept is loaded, by all that takes.
    """
    try:
        kept = kept_effective(paths.effective, paths.configuration.read_bytes(), only_given=only_given)
    except OSError:
        kept = None  # whoever loads it says why it cannot be read
    if kept is not None:
        return kept
    from appliance.config.in_force import read_in_force

    return tree_from(read_in_force(paths.configuration).configuration, only_given=only_given)


def is_in_force(text: bytes, paths: Paths) -> bool:
    """Whether it is known that `text` is the configuration, to the letter, and that nothing is wrong with it."""
    try:
        is_same = paths.configuration.read_bytes() == text
    except OSError:
        return False
    return is_same and kept_effective(paths.effective, text, only_given=False) is not None


def names_in(path: Path, section: str) -> list[str] | None:
    """The names of the `[[section]]`s; None where the file does not say them: then whoever loads it says why."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return [str(one["name"]) for one in tree.get(section, [])]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
