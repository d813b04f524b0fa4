"""A clip that a plug cut off, and that flash then damaged: no whole frame of it is lost, and none of doubt is given."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from appliance.acquire import torn_clip, torn_frames
from appliance.acquire.salvage import Fate, Salvaged, list_cut_short
from appliance.compose.pixels import SEQUENCE_DELIMITER, fragment_header
from appliance.spool.summary import read_summary
from appliance.spool.tree import NoRoomError
from tests.acquire.test_salvage import COUNT, FRAMES, Crashed, PlugError, raise_plug, torn
from tests.acquire.world import errors_of, fragments_of, make_frame, picture, unpadded


def begins() -> list[int]:
    """Where each frame's item header lies."""
    return [torn().offset, *torn().ends[:-1]]


def with_damage(*frames: int, data: bytes | None = None) -> bytes:
    """The clip with a flipped bit in the first byte of these frames."""
    file = bytearray(torn().data if data is None else data)
    for number in frames:
        file[begins()[number] + 8] ^= 1
    return bytes(file)


def check_frames(path: Path, numbers: list[int]) -> None:
    """The object holds these frames bit for bit, and says so."""
    assert [unpadded(one) for one in fragments_of(path)] == [FRAMES[number].data for number in numbers]
    read = dcmread(path)
    assert torn().name == f".part-{read.SOPInstanceUID}~{torn().offset}"
    assert read.get("NumberOfFrames", 1) == len(numbers)
    ratio = len(numbers) * 96 * 64 * 3 / sum(len(FRAMES[number].data) for number in numbers)
    assert float(read.LossyImageCompressionRatio) == pytest.approx(ratio, abs=0.01)


@settings(max_examples=12)
@given(
    damaged=st.sets(st.integers(0, COUNT - 1)),
    size=st.integers(torn().offset, len(torn().data)),
    has_end=st.booleans(),
)
def test_ok__every_whole_frame_before_and_behind_a_damaged_one_is_kept(
    damaged: set[int], size: int, has_end: bool
) -> None:
    size = len(torn().data) if has_end else size
    file = with_damage(*damaged)[:size] + (SEQUENCE_DELIMITER if has_end else b"")
    whole = [number for number in range(COUNT) if number not in damaged and torn().ends[number] <= size]
    left_out = sum(1 for number in damaged if whole and number < whole[-1])
    with tempfile.TemporaryDirectory() as directory:
        box = Crashed(Path(directory), file)
        (salvaged,) = box.salvage()
        assert (salvaged.frames, salvaged.left_out, salvaged.is_aside) == (len(whole), left_out, False)
        assert salvaged.fate is (Fate.SAVED if whole else Fate.REMOVED)
        if whole:
            (path,) = box.objects()
            check_frames(path, whole)
            summary = read_summary(path)
            assert summary.left_out == left_out
            assert summary.is_cut_short or not (left_out or len(whole) < COUNT)
            if summary.is_cut_short:
                assert [one.finding for one in list_cut_short(box.spool, box.facts, "endoscope")] == [salvaged.finding]
        assert box.temporaries() == [] == list(box.spool.quarantine.iterdir())
        assert box.salvage() == []


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ((2,), "its 5 frames up to there are saved. One frame was damaged on flash and is left out."),
        ((0, 3), "its 4 frames up to there are saved. 2 frames were damaged on flash and are left out."),
        (
            (0, 1, 2, 3, 4),
            "its one frame is saved as a still. 5 frames were damaged on flash and are left out.",
        ),
        ((5,), "its 5 frames up to there are saved."),
    ],
)
def test_ok__it_is_told_in_words(tmp_path: Path, damaged: tuple[int, ...], words: str) -> None:
    box = Crashed(tmp_path, with_damage(*damaged))
    (salvaged,) = box.salvage()
    assert errors_of(box.objects()[0]) == []
    assert salvaged.finding.sentence == f"A clip was cut short by an interruption; {words}"


@pytest.mark.parametrize("step", ["ObjectWriter", "append", "publish", "remove_file 2"])
@pytest.mark.parametrize("after", [False, True])
def test_ok__a_plug_that_is_pulled_while_it_is_written_anew_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    box = Crashed(tmp_path, with_damage(2))
    name, _, number = step.partition(" ")
    owner = torn_clip if name in ("ObjectWriter", "remove_file") else torn_clip.ObjectWriter
    calls: list[int] = []
    with monkeypatch.context() as patch:
        original = getattr(owner, name)

        def act(*arguments: object) -> object:
            calls.append(1)
            if len(calls) < int(number or 1):
                return original(*arguments)
            if after:
                original(*arguments)
            return raise_plug()

        patch.setattr(owner, name, act)
        if name != "ObjectWriter":
            patch.setattr(torn_clip.ObjectWriter, "abandon", lambda writer: writer.leave())
        with pytest.raises(PlugError):
            box.salvage()
    assert box.objects() or box.path.exists()
    box.salvage()
    (path,) = box.objects()
    check_frames(path, [0, 1, 3, 4, 5])
    assert box.temporaries() == [] == list(box.spool.quarantine.iterdir())
    assert box.salvage() == []


def test_fail__without_room_for_a_new_file_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Crashed(tmp_path, with_damage(2))

    def refuse(*_: object) -> None:
        raise NoRoomError("The box's flash is full.")

    with monkeypatch.context() as patch:
        patch.setattr(torn_clip, "ensure_room", refuse)
        (waiting,) = box.salvage()
    assert waiting.fate is Fate.WAITING and "there is no room" in waiting.finding.sentence
    assert box.path.read_bytes() == with_damage(2) and box.objects() == [] and box.temporaries() == [box.path]
    (salvaged,) = box.salvage()
    assert salvaged.frames == 5


# -- where the way is lost


@pytest.mark.parametrize("number", [0, 1, 4])
@pytest.mark.parametrize("at", [0, 4, 5, 7])
def test_ok__behind_a_damaged_item_header_nothing_is_given_and_nothing_thrown_away(
    tmp_path: Path, number: int, at: int
) -> None:
    """Bits of the tag, and of the length: too short, too long, longer than the file."""
    file = bytearray(torn().data)
    file[begins()[number] + at] ^= 0x40
    box = Crashed(tmp_path, bytes(file))
    (salvaged,) = box.salvage()
    (aside,) = box.spool.quarantine.iterdir()
    assert aside.read_bytes() == bytes(file)
    assert "quarantine" in salvaged.finding.sentence
    assert box.temporaries() == []
    if number:
        assert (salvaged.fate, salvaged.frames, salvaged.is_aside) == (Fate.SAVED, number, True)
        check_frames(box.objects()[0], list(range(number)))
        assert [one.finding for one in list_cut_short(box.spool, box.facts, "endoscope")] == [salvaged.finding]
    else:
        assert salvaged.fate is Fate.QUARANTINED and box.objects() == []
    assert box.salvage() == []


def test_ok__a_plug_pulled_before_it_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = bytearray(torn().data)
    file[begins()[2]] ^= 1
    box = Crashed(tmp_path, bytes(file))
    with monkeypatch.context() as patch:
        patch.setattr(torn_clip, "move_file", lambda *_: raise_plug())
        with pytest.raises(PlugError):
            box.salvage()
    assert len(box.objects()) == 1
    assert box.salvage() == []
    (aside,) = box.spool.quarantine.iterdir()
    assert aside.read_bytes() == bytes(file)
    assert len(box.objects()) == 1 and box.temporaries() == []


def large_clip(count: int = 4) -> tuple[bytes, list[int]]:
    """A clip of frames that are larger than a sector, and where their item headers lie."""
    frames = [make_frame(picture(number, size=(320, 240), quality=90)).data for number in range(count)]
    data, headers = torn().data[: torn().offset], []
    for frame in frames:
        headers.append(len(data))
        data += fragment_header(len(frame) + len(frame) % 2) + frame + bytes(len(frame) % 2)
    return data, headers


@settings(max_examples=40)
@given(data=st.data())
def test_ok__a_tear_is_no_damage_wherever_sectors_are_missing(data: st.DataObject) -> None:
    """Behind the last sync any sectors may be missing: nothing is set aside for that, what was synced is all there."""
    file, headers = large_clip()
    synced = data.draw(st.integers(1, 3), label="synced frames")
    first = -(-headers[synced] // 512) * 512
    lost = data.draw(st.sets(st.integers(first // 512, len(file) // 512), min_size=1), label="lost sectors")
    torn_file = bytearray(file)
    for sector in lost:
        torn_file[sector * 512 : (sector + 1) * 512] = bytes(len(torn_file[sector * 512 : (sector + 1) * 512]))
    if data.draw(st.booleans(), label="the header's sector too"):
        torn_file[headers[synced] : first] = bytes(first - headers[synced])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "clip"
        path.write_bytes(torn_file)
        found = torn_frames.find_frames(path, torn().offset)
    assert (synced <= len(found.whole), found.left_out, found.has_more) == (True, 0, False)


def test_ok__zeros_with_more_behind_than_was_ever_unsynced_are_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, headers = large_clip()
    hole = bytearray(file)
    hole[headers[1] + 8 : headers[1] + 3000] = bytes(2992)
    (salvaged,) = Crashed(tmp_path / "a", bytes(hole)).salvage()
    assert (salvaged.frames, salvaged.left_out) == (1, 0)
    monkeypatch.setattr(torn_frames, "_MOST_UNSYNCED", headers[2] - headers[1])
    (salvaged,) = Crashed(tmp_path / "b", bytes(hole)).salvage()
    assert (salvaged.frames, salvaged.left_out) == (3, 1)


# -- what flash does not give back


class BadPlaces:
    """A medium that gives EIO for any read that touches one of its bad bytes."""

    def __init__(self, patch: pytest.MonkeyPatch, *places: int) -> None:
        self.reads = 0
        self._places = places
        begin = torn_frames._Medium.__init__

        def open_medium(medium: torn_frames._Medium, file: BinaryIO) -> None:
            begin(medium, cast(BinaryIO, _BadFile(self, file)))

        patch.setattr(torn_frames._Medium, "__init__", open_medium)

    def check(self, position: int, length: int) -> None:
        self.reads += 1
        if any(position <= place < position + length for place in self._places):
            raise OSError(errno.EIO, "Input/output error")


class _BadFile:
    def __init__(self, bad: BadPlaces, file: BinaryIO) -> None:
        self._bad, self._file = bad, file
        self.seek, self.fileno = file.seek, file.fileno

    def read(self, length: int) -> bytes:
        self._bad.check(self._file.tell(), length)
        return self._file.read(length)


@pytest.fixture
def box(tmp_path: Path) -> Crashed:
    return Crashed(tmp_path, torn().data)


@pytest.mark.parametrize(
    ("number", "into", "whole"),
    [(2, 100, [0, 1, 3, 4, 5]), (0, 100, [1, 2, 3, 4, 5]), (5, 100, [0, 1, 2, 3, 4]), (3, 2, [0, 1, 2])],
)
def test_ok__what_flash_gives_back_is_saved_and_the_rest_set_aside(
    box: Crashed, monkeypatch: pytest.MonkeyPatch, number: int, into: int, whole: list[int]
) -> None:
    BadPlaces(monkeypatch, begins()[number] + into)
    (salvaged,) = box.salvage()
    assert (salvaged.fate, salvaged.frames, salvaged.is_aside) == (Fate.SAVED, len(whole), True)
    assert "Not all of it could be read; the rest lies in quarantine." in salvaged.finding.sentence
    (path,) = box.objects()
    check_frames(path, whole)
    (aside,) = box.spool.quarantine.iterdir()
    assert aside.read_bytes() == torn().data
    assert box.temporaries() == [] and box.salvage() == []


def test_fail__flash_that_gives_no_frame_back_leaves_it_for_the_next_start(
    box: Crashed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        BadPlaces(patch, *(begin + 100 for begin in begins()))
        (salvaged,) = box.salvage()
        assert salvaged.fate is Fate.UNTOUCHED and box.temporaries() == [box.path]
    (salvaged,) = box.salvage()
    assert (salvaged.fate, salvaged.frames) == (Fate.SAVED, COUNT)


def test_ok__a_medium_that_fails_in_many_places_is_not_asked_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = FRAMES[0].data
    small = fragment_header(len(frame) + len(frame) % 2) + frame + bytes(len(frame) % 2)
    box = Crashed(tmp_path, torn().data + small * 200)
    bad = BadPlaces(monkeypatch, *(len(torn().data) + n * len(small) + 50 for n in range(200)))
    (salvaged,) = box.salvage()
    assert (salvaged.fate, salvaged.frames, salvaged.is_aside) == (Fate.SAVED, COUNT, True)
    assert bad.reads < 300


def test_ok__the_item_tag_is_searched_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = bytearray(torn().data)
    file[begins()[2]] ^= 1
    path = tmp_path / "clip"
    path.write_bytes(bytes(file))
    for block in range(11, 40):
        monkeypatch.setattr(torn_frames, "_BLOCK", block)
        found = torn_frames.find_frames(path, torn().offset)
        assert (len(found.whole), found.left_out, found.has_more) == (2, 0, True)


def test_ok__what_is_aside_is_for_support() -> None:
    one = Salvaged("endoscope", None, "1.2.3", Fate.SAVED, 3, is_aside=True)
    assert "have the box's flash checked" in one.finding.suggestion
