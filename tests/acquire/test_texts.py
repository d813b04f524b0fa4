"""The text runner on a real pty: a machine says its results, and they become pages and a document."""

from __future__ import annotations

import os
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from appliance.acquire.gate import Ticket
from appliance.acquire.runner import State, Unsupported
from appliance.acquire.texts import TextRunner
from appliance.config.devices import TextDevice
from appliance.spool.writer import ObjectWriter
from tests.acquire.boxes import Box as ProcessBox
from tests.acquire.conftest import Room
from tests.acquire.lines import CLOCK, FarEnd
from tests.acquire.world import CONFIGURATION, PATIENT_ID, close_exam, errors_of
from tests.devices.text_world import ACK, ENQ, EOT, LENSES, NAK, RECORDS, astm_frames, nidek
from tests.peers import DEADLINE, wait_until

PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def make_text(**changes: object) -> TextDevice:
    given: dict[str, object] = {
        "driver": "text",
        "name": "densitometer",
        "title": "Densitometer",
        "modality": "BMD",
        "line": "text.tty",
        "profile": "astm",
        "transcript_bytes": 10_000,
    }
    return TextDevice.model_validate(given | changes)


class Machine(FarEnd):
    """A machine that says its results."""

    def __init__(self, room: Room, directory: Path, **changes: object) -> None:
        super().__init__(room, directory, make_text(**changes))

    def start(self) -> TextRunner:
        made = self.begin()
        assert isinstance(made, TextRunner)
        self.runner = made
        return made

    def say(self, data: bytes, answer: bytes = b"") -> None:
        """Send, and wait for exactly this answer."""
        os.write(self.far, data)
        heard, end = b"", time.monotonic() + DEADLINE
        while len(heard) < len(answer) and time.monotonic() < end:
            try:
                heard += os.read(self.far, 1)
            except BlockingIOError:
                time.sleep(0.005)
        assert heard == answer

    def send_session(self, records: tuple[str, ...] = RECORDS, last: bytes = ACK) -> None:
        self.say(ENQ, ACK)
        *frames, final = astm_frames(records)
        for frame in frames:
            self.say(frame, ACK)
        self.say(final, last)
        self.say(EOT)


@pytest.fixture
def made(room: Room, tmp_path: Path) -> Iterator[list[Machine]]:
    machines: list[Machine] = []
    yield machines
    for machine in machines:
        machine.close()


@pytest.fixture
def machine(made: list[Machine], room: Room, tmp_path: Path) -> Machine:
    made.append(Machine(room, tmp_path, pdf=True))
    made[0].start()
    return made[0]


def test_ok__results_are_a_page_and_a_document_of_the_open_exam(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    exam = machine.open_exam()
    machine.send_session()
    page, document = (dcmread(path) for path in machine.objects(exam))  # acknowledged: so both are here
    assert [errors_of(path) for path in machine.objects(exam)] == [[], []]
    assert (page.Rows, page.Columns, page.DigitalImageFormatAcquired) == (1754, 1240, "ASTM E1394")
    assert "BMD-L2  0.744" in page.ImageComments
    assert document.SOPClassUID == PDF
    assert document.EncapsulatedDocument.startswith(b"%PDF-")
    assert page.SeriesInstanceUID == exam.series_of("densitometer").series_instance_uid != document.SeriesInstanceUID
    assert page.PatientID == document.PatientID == PATIENT_ID
    assert machine.room.finding("other_patient") == ""
    assert "Qvistgaard" not in caplog.text and PATIENT_ID not in caplog.text
    (saved, _) = machine.runner.keeper.recently_saved()
    assert machine.runner.thumbnails.get(saved.sop_instance_uid)


def test_ok__what_the_machine_says_of_the_patient_changes_nothing_and_is_told(machine: Machine) -> None:
    exam = machine.open_exam()
    machine.send_session(tuple(record.replace(PATIENT_ID, "SOMEBODY-ELSE") for record in RECORDS))
    machine.wait_for_finding("other_patient", "another patient ID")
    assert {dcmread(path).PatientID for path in machine.objects(exam)} == {PATIENT_ID}
    assert "SOMEBODY" not in machine.room.finding("other_patient")
    machine.send_session()
    wait_until(lambda: not machine.room.finding("other_patient"), "the right patient")


def test_ok__nobody_chose_a_patient(machine: Machine) -> None:
    machine.send_session()
    assert len(machine.objects(None)) == 2


def test_ok__sent_again_it_is_kept_once_and_not_in_the_next_exam(machine: Machine) -> None:
    exam = machine.open_exam()
    machine.send_session()
    machine.send_session()
    assert len(machine.objects(exam)) == 2
    machine.wait_for_finding("sent_again", "saved already")
    close_exam(machine.room.facts, exam, *machine.objects(exam))
    following = machine.open_exam(2)
    machine.send_session()
    machine.wait_for_finding("page_unassigned", "for an earlier exam")
    assert (len(machine.objects(following)), len(machine.objects(None))) == (0, 2)


def test_fail__what_is_not_saved_is_not_acknowledged(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    exam = machine.open_exam()

    def refuse(_writer: ObjectWriter) -> Path:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(ObjectWriter, "publish", refuse)
        machine.send_session(last=NAK)
        machine.wait_for_finding("text_unsaved", "was not saved")
    wait_until(machine.room.is_idle, "the session has ended")
    assert machine.objects(exam) == []
    machine.send_session()
    assert len(machine.objects(exam)) == 2
    assert machine.room.finding("text_failed") == machine.room.finding("text_unsaved") == ""


def test_fail__a_fault_while_drawing_refuses(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise LookupError(PATIENT_ID)

    monkeypatch.setattr("appliance.acquire.texts.pages_from_reading", fail)
    machine.send_session(last=NAK)
    machine.wait_for_finding("text_unsaved", "by a fault in the box (LookupError)")
    assert PATIENT_ID not in machine.room.finding("text_unsaved")


def test_fail__a_fault_while_drawing_what_cannot_be_repeated_costs_one_text(
    made: list[Machine], room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To try the same once more would not help, and nothing that follows would be taken."""
    machine = Machine(room, tmp_path, profile="nidek-lm")
    made.append(machine)
    machine.start()
    exam = machine.open_exam()
    with monkeypatch.context() as patch:
        patch.setattr("appliance.acquire.texts.pages_from_reading", lambda *_: {}[PATIENT_ID])
        machine.say(nidek(*LENSES))
        machine.wait_for_finding("text_lost", "by a fault in the box (KeyError)")
        wait_until(machine.room.is_idle, "it is over")
    machine.say(nidek(*LENSES))
    wait_until(lambda: len(machine.objects(exam)) == 1, "the next one is saved")


def test_ok__a_text_is_of_the_moment_of_its_first_byte(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    admit, began = machine.runner.gate.admit, list[float | None]()

    def note(**given: float | None) -> Ticket:
        began.append(given["began"])
        return admit(**given)  # type: ignore[arg-type]

    monkeypatch.setattr(machine.runner.gate, "admit", note)
    before = CLOCK.monotonic()
    machine.send_session()
    (at,) = began
    assert at is not None
    assert before <= at <= CLOCK.monotonic()


def test_fail__damaged_text_of_a_machine_that_cannot_repeat(made: list[Machine], room: Room, tmp_path: Path) -> None:
    machine = Machine(room, tmp_path, profile="nidek-lm")
    made.append(machine)
    machine.start()
    exam = machine.open_exam()
    machine.say(nidek(*LENSES)[:-1] + b"G")
    machine.wait_for_finding("text_failed", "damaged on the line")
    assert machine.objects(exam) == []
    machine.say(nidek(*LENSES))
    wait_until(lambda: len(machine.objects(exam)) == 1, "the page is saved")
    wait_until(lambda: not machine.room.finding("text_failed"), "all is well again")
    assert "SPH" in dcmread(machine.objects(exam)[0]).ImageComments


def test_ok__a_text_that_cannot_be_repeated_waits_for_the_flash(
    made: list[Machine], room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(room, tmp_path, profile="nidek-lm")
    made.append(machine)
    machine.start()
    exam = machine.open_exam()
    monkeypatch.setattr("appliance.acquire.texts._RETRY_SECONDS", 0.1)
    publish, refused = ObjectWriter.publish, list[int]()

    def refuse_twice(writer: ObjectWriter) -> Path:
        if len(refused) < 2:
            refused.append(1)
            raise OSError(28, "No space left on device")
        return publish(writer)

    monkeypatch.setattr(ObjectWriter, "publish", refuse_twice)
    machine.say(nidek(*LENSES))
    wait_until(lambda: len(machine.objects(exam)) == 1, "the page is saved")
    wait_until(lambda: not machine.room.finding("text_unsaved"), "all is well again")
    assert refused == [1, 1]


def test_ok__unplugged_in_the_middle_and_plugged_in_again(machine: Machine) -> None:
    exam = machine.open_exam()
    machine.say(ENQ, ACK)
    machine.say(astm_frames(RECORDS)[0], ACK)
    machine.unplug()
    machine.wait_for_finding("unplugged", "serial line")
    assert "in the middle of its text" in machine.room.finding("text_failed")
    machine.plug()
    wait_until(lambda: machine.runner.state is State.IDLE, "the line is open again")
    machine.send_session()
    assert len(machine.objects(exam)) == 2


def test_ok__a_transcript_is_kept_only_where_that_is_configured(
    machine: Machine, made: list[Machine], tmp_path: Path
) -> None:
    machine.say(ENQ, ACK)
    said = [("received", "05"), ("sent", "06")]
    wait_until(lambda: [(one["direction"], one["bytes"]) for one in machine.runner.transcript(9)] == said, "it is kept")
    silent = Machine(machine.room, tmp_path / "silent", transcript_bytes=0)
    made.append(silent)
    silent.start()
    with pytest.raises(Unsupported, match="is not kept"):
        silent.runner.transcript(9)


def test_ok__it_says_what_it_does(machine: Machine) -> None:
    assert machine.runner.status()["sentence"].startswith("Waiting for results")
    machine.say(ENQ, ACK)
    machine.say(astm_frames(RECORDS)[0], ACK)
    wait_until(lambda: machine.runner.state is State.RECEIVING, "it receives")
    assert (machine.runner.progress() or {})["unit"] == "bytes"
    machine.say(EOT)
    machine.wait_for_finding("text_failed", "before its last record")


def test_ok__the_processes_of_a_box(tmp_path: Path) -> None:
    """As on a box: a machine that says its results, and a grabber whose trigger is on another line."""
    devices = """
        [[devices]]
        name = "densitometer"
        driver = "text"
        profile = "astm"
        modality = "BMD"
        line = "text.tty"
        pdf = true
        transcript_bytes = 10000
    """
    trigger = 'triggers = [{ kind = "bytes", node = "laser.tty", pattern = "02 41 51 49 ?? 03" }]'
    source = 'source = "machines/endoscope.sock"'
    box = ProcessBox(tmp_path, CONFIGURATION.replace(source, f"{source}\n{trigger}") + devices)
    lines = [os.openpty() for _ in range(2)]
    try:
        for (_, near), name in zip(lines, ("text.tty", "laser.tty"), strict=True):
            tty.setraw(near)
            (box.paths.run / name).symlink_to(os.ttyname(near))
        box.start_machines()
        box.start("densitometer", "endoscope")
        box.wait_for_state("densitometer", "idle")
        os.write(lines[0][0], ENQ + b"".join(astm_frames(RECORDS)) + EOT)
        wait_until(lambda: len(box.objects("densitometer", None)) == 2, "page and document are saved")
        assert [errors_of(path) for path, _ in box.objects("densitometer", None)] == [[], []]
        assert len(box.ask("densitometer", "GET", "/transcript")["entries"]) > 1
        box.wait_for_state("endoscope", "idle")

        def acquires() -> bool:
            """The imager's line is opened a moment after the grabber's picture is there."""
            os.write(lines[1][0], b"\x02AQI1\x03")
            time.sleep(0.5)
            return bool(box.objects("endoscope", None))

        wait_until(acquires, "the machine's own signal has taken a picture")
        codes = {one["code"] for one in box.status("endoscope")["findings"]}
        assert "trigger_unassigned" in codes
        for name in ("densitometer", "endoscope"):
            assert box.end(name) == 0
    finally:
        box.close()  # which looks for the patient in every log
        for pair in lines:
            for descriptor in pair:
                os.close(descriptor)
