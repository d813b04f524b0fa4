"""ESC/POS by golden bytes; what python-escpos 3.1 (MIT) sends for a picture is among them."""

from __future__ import annotations

import pytest

from appliance.devices.printer.page import Doubt, Ended, Refusal, Refused
from tests.devices.printer_world import drawn, grid_of, only_page, pages_in, print_out, size_of

ROLL = size_of(200, (25.4, 0))  # 200 dots wide
PICTURE = [".#.#.#.#.#.#.#.#", "#####...........", "...............#"]


def test_ok__golden_raster() -> None:
    golden = bytes.fromhex(
        "1d7630"  # GS v 0
        "00"  # as wide and high as they are
        "0200"  # rows of two bytes
        "0300"  # three of them
        "5555"
        "f800"
        "0001"
    )
    assert drawn(only_page("escpos", ROLL, golden), 3, 16, 200, 200) == PICTURE
    page = only_page("escpos", ROLL, golden.replace(b"v0\0", b"v0\3"))  # twice as wide and high
    assert drawn(page, 3, 16, 100, 100) == PICTURE
    assert (page.width, page.height) == (200, 6)


def test_ok__golden_graphics() -> None:
    golden = bytes.fromhex(
        "1d284c"  # GS ( L
        "1000"  # sixteen bytes follow
        "30"  # m
        "70"  # function 112: store
        "30"  # a
        "0101"  # as wide and high as they are
        "31"  # the only colour
        "1000"  # sixteen dots wide
        "0300"  # three rows
        "5555f8000001"
        "1d284c"
        "0200"
        "30"
        "32"  # function 50: print
    )
    assert drawn(only_page("escpos", ROLL, golden), 3, 16, 200, 200) == PICTURE
    longer = golden.replace(bytes.fromhex("1d284c1000"), bytes.fromhex("1d384c10000000"))  # GS 8 L: four digits
    assert drawn(only_page("escpos", ROLL, longer), 3, 16, 200, 200) == PICTURE
    doubled = golden.replace(bytes.fromhex("30010131"), bytes.fromhex("30020231"))
    assert drawn(only_page("escpos", ROLL, doubled), 3, 16, 100, 100) == PICTURE


def test_ok__golden_columns() -> None:
    golden = bytes.fromhex(
        "1b3310"  # ESC 3: lines of 16 dots, which is less than the image is high
        "1b2a"  # ESC *
        "21"  # mode 33: 24 dots, each as it is
        "0200"  # two columns
        "800001"
        "00ff00"
        "0a"
        "1b2a000100"  # mode 0: 8 dots, each two wide and three high
        "81"
        "0a"
    )
    page = only_page("escpos", ROLL, golden)
    assert drawn(page, 24, 3, 200, 200) == ["#..", *["..."] * 7, *[".#."] * 8, *["..."] * 7, "#.."]
    second = grid_of(page)[24:48, :4]
    assert second[:3, :2].all() and second[21:, :2].all() and second.sum() == 12


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("1d763000 0200 0300 5555f8000001", id="bitImageRaster"),
        pytest.param("1d284c 1000 307030010131 1000 0300 5555f8000001 1d284c 0200 3032", id="graphics"),
        pytest.param(
            "1b3310 1b2a21 1000"
            "400000 c00000 400000 c00000 400000 800000 000000 800000"
            "000000 800000 000000 800000 000000 800000 000000 a00000"
            "0a 1b32",
            id="bitImageColumn",
        ),
    ],
)
def test_ok__what_python_escpos_sends(sent: str) -> None:
    assert drawn(only_page("escpos", ROLL, bytes.fromhex(sent)), 3, 16, 200, 200) == PICTURE


def test_ok__text_in_lines() -> None:
    page = only_page(
        "escpos",
        ROLL,  # sixteen characters of 12 dots
        b"\x1b@0123456789ABCDEFGH\n"
        b"\x1ba\x01mid\n\x1ba\x02right\n\x1ba\x00"
        b"\x1d!\x11BIG\x1d!\x00\n"
        b"\x1bt\x02\x9b\x1bR\x02{\n"  # code page 850, Germany
        b"a\tb\x1d\x42\x01\n"
        b"\x1bM\x01font b \x1b!\x00\x1bd\x02end\x1dV\x00",
    )
    assert page.text.split("\n") == [
        "0123456789ABCDEF",
        "GH",
        "       mid",
        "            right",
        "BIG",
        "øä",
        "a       b",
        "font b",
        "end",
    ]
    assert not page.doubts


def test_ok__pages_end_by_cuts() -> None:
    job = b"one\n\x1dV\x00two\n\x1dVA\x10three\x1bifour\x1bmfive\n\x0csix\x1b@seven"
    pages = pages_in(print_out("escpos", ROLL, job))
    assert [page.text for page in pages] == ["one", "two", "three", "four", "five", "six", "seven"]


def test_ok__a_roll_has_an_end() -> None:
    """What a picture without end would need is bounded: the page ends, and says so."""
    size = size_of(200, (25.4, 0))
    size = type(size)(size.width_mm, 0, 200, 200 * 150, 100)  # the last 50 rows are for a band that begins above them
    pages = pages_in(print_out("escpos", size, b"\x1dv0\x00\x01\x00\xfa\x00" + b"\xff" * 250))
    assert [page.height for page in pages] == [100, 100, 50]
    assert [page.doubts for page in pages] == [{Doubt.FULL}, {Doubt.FULL}, frozenset()]
    band = b"\x1b3\x63\n\x1b*\x21\x01\x00\xff\xff\xff\n"  # 24 dots that begin in the last row
    (page,) = pages_in(print_out("escpos", size, band))
    assert (page.height, page.doubts) == (99 + 24, {Doubt.FULL})
    (page,) = pages_in(print_out("escpos", size, b"\x1b3\x63\n\x1d!\x07big\n"))  # 192 dots high: more than any head
    assert (page.height, page.doubts) == (150, {Doubt.FULL, Doubt.CUT})


def test_ok__a_long_line_is_the_same_in_pieces() -> None:
    """Characters that come one by one are no more things in a line than those that come at once."""
    size, line = size_of(200, (1000, 0)), b"\x1bM1" + b"a" * 700 + b"\n"
    whole = print_out("escpos", size, line)
    assert [page.text for page in pages_in(whole)] == ["a" * 700]
    assert print_out("escpos", size, line, range(len(line))) == whole


def test_ok__what_prints_nothing_is_passed_over() -> None:
    job = b"\x10\x04\x01\x10\x14\x01\x00\x01\x1bp\x00\x19\xfa\x1c!\x00\x1d(A\x02\x00\x00\x01\x1b=\x01"
    job += b"\x1b&\x03AA\x01abc"  # a character of the user's own, three bytes high and one wide
    page = only_page("escpos", ROLL, job + b"text\n")
    assert page.text == "text"
    assert page.skipped == (b"\x1b&",)


@pytest.mark.parametrize(
    ("data", "doubt"),
    [
        (b"\x1dk\x04CODE\x00", Doubt.NOT_DRAWN),
        (b"\x1dkI\x04CODE", Doubt.NOT_DRAWN),
        (b"\x1d*\x01\x01" + bytes(8) + b"\x1d/\x00", Doubt.NOT_DRAWN),
        (b"\x1cp\x01\x00", Doubt.NOT_DRAWN),
        (b"\x1cq\x01\x01\x00\x01\x00" + bytes(8), Doubt.NOT_DRAWN),
        (b"\x1d(k\x03\x00abc", Doubt.NOT_DRAWN),
        (b"\x1b\x7fq\n", Doubt.UNKNOWN),
        (b"\x1d\x7fq\n", Doubt.UNKNOWN),
        (b"\x1c\x7fq\n", Doubt.UNKNOWN),
        (b"\x1b*\x09\x01\x00q\n", Doubt.UNKNOWN),
        (b"\x1dv0\x00\x1a\x00\x01\x00" + b"\xff" * 26, Doubt.CUT),
        (b"\x1dv0\x00\x01\x00\x02\x00\xff", Doubt.BROKEN_OFF),
        (b"\x1d8L\x0c\x00\x00\x000p0\x01\x011\x10\x00\x03\x00\x55\x55\x1d(L\x02\x0002", Doubt.CUT),
    ],
)
def test_fail__what_may_be_wrong_with_a_page(data: bytes, doubt: Doubt) -> None:
    page = only_page("escpos", ROLL, b"text\n" + data + b"")
    assert page.doubts == {doubt}


def test_fail__a_bar_code_alone() -> None:
    assert print_out("escpos", ROLL, b"\x1b@\x1dk\x04CODE\x00\n\x1dV\x00")[1:] == [Refused(Refusal.NOT_DRAWN)]
    assert print_out("escpos", ROLL, b"\x1b!\x00\n\x1dV\x00")[1:] == [Ended(None)]
