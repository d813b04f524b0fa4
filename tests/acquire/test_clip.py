"""A clip from its first frame to its publication: what is in it, how it ends, and what flash may do meanwhile."""

from __future__ import annotations

import os
import stat
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from appliance.acquire import keeping, torn_clip
from appliance.acquire.clip import ClipRecorder
from appliance.acquire.keeping import ObjectKeeper
from appliance.acquire.salvage import salvage_device
from appliance.acquire.torn_clip import renew_file
from appliance.base.errors import ApplianceError
from appliance.config.devices import GrabberDevice
from appliance.config.schema import Box
from appliance.devices.frame import Encoding, Frame
from appliance.spool.names import TemporaryName
from appliance.spool.tree import NoRoomError, Spool
from appliance.spool.writer import ObjectWriter, UnconfirmedError
from tests.acquire.conftest import Room
from tests.acquire.world import errors_of, fragments_of, make_frame, make_grabber, open_exam_of, picture, unpadded
from tests.peers import wait_until

STILL_CLASS = "1.2.840.10008.5.1.4.1.1.7"
CLIP_CLASS = "1.2.840.10008.5.1.4.1.1.7.4"


def make_frames(count: int, every: float = 0.04, first: int = 0) -> list[Frame]:
    """`count` frames of 4:2:0, some of an odd number of bytes, `every` so many seconds."""
    return [make_frame(picture(first + n), first + n, 500.0 + n * every) for n in range(count)]


class Clips:
    """Recorders on a room, and what their ends said."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.ended: list[ClipRecorder] = []

    def start(self, frames: list[Frame] = [], **changes: object) -> ClipRecorder:  # noqa: B006
        device: GrabberDevice = make_grabber(**changes)
        keeper = self.room.keeper(device)
        clip = ClipRecorder(keeper, device, self.room.gate, self.room.gate.admit(), self.ended.append)
        clip.start()
        for frame in frames:
            clip.offer(frame)
        return clip


@pytest.fixture
def clips(room: Room) -> Iterator[Clips]:
    made = Clips(room)
    yield made
    assert room.is_idle(), "a ticket was left over"


def wait_for_end(clip: ClipRecorder) -> None:
    wait_until(clip._ended.is_set, "the clip ends by itself")


@pytest.mark.parametrize("is_scheduled", [True, False])
def test_ok__a_clip_is_valid_and_holds_the_frames_bit_for_bit(clips: Clips, is_scheduled: bool) -> None:
    exam = open_exam_of(clips.room.facts) if is_scheduled else None
    frames = make_frames(12)
    assert {len(frame.data) % 2 for frame in frames} == {0, 1}
    clip = clips.start(frames)
    clip.end()
    saved = clip.result()
    path = clips.room.only_object("endoscope", exam.exam_id if exam else None)
    assert errors_of(path) == []
    assert [unpadded(one) for one in fragments_of(path)] == [frame.data for frame in frames]
    assert all(len(one) % 2 == 0 for one in fragments_of(path))
    read = dcmread(path)
    assert read.SOPClassUID == CLIP_CLASS
    assert read.SOPInstanceUID == read.file_meta.MediaStorageSOPInstanceUID == clip.sop_instance_uid
    assert (saved.sop_instance_uid, saved.frames, saved.bytes) == (clip.sop_instance_uid, 12, path.stat().st_size)
    assert read.NumberOfFrames == 12
    assert float(read.FrameTime) == pytest.approx(40.0)
    coded = sum(len(frame.data) for frame in frames)
    assert float(read.LossyImageCompressionRatio) == pytest.approx(12 * 96 * 64 * 3 / coded, abs=0.01)
    assert (clip.notice, clip.trouble, clips.ended) == ("", None, [clip])


def test_ok__the_mean_frame_time_counts_what_was_lost_on_the_way(clips: Clips) -> None:
    frames = [frame for frame in make_frames(21, every=0.02) if frame.sequence % 4 == 0]
    clip = clips.start(frames)
    clip.end()
    clip.result()
    read = dcmread(clips.room.only_object("endoscope", None))
    assert (read.NumberOfFrames, float(read.FrameTime)) == (6, pytest.approx(80.0))


def test_ok__a_source_that_says_no_moments_gives_the_configured_rate(clips: Clips) -> None:
    clip = clips.start([make_frame(picture(n), n, 7.0) for n in range(3)], frames_per_second=25.0)
    clip.end()
    clip.result()
    assert float(dcmread(clips.room.only_object("endoscope", None)).FrameTime) == 40.0


def test_ok__one_frame_becomes_a_still(clips: Clips) -> None:
    exam = open_exam_of(clips.room.facts)
    (frame,) = make_frames(1)
    clip = clips.start([frame])
    clip.end()
    assert clip.result().frames == 1
    path = clips.room.only_object("endoscope", exam.exam_id)
    assert errors_of(path) == []
    read = dcmread(path)
    assert (read.SOPClassUID, read.SOPInstanceUID) == (STILL_CLASS, clip.sop_instance_uid)
    assert not {"NumberOfFrames", "FrameIncrementPointer", "FrameTime"} & set(read.dir())
    assert [unpadded(one) for one in fragments_of(path)] == [frame.data]
    assert clips.room.temporaries() == []


def test_fail__no_frame(clips: Clips) -> None:
    clip = clips.start()
    clip.end()
    with pytest.raises(ApplianceError, match="no frame; nothing was saved"):
        clip.result()
    silent = clips.start()
    clips.room.clock.turn(4.0)
    with pytest.raises(ApplianceError, match="no frame"):
        silent.result()
    assert clips.room.objects("endoscope", None) == [] == clips.room.temporaries()


def test_ok__what_was_offered_before_the_end_is_written(clips: Clips) -> None:
    for _ in range(8):
        clip = clips.start(make_frames(5))
        clip.end()
        clip.offer(make_frames(1)[0])  # after it: not
        assert clip.result().frames == 5


def test_ok__many_may_wait_and_end_at_once(clips: Clips) -> None:
    clip = clips.start(make_frames(4))
    answers = []

    def stop() -> None:
        clip.end()
        answers.append(clip.result())

    threads = [threading.Thread(target=stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 8 and len(set(answers)) == 1
    assert clips.ended == [clip]


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param(make_frame(picture(9, size=(64, 96)), 9, 501.0), id="size"),
        pytest.param(make_frame(picture(9, mode="L"), 9, 501.0), id="components"),
        pytest.param(Frame(bytes(96 * 64 * 3), Encoding.RGB, 96, 64, 8, 9, 501.0), id="encoding"),
        pytest.param(Frame(b"\xff\xd8", Encoding.JPEG, 96, 64, 8, 9, 501.0), id="damaged"),
    ],
)
def test_ok__another_picture_format_ends_the_clip_before_it(clips: Clips, strange: Frame) -> None:
    clip = clips.start([*make_frames(3), strange, *make_frames(3, first=10)])
    wait_for_end(clip)
    assert clip.result().frames == 3
    assert "changed its picture format" in clip.notice
    assert errors_of(clips.room.only_object("endoscope", None)) == []


def test_fail__frames_that_no_clip_may_hold(clips: Clips) -> None:
    clip = clips.start([make_frame(picture(mode="L"))])
    with pytest.raises(ApplianceError, match="which a clip cannot hold"):
        clip.result()
    assert clip.trouble is not None
    assert clips.room.temporaries() == []


def test_ok__the_longest_time(clips: Clips) -> None:
    clip = clips.start(make_frames(40, every=0.1), max_clip_seconds=1.0)
    wait_for_end(clip)
    assert clip.result().frames == 11
    assert clip.notice == "The clip reached its longest time, 1 s, and ended."


def test_ok__the_largest_size_is_never_passed(clips: Clips) -> None:
    limit = 9000
    clip = clips.start(make_frames(40), max_clip_bytes=limit)
    wait_for_end(clip)
    saved = clip.result()
    assert limit - 3000 < saved.bytes <= limit
    assert 1 < saved.frames < 40
    assert "largest size" in clip.notice


def test_ok__flash_that_becomes_full_ends_the_clip_in_time(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ensure_room(_directory: Path, _needed: int, _reserve: int) -> None:
        asked.append(1)
        if len(asked) > 4:  # once before the clip, once before each frame but the first
            raise NoRoomError("The box's flash is full.", "")

    monkeypatch.setattr(keeping, "ensure_room", ensure_room)
    clip = clips.start(make_frames(9))
    wait_for_end(clip)
    assert clip.result().frames == 4
    assert clip.notice == "The box's flash is full. The clip ended early."


def test_fail__no_room_at_the_beginning(room: Room, clips: Clips) -> None:
    room.box = Box(reserve_bytes=1 << 60)
    clip = clips.start(make_frames(2))
    with pytest.raises(NoRoomError):
        clip.result()
    assert room.temporaries() == []


class StallingFlash:
    """fdatasync that stands still until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stalls, self.go_on = threading.Event(), threading.Event()
        self.is_wanted = False
        self._sync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.sync)

    def sync(self, descriptor: int) -> None:
        if self.is_wanted:
            self.stalls.set()
            assert self.go_on.wait(60)
        self._sync(descriptor)

    def stall(self, clips: Clips) -> None:
        """Let the writing thread go into a sync that does not come back."""
        self.is_wanted = True
        clips.room.clock.turn(1.0)
        assert self.stalls.wait(30)


class SlowFlash:
    """Notes when what was appended is synced, on the room's clock; an append takes `seconds`."""

    def __init__(self, room: Room, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.ages: list[float] = []  # how old the oldest byte was that each sync made durable
        self.syncs = 0
        self._clock, self._seconds = room.clock, seconds
        self._oldest: list[float] = []
        append, sync = ObjectWriter.append, ObjectWriter.sync
        monkeypatch.setattr(ObjectWriter, "append", lambda writer, data: self._append(append, writer, data))
        monkeypatch.setattr(ObjectWriter, "sync", lambda writer: self._sync(sync, writer))

    def _append(self, append: Callable[[ObjectWriter, bytes], None], writer: ObjectWriter, data: bytes) -> None:
        self._oldest.append(self._clock.monotonic())
        append(writer, data)
        self._clock.turn(self._seconds)

    def _sync(self, sync: Callable[[ObjectWriter], None], writer: ObjectWriter) -> None:
        if self._oldest:
            self.ages.append(self._clock.monotonic() - self._oldest[0])
        self._oldest.clear()
        self.syncs += 1
        sync(writer)


def test_ok__a_writer_that_is_never_idle_syncs_within_a_second(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    flash = SlowFlash(clips.room, monkeypatch, 0.09)
    clip = clips.start(make_frames(60))
    clip.end()
    assert clip.result().frames == 60
    assert len(flash.ages) >= 5
    assert max(flash.ages) <= 1.0


def test_ok__frames_that_come_slowly_are_synced_within_a_second(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    flash = SlowFlash(clips.room, monkeypatch, 0.0)
    clip = clips.start()
    for number, frame in enumerate(make_frames(4, every=2.0), start=1):
        clip.offer(frame)
        wait_until(lambda: clip._count == number, "it is written")  # noqa: B023 -- asked before the next round
        clips.room.clock.turn(0.95)
        wait_until(lambda: len(flash.ages) == number, "it is synced though no other frame has come")  # noqa: B023
    clip.end()
    clip.result()
    assert max(flash.ages) <= 1.0


def test_ok__memory_does_not_grow_with_the_length(clips: Clips) -> None:
    frame = make_frame(picture(1, size=(640, 480), quality=95))
    total, early, late = 400, 100, 380
    held: dict[int, int] = {}
    clip = clips.start(max_clip_seconds=3600)
    tracemalloc.start()
    try:
        for number in range(total):
            # Each frame has bytes of its own, as a device's frames do.
            own = bytes(bytearray(frame.data))
            clip.offer(replace(frame, data=own, sequence=number, timestamp=500.0 + number / 30))
            while len(clip._frames) > 20:
                time.sleep(0.001)
            if number in (early, late):
                wait_until(lambda: not len(clip._frames), "all is written")
                held[number] = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    clip.end()
    assert clip.result().frames == total
    assert len(frame.data) * (late - early) > 10_000_000
    assert held[late] - held[early] < 200_000


def test_ok__a_queue_that_holds_too_many_bytes_ends_the_clip(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    flash = StallingFlash(monkeypatch)
    large = [make_frame(bytes(picture(1, size=(640, 480), quality=97)), n, 500.0 + n / 25) for n in range(40)]
    clip = clips.start(large[:2], clip_queue_bytes=1_000_000)
    flash.stall(clips)
    for frame in large[2:]:
        clip.offer(frame)
    assert "flash was too slow" in clip.notice
    assert sum(len(frame.data) for frame in clip._frames._frames) <= 1_000_000
    flash.go_on.set()
    assert 2 < clip.result().frames < 40


def test_ok__the_queue_holds_what_comes_while_flash_stalls(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    flash = StallingFlash(monkeypatch)
    frames = make_frames(50)
    clip = clips.start(frames[:5], clip_queue_frames=60)
    flash.stall(clips)
    for frame in frames[5:]:
        clip.offer(frame)
    clip.end()
    flash.is_wanted = False
    flash.go_on.set()
    assert clip.result().frames == 50
    assert clip.notice == ""
    path = clips.room.only_object("endoscope", None)
    assert [unpadded(one) for one in fragments_of(path)] == [frame.data for frame in frames]


def test_ok__a_full_queue_ends_the_clip_with_a_word(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    flash = StallingFlash(monkeypatch)
    frames = make_frames(30)
    clip = clips.start(frames[:5], clip_queue_frames=8)
    flash.stall(clips)
    wait_until(lambda: not len(clip._frames) or flash.stalls.is_set(), "the writer is stalled")
    held = len(clip._frames)
    for frame in frames[5:]:
        clip.offer(frame)
    assert clip.notice == "The flash was too slow; the clip ended early. Everything up to there is kept."
    flash.go_on.set()
    assert clip.result().frames == 5 - held + 8
    assert errors_of(clips.room.only_object("endoscope", None)) == []


class FailingAppends:
    """ObjectWriter.append that fails from the `first` call on for `times` calls, having written half."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: int, times: int) -> None:
        self._calls, self._failing = 0, range(first, first + times)
        self.may_begin = threading.Event()
        self.may_begin.set()
        self._append = ObjectWriter.append
        monkeypatch.setattr(ObjectWriter, "append", lambda writer, data: self.append(writer, data))

    def append(self, writer: ObjectWriter, data: bytes) -> None:
        assert self.may_begin.wait(60)
        self._calls += 1
        if self._calls in self._failing:
            os.write(writer._descriptor, bytes(data[: len(data) // 2]))
            raise OSError(28, "No space left on device")
        self._append(writer, data)


@pytest.mark.parametrize("is_tapped", [False, True])
def test_ok__flash_refuses_a_frame_and_those_before_are_kept(
    clips: Clips, monkeypatch: pytest.MonkeyPatch, is_tapped: bool
) -> None:
    """It is said also where somebody has ended the clip while frames of it waited."""
    flash = FailingAppends(monkeypatch, 5, 1)
    if is_tapped:
        flash.may_begin.clear()
    frames = make_frames(9)
    clip = clips.start(frames)
    if is_tapped:
        clip.end()
        flash.may_begin.set()
    wait_for_end(clip)
    assert clip.result().frames == 4
    assert clip.notice == "The clip ended early: the flash is full."
    path = clips.room.only_object("endoscope", None)
    assert errors_of(path) == []
    assert [unpadded(one) for one in fragments_of(path)] == [frame.data for frame in frames[:4]]


def test_ok__flash_refuses_even_the_end_and_the_frames_are_kept(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    FailingAppends(monkeypatch, 5, 2)  # a frame, and then the end of the sequence
    frames = make_frames(9)
    clip = clips.start(frames)
    wait_for_end(clip)
    saved = clip.result()
    path = clips.room.only_object("endoscope", None)
    assert (saved.frames, saved.bytes, saved.file_name) == (4, path.stat().st_size, path.name)
    assert "ended early" in clip.notice
    assert errors_of(path) == []
    assert [unpadded(one) for one in fragments_of(path)] == [frame.data for frame in frames[:4]]
    assert clips.room.temporaries() == []


def test_fail__flash_refuses_the_very_first_frame(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    FailingAppends(monkeypatch, 1, 100)
    clip = clips.start(make_frames(3))
    with pytest.raises(ApplianceError, match=r"was not saved: the flash is full\."):
        clip.result()
    assert clips.room.objects("endoscope", None) == [] == clips.room.temporaries()


def test_ok__a_sync_that_fails_ends_the_clip(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_writer: ObjectWriter) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ObjectWriter, "sync", fail)
    clip = clips.start(make_frames(3))
    wait_until(lambda: clip._count == 3, "three frames are written")
    clips.room.clock.turn(1.0)
    wait_for_end(clip)
    assert clip.result().frames == 3
    assert "ended early: the flash gives back errors" in clip.notice
    assert errors_of(clips.room.only_object("endoscope", None)) == []


def test_fail__a_clip_whose_name_is_not_confirmed_stands(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clips.start(make_frames(3))
    wait_until(lambda: clip._count == 3, "three frames are written")

    def fail(_directory: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("appliance.spool.writer.sync_directory", fail)
    clip.end()
    with pytest.raises(UnconfirmedError, match="It is on the box"):
        clip.result()
    assert len(fragments_of(clips.room.only_object("endoscope", None))) == 3
    assert clips.room.temporaries() == []


def test_fail__flash_that_gives_nothing_back_leaves_the_clip_for_the_next_start(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = open_exam_of(clips.room.facts)
    with monkeypatch.context() as broken:

        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        clip = clips.start(make_frames(6))
        wait_until(lambda: clip._count == 6, "six frames are written")
        broken.setattr(os, "fsync", fail)
        clip.end()
        with pytest.raises(ApplianceError, match="was not saved"):
            clip.result()
    assert clips.room.objects("endoscope", exam.exam_id) == []
    assert len(clips.room.temporaries()) == 1
    (salvaged,) = salvage_device(clips.room.spool, clips.room.facts, "endoscope")
    assert (salvaged.sop_instance_uid, salvaged.frames) == (clip.sop_instance_uid, 6)
    assert errors_of(clips.room.only_object("endoscope", exam.exam_id)) == []


@pytest.mark.parametrize("call", ["fsync", "fdatasync"])
def test_fail__a_sync_that_failed_is_not_tried_on_the_same_file(
    clips: Clips, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """After a failed fsync Linux takes the lost pages for written: the next of the same file succeeds for nothing."""
    exam = open_exam_of(clips.room.facts)
    failed: list[int] = []
    sync = getattr(os, call)

    def fail_once(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and not failed:
            failed.append(status.st_ino)
            raise OSError(5, "Input/output error")
        sync(descriptor)

    clip = clips.start(make_frames(6))
    wait_until(lambda: clip._count == 6, "six frames are written")
    (temporary,) = clips.room.temporaries()
    at_first = temporary.open("rb")  # keeps its number from being given again
    monkeypatch.setattr(os, call, fail_once)
    clips.room.clock.turn(1.0)
    wait_until(lambda: failed or call == "fsync", "the sync in the middle failed")
    clip.end()
    assert clip.result().frames == 6
    published = clips.room.only_object("endoscope", exam.exam_id)
    assert failed == [os.fstat(at_first.fileno()).st_ino] and published.stat().st_ino not in failed
    at_first.close()
    assert len(fragments_of(published)) == 6 and errors_of(published) == []
    assert "the flash gives back errors" in clip.notice
    assert clips.room.temporaries() == []


def test_fail__without_room_for_a_copy_it_waits_for_the_next_start(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = open_exam_of(clips.room.facts)
    clip = clips.start(make_frames(6))
    wait_until(lambda: clip._count == 6, "six frames are written")
    with monkeypatch.context() as broken:

        def refuse(*_: object) -> None:
            raise NoRoomError("The box is full.")

        broken.setattr(ObjectWriter, "publish", _publish_in_doubt)
        broken.setattr(ObjectKeeper, "ensure_room", refuse)
        clip.end()
        with pytest.raises(ApplianceError, match="was not saved: the flash gives back errors"):
            clip.result()
    (salvaged,) = salvage_device(clips.room.spool, clips.room.facts, "endoscope")
    assert salvaged.frames == 6
    assert errors_of(clips.room.only_object("endoscope", exam.exam_id)) == []


def _publish_in_doubt(writer: ObjectWriter) -> None:
    writer.is_in_doubt = True
    raise OSError(5, "Input/output error")


def test_fail__a_copy_that_the_medium_does_not_give_back_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / str(TemporaryName("1.2.3", 100))
    path.write_bytes(b"frames")
    with path.open("rb") as at_first:
        renew_file(path)
        assert os.fstat(at_first.fileno()).st_ino != path.stat().st_ino
    renew_file(path)
    assert path.read_bytes() == b"frames" and list(tmp_path.iterdir()) == [path]
    monkeypatch.setattr(torn_clip, "digest_of", lambda *_: "0" * 64)
    with pytest.raises(OSError, match="not what was written"):
        renew_file(path)
    assert path.read_bytes() == b"frames" and list(tmp_path.iterdir()) == [path]


def test_fail__a_fault_of_ours_is_told_and_leaves_the_frames(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("PatientName")

    monkeypatch.setattr(ObjectWriter, "patch", fail)
    clip = clips.start(make_frames(3))
    clip.end()
    with pytest.raises(ApplianceError, match=r"failed by a fault in the box \(KeyError\)"):
        clip.result()
    assert len(clips.room.temporaries()) == 1


def test_ok__a_fault_in_what_follows_the_end_holds_nobody_up(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    monkeypatch.setattr(threading, "excepthook", said.append)

    def fail(_clip: ClipRecorder) -> None:
        raise RuntimeError

    device = make_grabber()
    clip = ClipRecorder(room.keeper(device), device, room.gate, room.gate.admit(), fail)
    clip.start()
    clip.offer(make_frames(1)[0])
    clip.end()
    assert clip.result().frames == 1
    wait_until(lambda: said, "the fault is said")
    assert room.is_idle()


def test_ok__the_rate_is_in_the_header_from_the_first_sync_on(clips: Clips) -> None:
    """What a salvage finds: not the configured rate, but the one that the frames had until then."""
    clip = clips.start(make_frames(5, every=0.1))
    wait_until(lambda: clip._count == 5, "five frames are written")
    clips.room.clock.turn(1.0)
    (temporary,) = clips.room.temporaries()
    wait_until(lambda: b"100.0000" in temporary.read_bytes(), "the rate is written")
    clip.end()
    clip.result()


def test_ok__it_is_on_flash_before_its_end(room: Room, clips: Clips) -> None:
    """A power cut in the middle keeps what was synced: the file is there, under a temporary name, with its header."""
    clip = clips.start(make_frames(5))
    wait_until(lambda: clip._count == 5, "five frames are written")
    assert room.objects("endoscope", None) == []
    copy = Spool(room.spool.state / "after")
    directory = copy.captured("endoscope", None)
    directory.mkdir(parents=True)
    (temporary,) = room.temporaries()
    (directory / temporary.name).write_bytes(temporary.read_bytes())
    (salvaged,) = salvage_device(copy, room.facts, "endoscope")
    assert salvaged.frames == 5
    clip.end()
    clip.result()
