"""A picture of nothing may be coded as zeros; a page that was never written is told from it by walking the scan."""

from __future__ import annotations

import io
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from appliance.acquire import coded_scan
from appliance.acquire.coded_scan import is_scan_of_zeros
from appliance.acquire.torn_frames import _has_lost_page
from appliance.devices.video.jpeg import parse_jpeg

PAGE = 4096


def coded(picture: Image.Image, subsampling: str = "4:2:2", *, is_optimised: bool = True, restarts: int = 0) -> bytes:
    buffer = io.BytesIO()
    form = {} if picture.mode == "L" else {"subsampling": subsampling}
    picture.save(buffer, "JPEG", quality=85, optimize=is_optimised, restart_marker_blocks=restarts, **form)
    return buffer.getvalue()


def black(size: tuple[int, int] = (1280, 720), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size)


def letterbox(size: tuple[int, int] = (1920, 1080), height: int = 100) -> Image.Image:
    """A band of noise in the middle of black."""
    whole = black(size)
    noise = random.Random(1).randbytes(size[0] // 8 * (height // 8) * 3)
    band = Image.frombytes("RGB", (size[0] // 8, height // 8), noise).resize((size[0], height))
    whole.paste(band, (0, (size[1] - height) // 2))
    return whole


def is_lost(data: bytes, start: int) -> bool:
    """What is said of this frame when it lies at `start` in its file."""
    return _has_lost_page(data, start, parse_jpeg(data))


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("restarts", [0, 50])
@pytest.mark.parametrize("size", [(1280, 720), (1921, 1083)])
def test_ok__a_black_picture_of_optimised_tables_is_whole(
    subsampling: str, restarts: int, size: tuple[int, int]
) -> None:
    data = coded(black(size), subsampling, restarts=restarts)
    assert restarts or len(max(re.findall(rb"\x00+", data), key=len)) > PAGE
    assert is_scan_of_zeros(data, parse_jpeg(data))
    assert not is_lost(data, 0)


def test_ok__a_gray_one_too() -> None:
    data = coded(black((4096, 2160), "L"))
    assert len(max(re.findall(rb"\x00+", data), key=len)) > PAGE
    assert is_scan_of_zeros(data, parse_jpeg(data))


def test_ok__detail_between_two_black_parts_is_whole_and_is_missed_when_its_page_is_lost() -> None:
    data = coded(letterbox())
    assert is_scan_of_zeros(data, parse_jpeg(data)) and not is_lost(data, 0)
    detail = [page for page in range(0, len(data) - PAGE, PAGE) if any(data[page : page + PAGE])]
    for page in detail[1::2]:  # the first holds the header
        lost = data[:page] + bytes(PAGE) + data[page + PAGE :]
        assert is_lost(lost, 0), page


@settings(max_examples=30, deadline=None)
@given(st.integers(-40, 40))
def test_ok__zeros_too_many_or_too_few_are_no_picture(by: int) -> None:
    data = coded(black((320, 240)))
    (zeros,) = re.finditer(rb"\x00{100,}", data)
    changed = data[: zeros.end() - max(0, -by)] + bytes(max(0, by)) + data[zeros.end() :]
    assert is_scan_of_zeros(changed, parse_jpeg(changed)) == (by == 0)


def test_ok__typical_tables_never_mean_nothing_by_zeros() -> None:
    data = coded(black(), is_optimised=False)
    assert not is_scan_of_zeros(data, parse_jpeg(data))


@pytest.mark.parametrize("is_optimised", [True, False])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("restarts", [0, 7])
def test_ok__the_walk_knows_every_form(
    monkeypatch: pytest.MonkeyPatch, subsampling: str, is_optimised: bool, restarts: int
) -> None:
    """Also where zeros mean something else: there it is walked without its short way over them."""
    monkeypatch.setattr(coded_scan, "_changes_nothing", lambda _table: True)
    monkeypatch.setattr(coded_scan, "_ZEROS", re.compile(rb"(?!)"))
    data = coded(letterbox((161, 123), 80), subsampling, is_optimised=is_optimised, restarts=restarts)
    assert is_scan_of_zeros(data, parse_jpeg(data))
    assert not is_scan_of_zeros(data[:-6] + data[-2:], parse_jpeg(data[:-6] + data[-2:]))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_ok__a_lost_page_of_a_picture_with_detail_is_lost_wherever_the_frame_lies(data: st.DataObject) -> None:
    is_optimised = data.draw(st.booleans(), label="optimised")
    start = data.draw(st.integers(0, PAGE), label="start")
    frame = DETAILED[is_optimised]
    first = -(-(start + parse_jpeg(frame).scan_offset + 14) // PAGE) * PAGE - start
    last = (len(frame) - 2 - PAGE - first) // PAGE
    page = first + PAGE * data.draw(st.integers(0, last), label="page")
    lost = frame[:page] + bytes(PAGE) + frame[page + PAGE :]
    assert is_lost(lost, start)
    assert not is_lost(frame, start)


DETAILED = {one: coded(letterbox((640, 480), 480), is_optimised=one) for one in (True, False)}
