"""Baseline JPEG headers by the standard's tables: golden bytes, frames from Pillow, and damage of every kind."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from appliance.devices.errors import BadFrame
from appliance.devices.video.jpeg import STANDARD_HUFFMAN_SEGMENTS, parse_jpeg, with_standard_huffman_tables

# A gray image of 8 × 8 pixels, field by field.
GOLDEN = bytes.fromhex(
    "ffd8"  # SOI
    "ffdb 0043 00"
    + "01"
    * 64  # DQT: length 67, 8-bit table 0, all ones
    + "ffc0 000b 08 0008 0008 01"  # SOF0: length 11, 8 bit, 8 lines of 8 samples, one component
    "01 11 00"  # component 1: sampling 1 × 1, quantiser 0
    "ffdd 0004 0005"  # DRI: restart every 5 units
    "ffda 0008 01"  # SOS: length 8, one component
    "01 00"  # component 1: DC table 0, AC table 0
    "00 3f 00"  # all coefficients in one pass
    "f8a2 ff00 28"  # coded data, with a stuffed FF
    "ffd9"  # EOI
)


def make_jpeg(
    subsampling: str = "4:2:2", size: tuple[int, int] = (96, 64), mode: str = "RGB", **options: object
) -> bytes:
    picture = Image.effect_noise(size, 60).convert(mode)
    ImageDraw.Draw(picture).ellipse((10, 10, size[0] - 10, size[1] - 10), outline=200, width=3)
    coded = io.BytesIO()
    picture.save(coded, "JPEG", quality=80, subsampling=subsampling, **options)
    return coded.getvalue()


def strip_huffman(data: bytes) -> bytes:
    for segment in STANDARD_HUFFMAN_SEGMENTS:
        assert data.count(segment) == 1
        data = data.replace(segment, b"")
    return data


def test_ok__golden_header() -> None:
    header = parse_jpeg(GOLDEN)
    assert (header.width, header.height, header.precision) == (8, 8, 8)
    assert (header.components, header.component_ids, header.sampling) == (1, (1,), ((1, 1),))
    assert header.restart_interval == 5
    assert header.adobe_transform is None
    assert not header.has_huffman_tables
    assert GOLDEN[header.scan_offset : header.scan_offset + 2] == b"\xff\xda"
    assert header.end == len(GOLDEN)
    assert (header.components, header.is_gray_or_ycbcr) == (1, True)


def test_ok__standard_tables_have_the_lengths_of_the_standard() -> None:
    for segment in STANDARD_HUFFMAN_SEGMENTS:
        assert int.from_bytes(segment[2:4], "big") == len(segment) - 2
        assert sum(segment[5:21]) == len(segment) - 21
    assert [segment[4] for segment in STANDARD_HUFFMAN_SEGMENTS] == [0x00, 0x10, 0x01, 0x11]
    assert [len(segment) - 21 for segment in STANDARD_HUFFMAN_SEGMENTS] == [12, 162, 12, 162]


@pytest.mark.parametrize(("subsampling", "sampling"), [("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))])
def test_ok__tables_stripped_and_inserted_again_decode_alike(subsampling: str, sampling: tuple[int, int]) -> None:
    original = make_jpeg(subsampling)
    bare = strip_huffman(original)
    assert not parse_jpeg(bare).has_huffman_tables
    assert parse_jpeg(bare).sampling == (sampling, (1, 1), (1, 1))
    whole = with_standard_huffman_tables(bare)
    header = parse_jpeg(whole)
    assert header.has_huffman_tables
    # The scan is bit for bit what it was.
    scan = bare[parse_jpeg(bare).scan_offset :]
    assert whole[header.scan_offset :] == scan
    assert Image.open(io.BytesIO(whole)).tobytes() == Image.open(io.BytesIO(original)).tobytes()
    assert with_standard_huffman_tables(whole) is whole


def test_ok__frame_with_its_own_tables_stays_as_it_is() -> None:
    optimised = make_jpeg(optimize=True)
    assert with_standard_huffman_tables(optimised) is optimised


def test_ok__application_segments_and_comments_are_kept() -> None:
    bare = strip_huffman(make_jpeg())
    avi = b"\xff\xe0\x00\x10AVI1\x00" + bytes(9)
    comment = b"\xff\xfe\x00\x08hello\x00"
    frame = bare[:2] + avi + comment + bare[2:]
    whole = with_standard_huffman_tables(frame)
    assert whole.startswith(b"\xff\xd8" + avi + comment)


@pytest.mark.parametrize("padding", [b"\x00" * 700, b"\x1a" * 90, b"\xff\xff", b"\xff\xd8garbage"])
def test_ok__what_lies_behind_the_end_is_cut_off(padding: bytes) -> None:
    whole = make_jpeg()
    assert parse_jpeg(whole + padding).end == len(whole)
    assert with_standard_huffman_tables(whole + padding) == whole


def test_ok__fill_bytes_before_markers() -> None:
    bare = strip_huffman(make_jpeg())
    offset = parse_jpeg(bare).scan_offset
    filled = bare[:2] + b"\xff\xff" + bare[2:offset] + b"\xff" + bare[offset:-2] + b"\xff" + bare[-2:]
    whole = with_standard_huffman_tables(filled)
    assert Image.open(io.BytesIO(whole)).size == (96, 64)
    Image.open(io.BytesIO(whole)).load()


def test_ok__restart_markers_do_not_end_a_scan() -> None:
    frame = make_jpeg(restart_marker_blocks=2)
    header = parse_jpeg(frame)
    assert header.restart_interval == 2
    assert header.end == len(frame)


def test_ok__gray_and_rgb_are_told_apart() -> None:
    assert parse_jpeg(make_jpeg(mode="L")).components == 1
    assert parse_jpeg(make_jpeg()).is_gray_or_ycbcr
    assert not parse_jpeg(make_jpeg("4:4:4", keep_rgb=True)).is_gray_or_ycbcr


def test_ok__quick_enough_for_sixty_frames_a_second() -> None:
    frame = strip_huffman(make_jpeg(size=(1920, 1080)))
    best = min(_seconds_for(frame) for _ in range(5))
    assert best < 0.008


def _seconds_for(frame: bytes) -> float:
    before = time.perf_counter()
    with_standard_huffman_tables(frame)
    return time.perf_counter() - before


def replaced(old: str, new: str) -> bytes:
    before, after = bytes.fromhex(old), bytes.fromhex(new)
    assert GOLDEN.count(before) == 1
    return GOLDEN.replace(before, after)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "does not begin", id="nothing"),
        pytest.param(b"\x89PNG\r\n", "does not begin", id="another format"),
        pytest.param(GOLDEN[:-2], "without its end marker", id="torn: no EOI"),
        pytest.param(GOLDEN[:-1], "without its end marker", id="torn: half an EOI"),
        pytest.param(GOLDEN[:-2] + bytes(4000), "without its end marker", id="torn and padded"),
        pytest.param(GOLDEN[:-2] + GOLDEN, "the next one begins inside it", id="torn, and the next frame"),
        pytest.param(GOLDEN[:40], "cut off or damaged in its header", id="cut in a segment"),
        pytest.param(GOLDEN[:2], "cut off or damaged in its header", id="cut behind SOI"),
        pytest.param(GOLDEN[:3] + b"\xff" * 9, "cut off or damaged in its header", id="nothing but fill"),
        pytest.param(replaced("ffdd0004", "ffdd0001"), "cut off or damaged in its header", id="length 1"),
        pytest.param(replaced("ffdd0004", "ffddffff"), "cut off or damaged in its header", id="length beyond the end"),
        pytest.param(replaced("ffdd0004", "00dd0004"), "cut off or damaged in its header", id="no marker"),
        pytest.param(replaced("ffdd00040005", "ffdd000300ffff"), "restart interval", id="restart interval of one byte"),
        pytest.param(replaced("ffc0", "ffc1"), "SOF1; only baseline", id="extended"),
        pytest.param(replaced("ffc0", "ffc2"), "SOF2; only baseline", id="progressive"),
        pytest.param(replaced("ffc0", "ffc3"), "SOF3; only baseline", id="lossless"),
        pytest.param(replaced("ffc0", "ffc9"), "SOF9; only baseline", id="arithmetic"),
        pytest.param(replaced("ffc0", "ffc8"), "no frame header", id="JPG extension"),
        pytest.param(replaced("ffc0000b08", "ffc0000b0c"), "12 bits a sample", id="12 bit"),
        pytest.param(replaced("0800080008", "0800000008"), "how large", id="no height"),
        pytest.param(replaced("0800080008", "0800080000"), "how large", id="no width"),
        pytest.param(replaced("01 0111 00 ffdd", "04 0111 00 ffdd"), "header is damaged", id="components missing"),
        pytest.param(replaced("011100ffdd", "010100ffdd"), "sampling factors", id="sampling 0"),
        pytest.param(replaced("011100ffdd", "015100ffdd"), "sampling factors", id="sampling 5"),
        pytest.param(replaced("011100ffdd", "011101ffdd"), "lacks a quantisation table", id="no such quantiser"),
        pytest.param(replaced("ffdb004300", "ffdb004324"), "quantisation tables", id="quantiser of no kind"),
        pytest.param(replaced("ffda00080101", "ffda00080102"), "names other components", id="other component"),
        pytest.param(replaced("0100003f00", "0122003f00"), "lacks a Huffman table", id="no such Huffman table"),
        pytest.param(replaced("0100003f00", "0100003e00"), "not a baseline scan", id="part of the spectrum"),
        pytest.param(replaced("ffda000801", "ffda000802"), "all of its components", id="count of components"),
        pytest.param(replaced("f8a2ff00", "f8a2ffda"), "more than one scan", id="second scan"),
        pytest.param(replaced("f8a2ff00", "f8a2ffe0"), "damaged inside", id="segment inside the scan"),
        pytest.param(replaced("ffdd0004", "ffdc0004"), "number of lines", id="DNL"),
        pytest.param(replaced("ffdd0004", "ffd00004"), "before its scan", id="RST in the header"),
        pytest.param(replaced("ffdd0004", "ffd90004"), "before its picture", id="EOI in the header"),
        pytest.param(GOLDEN[:2] + b"\xff\xc4\x00\x13\x00" + b"\xff" * 16 + GOLDEN[2:], "Huffman tables", id="bad DHT"),
        pytest.param(GOLDEN[:71] + GOLDEN[71:84] + GOLDEN[71:], "two frame headers", id="two SOF"),
    ],
)
def test_fail__damaged_or_not_accepted(data: bytes, sentence: str) -> None:
    with pytest.raises(BadFrame, match=sentence) as caught:
        parse_jpeg(data)
    assert caught.value.sentence.endswith(".")


def test_fail__progressive_and_cmyk_from_a_real_encoder() -> None:
    with pytest.raises(BadFrame, match="SOF2"):
        parse_jpeg(make_jpeg(progressive=True))
    coded = io.BytesIO()
    Image.new("CMYK", (16, 16)).save(coded, "JPEG")
    with pytest.raises(BadFrame, match="4 components"):
        parse_jpeg(coded.getvalue())


_SAMPLES = [GOLDEN, make_jpeg(size=(32, 32)), strip_huffman(make_jpeg(size=(32, 32)))]


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(_SAMPLES),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=6),
    st.integers(0, 2000),
)
def test_ok__whatever_the_damage_it_is_a_bad_frame_or_a_sound_header(
    sample: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(sample)
    for position, value in changes:
        data[position % len(data)] = value
    damaged = bytes(data[: length or None])
    try:
        header = parse_jpeg(damaged)
    except BadFrame as error:
        assert error.sentence
        return
    assert 2 < header.scan_offset < header.end <= len(damaged)
    assert damaged[header.end - 2 : header.end] == b"\xff\xd9"
    whole = with_standard_huffman_tables(damaged, header)
    assert parse_jpeg(whole).has_huffman_tables


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_fail__arbitrary_bytes_behind_soi(data: bytes) -> None:
    with pytest.raises(BadFrame):
        parse_jpeg(b"\xff\xd8" + data)
