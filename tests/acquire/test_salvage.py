"""What a pulled plug leaves of a clip, cut at any kind of place, becomes a valid object or is removed and reported."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from appliance.acquire import torn_clip
from appliance.acquire.keeping import Kind
from appliance.acquire.salvage import Fate, Salvaged, list_cut_short, salvage_device
from appliance.compose.pixels import SEQUENCE_DELIMITER, fragment_header
from appliance.exam.exam import Exam
from appliance.exam.facts import ExamFacts
from appliance.spool.cut_short import cut_short_preamble
from appliance.spool.names import is_intact
from appliance.spool.summary import read_summary
from appliance.spool.tree import Spool, list_objects
from tests.acquire.conftest import Room
from tests.acquire.torn import leave_torn
from tests.acquire.world import (
    PATIENT,
    close_exam,
    errors_of,
    fragments_of,
    make_frame,
    make_grabber,
    open_exam_of,
    picture,
    unpadded,
)

COUNT = 6
FRAMES = [make_frame(picture(n), n, 500.0 + n / 25) for n in range(COUNT)]
# An exam's directory sorts before "unassigned", and a salvage goes through them in this order.
EXAM_ID = "20261122-093001-0001"


@dataclass(frozen=True)
class Torn:
    """A clip's temporary file as it was just before its publication, without its end, and where its frames end."""

    name: str
    data: bytes
    offset: int
    ends: tuple[int, ...]


@cache
def torn() -> Torn:
    """The whole clip."""
    name, data = leave_torn(FRAMES)
    offset = int(name.rpartition("~")[2])
    ends, position = [], offset
    for frame in FRAMES:
        position += 8 + len(frame.data) + len(frame.data) % 2
        ends.append(position)
    assert position == len(data)
    return Torn(name, data, offset, tuple(ends))


class Crashed:
    """A box that was switched off while the clip was recorded, and finds `data` of it."""

    def __init__(self, directory: Path, data: bytes, exam_id: str | None = EXAM_ID) -> None:
        self.spool = Spool(directory)
        self.spool.make()
        self.facts = ExamFacts(self.spool.exams)
        self.exam: Exam = open_exam_of(self.facts)
        assert self.exam.exam_id == EXAM_ID
        self.path = self.spool.captured("endoscope", exam_id) / torn().name
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(data)

    def salvage(self) -> list[Salvaged]:
        return salvage_device(self.spool, self.facts, "endoscope")

    def objects(self, exam_id: str | None = EXAM_ID) -> list[Path]:
        paths = [path for path, _ in list_objects(self.spool.captured("endoscope", exam_id))]
        assert all(is_intact(path) for path in paths)
        return paths

    def temporaries(self) -> list[Path]:
        return list((self.spool.state / "captured").rglob(".part-*"))


def whole_frames(size: int) -> int:
    return sum(1 for end in torn().ends if end <= size)


def check_object(path: Path, frames: int, *, is_cut_short: bool = True) -> None:
    """The object holds the first `frames` frames bit for bit, under the clip's UID."""
    assert [unpadded(one) for one in fragments_of(path)] == [frame.data for frame in FRAMES[:frames]]
    read = dcmread(path)
    assert torn().name == f".part-{read.SOPInstanceUID}~{torn().offset}"
    assert read.PatientName == PATIENT
    assert read.get("NumberOfFrames", 1) == frames
    ratio = frames * 96 * 64 * 3 / sum(len(frame.data) for frame in FRAMES[:frames])
    assert float(read.LossyImageCompressionRatio) == pytest.approx(ratio, abs=0.01)
    assert read_summary(path).is_cut_short == is_cut_short
    if frames > 1:
        assert float(read.FrameTime) > 0


def places() -> st.SearchStrategy[int]:
    """Anywhere, and around every border: of the header, of an item's header, of a frame."""
    clip = torn()
    borders = [0, 132, clip.offset, len(clip.data), *clip.ends]
    near = st.builds(lambda border, by: border + by, st.sampled_from(borders), st.integers(-12, 12))
    return st.one_of(near, st.integers(0, len(clip.data))).map(lambda size: min(max(size, 0), len(clip.data)))


TAILS: st.SearchStrategy[bytes] = st.one_of(
    st.just(b""),
    st.integers(1, 9000).map(bytes),
    st.binary(min_size=1, max_size=64),
    # What looks like the next item: its length may be anything.
    st.integers(0, 0xFFFFFFFE).map(lambda length: fragment_header(length) + bytes(40)),
    st.just(SEQUENCE_DELIMITER),
    st.just(SEQUENCE_DELIMITER + b"garbage"),
    st.just(fragment_header(4) + b"\xff\xd8\xff\xd9"),
)


@settings(max_examples=80)
@given(size=places(), tail=TAILS)
def test_ok__cut_anywhere_with_any_tail(size: int, tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        box = Crashed(Path(directory), torn().data[:size] + tail)
        expected = whole_frames(size)
        (salvaged,) = box.salvage()
        assert box.temporaries() == []
        assert salvaged.exam_id == EXAM_ID
        if salvaged.fate is Fate.QUARANTINED:
            assert size < torn().offset  # only behind a damaged header is there nothing to keep
        elif expected == 0 and salvaged.frames == 0:
            assert salvaged.fate is Fate.REMOVED
            assert box.objects() == []
        else:
            # A frame that was cut in its last byte may be made whole again by what the tail happens to be.
            assert salvaged.fate is Fate.SAVED
            assert expected <= salvaged.frames <= expected + 1
            (path,) = box.objects()
            has_end = (size, tail) in {(end, SEQUENCE_DELIMITER) for end in torn().ends[1:]}
            check_object(path, salvaged.frames, is_cut_short=not has_end)
        assert box.salvage() == []


@pytest.mark.parametrize("frames", range(COUNT + 1))
def test_ok__an_independent_reader_finds_nothing_wrong(tmp_path: Path, frames: int) -> None:
    size = (torn().offset, *torn().ends)[frames]
    box = Crashed(tmp_path, torn().data[:size] + torn().data[size : size + 700])
    (salvaged,) = box.salvage()
    assert salvaged.frames == frames
    if frames:
        (path,) = box.objects()
        assert errors_of(path) == []
        check_object(path, frames)
        assert "saved" in salvaged.finding.sentence
    else:
        assert box.objects() == []
        assert salvaged.finding.sentence == "A capture was interrupted before it was saved; nothing of it is kept."


@settings(max_examples=30)
@given(data=st.data())
def test_ok__a_page_that_never_reached_flash_ends_the_clip_before_it(data: st.DataObject) -> None:
    """Pages go to flash in any order: behind the last sync one may be missing, and reads as zeros."""
    large = [make_frame(picture(n, size=(640, 480), quality=97)) for n in range(3)]
    body = [fragment_header(len(one.data) + len(one.data) % 2) + one.data + bytes(len(one.data) % 2) for one in large]
    whole = torn().data[: torn().offset] + b"".join(body)
    lost = data.draw(st.integers(1, len(whole) // 4096), label="page")
    file = bytearray(whole)
    file[lost * 4096 : (lost + 1) * 4096] = bytes(len(file[lost * 4096 : (lost + 1) * 4096]))
    ends = [torn().offset + sum(map(len, body[: n + 1])) for n in range(3)]
    with tempfile.TemporaryDirectory() as directory:
        box = Crashed(Path(directory), bytes(file))
        (salvaged,) = box.salvage()
    # Behind a frame that was not written nothing was ever synced; only where it is the first, those behind are all.
    untouched = sum(1 for end in ends if end <= lost * 4096) or (2 if (lost + 1) * 4096 <= ends[0] else 0)
    # A last page that is not full may have held nothing but what is zero anyway.
    assert salvaged.frames == untouched or bytes(file) == whole


def test_ok__a_clip_of_one_frame_is_the_still_that_the_recorder_makes(room: Room, tmp_path: Path) -> None:
    box = Crashed(tmp_path / "box", torn().data[: torn().ends[0] + 100])
    box.salvage()
    (path,) = box.objects()
    dataset = dcmread(path)
    assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    open_exam_of(room.facts)
    with room.gate.admitting() as ticket:
        video = dataset.VideoImageFormatAcquired
        room.keeper(make_grabber()).keep_still(ticket, FRAMES[0], Kind.STILL, video_format=video)
    still = dcmread(room.only_object("endoscope", EXAM_ID))
    assert {element.tag for element in dataset} == {element.tag for element in still}
    assert dataset.LossyImageCompressionRatio == still.LossyImageCompressionRatio


def test_ok__the_end_was_written_and_the_rename_not(tmp_path: Path) -> None:
    box = Crashed(tmp_path, torn().data + SEQUENCE_DELIMITER)
    (salvaged,) = box.salvage()
    assert salvaged.finding.sentence == "A clip had just ended when it was interrupted; all its 6 frames are saved."
    (path,) = box.objects()
    assert errors_of(path) == []
    check_object(path, COUNT, is_cut_short=False)
    assert list_cut_short(box.spool, box.facts, "endoscope") == []


@pytest.mark.parametrize("frames", [1, COUNT])
def test_ok__what_was_salvaged_at_boot_is_told_while_its_exam_is_open(tmp_path: Path, frames: int) -> None:
    box = Crashed(tmp_path, torn().data[: torn().ends[frames - 1]])
    (salvaged,) = box.salvage()
    (path,) = box.objects()
    (path.parent / f"1.2.3~0~{'0' * 64}.dcm").write_bytes(cut_short_preamble() + b"damaged")
    (told,) = list_cut_short(box.spool, box.facts, "endoscope")
    assert told.finding == salvaged.finding and "cut short" in told.finding.sentence
    assert list_cut_short(box.spool, box.facts, "film") == []
    close_exam(box.facts, box.exam)
    assert list_cut_short(box.spool, box.facts, "endoscope") == []


def expire(box: Crashed) -> None:
    shutil.rmtree(box.spool.exams / EXAM_ID)


def damage_closed(box: Crashed) -> None:
    close_exam(box.facts, box.exam)
    (box.spool.exams / EXAM_ID / "closed.json").write_text("{")


def damage_exam(box: Crashed) -> None:
    (box.spool.exams / EXAM_ID / "exam.json").write_text("{")


@pytest.mark.parametrize("end", [lambda box: close_exam(box.facts, box.exam), expire, damage_closed, damage_exam])
@pytest.mark.parametrize("frames", [1, COUNT])
def test_ok__into_unassigned_when_the_exam_is_over(tmp_path: Path, end: Callable[[Crashed], None], frames: int) -> None:
    box = Crashed(tmp_path, torn().data[: torn().ends[frames - 1]])
    end(box)
    (salvaged,) = box.salvage()
    assert (salvaged.frames, salvaged.exam_id) == (frames, EXAM_ID)
    assert box.objects() == []
    (path,) = box.objects(None)
    check_object(path, frames)
    assert box.salvage() == []


def test_ok__into_its_exam_while_that_is_only_closing(tmp_path: Path) -> None:
    """The console waits for the device, and then lists the exam's objects: this one belongs to them."""
    box = Crashed(tmp_path, torn().data)
    close_exam(box.facts, box.exam)
    (box.spool.exams / EXAM_ID / "closed.json").unlink()
    box.salvage()
    assert len(box.objects()) == 1


def test_ok__unassigned_stays_unassigned(tmp_path: Path) -> None:
    box = Crashed(tmp_path, torn().data, exam_id=None)
    (salvaged,) = box.salvage()
    assert (salvaged.exam_id, salvaged.frames) == (None, COUNT)
    assert len(box.objects(None)) == 1


class PlugError(Exception):
    """The plug is pulled here."""


# What a salvage does to the disk, in the order in which it does it.
STEPS: dict[str, list[str]] = {
    "still": ["make_directory", "remove_file", "ObjectWriter", "publish", "remove_file 2"],
    "clip": ["pwrite", "fsync", "pwrite 2", "pwrite 3", "truncate", "fsync 2", "publish_salvaged"],
}


def pull_plug(patch: pytest.MonkeyPatch, step: str, *, after: bool) -> None:
    """Let the salvage be cut off at `step`: before it, or just after it was done."""
    name, _, number = step.partition(" ")
    places: dict[str, tuple[object, str]] = {
        "make_directory": (torn_clip, "make_directory"),
        "remove_file": (torn_clip, "remove_file"),
        "ObjectWriter": (torn_clip, "ObjectWriter"),
        "publish": (torn_clip.ObjectWriter, "publish"),
        "pwrite": (os, "pwrite"),
        "truncate": (torn_clip, "SEQUENCE_DELIMITER"),
        "fsync": (os, "fsync"),
        "publish_salvaged": (torn_clip, "publish_salvaged"),
    }
    owner, attribute = places[name]
    if name == "truncate":  # cut, and nothing written behind
        patch.setattr(owner, attribute, b"")
        syncs: list[int] = []
        patch.setattr(os, "fsync", lambda descriptor: syncs.append(descriptor) if not syncs else raise_plug())
        return
    original, calls = getattr(owner, attribute), []

    def act(*arguments: object) -> object:
        calls.append(1)
        if len(calls) < int(number or 1):
            return original(*arguments)
        if after:
            original(*arguments)
        return raise_plug()

    patch.setattr(owner, attribute, act)
    if name != "ObjectWriter":  # a plug leaves no process that could tidy up
        patch.setattr(torn_clip.ObjectWriter, "abandon", lambda writer: writer.leave())


def raise_plug() -> object:
    raise PlugError


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("is_closed_between", [False, True])
@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind, steps in STEPS.items() for step in steps])
def test_ok__a_salvage_that_is_cut_off_comes_to_the_same_the_next_time(
    tmp_path: Path, kind: str, step: str, is_closed_between: bool, after: bool
) -> None:
    frames = 1 if kind == "still" else COUNT
    data = torn().data[: torn().ends[frames - 1]] + b"torn"
    undisturbed = Crashed(tmp_path / "a", data)
    undisturbed.salvage()
    (expected,) = undisturbed.objects()
    box = Crashed(tmp_path / "b", data)
    with pytest.MonkeyPatch.context() as patch:
        pull_plug(patch, step, after=after)
        with pytest.raises(PlugError):
            box.salvage()
    published_before = [*box.objects(), *box.objects(None)]
    if is_closed_between:
        # The console gave up waiting; what was published by then it has listed, and handed over.
        listed = [path for path in published_before if path.parent.name == EXAM_ID]
        close_exam(box.facts, box.exam, *listed)
        for path in listed:
            path.rename(box.spool.outbox / path.name)
    found = box.salvage()
    everywhere = [*box.objects(), *box.objects(None), *box.spool.outbox.iterdir()]
    assert [path.name for path in everywhere] == [expected.name], found
    assert everywhere[0].read_bytes() == expected.read_bytes()
    assert box.temporaries() == []
    assert all(one.fate is Fate.SAVED for one in found)
    assert box.salvage() == []


@pytest.mark.parametrize("name", [".part-2.25.77~0", ".part-strange", ".part-~12"])
def test_ok__what_cannot_be_completed_is_removed_and_reported(tmp_path: Path, name: str) -> None:
    box = Crashed(tmp_path, b"")
    box.path.unlink()
    (box.path.parent / name).write_bytes(torn().data)
    (salvaged,) = box.salvage()
    assert (salvaged.fate, salvaged.frames) == (Fate.REMOVED, 0)
    assert salvaged.finding.suggestion == "Capture it again."
    assert box.temporaries() == []


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=40)
@given(position=st.integers(0, 1500), value=st.integers(0, 255), length=st.integers(1, 200))
def test_ok__a_damaged_header_stops_nobody(position: int, value: int, length: int) -> None:
    """The medium lies: whatever stands in the header, the salvage ends, and frames are never thrown away."""
    file = bytearray(torn().data)
    position = min(position, torn().offset - 1)
    length = min(length, torn().offset - position)
    file[position : position + length] = bytes([value]) * length
    with tempfile.TemporaryDirectory() as directory:
        box = Crashed(Path(directory), bytes(file))
        (salvaged,) = box.salvage()
        assert salvaged.fate in (Fate.SAVED, Fate.QUARANTINED)
        if salvaged.fate is Fate.QUARANTINED:
            (aside,) = box.spool.quarantine.iterdir()
            assert aside.read_bytes()[torn().offset :] == torn().data[torn().offset :]
            assert "quarantine" in salvaged.finding.sentence
        assert box.temporaries() == []


def test_ok__flash_that_fails_for_one_file_leaves_it_and_salvages_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Crashed(tmp_path, torn().data)
    other = box.path.parent / ".part-2.25.9~0"
    other.write_bytes(b"")
    original = torn_clip.publish_salvaged

    def fail(*_: object) -> Path:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(torn_clip, "publish_salvaged", fail)
    fates = {one.sop_instance_uid: one.fate for one in box.salvage()}
    assert sorted(fates.values()) == [Fate.REMOVED, Fate.UNTOUCHED]
    assert box.temporaries() == [box.path]
    monkeypatch.setattr(torn_clip, "publish_salvaged", original)
    (salvaged,) = box.salvage()
    assert salvaged.frames == COUNT


def test_ok__only_the_devices_own(tmp_path: Path) -> None:
    box = Crashed(tmp_path, torn().data)
    assert salvage_device(box.spool, box.facts, "film") == []
    assert box.temporaries() == [box.path]


def test_ok__findings_stand_side_by_side() -> None:
    one = Salvaged("endoscope", None, "1.2.3", Fate.SAVED, 3)
    findings = {one.finding, replace(one, sop_instance_uid="1.2.4").finding, replace(one, fate=Fate.UNTOUCHED).finding}
    assert len({(finding.code, finding.subject) for finding in findings}) == 2
    assert all(PATIENT not in finding.sentence for finding in findings)
    assert replace(one, frames=1).finding.sentence.endswith("its one frame is saved as a still.")
