"""Any bytes in any pieces: the same events, no fault, and no more memory than a printer may have."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.devices.printer.languages import Language, decoder_of
from appliance.devices.printer.page import Began, Ended, Refused
from appliance.devices.printer.paper import PaperSize
from tests.devices.printer_world import pages_in, print_out, size_of

# Not square, so that it shows when a sheet lies sideways, and with less room below its end than a band may need.
_SMALL = PaperSize(25.4, 38.1, 60, 60 * 100, 3)
_SMALL_ROLL = PaperSize(25.4, 0, 60, 60 * 120, 3)
_LANGUAGES: tuple[Language, ...] = ("escp9", "escp24", "escpos", "pcl")
# What a stream of a language is made of, so that chance finds its way into the commands.
_PARTS: dict[Language, list[bytes]] = {
    "escp24": [
        *(b"\x1b*\x27", b"\x1b*\x00", b"\x1bK", b"\x1b^\x00", b"\x1b.\x01\x14\x14", b"\x1b.\x00\x0a\x0a", b"\x1bD"),
        *(
            b"\x1b(V\x02\x00",
            b"\x1b(v\x02\x00",
            b"\x1b(U\x01\x00",
            b"\x1b(^",
            b"\x1b&\x00",
            b"\x1bJ",
            b"\x1bj",
            b"\x1b3",
        ),
        *(
            b"\x1b$",
            b"\x1b\\",
            b"\x1bl",
            b"\x1bQ",
            b"\x1bX",
            b"\x1bc",
            b"\x1bC",
            b"\x1b@",
            b"\x0c",
            b"\x1b\x7f",
            b"\x1b",
            b"\x1b-1",
            b"\x1bW1",
            b"\x1b(^\x03\x00",
            b"\x1b(-\x03\x00\x01",
            b"1234567890",
            b"\n" * 4,
        ),
    ],
    "escpos": [
        *(b"\x1dv0\x00", b"\x1d(L", b"\x1d8L", b"0p0\x01\x011", b"02", b"\x1dV\x00", b"\x1dk", b"\x1b*\x21"),
        *(
            b"\x1b*\x00",
            b"\x1ba\x01",
            b"\x1d!",
            b"\x1b@",
            b"\x0a",
            b"\x1c",
            b"\x10\x04",
            b"\x10\x14",
            b"\x1dL",
            b"\x1dW",
            b"\x1b-1",
            b"\x1bM1",
            b"\x1b$",
            b"\x1dL\xff\xff",
            b"0123456789",
        ),
    ],
    "pcl": [
        *(
            b"\x1b*b",
            b"\x1b*r",
            b"\x1b&l",
            b"\x1b*p",
            b"\x1b*c",
            b"\x1b&a",
            b"\x1b%-12345X",
            b"@PJL ENTER LANGUAGE=PCL\n",
        ),
        *(b"\x1bE", b"\x0c", b"W", b"m", b"5m6W\x05\xff\xff\x04\xff\xff", b"9m", b"3m", b"99999999999P", b"\x1b&p3X"),
        *(
            b"\x1b*c900a900b50g2P",
            b"\x1b*t75R",
            b"\x1b*b8W",
            b"\x1b%0B",
            b"\x1b&l1O",
            b"\x1b)s9W",
            b".0001H",
            b"4U",
            b"V",
            b"\x1b&d0D",
            b"\x1b&a99C",
            b"\x1b&a90R",
            b"\x1b&p",
            b"0123456789",
            b"\r\n",
        ),
    ],
}
_PARTS["escp9"] = _PARTS["escp24"]


def _stream_of(language: Language) -> st.SearchStrategy[bytes]:
    few = st.sampled_from([b"\x00", b"\x01", b"\x02", b"\x1f", b"\xff"])
    parts = st.one_of(st.sampled_from(_PARTS[language]), few, st.binary(max_size=4), st.text(" 09A~").map(str.encode))
    return st.lists(parts, max_size=60).map(b"".join)


_streams = st.sampled_from(_LANGUAGES).flatmap(lambda one: st.tuples(st.just(one), _stream_of(one)))
_two_streams = st.sampled_from(_LANGUAGES).flatmap(
    lambda one: st.tuples(st.just(one), _stream_of(one), _stream_of(one))
)


def _size_for(language: Language) -> PaperSize:
    return _SMALL_ROLL if language == "escpos" else _SMALL


@example(("escpos", b"\x1d!\x1dv0\x00  "), [7])  # the line before ends the page: the spaces begin another
@example(("escpos", b"\x1d!\x05v0\x00\x1b-1   "), [])
@example(("escp9", b"\n" * 8 + b"abcdefghij   "), [])
@example(("escpos", b"\x1d!\x05\xb0"), [])  # higher than the roll may be long
@example(("escp24", b"\x1bJ\xff\x1b.\x00\xff\x0a\x0a\x08\x00" + b"\xff" * 10), [])  # a band below the sheet's end
@example(("pcl", b"\x1b&a1500V\x1b&l1Oab"), [])  # the head stands far below a sheet that is then turned
@example(("escp9", b"\x1bl\xff\x1b-1a"), [])  # underlined, behind the edge
@settings(max_examples=100)
@given(stream=_streams, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_ok__the_pieces_make_no_difference(stream: tuple[Language, bytes], cuts: list[int]) -> None:
    language, data = stream
    size = _size_for(language)
    whole = print_out(language, size, data)
    assert print_out(language, size, data, sorted(min(cut, len(data)) for cut in cuts)) == whole
    assert print_out(language, size, data, range(len(data))) == whole
    # Each page begins once and ends once, and none is larger than it may be.
    kinds = [isinstance(event, Began) for event in whole]
    assert kinds == [True, False] * (len(whole) // 2)
    assert all(isinstance(event, Ended | Refused) for event in whole[1::2])
    assert all(len(page.packed) == page.height * -(-page.width // 8) for page in pages_in(whole))
    assert all(page.width * page.height <= size.max_pixels for page in pages_in(whole))


@example(("pcl", b"\x1b&l1Oa", b"b"))  # a sheet that lies sideways
@example(("pcl", b"\x1b%-12345X", b" a"))  # PJL, which reads this as a line of its own
@settings(max_examples=50)
@given(streams=_two_streams)
def test_ok__after_silence_a_printer_is_as_new(streams: tuple[Language, bytes, bytes]) -> None:
    language, data, rest = streams
    size = _size_for(language)
    decoder = decoder_of(language, size)
    decoder.feed(data)
    decoder.pause()
    assert decoder.feed(rest) + decoder.pause() == print_out(language, size, rest)
    assert decoder.pause() == []


_GREEDY: list[tuple[Language, bytes, bytes]] = [
    ("escp24", b"", b"\x1b*\x48\xff\xff" + b"\xff" * 1000),  # 393,210 bytes are told; the next command is data too
    ("escp24", b"\x1b.\x01\x01\x01\xff\xff\xff", b"\x81\xff"),
    ("escp24", b"\x1b\x7f", b"x" * 1000),  # nothing ends what is not known
    ("escp24", b"", b"a" * 70 + b"\x1bJ\x01\r"),
    ("escp24", b"", b"\x1b.\x00\x07\x0b\x01\x08\x00\xff\x1b(v\x02\x00\x01\x00\r"),
    ("escpos", b"\x1ba\x01", b"\x1b*\x21\xff\xff" + b"\xff" * 196605),
    ("escpos", b"\x1d8L\xff\xff\xff\xff0p0\x02\x021\xff\xff\xff\xff", b"\xff" * 1000),
    ("escpos", b"\x1dv0\x03\xff\xff\xff\xff", b"\xff" * 1000),
    ("pcl", b"\x1b*b9M", b"\x1b*b6W\xff\xff\xff\xff\xff\xff"),
    ("pcl", b"\x1b*b5M", b"\x1b*b6W\x05\xff\xff\x04\xff\xff"),
    ("pcl", b"", b"\x1b*c9999a9999b50g2P\x1b*p+1Y" + bytes(2000)),
    ("pcl", b"\x1b%-12345X@PJL ", b"x" * 1000),
    ("pcl", b"\x1b*p", b"9" * 1000),
]


@pytest.mark.parametrize(("language", "begin", "again"), _GREEDY)
def test_ok__memory_is_bounded_whatever_is_asked_for(language: Language, begin: bytes, again: bytes) -> None:
    """A page of 120 dpi has 1.4 million pixels, 174 kB; twice that are held, and what one command may take."""
    size = size_of(120, max_pages=2)
    if language == "escpos":
        size = type(size)(210, 0, 120, 1_400_000, 2)
    decoder = decoder_of(language, size)
    decoder.feed(b"a")
    tracemalloc.start()
    try:
        decoder.feed(begin)
        for _ in range(max(1, 8_000 // len(again))):
            decoder.feed(again)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
