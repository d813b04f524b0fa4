"""Keys that were called otherwise in an earlier release: a site's file loads for ever.

A key is never taken away and never given another meaning; one that is called otherwise from some release on stands
here, and its old name is read as the new one. tests/config/releases holds a configuration of every release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.config.positions import Keys


@dataclass(frozen=True, slots=True)
class Renamed:
    """In each table at `section` (`("destinations",)` stands for each of them) `old` was, up to `release`, `new`."""

    section: tuple[str, ...]
    old: str
    new: str
    release: str


RENAMED: tuple[Renamed, ...] = ()
"""Nothing was renamed since the first release, 0.1.0."""


def rename_keys(tree: dict[str, Any], table: Sequence[Renamed] = RENAMED) -> Iterator[tuple[Keys, Keys, bool]]:
    """Call the keys of `tree` as they are called now. Yields each old place, its new one, and whether both are there.

    Where both are there the new one stands, and the old one with it: whoever asked says so.
    """
    for one in table:
        for path, section in _tables_at(tree, one.section, ()):
            if one.old not in section:
                continue
            has_both = one.new in section
            if not has_both:
                section[one.new] = section.pop(one.old)
            yield (*path, one.old), (*path, one.new), has_both


def _tables_at(value: Any, section: Sequence[str], path: Keys) -> Iterator[tuple[Keys, dict[str, Any]]]:
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _tables_at(inner, section, (*path, number))
    elif isinstance(value, dict):
        if not section:
            yield path, value
        elif section[0] in value:
            yield from _tables_at(value[section[0]], section[1:], (*path, section[0]))
