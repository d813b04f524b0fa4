"""PCL by golden bytes: every method of compression, positions, PJL around a job, and what is only passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.printer.languages import decoder_of
from appliance.devices.printer.page import Began, Doubt, Ended, Refusal, Refused
from appliance.devices.printer.pcl_rows import (
    MAX_ROW,
    UNPACK,
    delta_row_from,
    modified_delta_row_from,
    packbits_row_from,
    plain_row_from,
    run_length_row_from,
)
from tests.devices.printer_world import drawn, grid_of, inches, only_page, pages_in, print_out, size_of

SHEET = inches(1, 1, 300)
START = b"\x1b&l0E\x1b*t300R\x1b*r0A"


@pytest.mark.parametrize(
    ("unpack", "packed", "row"),
    [
        (plain_row_from, "00ff55", "00ff55"),
        (run_length_row_from, "02ff" "0055", "ffffff55"),  # 3 × FF, 1 × 55
        (run_length_row_from, "01aa" "77", "aaaa"),  # an odd byte at the end says nothing
        (packbits_row_from, "020102ff" "fe07" "80" "0009", "0102ff" "070707" "09"),  # 3 as they are, 3 ×, 0, 1
        (packbits_row_from, "05aabb", "aabb"),  # fewer than told
        (packbits_row_from, "fe", ""),
    ],
)  # fmt: skip
def test_ok__golden_rows(unpack: object, packed: str, row: str) -> None:
    assert callable(unpack)
    assert unpack(bytes.fromhex(packed), b"") == bytes.fromhex(row)


def test_ok__golden_delta_row() -> None:
    seed = bytes(range(40))
    golden = bytes.fromhex(
        "42"  # 010 00010: replace 2 + 1 bytes, from 2 behind where the last one ended (the beginning)
        "aabbcc"  # at 2, 3, 4
        "1f"  # 000 11111: one byte, offset 31 and what follows
        "03"  # 34 behind 5: at 39
        "dd"
    )
    row = delta_row_from(golden, seed)
    assert row == bytes((0, 1, 0xAA, 0xBB, 0xCC, *range(5, 39), 0xDD))
    assert delta_row_from(b"", row) == row  # the same row once more
    # An offset that goes on and on: 31 + 255 + 255 + 1.
    assert delta_row_from(bytes.fromhex("1fffff0177"), b"") == bytes(542) + b"\x77"
    assert delta_row_from(bytes.fromhex("e00102"), b"") == b"\x01\x02"  # eight are told, two come


def test_ok__golden_modified_delta_row() -> None:
    golden = bytes.fromhex(
        "12"  # 0 0010 010: literal, offset 2, 2 + 1 bytes
        "aabbcc"  # at 2, 3, 4
        "a1"  # 1 01 00001: one byte, offset 1, 1 + 2 times
        "55"  # at 6, 7, 8
        "7f"  # 0 1111 111: literal, offset 15 and what follows, 7 + 1 bytes and what follows
        "01"  # offset 16: at 25
        "00"  # no more bytes: 8
        "0102030405060708"
        "ff"  # 1 11 11111: one byte, offset 3 and what follows, 31 + 2 times and what follows
        "00"  # offset 3: at 36
        "ff00"  # 31 + 255 + 2 times
        "99"
    )
    row = modified_delta_row_from(golden, bytes(4))
    expected = bytearray(36 + 288)
    expected[2:5] = b"\xaa\xbb\xcc"
    expected[6:9] = b"\x55" * 3
    expected[25:33] = bytes(range(1, 9))
    expected[36:] = b"\x99" * 288
    assert row == bytes(expected)


@given(method=st.sampled_from(sorted(UNPACK)), data=st.binary(max_size=300), seed=st.binary(max_size=50))
def test_ok__no_bytes_make_a_row_longer_than_a_row(method: int, data: bytes, seed: bytes) -> None:
    assert len(UNPACK[method](data, seed)) <= MAX_ROW


def test_ok__golden_raster() -> None:
    golden = (
        b"\x1bE"  # reset
        b"\x1b&l0E"  # no top margin
        b"\x1b*t150R"  # 150 dots to the inch
        b"\x1b*r16s"  # sixteen dots wide, and more to follow:
        b"1A"  # ESC * r 1 A: graphics begin where the head stands
        b"\x1b*b0m2W\x80\x01"  # method 0, two bytes
        b"\x1b*b2m2W\xff\xf0"  # method 2: 2 × F0
        b"\x1b*b1Y"  # one row is left empty
        b"\x1b*b3m3W\x20\xaa\xbb"  # method 3: two bytes; after the empty row the seed is empty too
        b"\x1b*bW"  # nothing else: the same once more
        b"\x1b*rC"  # the end
    )
    rows = drawn(only_page("pcl", SHEET, golden), 6, 17, 150, 150)
    assert rows == [
        "#..............#.",
        "####....####....."[:16] + ".",
        ".................",
        "#.#.#.#.#.###.##.",
        "#.#.#.#.#.###.##.",
        ".................",
    ]


def test_ok__golden_adaptive_block() -> None:
    block = bytes.fromhex(
        "00" "0002" "8001"  # record of method 0: two bytes
        "05" "0002"  # the same row twice more
        "04" "0001"  # one empty row
        "01" "0002" "01f0"  # method 1: 2 × F0
        "02" "0002" "ffaa"  # method 2: 2 × AA
        "03" "0002" "0155"  # method 3: the second byte becomes 55
    )  # fmt: skip
    page = only_page("pcl", SHEET, START + b"\x1b*b5m%dW" % len(block) + block)
    assert drawn(page, 8, 16, 300, 300) == [
        "#..............#",
        "#..............#",
        "#..............#",
        "................",
        "####....####....",
        "#.#.#.#.#.#.#.#.",
        "#.#.#.#..#.#.#.#",
        "................",
    ]


def test_ok__planes_of_a_colour_become_black_together() -> None:
    page = only_page("pcl", SHEET, START + b"\x1b*r-3U\x1b*b1V\x80\x1b*b1V\x40\x1b*b1W\x01")
    assert drawn(page, 1, 8, 300, 300) == ["##.....#"]
    assert page.doubts == {Doubt.COLOUR}


def test_ok__red_green_and_blue_are_light() -> None:
    golden = (
        b"\x1b*r8S\x1b*r3U"  # eight pixels wide, planes of red, green and blue
        b"\x1b*b1V\xf0\x1b*b1V\xcc\x1b*b1W\xaa"  # white is where all three are set: the first pixel
        b"\x1b*b1Y"  # a row that is left out is paper
        b"\x1b*b1V\xff\x1b*b1V\xff\x1b*b1W\xfe"  # the last one is yellow
        b"\x1b*r1U\x1b*b1W\x80"  # one plane is ink again
    )
    page = only_page("pcl", SHEET, START + golden)
    assert drawn(page, 4, 8, 300, 300) == [".#######", "........", ".......#", "#......."]
    assert page.doubts == {Doubt.COLOUR}


@pytest.mark.parametrize(
    ("command", "x", "y"),
    [
        (b"\x1b*p30x60Y", 30, 60),  # dots of 1/300 inch
        (b"\x1b*p30x60Y\x1b*p+10x-20Y", 40, 40),  # with a sign from where it stands
        (b"\x1b&u600D\x1b*p30x60Y", 15, 30),
        (b"\x1b&a72h144V", 30, 60),  # decipoints: 1/720 inch
        (b"\x1b&a3C", 90, 0),  # columns of 1/10 inch
        (b"\x1b(s12H\x1b&a6C", 150, 0),  # at 12 to the inch
        (b"\x1b&k10H\x1b&a6C", 150, 0),  # ESC & k: 1/120 inch
        (b"\x1b&l6E", 0, 300 - 1),  # top margin of six lines
        (b"\x1b&l48C\x1b&l0.5E", 0, 150),  # a line of 48/48 inch
    ],
)
def test_ok__golden_moves(command: bytes, x: int, y: int) -> None:
    job = b"\x1b&l0E" + command + b"\x1b*t300R\x1b*r1A\x1b*b1W\x80"
    rows, columns = grid_of(only_page("pcl", inches(1, 1.5, 300), job)).nonzero()
    assert (int(columns[0]), int(rows[0])) in {(x, y), (x, y + 1)}


def test_ok__rules_and_shades() -> None:
    job = b"\x1b&l0E\x1b*p10x20Y\x1b*c50a2b0P\x1b*p100x100Y\x1b*c80a80b50g2P\x1b*p200Y\x1b*c9a9b1P"
    ink = grid_of(only_page("pcl", SHEET, job))
    assert ink[20:22, 10:60].all() and ink[:50].sum() == 100
    assert ink[100:180, 100:180].mean() == 0.5  # 50 %
    assert ink[100:].sum() == 3200


def test_ok__text_stands_where_it_was_put() -> None:
    page = only_page(
        "pcl", size_of(75), b"\x1bEName:\t\xfc\r\n\x1b&dDunder\x1b&d@\r\n\x1b&p3Xa\x1bb\x1b&a+2Rlow\x1b&k12H\x0c"
    )
    assert page.text.split("\n") == ["Name:   ü", "under", "a b", "   low"]
    assert page.height == round(297 * 75 / 25.4)


def test_ok__pjl_around_a_job() -> None:
    job = (
        b"\x1b%-12345X"  # UEL
        b'@PJL JOB NAME = "patient"\r\n'
        b"@PJL SET RESOLUTION=300\r\n"
        b"@PJL ENTER LANGUAGE = PCL\r\n"
        b"\x1bEfirst\x0c"
        b"@PJL is text here\x1bE"
        b"\x1b%-12345X@PJL EOJ\r\n\x1b%-12345X"
    )
    events = print_out("pcl", size_of(75), job)
    assert [page.text for page in pages_in(events)] == ["first", "@PJL is text here"]
    assert [type(event) for event in events] == [Began, Ended, Began, Ended, Began, Ended]
    assert events[-1] == Ended(None)
    # A command of PCL enters it too: what follows is text, whatever it begins with.
    page = only_page("pcl", size_of(75), b"\x1b%-12345X@PJL JOB\r\n\x1bE\x1b(s10H @PJL\r\n\ttext")
    assert page.text == " @PJL\n        text"


def test_ok__a_page_ends_by_a_new_sheet_and_by_its_last_line() -> None:
    events = print_out("pcl", inches(2, 1, 75), b"one\x1b&l0Htwo\x1b&l26A" + b"".join(b"%d\r\n" % n for n in range(5)))
    assert [page.text for page in pages_in(events)] == ["one", "two", "0\n1\n2", "3\n4"]


def test_ok__landscape() -> None:
    page = only_page("pcl", inches(1, 2, 300), b"\x1b&l1O" + START + b"\x1b*b1W\x80")
    assert (page.width, page.height) == (600, 300)
    # After a silence the next sheet lies upright again, as after a reset.
    decoder = decoder_of("pcl", inches(1, 2, 300))
    pages = pages_in(
        [*decoder.feed(b"\x1b&l1Oone"), *decoder.pause(), *decoder.feed(b"two\x1bEthree"), *decoder.pause()]
    )
    assert [(page.text, page.width) for page in pages] == [("one", 600), ("two", 300), ("three", 300)]


def test_ok__what_carries_data_that_says_nothing_here() -> None:
    """Fonts, patterns, configurations: their data are passed over by their count; ESC & k W has none."""
    job = b"\x1b)s5Wabcde\x1b*v3Wxyz\x1b*g2W\x00\x00\x1b&k1Wtext\x1b*c4W\x0c\x0c\x0c\x0c"
    assert only_page("pcl", size_of(75), job).text == "text"


@pytest.mark.parametrize(
    ("job", "refusal"),
    [
        (b"\x1b%0BIN;SP1;PA0,0;PD100,100;\x1b%0A", Refusal.NOT_DRAWN),
        (b"\x1b%-12345X@PJL ENTER LANGUAGE=POSTSCRIPT\r\n%!PS\nshowpage\n\x04\x1b%-12345X", Refusal.NOT_DRAWN),
    ],
)
def test_fail__what_is_not_drawn_at_all(job: bytes, refusal: Refusal) -> None:
    assert Refused(refusal) in print_out("pcl", size_of(75), job)


@pytest.mark.parametrize(
    ("job", "doubt"),
    [
        (START + b"\x1b*b2W\x80", Doubt.BROKEN_OFF),
        (START + b"\x1b*b40000W" + b"x" * 40000, Doubt.UNKNOWN),
        (START + b"\x1b*b7m1W\x80", Doubt.UNKNOWN),
        (
            START + b"\x1b*b1W\x80\x1b*v6W\x00\x03\x00\x08\x08\x08\x1b*b3W\x00\x00\x00",
            Doubt.UNKNOWN,
        ),  # colour by pixels
        (START + b"\x1b*b5m3W\x09\x00\x01", Doubt.UNKNOWN),
        (START + b"\x1b*b38W" + b"\xff" * 38, Doubt.CUT),  # 304 dots on 300
        (START + b"\x1b*rB\x1b*t600R\x1b*b1W\x80", Doubt.MERGED),
        (b"\x1b%0BIN;\x1b%0A", Doubt.NOT_DRAWN),
        (b"\x1b~", Doubt.UNKNOWN),
        (b"\x1b*b1\x07", Doubt.UNKNOWN),
    ],
)
def test_fail__what_may_be_wrong_with_a_page(job: bytes, doubt: Doubt) -> None:
    page = only_page("pcl", SHEET, b"\x1b*t300R\x1b*b1W\x80" + job)
    assert page.doubts == {doubt}
