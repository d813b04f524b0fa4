"""A configuration of every release loads for ever; keys that were renamed are read under their old names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.base.version import VERSION
from appliance.config.load import load_configuration
from appliance.config.renamed import RENAMED, Renamed, rename_keys

_RELEASES = Path(__file__).parent / "releases"
TABLE = (
    Renamed(("panel",), "lock_after", "lock_seconds", "0.0.1"),
    Renamed(("destinations",), "title", "ae_title", "0.0.1"),
    Renamed(("devices", "triggers"), "bounce", "debounce_seconds", "0.0.2"),
)


@pytest.mark.parametrize("file", sorted(_RELEASES.glob("*.toml")), ids=lambda file: file.stem)
def test_ok__a_configuration_of_each_release_loads(file: Path) -> None:
    assert load_configuration(file).devices


def test_ok__this_release_has_one() -> None:
    assert (_RELEASES / f"{VERSION}.toml").is_file()


def test_ok__no_name_comes_back() -> None:
    """A name that was given up is never used for something else, nor renamed twice."""
    old = [(one.section, one.old) for one in RENAMED]
    assert len(set(old)) == len(old)
    assert not set(old) & {(one.section, one.new) for one in RENAMED}


@pytest.mark.parametrize(
    ("tree", "after", "told"),
    [
        ({}, {}, []),
        ({"panel": {"lock_after": 1}}, {"panel": {"lock_seconds": 1}}, [("panel", "lock_after")]),
        (
            {"destinations": [{"ae_title": "A"}, {"title": "B"}]},
            {"destinations": [{"ae_title": "A"}, {"ae_title": "B"}]},
            [("destinations", 1, "title")],
        ),
        (
            {"devices": [{}, {"triggers": [{"bounce": 1}]}]},
            {"devices": [{}, {"triggers": [{"debounce_seconds": 1}]}]},
            [("devices", 1, "triggers", 0, "bounce")],
        ),
        ({"panel": 3, "devices": "x"}, {"panel": 3, "devices": "x"}, []),
    ],
)
def test_ok__old_names_are_read(tree: dict[str, Any], after: dict[str, Any], told: list[Any]) -> None:
    found = list(rename_keys(tree, TABLE))
    assert tree == after
    assert [old for old, _new, _both in found] == told
    assert not any(both for *_, both in found)


def test_fail__both_names_at_once() -> None:
    tree = {"panel": {"lock_after": 1, "lock_seconds": 2}}
    assert list(rename_keys(tree, TABLE)) == [(("panel", "lock_after"), ("panel", "lock_seconds"), True)]
