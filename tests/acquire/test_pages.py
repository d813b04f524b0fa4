"""The page runner on a real pty: a machine prints, and what it printed becomes an object, whatever the flash does."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from appliance.acquire import pages
from appliance.acquire.keeping import ObjectKeeper
from appliance.acquire.pages import PageRunner
from appliance.acquire.runner import State
from appliance.compose.attributes import CLOCK_IN_DOUBT
from appliance.config.devices import PrinterDevice
from appliance.config.schema import Box
from appliance.exam.exam import Exam
from appliance.exam.facts import ExamFacts
from appliance.spool.writer import ObjectWriter, UnconfirmedError
from tests.acquire.boxes import Box as ProcessBox
from tests.acquire.conftest import Room
from tests.acquire.lines import FarEnd
from tests.acquire.world import (
    CONFIGURATION,
    PATIENT,
    begin_closing,
    close_exam,
    errors_of,
    open_exam_of,
)
from tests.peers import DEADLINE, wait_until


def make_printer(**changes: object) -> PrinterDevice:
    given: dict[str, object] = {
        "driver": "printer",
        "name": "printer",
        "title": "Densitometer",
        "modality": "BMD",
        "line": "printer.tty",
        "language": "escp9",
        "dpi": 72,
        "paper_width_mm": 50.8,
        "paper_height_mm": 25.4,
        "idle_seconds": 1,
    }
    return PrinterDevice.model_validate(given | changes)


class Densitometer(FarEnd):
    """A machine that prints."""

    def __init__(self, room: Room, directory: Path, **changes: object) -> None:
        super().__init__(room, directory, make_printer(**changes))

    def start(self) -> PageRunner:
        made = self.begin()
        assert isinstance(made, PageRunner)
        self.runner = made
        return made

    def wait_for_line(self) -> None:
        """What came before the box opened its line is nobody's."""
        wait_until(lambda: self.runner.state is State.IDLE, "the line is open")

    def print(self, data: bytes) -> None:
        os.set_blocking(self.far, True)
        while data:
            data = data[os.write(self.far, data) :]
        os.set_blocking(self.far, False)

    def wait_for(self, count: int, exam: Exam | None) -> list[Path]:
        wait_until(lambda: len(self.objects(exam)) >= count, f"{count} pages are saved")
        found = self.objects(exam)
        assert len(found) == count
        return found

    def heard(self) -> bytes:
        """What the box told the machine."""
        try:
            return os.read(self.far, 100)
        except BlockingIOError:
            return b""


@pytest.fixture
def machine(room: Room, tmp_path: Path) -> Iterator[Densitometer]:
    made = Densitometer(room, tmp_path)
    made.start()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(pages, "_POLL_SECONDS", 0.05)


class BadFlash:
    """A flash that takes no object until it is mended."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.is_bad = True
        original: Callable[..., None] = ObjectWriter.append

        def append(writer: ObjectWriter, data: bytes) -> None:
            if self.is_bad:
                raise OSError(28, "No space left on device")
            original(writer, data)

        patch.setattr(ObjectWriter, "append", append)


def test_ok__a_page_becomes_the_open_exams_object(machine: Densitometer) -> None:
    exam = machine.open_exam()
    machine.print(b"\x1b@T-score -2.1\r\n\x1b*\x00\x02\x00\xff\x81\x0c\x1b@")
    (path,) = machine.wait_for(1, exam)
    assert errors_of(path) == []
    dataset = dcmread(path)
    assert (dataset.PatientName, dataset.Modality, dataset.ConversionType) == (PATIENT, "BMD", "DI")
    assert dataset.DigitalImageFormatAcquired == "ESC/P 9-PIN"
    assert dataset.ImageComments == "T-score -2.1"
    assert dataset.BurnedInAnnotation == "YES"
    assert (dataset.Rows, dataset.Columns, dataset.BitsStored) == (72, 144, 8)
    assert dataset.PhotometricInterpretation == "MONOCHROME2"
    assert not {"PixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"} & set(dataset.dir())
    # Ink is black: the first column of the image, a dot of 1/60 inch in the second line.
    pixels = dataset.pixel_array
    assert set(pixels[12:20, 0]) == {0} and set(pixels[25:, 100]) == {255}
    wait_until(machine.room.is_idle, "nothing is under way")
    (saved,) = machine.runner.keeper.recently_saved()
    assert (str(saved.kind), bool(machine.runner.thumbnails.get(saved.sop_instance_uid))) == ("page", True)
    status = machine.runner.status()
    assert (status["kinds"], status["state"], status["findings"]) == (["page"], "idle", [])


def test_ok__what_nobody_chose_a_patient_for_is_unassigned_and_white_ink_is_white(room: Room, tmp_path: Path) -> None:
    machine = Densitometer(room, tmp_path, ink="white", language="pcl")
    machine.start()
    machine.print(b"\x1bE\x1b&l0E\x1b*t75R\x1b*b1W\xff\x0c")
    (path,) = machine.wait_for(1, None)
    assert errors_of(path) == []
    assert (dcmread(path).pixel_array[0, 0], dcmread(path).pixel_array[40, 40]) == (255, 0)
    assert "ImageComments" not in dcmread(path)
    machine.close()


def test_ok__the_exam_of_the_first_byte_owns_the_page(machine: Densitometer) -> None:
    """The exam is being ended while the page comes in: draining waits, and a page that waits for silence is hurried."""
    exam = machine.open_exam()
    machine.print(b"first half ")
    wait_until(lambda: machine.runner.state is State.RECEIVING, "the page has begun")
    assert (machine.runner.progress() or {})["unit"] == "bytes"
    assert machine.runner.sentence().startswith("Receiving a page, ")
    begin_closing(machine.room.facts, exam)
    assert machine.room.gate.drain(exam.exam_id, DEADLINE, lambda: machine.runner.finish(exam.exam_id))
    (path,) = machine.wait_for(1, exam)
    close_exam(machine.room.facts, exam, path)
    assert machine.runner._is_hurried is False
    machine.print(b"next\x0c")
    machine.wait_for(1, None)


def test_ok__pages_one_after_another_keep_their_order(machine: Densitometer) -> None:
    exam = machine.open_exam()
    machine.print(b"".join(b"page %d\x0c" % number for number in range(5)))
    found = [dcmread(path) for path in machine.wait_for(5, exam)]
    assert [one.ImageComments for one in found] == [f"page {number}" for number in range(5)]
    assert [one.InstanceNumber for one in found] == [1, 2, 3, 4, 5]


def test_ok__an_exam_that_was_opened_without_the_printer(machine: Densitometer) -> None:
    exam = open_exam_of(machine.room.facts)
    machine.print(b"page\x0c")
    machine.wait_for(1, None)
    assert "A page from Densitometer is kept unassigned: " in machine.room.finding("page_unassigned")
    close_exam(machine.room.facts, exam)
    machine.open_exam(2)
    machine.print(b"page\x0c")
    wait_until(lambda: machine.room.finding("page_unassigned") == "", "the next page is its exam's")


def test_fail__exams_that_cannot_be_read_lose_no_page(machine: Densitometer, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.open_exam()

    def fail(_facts: ExamFacts) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ExamFacts, "open_exam_id", fail)
    machine.print(b"page\x0c")
    machine.wait_for(1, None)
    assert "could not be read from flash" in machine.room.finding("page_unassigned")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"\x1b*\x00\xff\x00" + b"\xff" * 255 + b"\x0c", "is cut: the machine printed beyond the paper's edge"),
        (b"text\x1b\x7f\x0c", "may be incomplete: the machine sent commands that are not known here"),
        (b"text\x1b*\x00\xff\x00", "ends where the machine broke off"),
    ],
)
def test_fail__a_page_that_may_not_be_what_was_meant(machine: Densitometer, sent: bytes, words: str) -> None:
    machine.print(sent)
    machine.wait_for(1, None)
    machine.wait_for_finding("page_doubtful", words)
    machine.print(b"good\x0c")
    wait_until(lambda: machine.room.finding("page_doubtful") == "", "the next page is good")


def test_fail__more_pages_than_a_job_may_have(room: Room, tmp_path: Path) -> None:
    machine = Densitometer(room, tmp_path, max_pages=2)
    machine.start()
    exam = machine.open_exam()
    machine.print(b"a\x0cb\x0cc\x0cd\x0c")
    machine.wait_for(2, exam)
    machine.wait_for_finding("page_lost", "2 pages from Densitometer could not be kept. More pages came")
    close_exam(room.facts, exam)
    machine.open_exam(2)
    wait_until(lambda: machine.runner._heard_at is None, "the printer has seen the pause")
    machine.print(b"e\x0c")
    wait_until(lambda: room.finding("page_lost") == "", "that is history in the next exam")
    machine.close()


@pytest.mark.parametrize("flow", ["xonxoff", "none"])
def test_fail__a_flash_that_takes_nothing(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flow: str
) -> None:
    """Pages wait in memory, the machine is told to where its line allows; what is beyond that is said to be lost."""
    machine = Densitometer(room, tmp_path, flow=flow)
    exam = machine.open_exam()
    machine.start()
    flash = BadFlash(monkeypatch)
    machine.print(b"first\x0c")
    machine.wait_for_finding("page_failed", "A page from Densitometer was not saved: the flash is full.")
    assert machine.objects(exam) == []
    if flow == "xonxoff":
        wait_until(lambda: machine.heard() == b"\x13", "the machine is told to wait")
    machine.print(b"".join(b"page %d\x0c" % number for number in range(9)))
    wait_until(lambda: len(machine.runner._waiting) == pages.MOST_WAITING, "no more fit")
    assert "waiting to be saved" in machine.runner.sentence() or machine.runner.state is State.RECEIVING
    before = machine.alive
    if flow == "none":
        machine.wait_for_finding("page_lost", "8 pages wait to be saved, and no more fit.")
        assert not room.gate.drain(exam.exam_id, 0.0)
    flash.is_bad = False
    found = machine.wait_for(10 if flow == "xonxoff" else 8, exam)
    texts = [dcmread(path).ImageComments for path in found]
    assert texts == ["first", *(f"page {number}" for number in range(len(found) - 1))]
    wait_until(lambda: room.finding("page_failed") == "", "it is over")
    assert machine.alive > before
    if flow == "xonxoff":
        assert room.finding("page_lost") == ""
        wait_until(lambda: machine.heard() == b"\x11", "the machine may go on")
    machine.close()


def test_fail__a_page_that_had_to_wait_is_not_the_next_patients(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flash takes nothing, the machine waits in the middle of its job, and meanwhile another exam is opened."""
    machine = Densitometer(room, tmp_path, flow="xonxoff")
    first = machine.open_exam(1)
    machine.start()
    flash = BadFlash(monkeypatch)
    machine.print(b"one\x0c")
    wait_until(lambda: machine.heard() == b"\x13", "the machine is told to wait")
    close_exam(room.facts, first)
    second = machine.open_exam(2)
    machine.print(b"two\x0c")  # from its buffer, or behind an XOFF that it saw too late
    wait_until(lambda: len(machine.runner._waiting) == 2, "both wait")
    flash.is_bad = False
    assert dcmread(machine.wait_for(1, first)[0]).ImageComments == "one"
    assert dcmread(machine.wait_for(1, None)[0]).ImageComments == "two"
    machine.wait_for_finding("page_unassigned", "the machine had to wait with it")
    wait_until(lambda: machine.runner._heard_at is None, "the printer has seen a pause")
    machine.print(b"three\x0c")
    assert dcmread(machine.wait_for(1, second)[0]).ImageComments == "three"
    machine.close()


def test_fail__a_full_flash(room: Room, tmp_path: Path) -> None:
    room.box = Box(reserve_bytes=1 << 60)
    machine = Densitometer(room, tmp_path)
    machine.configuration = machine.configuration.model_copy(update={"box": room.box})
    machine.start()
    machine.print(b"page\x0c")
    machine.wait_for_finding("page_failed", "flash is full")
    machine.stop()
    assert "The box was stopped before its flash took them." in room.finding("page_lost")
    machine.close()


def test_fail__a_name_that_flash_does_not_confirm_is_told_and_not_written_twice(
    machine: Densitometer, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = machine.open_exam()
    publish = ObjectWriter.publish

    def publish_in_doubt(writer: ObjectWriter) -> Path:
        raise UnconfirmedError(publish(writer), OSError(5, "Input/output error"))

    with monkeypatch.context() as patch:
        patch.setattr(ObjectWriter, "publish", publish_in_doubt)
        machine.print(b"page\x0c")
        machine.wait_for_finding("page_unconfirmed", "did not confirm")
        wait_until(lambda: not machine.runner._waiting, "it waits no more")
    machine.print(b"next\x0c")
    assert len(machine.wait_for(2, exam)) == 2


def test_fail__a_fault_of_ours_costs_one_page(machine: Densitometer, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        def fail(*_: object, **__: object) -> None:
            raise KeyError(PATIENT)

        patch.setattr(ObjectKeeper, "keep_still", fail)
        machine.print(b"page\x0c")
        machine.wait_for_finding("page_lost", "That was by a fault in the box (KeyError).")
        wait_until(lambda: not machine.runner._waiting, "it is given up")
    assert PATIENT not in machine.room.finding("page_lost")
    machine.print(b"next\x0c")
    machine.wait_for(1, None)


def test_fail__unplugged_in_the_middle_of_a_page(machine: Densitometer) -> None:
    exam = machine.open_exam()
    machine.print(b"half a page\x1b*\x00\x05\x00\xff")
    wait_until(lambda: machine.runner.state is State.RECEIVING, "the page has begun")
    wait_until(lambda: machine.runner._received == 17, "all of it has come")
    machine.unplug()
    machine.wait_for(1, exam)
    machine.wait_for_finding("unplugged", "serial line")
    machine.wait_for_finding("page_doubtful", "broke off")
    machine.plug()
    wait_until(lambda: machine.room.finding("unplugged") == "", "the line is there again")
    machine.wait_for_line()
    machine.print(b"whole\x0c")
    machine.wait_for(2, exam)


def test_ok__stopping_keeps_what_has_come(machine: Densitometer) -> None:
    exam = machine.open_exam()
    machine.print(b"nobody ended this")
    wait_until(lambda: machine.runner._received == 17, "all of it has come")
    machine.stop()
    (path,) = machine.objects(exam)
    assert dcmread(path).ImageComments == "nobody ended this"


@pytest.mark.parametrize(("patience", "is_fed"), [(60.0, True), (0.0, False)])
def test_ok__flash_that_stalls_trips_no_watchdog_unless_it_goes_on(
    machine: Densitometer, monkeypatch: pytest.MonkeyPatch, patience: float, is_fed: bool
) -> None:
    monkeypatch.setattr(pages, "_STALL_SECONDS", patience)
    original, stalled, go_on = ObjectWriter.publish, threading.Event(), threading.Event()

    def stall(writer: ObjectWriter) -> Path:
        stalled.set()
        assert go_on.wait(DEADLINE)
        return original(writer)

    monkeypatch.setattr(ObjectWriter, "publish", stall)
    machine.print(b"page\x0c")
    assert stalled.wait(DEADLINE)
    before = machine.alive
    if is_fed:
        wait_until(lambda: machine.alive > before + 3, "it gives signs of life")
        machine.print(b"next ")  # what comes meanwhile is taken
        wait_until(lambda: machine.runner._received == 5, "it reads on")
    else:
        machine.print(b"next ")
        wait_until(lambda: machine.runner._received == 5, "it has come round")
        assert machine.alive <= before + 1
    go_on.set()
    machine.wait_for(1, None) if is_fed else wait_until(lambda: bool(machine.objects(None)), "it is saved")


def test_ok__the_clocks_doubt_stands_in_front_of_the_text(room: Room, tmp_path: Path) -> None:
    machine = Densitometer(room, tmp_path)
    machine.start()
    machine.is_clock_trusted = False
    machine.print(b"one\r\ntwo\x0c")
    (path,) = machine.wait_for(1, None)
    assert dcmread(path).ImageComments == f"{CLOCK_IN_DOUBT}\r\n\r\none\r\ntwo"
    machine.close()


def test_ok__the_process(tmp_path: Path) -> None:
    """As on a box: the configuration, a process of its own, the line, and the object."""
    device = """
        [[devices]]
        name = "printer"
        driver = "printer"
        modality = "BMD"
        line = "printer.tty"
        language = "escp24"
    """
    box = ProcessBox(tmp_path, CONFIGURATION + device)
    far, near = os.openpty()
    tty.setraw(near)
    try:
        (box.paths.run / "printer.tty").symlink_to(os.ttyname(near))
        box.start("printer")
        box.wait_for_state("printer", "idle")
        os.write(far, f"{PATIENT}\r\n\x0c".encode())
        wait_until(lambda: box.status("printer")["captured"], "the page is saved")
        ((path, _),) = box.objects("printer", None)
        assert errors_of(path) == []
        assert (dcmread(path).Rows, dcmread(path).Columns) == (4209, 2976)  # A4 at 360 dpi
        (saved,) = box.status("printer")["captured"]
        assert box.picture("printer", f"/thumbnail/{saved['sop_instance_uid']}").startswith(b"\xff\xd8")
        assert box.end("printer") == 0
        assert PATIENT not in box.log("printer").read_text()
    finally:
        box.close()
        os.close(far)
        os.close(near)
