"""What a pulled plug leaves of a clip of native frames: every counted frame, further whole ones, and no lost page."""

from __future__ import annotations

import struct
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from appliance.acquire.salvage import Fate, Salvaged, salvage_device
from appliance.base.durable import SECTOR_BYTES
from appliance.compose.encode import Slot
from appliance.devices.frame import Encoding, Frame
from appliance.exam.facts import ExamFacts
from appliance.spool.cut_short import is_cut_short
from appliance.spool.tree import Spool, list_objects
from tests.acquire.torn import leave_torn
from tests.acquire.world import errors_of, open_exam_of

# A frame is larger than two pages, and no multiple of one; the third is black.
WIDTH, HEIGHT, COUNT, BLACK = 75, 61, 5, 2
LENGTH = WIDTH * HEIGHT * 3
FRAMES = [bytes(LENGTH) if n == BLACK else bytes((n + 1 + at) % 255 + 1 for at in range(LENGTH)) for n in range(COUNT)]


@cache
def torn() -> tuple[str, bytes, int, int]:
    """Name, bytes, offset of the pixels and place of the count of a clip whose end was never written."""
    frames = (Frame(data, Encoding.RGB, WIDTH, HEIGHT, 8, at, 500.0 + at / 25) for at, data in enumerate(FRAMES))
    name, data = leave_torn(frames)
    offset = int(name.rpartition("~")[2])
    assert data[offset:] == b"".join(FRAMES)
    return name, data, offset, data.index(b"IS\x0c\x00", 132) + 4


def across(front: int, counted: int) -> tuple[str, bytes]:
    """The same with so long a comment that `front` bytes of the count's slot lie in the sector before the rest."""
    name, data, offset, place = torn()
    length = (-place - 8 - front) % SECTOR_BYTES
    length += length % 2 * (SECTOR_BYTES + 1)
    comment = struct.pack("<HH2sH", 0x20, 0x4000, b"LT", length) + b"x" * length
    group = data.index(struct.pack("<HH2s", 0x28, 0x02, b"US"))
    slot = Slot(place + len(comment), 12)
    moved = bytearray(data[:group] + comment + data[group:])
    moved[slot.position : slot.end] = slot.fill(str(counted))
    return f"{name.rpartition('~')[0]}~{offset + len(comment)}", bytes(moved)


def left_by_a_crash(counted: int, size: int = COUNT * LENGTH) -> bytes:
    _, data, offset, place = torn()
    header = bytearray(data[:offset])
    header[place : place + 12] = str(counted).encode().ljust(12)
    return bytes(header) + data[offset : offset + size]


class Crashed:
    def __init__(self, directory: Path, data: bytes, name: str = "") -> None:
        self.spool = Spool(directory)
        self.spool.make()
        self.facts = ExamFacts(self.spool.exams)
        self.exam = open_exam_of(self.facts)
        path = self.spool.captured("endoscope", self.exam.exam_id) / (name or torn()[0])
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    def salvage(self) -> Salvaged:
        (found,) = salvage_device(self.spool, self.facts, "endoscope")
        return found

    def object(self) -> Path:
        ((path, _),) = list_objects(self.spool.captured("endoscope", self.exam.exam_id))
        return path


def check(path: Path, frames: int) -> None:
    """The object holds the first `frames` frames byte for byte, and its lengths are true."""
    data = path.read_bytes()
    pixels = b"".join(FRAMES[:frames])
    padded = pixels + b"\0" * (len(pixels) % 2)
    assert data.endswith(struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, len(padded)) + padded)
    read = dcmread(path)
    assert int(read.get("NumberOfFrames", 1)) == frames
    assert read.LossyImageCompression == "00"


@pytest.mark.parametrize("frames", [1, 2, COUNT])
def test_ok__an_independent_reader_finds_nothing_wrong(tmp_path: Path, frames: int) -> None:
    box = Crashed(tmp_path, left_by_a_crash(frames, frames * LENGTH + 100))
    found = box.salvage()
    assert (found.fate, found.frames, found.is_cut_short) == (Fate.SAVED, frames, True)
    assert not errors_of(box.object())
    check(box.object(), frames)
    assert is_cut_short(box.object().read_bytes()[:128])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, COUNT), st.integers(0, COUNT * LENGTH))
def test_ok__cut_anywhere(counted: int, size: int) -> None:
    """What was counted and is there is kept; behind it, whole frames up to the first that may be a lost page."""
    there = size // LENGTH
    expected = min(counted, there)
    while expected < there and expected != BLACK:
        expected += 1
    with tempfile.TemporaryDirectory() as directory:
        box = Crashed(Path(directory), left_by_a_crash(counted, size))
        found = box.salvage()
        if expected:
            assert (found.fate, found.frames) == (Fate.SAVED, expected)
            check(box.object(), expected)
        else:
            assert found.fate is Fate.REMOVED


@pytest.mark.parametrize("front", [0, 2, 4, 6, 8, 10])
def test_ok__a_black_frame_that_was_counted_is_kept_wherever_the_count_lies(tmp_path: Path, front: int) -> None:
    name, data = across(front, 3)
    assert data.count(b"IS\x0c\x00", 132) == 1
    place = data.index(b"IS\x0c\x00", 132) + 4
    assert -place % SECTOR_BYTES == front
    box = Crashed(tmp_path, data, name)
    assert box.salvage().frames == COUNT
    check(box.object(), COUNT)


@pytest.mark.parametrize("counted", [0, 3])
def test_ok__a_page_that_never_reached_flash_is_in_no_object(tmp_path: Path, counted: int) -> None:
    data = bytearray(left_by_a_crash(counted))
    at = torn()[2] + 4 * LENGTH + 50
    data[at : at + 4096] = bytes(4096)
    box = Crashed(tmp_path, bytes(data))
    found = box.salvage()
    assert found.frames == (4 if counted == 3 else BLACK)
    check(box.object(), found.frames)


@pytest.mark.parametrize(("behind", "length", "frames"), [(0, 512, 3), (0, 4096, 3), (512, 512, 4), (513, 510, 5)])
def test_ok__what_never_reached_flash_lies_by_the_files_sectors(
    tmp_path: Path, behind: int, length: int, frames: int
) -> None:
    """From the sector on that two frames share, both lack something; a black line that fills no sector is a picture."""
    data = bytearray(left_by_a_crash(3))
    boundary = torn()[2] + 4 * LENGTH
    assert boundary % 512
    begin = boundary - boundary % 512 + behind
    data[begin : begin + length] = bytes(length)
    box = Crashed(tmp_path, bytes(data))
    found = box.salvage()
    assert found.frames == frames
    if frames < COUNT:
        check(box.object(), frames)


def test_ok__the_end_was_written_and_the_rename_not(tmp_path: Path) -> None:
    data = bytearray(left_by_a_crash(COUNT))
    length = COUNT * LENGTH + COUNT * LENGTH % 2
    data[torn()[2] - 4 : torn()[2]] = struct.pack("<L", length)
    box = Crashed(tmp_path, bytes(data) + b"\0" * (COUNT * LENGTH % 2))
    found = box.salvage()
    assert (found.frames, found.is_cut_short) == (COUNT, False)
    check(box.object(), COUNT)


def test_ok__a_salvage_that_is_cut_off_comes_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.acquire import torn_native

    data = left_by_a_crash(4, 4 * LENGTH + 10)
    expected = Crashed(tmp_path / "a", data)
    expected.salvage()
    box = Crashed(tmp_path / "b", data)
    for step in ("padding", "publish_salvaged"):
        with monkeypatch.context() as patch:
            patch.setattr(torn_native, step, _pull_plug)
            with pytest.raises(KeyboardInterrupt):
                box.salvage()
    assert box.salvage().frames == 4
    assert box.object().read_bytes() == expected.object().read_bytes()


def _pull_plug(*_: object) -> None:
    raise KeyboardInterrupt


def test_fail__a_damaged_header_is_set_aside(tmp_path: Path) -> None:
    data = bytearray(left_by_a_crash(COUNT))
    data[200:260] = b"\xff" * 60
    box = Crashed(tmp_path, bytes(data))
    assert box.salvage().fate is Fate.QUARANTINED
