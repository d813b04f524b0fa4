"""What differs between two configurations, key by key, in the words of the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from appliance.config.schema import Configuration

Settings = dict[str, str]
"""Every key that has a value, as one would write it (`destinations[0].port`) → its value as JSON."""


def settings_from(configuration: Configuration) -> Settings:
    """Everything that is in force, defaults included. No secret is among it: keys lie in files of their own."""
    return dict(_leaves(configuration.model_dump(mode="json"), ""))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{key}[{number}]")
    elif key.endswith("].pin"):
        # A PIN has few digits: that it was changed is told, what is kept of it is not.
        yield key, json.dumps(f"(kept) {hashlib.sha256(str(value).encode()).hexdigest()[:8]}")
    elif value is not None and value != []:
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
