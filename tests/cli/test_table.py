"""Columns stay columns whatever script their cells are in, and no cell steers the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli.table import cell_width, printable_text, table_lines


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("Müller", 6),
        ("Mu\u0308ller", 6),  # u and a combining diaeresis
        ("山田 太郎", 9),
        ("ﾔﾏﾀﾞ", 4),  # half width
        ("홍길동", 6),
        ("Люкceмбypг", 10),
        ("นามสกุล", 6),  # one vowel stands below its consonant
        ("\u2068قباني\u2069", 5),
    ],
)
def test_ok__how_wide_a_text_is(text: str, width: int) -> None:
    assert cell_width(text) == width


def test_ok__columns_begin_where_they_should() -> None:
    lines = table_lines([("name", "ID"), ("山田 太郎", "1"), ("Müller Jürgen", "22"), ("קבני", "3")])
    assert [cell_width(line.rpartition("  ")[0]) for line in lines] == [13, 13, 13, 13]
    assert [line.split()[-1] for line in lines] == ["ID", "1", "22", "3"]


@pytest.mark.parametrize("steering", ["\x1b[2J", "\r", "\n", "\x07", "\u202e", "\u2066", "\x85", "\u2028"])
def test_ok__a_name_cannot_steer_the_terminal(steering: str) -> None:
    shown = printable_text(f"Doe{steering}Jane")
    assert shown.startswith("Doe\ufffd")
    assert steering not in shown


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=5))
def test_ok__any_text_is_a_line(rows: list[tuple[str, str]]) -> None:
    lines = table_lines(rows)
    assert len(lines) == len(rows)
    assert not any("\n" in line or "\x1b" in line for line in lines)
