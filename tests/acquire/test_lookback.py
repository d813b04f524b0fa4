"""The seconds before the tap: how many, never more than fits, and never another patient's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom import dcmread

from appliance.acquire.lookback import Lookback
from appliance.devices.errors import NoSignal
from appliance.devices.frame import Encoding, Frame
from tests.acquire.conftest import Room
from tests.acquire.test_video import Stage
from tests.acquire.world import close_exam, errors_of, fragments_of, open_exam_of, unpadded
from tests.peers import wait_until


def frame(at: float, size: int = 10) -> Frame:
    return Frame(bytes(size), Encoding.RGB, 1, 1, 8, 0, at)


class Open:
    """Which exam is open, in the test's hand."""

    def __init__(self) -> None:
        self.exam_id: str | None = "A"
        self.asked = 0

    def __call__(self) -> str | None:
        self.asked += 1
        if self.exam_id == "unreadable":
            raise OSError
        return self.exam_id


def moments(lookback: Lookback, exam_id: str | None = "A") -> list[float]:
    return [one.timestamp for one in lookback.take(exam_id)]


def test_ok__the_last_seconds_and_no_more() -> None:
    lookback = Lookback(2.0, 100, 10_000, Open())
    for tenth in range(100):
        lookback.keep(frame(tenth / 10), tenth / 10)
    held = moments(lookback)
    assert (held[0], held[-1], len(held)) == (pytest.approx(7.9), 9.9, 21)
    assert moments(lookback) == []  # once taken, it is the clip's


@pytest.mark.parametrize(("frames", "size", "expected"), [(5, 10_000, 5), (100, 75, 7), (100, 5, 0)])
def test_ok__memory_is_bounded(frames: int, size: int, expected: int) -> None:
    lookback = Lookback(60.0, frames, size, Open())
    for number in range(50):
        lookback.keep(frame(number / 10), number / 10)
        assert len(lookback._frames) <= expected
    assert len(moments(lookback)) == expected


def test_ok__nothing_is_held_and_nobody_asked_where_it_is_not_wanted() -> None:
    asked = Open()
    lookback = Lookback(0.0, 100, 10_000, asked)
    lookback.keep(frame(1.0), 1.0)
    assert (moments(lookback), asked.asked) == ([], 0)


def test_ok__another_exam_begins_with_nothing() -> None:
    now_open = Open()
    lookback = Lookback(10.0, 100, 10_000, now_open)
    lookback.keep(frame(1.0), 1.0)
    now_open.exam_id = "B"
    lookback.keep(frame(1.2), 1.2)  # nobody has asked since
    assert moments(lookback, "B") == []
    lookback.keep(frame(1.4), 1.6)  # asked now: this one came before, and may be A's
    lookback.keep(frame(1.7), 1.7)
    assert moments(lookback, "B") == [1.7]


@pytest.mark.parametrize("between", [None, "unreadable"])
def test_ok__no_exam_holds_nothing(between: str | None) -> None:
    now_open = Open()
    now_open.exam_id = between
    lookback = Lookback(10.0, 100, 10_000, now_open)
    for at in (1.0, 2.0):
        try:
            lookback.keep(frame(at), at)
        except OSError:
            assert between == "unreadable"
    assert moments(lookback, None) == []
    now_open.exam_id = "A"
    lookback.keep(frame(2.9), 3.0)
    lookback.keep(frame(3.1), 3.1)
    assert moments(lookback) == [3.1]


@pytest.fixture
def stage(room: Room) -> Iterator[Stage]:
    made = Stage(room, lookback_seconds=1.0)
    made.start()
    yield made
    made.stop()
    assert room.is_idle()


def test_ok__a_clip_begins_before_the_tap(stage: Stage, room: Room) -> None:
    exam = open_exam_of(room.facts)
    stage.show(50)  # two seconds of them
    tapped = room.clock.now()
    stage.runner.start_clip(exam.exam_id)
    stage.show(10)
    saved = stage.runner.stop_clip(exam.exam_id)
    path = room.only_object("endoscope", exam.exam_id)
    assert not errors_of(path)
    assert saved.frames == 26 + 10
    assert len({unpadded(one) for one in fragments_of(path)}) == 36
    assert (tapped - saved.captured_at).total_seconds() == pytest.approx(1.0)
    assert dcmread(path).FrameTime == pytest.approx(40.0)


def test_ok__without_a_patient_a_clip_begins_at_the_tap(stage: Stage) -> None:
    stage.show(50)
    stage.runner.start_clip(None)
    stage.show(10)
    assert stage.runner.stop_clip().frames == 10


def test_ok__what_was_before_a_lost_picture_is_not_what_came_just_before(stage: Stage, room: Room) -> None:
    exam = open_exam_of(room.facts)
    stage.show(20)
    room.clock.turn(2.0)
    stage.source.feed(NoSignal("No picture comes from the endoscope.", ""))
    wait_until(lambda: bool(room.finding("no_signal")), "it is lost")
    stage.show(3)
    stage.runner.start_clip(exam.exam_id)
    stage.show(3)
    assert stage.runner.stop_clip(exam.exam_id).frames == 6


def test_ok__the_next_patients_clip_begins_with_his_own_pictures(stage: Stage, room: Room) -> None:
    first = open_exam_of(room.facts, 1)
    stage.show(20)
    close_exam(room.facts, first)
    second = open_exam_of(room.facts, 2)
    stage.runner.start_clip(second.exam_id)
    stage.show(5)
    assert stage.runner.stop_clip(second.exam_id).frames == 5
