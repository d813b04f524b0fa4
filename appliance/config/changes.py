"""What differs between two configurations, key by key, in the words of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from appliance.config.effective import tree_from

if TYPE_CHECKING:
    from appliance.config.schema import Configuration

Settings = dict[str, str]
"""Every key that has a value, as one would write it (`destinations[0].port`) → its value as JSON."""


def settings_from(configuration: Configuration) -> Settings:
    """Everything that is in force, defaults included, without secrets."""
    return settings_in(tree_from(configuration))


def settings_in(tree: Any) -> Settings:
    """What stands in `tree`, which is one of `effective.tree_from`, or a part of it."""
    return dict(_leaves(tree, ""))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and (value or not key):
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{key}[{number}]")
    elif value is not None and value not in ([], {}):
        yield key, json.dumps(value, ensure_ascii=False)


def changes_between(before: Settings, after: Settings) -> list[str]:
    """A sentence part for each key that was added, removed or changed, in the order of the file."""
    said = []
    for key in {**after, **before}:
        if key not in after:
            said.append(f"{key} was {before[key]}, is gone")
        elif key not in before:
            said.append(f"{key} is new: {after[key]}")
        elif before[key] != after[key]:
            said.append(f"{key} was {before[key]}, is {after[key]}")
    return said
