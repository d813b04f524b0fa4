"""The video runner on a source that the test feeds: states, stills, clips from start to stop, and all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from PIL import Image
from pydicom import dcmread

from appliance.acquire import video
from appliance.acquire.clip import ClipRecorder
from appliance.acquire.gate import WrongExamError
from appliance.acquire.runner import State, Unsupported
from appliance.acquire.video import VideoRunner
from appliance.base.errors import ApplianceError, Finding
from appliance.devices.errors import BadFrame, DeviceBusy, DeviceGone, NoSignal
from appliance.devices.frame import Frame
from appliance.spool.tree import NoRoomError
from appliance.spool.writer import ObjectWriter
from tests.acquire.conftest import Room
from tests.acquire.world import (
    HandSource,
    begin_closing,
    errors_of,
    fragments_of,
    make_frame,
    make_grabber,
    open_exam_of,
    picture,
    unpadded,
)
from tests.peers import DEADLINE, wait_until


class Stage:
    """A runner in its thread, its source, and frames whose moments are the clock's."""

    def __init__(self, room: Room, **changes: object) -> None:
        self.room = room
        device = make_grabber(**changes)
        self.source = HandSource(room.clock)
        self.runner = VideoRunner(device, self.source, room.keeper(device), room.gate, room.clock, room.findings)
        self.alive = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.runner.run, args=(self._stop, self._sign), daemon=True)
        self._number = 0

    def _sign(self) -> None:
        self.alive += 1

    def start(self) -> None:
        self._thread.start()

    def frame(self) -> Frame:
        """The next frame, a twenty-fifth of a second after the last."""
        self.room.clock.turn(0.04)
        self._number += 1
        return make_frame(picture(self._number % 40), self._number, self.room.clock.monotonic())

    def show(self, count: int = 1) -> None:
        """Feed frames and wait until the runner has taken them."""
        for _ in range(count):
            frame = self.frame()
            self.source.feed(frame)
            assert self.runner.next_frame(frame.timestamp, DEADLINE) is frame

    def wait_for(self, state: State) -> None:
        wait_until(lambda: self.runner.state is state, f"the state is {state}")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


@pytest.fixture
def stage(room: Room) -> Iterator[Stage]:
    made = Stage(room)
    made.start()
    yield made
    made.stop()
    assert room.is_idle(), "a ticket was left over"
    assert made.alive


def test_ok__states(stage: Stage) -> None:
    runner = stage.runner
    assert runner.state is State.NO_SIGNAL  # before the first frame nobody knows that there is a picture
    stage.show()
    assert (runner.state, runner.sentence()) == (State.IDLE, "Live picture.")
    stage.source.feed(DeviceGone("The endoscope's video is not there.", "Check."))
    stage.wait_for(State.UNPLUGGED)
    assert stage.room.finding("no_signal") == "The endoscope's video is not there."
    stage.show()
    assert (runner.state, stage.room.finding("no_signal")) == (State.IDLE, "")
    assert stage.source.opened == 2
    stage.room.clock.turn(2.0)
    stage.source.feed(NoSignal("No picture comes from the endoscope.", ""))
    stage.wait_for(State.NO_SIGNAL)
    assert runner.sentence() == "No picture comes from the machine."
    assert stage.source.opened == 2  # the grabber is there: it is the machine that is off


def test_ok__a_slice_without_a_frame_is_no_lost_signal(stage: Stage) -> None:
    stage.show()
    before = stage.alive
    wait_until(lambda: stage.alive > before + 5, "the loop comes round while no frame comes")
    assert stage.runner.state is State.IDLE


def test_ok__a_source_that_cannot_be_opened_is_tried_again(room: Room) -> None:
    stage = Stage(room)
    stage.source.open_error = DeviceBusy("Another program uses the endoscope.", "Stop it.")
    stage.start()
    wait_until(lambda: room.finding("no_signal") == "Another program uses the endoscope.", "it is said")
    stage.source.open_error = None
    stage.show()
    assert stage.runner.state is State.IDLE
    stage.stop()


def test_ok__damaged_frames_are_left_out_and_counted(stage: Stage) -> None:
    torn = BadFrame("A JPEG frame came without its end marker.")
    stage.show()
    stage.source.feed(torn, torn)
    wait_until(lambda: stage.runner._torn == 2, "two damaged frames")
    stage.show()
    assert stage.runner.state is State.IDLE
    sentence = stage.room.finding("bad_frame")
    assert sentence == "A JPEG frame came without its end marker. 2 damaged frames were left out."
    stage.show(100)
    assert stage.room.finding("bad_frame") == ""


def test_ok__a_still_is_the_first_frame_after_the_press(stage: Stage) -> None:
    exam = open_exam_of(stage.room.facts)
    stage.show(3)
    stage.room.clock.turn(0.1)
    stage.room.findings.report(Finding("interrupted", "Something was interrupted.", "", "1.2.3"))
    with ThreadPoolExecutor() as pool:
        pressed = pool.submit(stage.runner.take_still, exam.exam_id)
        wait_until(lambda: not stage.room.is_idle(), "it is under way")
        frame = stage.frame()
        stage.source.feed(frame)
        saved = pressed.result(30)
    path = stage.room.only_object("endoscope", exam.exam_id)
    assert [unpadded(one) for one in fragments_of(path)] == [frame.data]
    assert dcmread(path).VideoImageFormatAcquired == "64p30 MJPEG"
    assert (saved.kind, saved.frames) == ("still", 1)
    assert Image.open(BytesIO(stage.runner.thumbnails.get(saved.sop_instance_uid) or b"")).size == (96, 64)
    assert stage.room.finding("interrupted") == ""  # it has been captured again


def test_fail__a_still_without_a_picture(stage: Stage) -> None:
    stage.show()
    stage.room.clock.turn(0.1)
    with ThreadPoolExecutor() as pool:
        pressed = pool.submit(stage.runner.take_still, None)
        while not pressed.done():
            stage.room.clock.turn(1.0)
            time.sleep(0.01)
        with pytest.raises(NoSignal, match="nothing was captured"):
            pressed.result(30)


def test_fail__the_wrong_exam(stage: Stage) -> None:
    exam = open_exam_of(stage.room.facts)
    begin_closing(stage.room.facts, exam)
    stage.show()
    with pytest.raises(WrongExamError):
        stage.runner.take_still(exam.exam_id)
    with pytest.raises(WrongExamError):
        stage.runner.start_clip(exam.exam_id)
    assert stage.runner.state is State.IDLE
    with pytest.raises(Unsupported):
        stage.runner.scan_film(None)


def test_ok__a_clip_from_start_to_stop(stage: Stage) -> None:
    exam = open_exam_of(stage.room.facts)
    stage.show()
    uid = stage.runner.start_clip(exam.exam_id)
    assert stage.runner.state is State.RECORDING
    stage.show(5)
    wait_until(lambda: stage.runner._clip is not None and stage.runner._clip._count == 5, "five frames are written")
    assert stage.runner.progress() == {"done": 0.2, "total": 300.0, "unit": "seconds"}
    assert stage.runner.sentence() == "Recording, 0 s."
    saved = stage.runner.stop_clip()
    assert (saved.sop_instance_uid, saved.frames, saved.kind) == (uid, 5, "clip")
    assert (stage.runner.state, stage.runner.progress()) == (State.IDLE, None)
    assert stage.runner.thumbnails.get(uid)
    assert stage.runner.stop_clip() == saved  # an answer that was lost is given again
    assert errors_of(stage.room.only_object("endoscope", exam.exam_id)) == []


def test_ok__a_clip_that_ended_while_flash_stalls_is_said_to_be_over(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, append = threading.Event(), ObjectWriter.append

    def stall(writer: ObjectWriter, data: bytes) -> None:
        assert go_on.wait(DEADLINE)
        append(writer, data)

    monkeypatch.setattr(ObjectWriter, "append", stall)
    stage = Stage(room, clip_queue_frames=8)
    stage.start()
    stage.show()
    uid = stage.runner.start_clip(None)
    stage.show(4)
    assert stage.runner.sentence() == "Recording, 0 s." and stage.runner.progress() is not None
    stage.show(6)
    wait_until(lambda: stage.runner.progress() is None, "the clip is over")
    assert stage.runner.sentence() == "The clip has ended; it is being saved."
    assert stage.runner.state is State.RECORDING  # no other one begins before
    go_on.set()
    saved = stage.runner.stop_clip()
    assert saved.sop_instance_uid == uid and saved.frames >= 8
    assert stage.runner.sentence() == "Live picture."
    assert "flash was too slow" in room.finding("clip_ended")
    stage.stop()


def test_fail__another_exams_clip_is_not_stopped(stage: Stage) -> None:
    exam = open_exam_of(stage.room.facts)
    stage.show()
    stage.runner.start_clip(exam.exam_id)
    stage.show()
    with pytest.raises(ApplianceError, match="No clip is being recorded"):
        stage.runner.stop_clip("20261122-093099-0000")
    assert stage.runner.state is State.RECORDING
    stage.runner.stop_clip(exam.exam_id)
    with pytest.raises(ApplianceError, match="No clip is being recorded"):
        stage.runner.stop_clip("20261122-093099-0000")


def test_ok__a_clip_of_nobody_can_be_stopped_in_any_exam(stage: Stage) -> None:
    stage.show()
    uid = stage.runner.start_clip(None)
    stage.show(2)
    exam = open_exam_of(stage.room.facts)
    assert stage.runner.stop_clip(exam.exam_id).sop_instance_uid == uid


def test_ok__the_next_clip_begins_as_soon_as_the_last_was_answered(stage: Stage) -> None:
    stage.show()
    for _ in range(10):
        stage.runner.start_clip(None)
        assert stage.runner.state is State.RECORDING
        stage.show(2)
        stage.runner.stop_clip()
        assert stage.runner.state is State.IDLE
    assert len(stage.room.objects("endoscope", None)) == 10


def test_fail__no_second_clip_and_no_clip_without_a_picture(stage: Stage) -> None:
    with pytest.raises(NoSignal, match="no clip was started"):
        stage.runner.start_clip(None)
    with pytest.raises(ApplianceError, match="No clip is being recorded"):
        stage.runner.stop_clip()
    stage.show()
    stage.runner.start_clip(None)
    with pytest.raises(ApplianceError, match="being recorded already"):
        stage.runner.start_clip(None)
    stage.show()
    stage.runner.stop_clip()


def test_ok__of_many_that_start_at_once_one_does(stage: Stage) -> None:
    stage.show()
    gathered = threading.Barrier(8)

    def start() -> str | None:
        gathered.wait(30)
        try:
            return stage.runner.start_clip(None)
        except ApplianceError:
            return None

    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:
            started = [one for one in pool.map(lambda _: start(), range(8)) if one]
        assert len(started) == 1
        stage.show()
        assert stage.runner.stop_clip().sop_instance_uid == started[0]
        assert stage.room.is_idle()


def test_ok__a_clip_that_ends_by_itself_while_it_is_stopped(room: Room) -> None:
    """The longest time is reached in the very moment of the press: one object, one answer, no ticket left."""
    stage = Stage(room, max_clip_seconds=0.3)
    stage.start()
    stage.show()
    for _ in range(12):
        stage.runner.start_clip(None)
        clip = stage.runner._clip
        with ThreadPoolExecutor() as pool:
            stops = []
            stage.show()
            for number in range(12):
                stage.source.feed(stage.frame())
                if number > 7:
                    stops.append(pool.submit(stage.runner.stop_clip))
            answers = {one.result(30).sop_instance_uid for one in stops}
        assert clip is not None
        assert answers == {clip.sop_instance_uid}
        wait_until(lambda: stage.runner.state is State.IDLE and room.is_idle(), "all is over")
    stage.stop()
    assert len(room.objects("endoscope", None)) == 12
    assert room.temporaries() == []


def test_ok__a_clip_that_ended_by_itself_says_so_and_is_there_when_it_is_stopped(room: Room) -> None:
    stage = Stage(room, max_clip_seconds=0.3)
    stage.start()
    stage.show()
    uid = stage.runner.start_clip(None)
    stage.show(12)
    stage.wait_for(State.IDLE)
    assert room.finding("clip_ended") == "The clip reached its longest time, 0.3 s, and ended."
    assert stage.runner.stop_clip().sop_instance_uid == uid
    stage.runner.start_clip(None)
    assert room.finding("clip_ended") == ""
    stage.show()
    stage.stop()
    assert len(room.objects("endoscope", None)) == 2


@pytest.mark.parametrize("error", [DeviceGone("The endoscope's video ended.", ""), NoSignal("No picture.", "")])
def test_ok__a_lost_picture_ends_the_clip_with_what_it_has(stage: Stage, error: Exception) -> None:
    stage.show()
    stage.runner.start_clip(None)
    stage.show(3)
    stage.room.clock.turn(2.0)
    stage.source.feed(error)
    wait_until(lambda: stage.room.finding("clip_ended"), "the clip has ended")
    assert stage.room.finding("clip_ended") == "The picture was lost; the clip ended there."
    assert stage.runner.stop_clip().frames == 3
    assert stage.runner.state in (State.UNPLUGGED, State.NO_SIGNAL)
    stage.show()
    assert stage.runner.state is State.IDLE


def test_fail__a_clip_that_came_to_nothing_is_a_finding(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.show()
    stage.runner.start_clip(None)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ClipRecorder, "_write_frames", fail)
    stage.show(2)
    wait_until(lambda: stage.room.finding("clip_ended"), "the panel is told, whoever may be waiting")
    assert stage.room.finding("clip_ended") == "The clip was not saved: the flash gives back errors."
    stage.wait_for(State.IDLE)


def test_fail__no_room_for_a_clip_or_a_still(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.show()

    def fail() -> None:
        raise NoRoomError("The box's flash is full.", "")

    monkeypatch.setattr(stage.runner.keeper, "ensure_room", fail)
    with pytest.raises(NoRoomError):
        stage.runner.start_clip(None)
    monkeypatch.setattr(stage.runner, "next_frame", lambda *_: pytest.fail("a frame was taken"))
    with pytest.raises(NoRoomError):
        stage.runner.take_still(None)
    assert stage.room.is_idle()
    assert stage.runner.state is State.IDLE


def test_ok__closing_the_exam_ends_its_clip(stage: Stage) -> None:
    exam = open_exam_of(stage.room.facts)
    stage.show()
    stage.runner.start_clip(exam.exam_id)
    stage.show(4)
    begin_closing(stage.room.facts, exam)
    stage.runner.finish("20261122-093099-0000")
    assert stage.runner.state is State.RECORDING
    wait_until(
        lambda: stage.room.gate.drain(exam.exam_id, 0.0, lambda: stage.runner.finish(exam.exam_id)), "it has drained"
    )
    assert len(stage.room.objects("endoscope", exam.exam_id)) == 1
    assert stage.room.finding("clip_ended") == ""  # somebody ended it


def test_ok__stopping_the_process_keeps_the_clip(room: Room) -> None:
    stage = Stage(room)
    stage.start()
    stage.show()
    stage.runner.start_clip(None)
    stage.show(3)
    stage.stop()
    assert errors_of(room.only_object("endoscope", None)) == []
    assert room.finding("clip_ended") == "The box was stopped; the clip ended there."


def test_ok__stills_while_a_clip_is_recorded(stage: Stage) -> None:
    exam = open_exam_of(stage.room.facts)
    stage.show()
    stage.runner.start_clip(exam.exam_id)
    with ThreadPoolExecutor() as pool:
        stills = []
        for _ in range(5):
            stage.room.clock.turn(0.01)
            stills.append(pool.submit(stage.runner.take_still, exam.exam_id))
            stage.show(2)
        while not all(one.done() for one in stills):
            stage.show()
        assert {one.result(30).kind for one in stills} == {"still"}
    stage.runner.stop_clip()
    numbers = [dcmread(path).InstanceNumber for path, _ in stage.room.objects("endoscope", exam.exam_id)]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


def test_ok__the_preview_is_small_and_decoded_no_more_often_than_configured(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    original = video.preview_jpeg_from

    def preview_jpeg_from(frame: Frame, width: int) -> bytes:
        decoded.append(frame)
        return original(frame, width)

    monkeypatch.setattr(video, "preview_jpeg_from", preview_jpeg_from)
    for _ in range(25):
        stage.show()
        assert Image.open(BytesIO(stage.runner.preview())).size == (96, 64)
        stage.runner.preview()
    assert len(decoded) in (9, 10)  # 25 frames a second came, 10 a second are shown


def test_fail__no_preview_of_a_stale_or_a_damaged_picture(stage: Stage) -> None:
    with pytest.raises(NoSignal):
        stage.runner.preview()
    stage.show()
    stage.room.clock.turn(2.1)
    with pytest.raises(NoSignal):
        stage.runner.preview()
    stage.room.clock.turn(1.0)
    frame = stage.frame()
    broken = Frame(frame.data[:300] + b"\xff\xd9", frame.encoding, 96, 64, 8, 0, frame.timestamp)
    stage.source.feed(broken)
    wait_until(lambda: stage.runner._latest is broken, "it is taken")
    with pytest.raises(BadFrame):
        stage.runner.preview()


def test_ok__what_cannot_be_shown_small_is_saved_all_the_same(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound markers around damaged coefficients: whoever answered *failed* here would have it captured twice."""
    stage.show()
    original = Image.Image.thumbnail
    monkeypatch.setattr(Image.Image, "thumbnail", lambda *_: original(None, (1, 1)))  # type: ignore[arg-type]
    with ThreadPoolExecutor() as pool:
        pressed = pool.submit(stage.runner.take_still, None)
        while not pressed.done():
            stage.show()
        saved = pressed.result(30)
    assert saved.file_name == stage.room.only_object("endoscope", None).name
    assert stage.runner.thumbnails.get(saved.sop_instance_uid) is None


def test_ok__a_device_that_the_exam_does_not_know_starts_nothing(room: Room) -> None:
    open_exam_of(room.facts)
    stage = Stage(room, modality="XC")
    stage.start()
    stage.show()
    for act in (stage.runner.start_clip, stage.runner.take_still):
        with pytest.raises(ApplianceError, match="set up after this exam was opened"):
            act(None)
    assert room.is_idle()
    stage.stop()
