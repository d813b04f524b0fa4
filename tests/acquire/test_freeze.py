"""The machine's Freeze as a trigger, from the picture to the object; and what is said where none can be kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from appliance.acquire.freeze import FreezeCapture
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.devices.frame import Frame
from appliance.devices.video.watch import FreezeTrigger
from tests.acquire.conftest import Room
from tests.acquire.test_video import Stage
from tests.acquire.world import make_frame, open_exam_of, picture
from tests.peers import DEADLINE, wait_until


@pytest.fixture
def stage(room: Room) -> Iterator[Stage]:
    made = Stage(room, freeze_trigger=True)
    made.start()
    yield made
    made.stop()
    assert room.is_idle()


def show(stage: Stage, count: int, number: int | None = None) -> None:
    """Frames at five a second: each another one, or always the same."""
    for at in range(count):
        stage.room.clock.turn(0.2)
        stage._number += 1
        data = picture((at * 7) % 40 if number is None else number)
        frame = make_frame(data, stage._number, stage.room.clock.monotonic())
        stage.source.feed(frame)
        assert stage.runner.next_frame(frame.timestamp, DEADLINE) is frame


def test_ok__a_freeze_is_a_still_of_the_open_exam(stage: Stage, room: Room) -> None:
    exam = open_exam_of(room.facts)
    show(stage, 8)
    assert room.objects("endoscope", exam.exam_id) == []
    show(stage, 8, number=3)
    wait_until(lambda: bool(room.objects("endoscope", exam.exam_id)), "it is kept")
    stage.runner._freeze.finish(DEADLINE)
    show(stage, 10, number=3)
    show(stage, 8)
    show(stage, 8, number=5)
    wait_until(lambda: len(room.objects("endoscope", exam.exam_id)) == 2, "and the next one")
    assert room.finding("freeze_capture") == ""


def test_ok__without_a_patient_it_is_unassigned(stage: Stage, room: Room) -> None:
    show(stage, 8)
    show(stage, 8, number=3)
    wait_until(lambda: bool(room.objects("endoscope", None)), "it is kept")
    wait_until(lambda: "frozen while no patient was chosen" in room.finding("freeze_unassigned"), "it is told")
    exam = open_exam_of(room.facts)
    show(stage, 8)
    show(stage, 8, number=5)
    wait_until(lambda: bool(room.objects("endoscope", exam.exam_id)), "the next one is the patient's")
    wait_until(lambda: room.finding("freeze_unassigned") == "", "all is well")


def test_ok__where_it_is_not_configured_nothing_is_looked_at(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FreezeTrigger, "see", lambda _self, _frame: pytest.fail("it looked"))
    stage = Stage(room)
    stage.start()
    stage.show(20)
    stage.stop()


class Trigger:
    """Fires at every frame."""

    def see(self, frame: Frame) -> bool:
        return True

    def begin(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ApplianceError("The box's flash is full.", "Free some."), "The box's flash is full."),
        (OSError(5, "Input/output error"), "The frozen picture of the endoscope was not saved"),
        (RuntimeError("x"), "was not kept, by a fault in the box"),
    ],
)
def test_fail__what_cannot_be_kept_is_told(error: Exception, words: str) -> None:
    findings = FindingBoard()
    faults = [error]

    def keep(_: Frame) -> None:
        if faults:
            raise faults.pop()

    freeze = FreezeCapture(keep, findings, "endoscope")
    freeze._trigger = Trigger()  # type: ignore[assignment]
    freeze.see(make_frame(picture()))
    freeze.finish(DEADLINE)
    (finding,) = findings.listing()
    assert words in finding.sentence
    freeze.see(make_frame(picture()))
    freeze.finish(DEADLINE)
    assert findings.listing() == []


def test_fail__one_at_a_time() -> None:
    findings = FindingBoard()
    may_end = threading.Event()
    freeze = FreezeCapture(lambda _: may_end.wait(DEADLINE), findings, "endoscope")
    freeze._trigger = Trigger()  # type: ignore[assignment]
    freeze.see(make_frame(picture()))
    freeze.see(make_frame(picture()))
    (finding,) = findings.listing()
    assert "was frozen while its last still was being saved" in finding.sentence
    may_end.set()
    freeze.finish(DEADLINE)
