"""Is this still the patient? By a clock turned by hand."""

from __future__ import annotations

import pytest

from appliance.config.schema import Panel
from appliance.console.current import CurrentExam
from appliance.console.presence import Presence
from appliance.exam.exam import Outcome, open_exam
from tests.console.fakes import HandClock, make_configuration, make_item

ASK, WARN, NOTHING = "ask", "warn", ""


class World:
    def __init__(self, ask: float = 900.0, close: float = 7200.0) -> None:
        self.clock = HandClock()
        self.exam: CurrentExam | None = None
        self.captured = 0
        self.states = ["idle"]
        self.ended: list[tuple[str, Outcome, str, str]] = []
        self.presence = Presence(
            Panel(ask_patient_seconds=ask, close_exam_seconds=close),
            self.clock,
            current=lambda: self.exam,
            count_captured=lambda _exam_id: self.captured,
            states=lambda: self.states,
            close=lambda *given: self.ended.append(given),
        )

    def open(self, number: int = 1) -> None:
        devices = make_configuration().devices
        exam = open_exam(make_item(), devices, self.clock.now(), f"E{number:06}-20261122-093000")
        self.exam = CurrentExam(exam, is_closing=False)
        self.presence.look()

    def after(self, seconds: float) -> str:
        self.clock.seconds += seconds
        self.presence.look()
        return str(self.presence.view()["stage"])


def test_ok__asked_after_a_time_without_a_touch() -> None:
    world = World()
    assert world.after(1e5) == NOTHING
    world.open()
    assert world.after(899) == NOTHING
    world.presence.note_touch(is_confirmed=False)
    assert world.after(899) == NOTHING
    assert world.after(1) == ASK
    world.presence.note_touch(is_confirmed=False)
    assert world.after(0) == ASK, "whoever touches the glass may not have read it"
    world.presence.note_touch(is_confirmed=True)
    assert world.after(899) == NOTHING


def test_ok__a_footswitch_and_a_device_at_work_are_somebody() -> None:
    world = World()
    world.open()
    for _ in range(5):
        world.after(890)
        world.captured += 1
        assert world.after(5) == NOTHING
    world.states = ["idle", "recording"]
    assert world.after(5000) == NOTHING
    world.states = ["idle"]
    assert world.after(899) == NOTHING
    assert world.after(1) == ASK
    world.captured += 1
    assert world.after(1) == ASK, "a capture answers no question"


def test_ok__a_forgotten_exam_is_ended_after_a_warning() -> None:
    world = World()
    world.open()
    assert world.after(7079) == ASK
    assert world.after(1) == WARN
    assert world.presence.view()["seconds"] == 120
    assert world.after(119) == WARN
    assert world.ended == []
    world.after(1)
    ((exam_id, outcome, reason, why),) = world.ended
    assert (exam_id, outcome, reason) == ("E000001-20261122-093000", Outcome.DISCONTINUED, "110513")
    assert why == "Ended by the box: nobody was there for 120 minutes."


def test_ok__a_forgotten_exam_with_images_is_completed() -> None:
    world = World()
    world.open()
    world.captured = 3
    world.after(1)
    world.after(7200)
    assert [(one[1], one[2]) for one in world.ended] == [(Outcome.COMPLETED, "")]


@pytest.mark.parametrize("act", ["touch", "capture", "recording"])
def test_ok__whoever_comes_back_in_the_warning_keeps_the_exam(act: str) -> None:
    world = World()
    world.open()
    assert world.after(7150) == WARN
    if act == "touch":
        world.presence.note_touch(is_confirmed=False)
    elif act == "capture":
        world.captured += 1
    else:
        world.states = ["recording"]
    assert world.after(100) == ASK
    world.after(7000)
    assert world.ended == []


def test_ok__every_exam_begins_anew_and_zero_is_never() -> None:
    world = World()
    world.open(1)
    assert world.after(1000) == ASK
    world.open(2)
    assert world.after(0) == NOTHING
    never = World(ask=0.0, close=0.0)
    never.open()
    assert never.after(1e6) == NOTHING
    assert never.ended == []


def test_fail__asked_later_than_ended() -> None:
    with pytest.raises(ValueError, match="close_exam_seconds"):
        Panel(ask_patient_seconds=100, close_exam_seconds=50)
