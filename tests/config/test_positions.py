"""Where each key stands in a file: by a table of what TOML allows, and against the parser on texts that it wrote."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.example import EXAMPLE
from appliance.config.positions import Keys, line_of, lines_of_keys

TEXT = '''# a comment with = and [
top = 1
[box]          # behind a table
name = "b#[x]"
"quoted.key" = 'literal \\'
a.b . c = 1979-05-27 07:32:00
[[destinations]]
host = """
two lines, "quoted" \\"""
"""""
port = 1
[[destinations]]
list = [
  1, # one
  [2,
   3],
]
[destinations.inner]
x = { y = 1, z = { w = [true] } }
[[destinations.more]]
k = 1
[[destinations.more]]
k = 2
'''

PLACES: list[tuple[Keys, int]] = [
    (("top",), 2),
    (("box",), 3),
    (("box", "name"), 4),
    (("box", "quoted.key"), 5),
    (("box", "a", "b", "c"), 6),
    (("destinations",), 7),
    (("destinations", 0), 7),
    (("destinations", 0, "host"), 8),
    (("destinations", 0, "port"), 11),
    (("destinations", 1), 12),
    (("destinations", 1, "list"), 13),
    (("destinations", 1, "list", 0), 14),
    (("destinations", 1, "list", 1), 15),
    (("destinations", 1, "list", 1, 1), 16),
    (("destinations", 1, "inner"), 18),
    (("destinations", 1, "inner", "x", "z", "w", 0), 19),
    (("destinations", 1, "more", 0, "k"), 21),
    (("destinations", 1, "more", 1, "k"), 23),
]


def _paths_in(value: Any, path: Keys = ()) -> set[Keys]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} | {found for key, inner in inside for found in _paths_in(inner, (*path, key))}


@pytest.mark.parametrize(("path", "line"), PLACES)
def test_ok__each_key_has_its_line(path: Keys, line: int) -> None:
    assert lines_of_keys(TEXT)[path] == line


def test_ok__what_the_parser_finds_has_a_line_and_nothing_else() -> None:
    for text in (TEXT, TEXT.replace("\n", "\r\n"), EXAMPLE.read_text()):
        assert set(lines_of_keys(text)) == _paths_in(tomllib.loads(text)) - {()}


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
_VALUES = st.recursive(
    st.booleans() | st.integers(-9, 99) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z-]{1,4}", fullmatch=True), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), _VALUES, max_size=4))
def test_ok__whatever_a_writer_of_toml_writes(tree: dict[str, Any]) -> None:
    text = tomlkit.dumps(tree)
    lines = lines_of_keys(text)
    assert set(lines) == _paths_in(tomllib.loads(text)) - {()}
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


def test_ok__what_stands_nowhere_is_where_its_section_is() -> None:
    lines = lines_of_keys(TEXT)
    assert line_of(lines, ("destinations", 1, "port")) == 12
    assert line_of(lines, ("nowhere", "at", "all")) is None
