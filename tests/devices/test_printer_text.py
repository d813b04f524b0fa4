"""How printed characters look, and how they read: the glyphs dot by dot, and lines of text from where they stand."""

from __future__ import annotations

import pytest

from appliance.devices.printer.characters import CharacterTable
from appliance.devices.printer.languages import Language
from appliance.devices.printer.page import Doubt
from appliance.devices.printer.text import COLUMNS, ROWS, Printed, cells_of, text_from
from tests.devices.printer_world import drawn, grid_of, inches, only_page

_A = "...... ...... ...... ####.. .###.. .#.#.. #####. ##.##. ##.### ...... ......"
_CORNER = "...... ...... ...... ...... ...... ..#### ..#... ..#... ..#... ..#... ..#..."
_HOLLOW = "...... ...... ...... ###### #....# #....# #....# #....# #....# ###### ......"


@pytest.mark.parametrize(("character", "look"), [("A", _A), ("┌", _CORNER), ("╔", _CORNER), ("Ω", _HOLLOW)])
def test_ok__glyphs_dot_by_dot(character: str, look: str) -> None:
    assert " ".join(cells_of(character)).replace("0", ".").replace("1", "#") == look


def test_ok__lines_and_blocks_of_a_table_meet() -> None:
    for character in bytes(range(0xB0, 0xE0)).decode("cp437"):
        cells = cells_of(character)
        assert (len(cells), len(cells[0])) == (ROWS, COLUMNS)
        assert any("1" in row for row in cells)
    assert cells_of("█") == ("1" * COLUMNS,) * ROWS
    assert cells_of("▄")[-1] == cells_of("▀")[0] == "1" * COLUMNS
    assert cells_of("─")[5] == cells_of("═")[5] == "1" * COLUMNS


def test_ok__a_character_on_paper() -> None:
    """Ten to the inch: six dots of 1/60 inch, and 1/72 inch from row to row."""
    page = only_page("escp9", inches(1, 1, 360), b" A\x1b-1 ")
    rows = drawn(page, ROWS, 18, 60, 72)
    assert [row[:12] for row in rows] == ["......" + row for row in _A.split()]
    assert rows[-1][12:] == "######"  # an underlined space


@pytest.mark.parametrize(
    ("language", "to_the_edge"),
    [("escp24", b"\x1bl\xff\x1b-1"), ("escpos", b"\x1dL\xff\xff\x1b-1"), ("pcl", b"\x1b&a9999C\x1b&d0D")],
)
@pytest.mark.parametrize("text", [b"a", b" "])
def test_fail__an_underlined_character_behind_the_papers_edge(
    language: Language, to_the_edge: bytes, text: bytes
) -> None:
    page = only_page(language, inches(1, 1, 72), to_the_edge + text)
    assert (page.doubts, page.text) == ({Doubt.CUT}, "")
    assert not grid_of(page).any()


def test_ok__text_reads_as_it_stands() -> None:
    def put(y: int, x: int, text: str, width: int = 10) -> list[Printed]:
        return [Printed(y, x + number * width, width, one) for number, one in enumerate(text)]

    printed = [*put(50, 0, "below"), *put(0, 60, "right"), *put(0, 0, "left"), *put(0, 2, "left")]
    assert text_from(printed) == "left  right\nbelow"
    assert text_from([*put(0, 0, "____"), *put(0, 0, "name")]) == "name"
    assert text_from([*put(0, 0, "name"), *put(0, 0, "____")]) == "name"
    assert text_from([*put(0, 0, "│1│2│")]) == " 1 2"
    assert text_from([*put(0, 100_000, "x", 1)]) == " " * 200 + "x"  # a gap is never wider
    assert text_from([]) == ""


def test_ok__characters_of_a_country() -> None:
    table = CharacterTable()
    assert table.text_from(b"[\\]{|}~\x81\x9b") == "[\\]{|}~ü¢"
    table.choose_country(2)
    assert table.text_from(b"@[\\]{|}~") == "§ÄÖÜäöüß"
    table.choose_country(99)  # unknown: nothing changes
    assert table.text_from(b"[") == "Ä"
    table.page = "cp1252"
    assert table.text_from(b"\x80\x81\x00") == "€  "  # what has no meaning is a space
