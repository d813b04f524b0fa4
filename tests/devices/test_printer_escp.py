"""ESC/P by golden bytes, each field of them named; the numbers are those of Epson's ESC/P Reference Manual."""

from __future__ import annotations

import pytest

from appliance.devices.printer.languages import Language
from appliance.devices.printer.page import Began, Doubt, Ended, Refusal, Refused
from tests.devices.printer_world import drawn, grid_of, inches, only_page, pages_in, print_out, size_of

SHEET = inches(1, 1, 720)


def test_ok__golden_eight_dot_image() -> None:
    golden = bytes.fromhex(
        "1b2a"  # ESC *
        "00"  # mode 0: 60 dots to the inch, columns of one byte
        "0300"  # three columns, the low byte first
        "80"  # the highest bit is the uppermost dot
        "41"
        "ff"
    )
    page = only_page("escp9", SHEET, golden)
    assert (page.width, page.height) == (720, 720)
    nine = drawn(page, 9, 4, 60, 72)
    assert nine == ["#.#.", ".##.", "..#.", "..#.", "..#.", "..#.", "..#.", ".##.", "...."]
    # The same on 24 pins is 60 dots to the inch downwards too.
    assert drawn(only_page("escp24", SHEET, golden), 9, 4, 60, 60) == nine


def test_ok__golden_24_dot_image() -> None:
    golden = bytes.fromhex(
        "1b2a"  # ESC *
        "27"  # mode 39: 180 × 180 dots to the inch, columns of three bytes
        "0200"  # two columns
        "800001"  # the first: its uppermost and its lowest dot
        "00ff00"  # the second: the eight in the middle
    )
    found = drawn(only_page("escp24", SHEET, golden), 25, 3, 180, 180)
    assert found == ["#..", *["..."] * 7, *[".#."] * 8, *["..."] * 7, "#..", "..."]


def test_ok__golden_48_dot_image() -> None:
    golden = bytes.fromhex("1b2a490100800000000001")  # mode 73: 360 × 360, one column of six bytes
    assert drawn(only_page("escp24", SHEET, golden), 49, 1, 360, 360) == ["#", *["."] * 46, "#", "."]


@pytest.mark.parametrize(
    ("mode", "across"),
    [
        *((0, 60), (1, 120), (2, 120), (3, 240), (4, 80), (5, 72), (6, 90), (7, 144)),
        *((32, 60), (33, 120), (38, 90), (39, 180), (40, 360), (71, 180), (72, 360), (73, 360)),
    ],
)  # fmt: skip
def test_ok__every_mode_has_its_own_width(mode: int, across: int) -> None:
    """Two images side by side: the second begins where 8 columns of the mode end."""
    column = b"\x80" + bytes(0 if mode < 32 else 2 if mode < 71 else 5)
    image = b"\x1b*" + bytes((mode, 8, 0)) + bytes(len(column)) * 7 + column
    ink = grid_of(only_page("escp24", SHEET, image + image))
    columns = sorted(set(ink.nonzero()[1].tolist()))
    expected = [x for last in (7, 15) for x in range(last * 720 // across, (last + 1) * 720 // across)]
    assert columns == expected


def test_ok__golden_letters_that_stand_for_modes() -> None:
    """ESC K, L, Y, Z are modes 0, 1, 2, 3; ESC ? gives one of them another mode."""
    for letter, across in ((b"K", 60), (b"L", 120), (b"Y", 120), (b"Z", 240)):
        page = only_page("escp9", SHEET, b"\x1b" + letter + b"\x02\x00\x00\x80")
        assert drawn(page, 1, 3, across, 72) == [".#."]
    page = only_page("escp9", SHEET, b"\x1b?K\x04\x1bK\x02\x00\x00\x80")
    assert drawn(page, 1, 3, 80, 72) == [".#."]


def test_ok__golden_nine_dot_image() -> None:
    golden = bytes.fromhex(
        "1b5e"  # ESC ^
        "00"  # 60 dots to the inch
        "0200"  # two columns of two bytes: eight dots, and the ninth in the highest bit
        "0180"
        "ff00"
    )
    assert drawn(only_page("escp9", SHEET, golden), 9, 2, 60, 72) == [".#"] * 7 + ["##", "#."]


@pytest.mark.parametrize(
    ("language", "command", "per_inch"),
    [
        ("escp9", b"\x1b3\x48", 3),  # ESC 3 n: n/216 inch
        ("escp24", b"\x1b3\x3c", 3),  # n/180 inch
        ("escp9", b"\x1bA\x18", 3),  # ESC A n: n/72 inch
        ("escp24", b"\x1bA\x14", 3),  # n/60 inch
        ("escp24", b"\x1b+\x78", 3),  # ESC + n: n/360 inch
        ("escp9", b"\x1b0", 8),
        ("escp9", b"\x1b3\x01\x1b2", 6),
    ],
)
def test_ok__golden_line_spacing(language: Language, command: bytes, per_inch: int) -> None:
    dot = b"\x1b*\x00\x01\x00\x80"
    ink = grid_of(only_page(language, SHEET, command + dot + b"\r\n" + dot)).any(axis=1)
    tops = [row for row in range(720) if ink[row] and (row == 0 or not ink[row - 1])]
    assert tops == [0, 720 // per_inch]


@pytest.mark.parametrize(
    ("language", "command", "x", "y"),
    [
        ("escp9", b"\x1bJ\x6c", 0, 360),  # ESC J n: forwards by n/216 inch
        ("escp24", b"\x1bJ\x5a", 0, 360),  # n/180 inch
        ("escp9", b"\x1bJ\x6c\x1bj\x36", 0, 180),  # ESC j n: and back
        ("escp24", b"\x1b$\x1e\x00", 360, 0),  # ESC $ nL nH: from the left edge, n/60 inch
        ("escp24", b"\x1b\\\x3c\x00", 360, 0),  # ESC \ nL nH: from here, n/120 inch
        ("escp24", b"\x1bx1\x1b\\\x5a\x00", 360, 0),  # ... in letter quality n/180 inch
        ("escp24", b"\x1b\\\x3c\x00\x1b\\\xe2\xff", 180, 0),  # ... and back
        ("escp24", b"\x1bl\x05", 360, 0),  # ESC l n: left margin of n characters
        ("escp24", b"\x1bD\x02\x05\x00\t\t", 360, 0),  # ESC D: tabs at characters, up to a 0
        ("escp24", b"     ", 360, 0),  # five characters of 1/10 inch
        ("escp24", b"\x1bM      ", 360, 0),  # ESC M: 12 to the inch
        ("escp24", b"\x1bg" + b" " * 9 + b"\x08\x08" + b" ", 384, 0),  # ESC g: 15 to the inch; BS is one back
        ("escp24", b"\x1bW1   \x1bW0\x08", 360, 0),  # double width
        ("escp24", b"\x1b(U\x01\x00\x0a\x1b(V\x02\x00\xb4\x00", 0, 360),  # ESC ( V: down, in units of 10/3600 inch
        ("escp24", b"\x1b(U\x01\x00\x14\x1b(v\x02\x00\x5a\x00", 0, 360),  # ESC ( v: from here
        ("escp24", b"\x1b(U\x01\x00\x14\x1b$\x5a\x00", 360, 0),  # ESC $ in that unit
    ],
)
def test_ok__golden_moves(language: Language, command: bytes, x: int, y: int) -> None:
    ink = grid_of(only_page(language, SHEET, command + b"\x1b*\x03\x01\x00\x80"))
    rows, columns = ink.nonzero()
    assert (columns.min(), rows.min()) == (x, y)


def test_ok__golden_raster_plain() -> None:
    golden = bytes.fromhex(
        "1b2847010001"  # ESC ( G: graphics
        "1b2e"  # ESC .
        "00"  # not packed
        "14"  # 20/3600 inch from row to row: 180 dpi
        "0a"  # 10/3600 inch from dot to dot: 360 dpi
        "03"  # three rows
        "0a00"  # of ten dots: two bytes
        "8040"
        "0180"
        "ffc0"
    )
    page = only_page("escp24", SHEET, golden)
    assert drawn(page, 4, 11, 360, 180) == ["#........#.", ".......##..", "##########.", "..........."]


def test_ok__golden_raster_packed() -> None:
    golden = bytes.fromhex(
        "1b2e"  # ESC .
        "01"  # packed
        "0a0a"  # 360 × 360 dpi
        "03"  # three rows
        "1000"  # of sixteen dots
        "02"  # three bytes as they are: a row and a half
        "ff0081"
        "fe"  # and one byte 257 - 254 = 3 times
        "18"
    )
    found = drawn(only_page("escp24", SHEET, golden), 3, 16, 360, 360)
    assert found == ["########........", "#......#...##...", "...##......##..."]


def test_ok__passes_between_one_anothers_rows_are_one_finer_picture() -> None:
    """Three passes of pins 1/72 inch apart, each 1/216 inch below the last: rows of 1/216 inch, not of 1/72."""
    dot = b"\x1b*\x03\x01\x00\x80"
    ink = grid_of(only_page("escp9", inches(1, 1, 216), dot + b"\r\x1bJ\x02" + dot))
    assert ink[:, 0].nonzero()[0].tolist() == [0, 2]
    assert grid_of(only_page("escp9", inches(1, 1, 216), dot + b"\r\x1bJ\x03" + dot))[:, 0].sum() == 6


def test_ok__text_and_its_lines() -> None:
    page = only_page(
        "escp24",
        size_of(180),
        b"\x1b@\x1bR\x02"  # Germany: { is ä
        b"Name:\tM{rz\r\n"
        b"bold\rbold\r\n"  # printed twice in one place
        b"\x1bM\x0ftiny\x12\x0e wide\r\n"
        b"\xc9\xcd\xbb \x81 \x00\x07\x7f\r\n"  # a table's lines are no text; u umlaut of code page 437
        b"\x1b-1under\x1b-0\x1b$\x00\x00_____\r\n"
        b"\x1b(^\x03\x00\x01a\x1b"  # any byte is a character
        b"\x1b(t\x03\x00\x00\x03\x00\x1bt0\x9b\r\n",  # table 0 is code page 850
    )
    assert page.text.split("\n") == ["Name:   März", "bold", "tiny wide", "    ü", "under", " a ø"]
    assert (page.doubts, page.skipped) == (frozenset(), ())
    assert grid_of(page)[: 180 // 6].any()


def test_ok__a_line_that_is_full_goes_on_in_the_next() -> None:
    page = only_page("escp9", inches(1, 1, 72), b"1234567890ABCDEF")
    assert page.text == "1234567890\nABCDEF"
    page = only_page("escp9", inches(1, 1, 72), b"\x1bQ\x04123456")
    assert page.text == "1234\n56"


def test_ok__pages_end_by_form_feed_reset_silence_and_the_papers_end() -> None:
    sheet = inches(1, 0.5, 72)  # three lines of 1/6 inch
    job = b"\x1b@one\x0c\r\ntwo\r\n\x1b@\x1b@three\r\nthree\r\nthree\r\nfour"
    events = print_out("escp9", sheet, job)
    assert [page.text for page in pages_in(events)] == ["one", "two", "three\nthree\nthree", "four"]
    assert [type(event) for event in events] == [Began, Ended] * 4
    assert {page.height for page in pages_in(events)} == {36}
    # What leaves no ink is no page, and a reset that comes behind a page begins none.
    assert print_out("escp9", sheet, b"\x1b@\x0c\x1b@\r\n\x00\x1b@") == []
    assert print_out("escp9", sheet, b"\x1b@\x1bP \x0c") == [Began(), Ended(None)]


def test_ok__a_roll_is_as_long_as_what_is_printed() -> None:
    page = only_page("escp9", size_of(72, (25.4, 0)), b"\x1bJ\xd8\x1b*\x00\x01\x00\xff")
    assert (page.width, page.height) == (72, 72 + 8)


def test_ok__a_band_across_the_papers_end_is_whole() -> None:
    page = only_page("escp9", inches(1, 1, 72), b"\x1bJ\xd5\x1b*\x00\x01\x00\xff")
    assert page.height == 71 + 8
    assert page.doubts == frozenset()


@pytest.mark.parametrize(
    ("data", "doubt"),
    [
        (b"\x1b*\x00\x64\x00" + b"\xff" * 100, Doubt.CUT),  # 100/60 inch on 1 inch of paper
        (b"\x1b.\x00\x05\x05\x01\x08\x00\xff", Doubt.MERGED),  # 720 dpi on 360
        (b"\x1b*\x00\x05\x00\xff", Doubt.BROKEN_OFF),  # five columns are told, one comes
        (b"a\x1b\x7fb\r\n", Doubt.UNKNOWN),
        (b"a\x1b*\x63\x01\x00\x80\r", Doubt.UNKNOWN),  # a mode that there is not
        (b"a\x1b.\x02\x0a\x0a\x01\x00\x00\r", Doubt.UNKNOWN),
        (b"a\x1br\x01", Doubt.COLOUR),
    ],
)
def test_fail__what_may_be_wrong_with_a_page(data: bytes, doubt: Doubt) -> None:
    page = only_page("escp24", inches(1, 1, 360), b"\x1b*\x03\x01\x00\x80" + data)
    assert page.doubts == {doubt}
    assert bool(page.skipped) is (doubt is Doubt.UNKNOWN)


def test_fail__an_unknown_command_is_passed_over_to_the_lines_end() -> None:
    page = only_page("escp9", size_of(72), b"before \x1b\x7f\x10\x99gone\r\nafter")
    assert page.text == "before\nafter"
    assert page.skipped == (b"\x1b\x7f",)


def test_fail__more_pages_than_a_job_may_have() -> None:
    size = size_of(72, max_pages=2)
    events = print_out("escp9", size, b"a\x0cb\x0cc\x0c", pauses=False)
    assert events[-1] == Refused(Refusal.TOO_MANY)
    assert [page.text for page in pages_in(events)] == ["a", "b"]


def test_fail__more_text_than_is_kept() -> None:
    page = only_page("escp24", size_of(60), b"".join(b"%080d\r\n\x1bj\x1d" % line for line in range(300)))
    assert page.doubts == {Doubt.TEXT_CUT}
    assert len(page.text) == 9000
