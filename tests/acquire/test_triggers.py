"""What is done when something says *now*: of whom, of which moment, and what is told when it cannot be done."""

from __future__ import annotations

import os
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from pydicom import dcmread

from appliance.acquire.keeping import Saved
from appliance.acquire.runner import State
from appliance.acquire.triggers import TriggerWatch
from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.config.devices import GrabberDevice
from appliance.config.load import ConfigurationError, configuration_from
from appliance.config.triggers import BytesTrigger, GpioTrigger, KeyTrigger, Trigger, WireTrigger
from appliance.devices.errors import DeviceGone
from appliance.devices.signal.gpio import GpioSource
from appliance.devices.signal.heard import HeardSource
from appliance.devices.signal.keys import KeySource
from appliance.devices.signal.modem import ModemSource
from appliance.devices.signal.source import Signal
from appliance.services.acquire import make_signal_source, make_watches
from tests.acquire.conftest import Room
from tests.acquire.test_video import Stage
from tests.acquire.world import CONFIGURATION, begin_closing, close_exam, make_grabber, open_exam_of
from tests.peers import DEADLINE, wait_until

PEDAL = KeyTrigger(kind="key", node=Path("/dev/input/event0"))


class HandSignals:
    """A source of signals that the test gives."""

    name = "footswitch"

    def __init__(self) -> None:
        self.given: list[Signal | DeviceGone] = []
        self.opened = 0
        self.is_missing = False

    def open(self) -> None:
        if self.is_missing:
            raise DeviceGone("The footswitch cannot be used.", "Plug it in.")
        self.opened += 1

    def close(self) -> None:
        pass

    def wait(self, seconds: float) -> list[Signal]:
        if not self.given:
            time.sleep(0.01)
            return []
        one = self.given.pop(0)
        if isinstance(one, DeviceGone):
            raise one
        return [one]


@pytest.fixture
def stage(room: Room) -> Iterator[Stage]:
    made = Stage(room)
    made.start()
    yield made
    made.stop()
    assert room.is_idle()


def watch_of(stage: Stage, *triggers: Trigger) -> TriggerWatch:
    room = stage.room
    return TriggerWatch(HandSignals(), triggers or (PEDAL,), stage.runner, room.clock, room.findings)


def press(watch: TriggerWatch, stage: Stage, number: int = 0) -> None:
    """A signal now, and a frame behind it."""
    at = stage.room.clock.monotonic()
    thread = threading.Thread(target=watch.take, args=(Signal(number, at),))
    thread.start()
    end = time.monotonic() + DEADLINE
    while thread.is_alive() and time.monotonic() < end:
        stage.show()
        thread.join(0.02)
    assert not thread.is_alive()


def test_ok__a_press_is_a_still_of_the_open_exam(stage: Stage, room: Room) -> None:
    exam = open_exam_of(room.facts)
    stage.show(3)
    press(watch_of(stage), stage)
    assert len(room.objects("endoscope", exam.exam_id)) == 1
    assert room.findings.listing() == []


def test_ok__the_frame_is_never_older_than_the_press(stage: Stage, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.show(3)
    kept: list[float] = []
    original = stage.runner._keep_still
    monkeypatch.setattr(
        stage.runner, "_keep_still", lambda ticket, frame: (kept.append(frame.timestamp), original(ticket, frame))[1]
    )
    room.clock.turn(0.01)
    at = room.clock.monotonic()
    press(watch_of(stage), stage)
    assert kept[0] >= at
    (path,) = [path for path, _ in room.objects("endoscope", None)]
    assert dcmread(path).ContentTime


def test_ok__nobody_chose_a_patient_and_it_is_kept_and_told(stage: Stage, room: Room) -> None:
    watch = watch_of(stage)
    press(watch, stage)
    assert len(room.objects("endoscope", None)) == 1
    assert "no patient was chosen" in room.finding("trigger_unassigned")
    room.clock.turn(1.0)
    exam = open_exam_of(room.facts)
    press(watch, stage)
    assert len(room.objects("endoscope", exam.exam_id)) == 1
    assert room.finding("trigger_unassigned") == ""


def test_ok__while_an_exam_is_being_ended_it_is_nobodys(stage: Stage, room: Room) -> None:
    begin_closing(room.facts, open_exam_of(room.facts))
    press(watch_of(stage), stage)
    assert len(room.objects("endoscope", None)) == 1


def test_ok__a_bounce_takes_no_second_picture(stage: Stage, room: Room) -> None:
    watch = watch_of(stage)
    press(watch, stage)
    at = room.clock.monotonic()
    watch.take(Signal(0, at - 0.01))
    room.clock.turn(1.0)
    press(watch, stage)
    assert len(room.objects("endoscope", None)) == 2


def test_ok__a_clip_begins_and_ends(stage: Stage, room: Room) -> None:
    exam = open_exam_of(room.facts)
    stage.show()
    watch = watch_of(stage, KeyTrigger(kind="key", node=Path("n"), action="clip"))
    press(watch, stage)
    stage.show(5)
    assert stage.runner.state is State.RECORDING
    room.clock.turn(1.0)
    press(watch, stage)
    wait_until(lambda: len(room.objects("endoscope", exam.exam_id)) == 1, "the clip is saved")
    assert room.finding("trigger_failed") == ""


def test_ok__the_end_of_a_study_is_told_and_ends_nothing(stage: Stage, room: Room) -> None:
    watch = watch_of(stage, KeyTrigger(kind="key", node=Path("n"), action="end", debounce_seconds=0))
    watch.take(Signal(0, room.clock.monotonic()))
    assert stage.runner.status()["study_complete"] is None  # nobody's study
    assert room.finding("study_complete") == ""
    exam = open_exam_of(room.facts)
    watch.take(Signal(0, room.clock.monotonic()))
    assert stage.runner.status()["study_complete"] == exam.exam_id
    assert room.finding("study_complete") == "Endoscope says that the study is complete."
    assert room.facts.open_exam_id() == exam.exam_id
    close_exam(room.facts, exam)
    assert stage.runner.status()["study_complete"] is None
    assert room.finding("study_complete") == ""


def test_fail__what_came_while_the_box_was_busy_is_told(stage: Stage, room: Room) -> None:
    watch = watch_of(stage)
    watch.take(Signal(0, room.clock.monotonic() - 5.0))
    assert "while the box was busy" in room.finding("trigger_failed")
    assert room.objects("endoscope", None) == []
    press(watch, stage)
    assert room.finding("trigger_failed") == ""


def test_ok__a_word_of_the_end_that_had_to_wait_is_told_all_the_same(stage: Stage, room: Room) -> None:
    """It asks for no picture of its moment."""
    exam = open_exam_of(room.facts)
    watch = watch_of(stage, KeyTrigger(kind="key", node=Path("n"), action="end"))
    watch.take(Signal(0, room.clock.monotonic() - 5.0))
    assert stage.runner.status()["study_complete"] == exam.exam_id
    assert room.finding("trigger_failed") == ""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ApplianceError("No picture comes from the endoscope.", "Check."), "No picture comes"),
        (OSError(28, "No space left on device"), "was not saved: the flash is full"),
        (LookupError("Qvistgaard"), "by a fault in the box (LookupError)"),
    ],
)
def test_fail__what_cannot_be_kept_is_told(
    stage: Stage, room: Room, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(_moment: float) -> Saved:
        raise error

    monkeypatch.setattr(stage.runner, "capture_at", fail)
    watch_of(stage).take(Signal(0, room.clock.monotonic()))
    assert words in room.finding("trigger_failed")
    assert "Qvist" not in room.finding("trigger_failed")


def test_ok__set_up_after_the_exam_was_opened_it_is_kept_unassigned(stage: Stage, room: Room) -> None:
    other = make_grabber(name="other")
    configuration = configuration_from(CONFIGURATION.encode(), Path("x")).model_copy(update={"devices": (other,)})
    open_exam_of(room.facts, 1, configuration)
    press(watch_of(stage), stage)
    assert len(room.objects("endoscope", None)) == 1
    assert "set up after" in room.finding("still_unassigned")
    assert room.finding("trigger_unassigned")


def test_ok__a_source_that_goes_away_is_told_and_opened_anew(
    stage: Stage, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, stop = HandSignals(), threading.Event()
    source.is_missing = True
    watch = TriggerWatch(source, (PEDAL,), stage.runner, SystemClock(), room.findings)
    monkeypatch.setattr("appliance.acquire.triggers._RETRY_SECONDS", 0.05)
    took: list[Signal] = []
    monkeypatch.setattr(watch, "take", took.append)
    thread = threading.Thread(target=watch.run, args=(stop, lambda: None))
    thread.start()
    wait_until(lambda: "cannot be used" in room.finding("trigger_gone"), "it is told")
    source.is_missing = False
    wait_until(lambda: room.finding("trigger_gone") == "", "it is there")
    source.given += [Signal(0, 1.0), DeviceGone("The footswitch is not there any more.", ""), Signal(0, 2.0)]
    wait_until(lambda: len(took) == 2, "both signals")
    assert source.opened == 2
    stop.set()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_ok__a_laser_imagers_line_from_its_bytes_to_the_object(stage: Stage, room: Room, tmp_path: Path) -> None:
    """As the process does it, on a real pty: *acquire* takes the picture, *print* ends the study."""
    far, near = os.openpty()
    tty.setraw(near)
    (tmp_path / "laser").symlink_to(os.ttyname(near))
    triggers = [
        {"kind": "bytes", "node": "laser", "pattern": "02 41 51 49 ?? 03"},
        {"kind": "bytes", "node": "laser", "pattern": "02 50 52 49 03", "action": "end"},
    ]
    device = GrabberDevice.model_validate(stage.runner.device.model_dump() | {"triggers": triggers})
    (watch,) = make_watches(tmp_path, device, stage.runner, room.findings, room.clock)
    exam, stop = open_exam_of(room.facts), threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop, lambda: None))
    thread.start()

    def shows() -> bool:
        stage.show()
        return bool(room.objects("endoscope", exam.exam_id))

    wait_until(lambda: watch._source._line._port is not None, "the line is open")  # type: ignore[attr-defined]
    os.write(far, b"\x06\x02AQI1\x03")
    wait_until(shows, "the picture is saved")
    os.write(far, b"\x02PRI\x03")
    wait_until(lambda: room.finding("study_complete"), "the end is told")
    stop.set()
    thread.join(DEADLINE)
    for descriptor in (far, near):
        os.close(descriptor)


def test_ok__each_kind_has_its_source() -> None:
    adapter: TypeAdapter[Trigger] = TypeAdapter(Trigger)
    kinds = {
        KeyTrigger: ({"kind": "key", "node": "n", "codes": [183]}, KeySource),
        GpioTrigger: ({"kind": "gpio", "pin": 17, "is_active_low": True, "bias": "pull-up"}, GpioSource),
        WireTrigger: ({"kind": "wire", "node": "n", "wire": "cts"}, ModemSource),
        BytesTrigger: ({"kind": "bytes", "node": "n", "pattern": "02 ?? 03"}, HeardSource),
    }
    for model, (given, source) in kinds.items():
        trigger = adapter.validate_python(given)
        assert isinstance(trigger, model)
        assert isinstance(make_signal_source("n", [trigger], SystemClock()), source)


@pytest.mark.parametrize(
    ("triggers", "words"),
    [
        ('[{ kind = "key", node = "n", action = "film" }]', "not films"),
        ('[{ kind = "key", node = "n" }, { kind = "wire", node = "n", wire = "cts" }]', "one kind of trigger only"),
        (
            '[{ kind = "bytes", node = "n", pattern = "02" },'
            ' { kind = "bytes", node = "n", pattern = "03", baud = 300 }]',
            "need the same baud",
        ),
        ('[{ kind = "bytes", node = "n", pattern = "02 ??" }]', "a known byte"),
        ('[{ kind = "bytes", node = "n", pattern = "0x02" }]', "hexadecimal"),
        ('[{ kind = "wire", node = "n", wire = "dtr" }]', "wire"),
        ('[{ kind = "smell", node = "n" }]', "smell"),
    ],
)
def test_fail__triggers_that_cannot_be(triggers: str, words: str) -> None:
    text = CONFIGURATION.replace(
        'source = "machines/endoscope.sock"', f'source = "machines/endoscope.sock"\ntriggers = {triggers}'
    )
    with pytest.raises(ConfigurationError, match=words) as told:
        configuration_from(text.encode(), Path("site.toml"))
    assert "devices[1]" in str(told.value)
