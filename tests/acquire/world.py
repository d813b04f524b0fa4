"""What the acquire room's tests stand on: a patient and an exam, frames, a source and a clock in the test's hand."""

from __future__ import annotations

import io
import queue
import struct
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.sequence import Sequence

from appliance.base.clock import Deadline
from appliance.config.devices import Device, FilmDevice, GrabberDevice, SerialDevice
from appliance.config.load import configuration_from
from appliance.config.schema import Configuration
from appliance.devices.errors import NoSignal
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.jpeg import parse_jpeg, with_standard_huffman_tables
from appliance.exam.exam import Closed, Closing, Exam, Instance, Outcome, open_exam
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem

START = datetime(2026, 11, 22, 9, 30, 15, 250000, tzinfo=timezone(timedelta(hours=1)))
PATIENT = "Qvistgaard^Zenobia"
PATIENT_ID = "PID-7431-XQ"
CONFIGURATION = """
[box]
name = "bridge"
institution = "Klinik"
reserve_bytes = 1000000
[[devices]]
name = "ultrasound"
driver = "xmodem"
title = "Ultrasound"
modality = "US"
manufacturer = "Alt und Söhne"
line = "machines/ultrasound.tty"
max_pixels = 400000
max_bytes = 600000
gap_seconds = 5
[[devices]]
name = "endoscope"
driver = "grabber"
title = "Endoscope"
modality = "ES"
source = "machines/endoscope.sock"
[[devices]]
name = "film"
driver = "sane"
title = "Film digitizer"
modality = "RG"
sane_device = "test:0"
sane_config_directory = "machines/sane"
resolution_dpi = 75
width_mm = 100
height_mm = 120
stall_seconds = 5
"""


def make_configuration() -> Configuration:
    return configuration_from(CONFIGURATION.encode(), Path("active.toml"))


def make_device(name: str, /, **changes: object) -> Device:
    return make_configuration().device(name).model_copy(update=changes)


def make_grabber(**changes: object) -> GrabberDevice:
    device = make_device("endoscope", **changes)
    assert isinstance(device, GrabberDevice)
    return device


def make_serial(**changes: object) -> SerialDevice:
    device = make_device("ultrasound", **changes)
    assert isinstance(device, SerialDevice)
    return device


def make_film(**changes: object) -> FilmDevice:
    device = make_device("film", **changes)
    assert isinstance(device, FilmDevice)
    return device


def make_item(number: int = 1) -> WorklistItem:
    """A worklist entry of the patient whom no log may name."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.AccessionNumber = f"ACC{number:05}"
    dataset.ReferringPhysicianName = "Überweis^Otto"
    dataset.PatientName = PATIENT
    dataset.PatientID = PATIENT_ID
    dataset.PatientBirthDate = "19480517"
    dataset.PatientSex = "F"
    dataset.StudyInstanceUID = f"1.2.276.0.7230010.3.2.{number}"
    dataset.RequestedProcedureID = f"RP{number}"
    dataset.RequestedProcedureDescription = "Abdomen"
    step = Dataset()
    step.Modality = "US"
    step.ScheduledProcedureStepID = f"SPS{number}"
    step.ScheduledProcedureStepDescription = "Abdomen"
    step.ScheduledProcedureStepStartDate = "20261122"
    step.ScheduledProcedureStepStartTime = "093000"
    dataset.ScheduledProcedureStepSequence = Sequence([step])
    return WorklistItem("ris", dataset.to_json_dict())


def open_exam_of(facts: ExamFacts, number: int = 1, configuration: Configuration | None = None) -> Exam:
    """Open an exam, durably, as the console does."""
    devices = (configuration or make_configuration()).devices
    exam = open_exam(make_item(number), devices, START, f"20261122-0930{number:02}-{number:04x}")
    assert facts.write(exam.exam_id, "exam", exam)
    return exam


def begin_closing(facts: ExamFacts, exam: Exam) -> None:
    facts.write(exam.exam_id, "closing", Closing(START, Outcome.COMPLETED))


def close_exam(facts: ExamFacts, exam: Exam, *listed: Path) -> None:
    """End the exam as the console does, with a list of its objects (without handing them over)."""
    instances = tuple(
        Instance("1.2", path.name.partition("~")[0], "1.2", "1.2", "endoscope", "ES", path.name, 1) for path in listed
    )
    begin_closing(facts, exam)
    facts.write(exam.exam_id, "closed", Closed(START, Outcome.COMPLETED, instances, ()))


class HandClock:
    """Wall and monotonic time, turned by the test; a wait passes the time that it was given."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._lock = threading.Lock()

    def turn(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.turn(seconds)
        return event.wait(0.001)


@cache
def picture(
    number: int = 0, size: tuple[int, int] = (96, 64), mode: str = "RGB", subsampling: int = 2, quality: int = 80
) -> bytes:
    """A baseline JPEG that no other `number` gives; `subsampling` as Pillow counts: 0 is 4:4:4, 1 4:2:2, 2 4:2:0."""
    image = Image.new(mode, size, 20 if mode == "L" else (20, 40, 10 + number % 200))
    draw = ImageDraw.Draw(image)
    for line in range(0, size[1], 7):
        draw.line((0, line, size[0], (line + number * 3) % size[1]), fill=(line * 3) % 256)
    buffer = io.BytesIO()
    if mode == "L":
        image.save(buffer, "JPEG", quality=quality)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def make_frame(data: bytes, sequence: int = 0, timestamp: float = 0.0) -> Frame:
    header = parse_jpeg(data)
    whole = with_standard_huffman_tables(data, header)
    return Frame(whole, Encoding.JPEG, header.width, header.height, 8, sequence, timestamp)


class HandSource:
    """A video source that the test feeds: frames, and errors to raise. Nothing fed means no signal, at once."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._next: queue.Queue[Frame | Exception] = queue.Queue()
        self.opened = 0
        self.compromise = ""
        self.open_error: Exception | None = None

    def feed(self, *things: Frame | Exception) -> None:
        for thing in things:
            self._next.put(thing)

    def open(self, deadline: Deadline) -> None:
        if self.open_error is not None:
            raise self.open_error
        self.opened += 1

    def read_frame(self, deadline: Deadline) -> Frame:
        try:
            thing = self._next.get(timeout=0.05)
        except queue.Empty:
            raise NoSignal("No picture comes from the endoscope.", "") from None
        if isinstance(thing, Exception):
            raise thing
        return thing

    def close(self) -> None:
        pass


def errors_of(path: Path) -> list[str]:
    """What dciodvfy, an independent reader of the standard, finds wrong with the object."""
    run = subprocess.run(
        ["/usr/bin/dciodvfy", "-new", path], capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
    lines = (run.stdout + run.stderr).splitlines()
    assert lines, "dciodvfy said nothing at all"
    return [line for line in lines if line.startswith("Error")]


_ITEM = struct.Struct("<HHL")


def fragments_of(path: Path) -> list[bytes]:
    """The fragments of an encapsulated object in order, by hand: pydicom's own reader is not asked."""
    data = path.read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff") + 12
    found = []
    while True:
        group, element, length = _ITEM.unpack(data[at : at + 8])
        if (group, element) == (0xFFFE, 0xE0DD):
            assert length == 0 and at + 8 == len(data)
            assert found[0] == b""  # the empty Basic Offset Table
            return found[1:]
        assert (group, element) == (0xFFFE, 0xE000)
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length


def unpadded(fragment: bytes) -> bytes:
    return fragment[: fragment.rindex(b"\xff\xd9") + 2]


def scan_data_of(data: bytes) -> bytes:
    """The coded scan: from SOS to the end marker."""
    header = parse_jpeg(data)
    return data[header.scan_offset : header.end]
