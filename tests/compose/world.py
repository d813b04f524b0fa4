"""What the tests of compose stand on: a worklist item with everything, one with next to nothing, machines, frames."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import Dataset

from appliance.base.jpeg_ls import encode_jpeg_ls
from appliance.compose.density import density_table_from
from appliance.compose.document import compose_document
from appliance.compose.instance import Composed, Origins, compose_clip, compose_film, compose_still
from appliance.compose.kinds import film_photometric_of
from appliance.compose.pixels import (
    SEQUENCE_DELIMITER,
    film_form_from,
    format_ratio,
    fragment_header,
    padding,
    pixel_form_from,
)
from appliance.config.devices import Device, FilmDevice, GrabberDevice, SerialDevice
from appliance.config.schema import Box
from appliance.devices.frame import Encoding, Frame
from appliance.exam.exam import Exam, open_exam
from appliance.exam.item import WorklistItem

OPENED_AT = datetime(2026, 11, 22, 9, 30, 15, tzinfo=timezone(timedelta(hours=1)))
CAPTURED_AT = datetime(2026, 11, 22, 9, 41, 7, 250_000, tzinfo=timezone(timedelta(hours=1)))
CLOSED_AT = datetime(2026, 11, 22, 9, 55, 3, 999_999, tzinfo=timezone(timedelta(hours=1)))
EXAM_ID = "20261122-093015-4af1"
UID = "2.25.1234567890"

BOX = Box(name="bridge-3", ae_title="BRIDGE3", institution="Klinik am Hügel")
SERIAL = SerialDevice(
    name="ultrasound",
    driver="xmodem",
    line=Path("tty"),
    title="Ultrasound",
    modality="US",
    manufacturer="Demo Sonics",
    model="SL-1",
    serial_number="1987-0042",
    station_name="US1",
    series_description="Abdominal ultrasound",
)
GRABBER = GrabberDevice(
    name="endoscope", driver="grabber", source=Path("socket"), modality="ES", title="Endoscope", manufacturer="Demo"
)
FILM = FilmDevice(name="film", driver="sane", sane_device="test:0", modality="RG", title="Film digitizer")
DEVICES: tuple[Device, ...] = (SERIAL, GRABBER, FILM)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def local(namespace: str) -> Dataset:
    """An item of the sequences that say who gave an identifier."""
    item = Dataset()
    item.LocalNamespaceEntityID = namespace
    return item


def full_entry() -> Dataset:
    """A worklist entry with a value in everything that is mapped, each value different from every other."""
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = "1.2.276.0.7230010.3.9.1"
    qualifiers = Dataset()
    qualifiers.UniversalEntityID = "1.2.276.0.99.1"
    qualifiers.UniversalEntityIDType = "ISO"
    other = Dataset()
    other.PatientID = "OTHER-77"
    other.IssuerOfPatientID = "ELSEWHERE"
    other.TypeOfPatientID = "TEXT"
    referrer = Dataset()
    referrer.PersonIdentificationCodeSequence = [code("REF-1", "99HOSP", "Referrer one")]
    referrer.InstitutionName = "Praxis Referrer"

    requester = Dataset()
    requester.PersonIdentificationCodeSequence = [code("REQ-1", "99HOSP", "Requester one")]
    requester.InstitutionName = "Station 4"

    step = Dataset()
    step.ScheduledStationAETitle = "BRIDGE3"
    step.ScheduledProcedureStepStartDate = "20261122"
    step.ScheduledProcedureStepStartTime = "093000"
    step.Modality = "US"
    step.ScheduledPerformingPhysicianName = "Performer^Paula"
    step.ScheduledProcedureStepDescription = "Liver and spleen"
    step.ScheduledProtocolCodeSequence = [code("PROT-1", "99HOSP", "Upper abdomen protocol")]
    step.ScheduledProcedureStepID = "SPS-5"

    entry = Dataset()
    entry.SpecificCharacterSet = "ISO_IR 100"
    entry.AccessionNumber = "ACC-4711"
    entry.IssuerOfAccessionNumberSequence = [local("RIS-ACC")]
    entry.InstitutionName = "Uniklinik"
    entry.ReferringPhysicianName = "Referrer^Renée"
    entry.ReferringPhysicianIdentificationSequence = [referrer]
    entry.ReferencedStudySequence = [study]
    entry.PatientName = "Müller^Jörg^^Dr."
    entry.PatientID = "PAT-0815"
    entry.IssuerOfPatientID = "KIS"
    entry.IssuerOfPatientIDQualifiersSequence = [qualifiers]
    entry.PatientBirthDate = "19560708"
    entry.PatientSex = "M"
    entry.OtherPatientIDsSequence = [other]
    entry.PatientSize = "1.83"
    entry.PatientWeight = "81.5"
    entry.PregnancyStatus = 4
    entry.MedicalAlerts = "Pacemaker"
    entry.StudyInstanceUID = "1.2.276.0.7230010.3.2.4711"
    entry.RequestingPhysician = "Requester^Rudi"
    entry.RequestingPhysicianIdentificationSequence = [requester]
    entry.RequestingService = "Innere Medizin"
    entry.RequestingServiceCodeSequence = [code("SERV-1", "99HOSP", "Internal medicine")]
    entry.RequestedProcedureDescription = "Ultrasound of the abdomen"
    entry.RequestedProcedureCodeSequence = [code("PROC-1", "99HOSP", "Abdominal sonography")]
    entry.AdmissionID = "ADM-9"
    entry.IssuerOfAdmissionIDSequence = [local("KIS-ADM")]
    entry.RouteOfAdmissions = "Emergency room"
    entry.ScheduledProcedureStepSequence = [step]
    entry.RequestedProcedureID = "RP-31"
    entry.ReasonForTheRequestedProcedure = "Pain on the right"
    entry.ReasonForRequestedProcedureCodeSequence = [code("R10.1", "I10", "Upper abdominal pain")]
    entry.PlacerOrderNumberImagingServiceRequest = "PLACER-1"
    entry.FillerOrderNumberImagingServiceRequest = "FILLER-1"
    entry.OrderPlacerIdentifierSequence = [local("WARD")]
    entry.OrderFillerIdentifierSequence = [local("RIS-FILL")]
    return entry


def sparse_entry() -> Dataset:
    """What the worst of worklists still sends."""
    entry = Dataset()
    entry.PatientName = "Nobody"
    entry.PatientID = "X1"
    step = Dataset()
    step.Modality = "US"
    entry.ScheduledProcedureStepSequence = [step]
    return entry


def named_entry(terms: str | list[str], name: str, description: str = "") -> Dataset:
    """An entry in the character sets `terms`."""
    entry = full_entry()
    entry.ReferringPhysicianName = "Referrer"
    entry.InstitutionName = "Hospital"
    entry.SpecificCharacterSet = terms
    entry.PatientName = name
    entry.RequestedProcedureDescription = description or "Abdomen"
    return entry


def item_from_entry(entry: Dataset) -> WorklistItem:
    return WorklistItem("ris", entry.to_json_dict())


def exam_on(entry: Dataset, devices: tuple[Device, ...] = DEVICES) -> Exam:
    return open_exam(item_from_entry(entry), devices, OPENED_AT, EXAM_ID)


def origins_of(exam: Exam | None, device: Device, box: Box = BOX) -> Origins:
    video = "1920x1080p30" if device.driver == "grabber" else ""
    digital = {"xmodem": "XMODEM", "printer": "HP PCL", "text": "ASTM E1394"}.get(device.driver, "")
    return Origins(exam, device, box, UID, CAPTURED_AT, 7, video_format=video, digital_format=digital)


def picture(width: int, height: int, channels: int = 3) -> np.ndarray:
    """A picture with something in it, the same in each run."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [(rows * (3 + plane) + columns * (5 - plane) + 40 * plane) % 256 for plane in range(channels)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def jpeg(
    width: int = 48,
    height: int = 32,
    *,
    subsampling: str = "4:2:2",
    gray: bool = False,
    is_odd: bool,
    quality: int = 80,
) -> bytes:
    """A baseline JPEG image of an odd or an even number of bytes (a comment segment makes the difference)."""
    image = Image.fromarray(picture(width, height, 1)[..., 0] if gray else picture(width, height))
    buffer = io.BytesIO()
    options = {} if gray else {"subsampling": subsampling}
    image.save(buffer, "JPEG", quality=quality, **options)
    data = buffer.getvalue()
    if len(data) % 2 != is_odd:
        data = data[:2] + b"\xff\xfe\x00\x03!" + data[2:]
    assert len(data) % 2 == is_odd
    return data


def jpeg_frame(data: bytes) -> Frame:
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    return Frame(data, Encoding.JPEG, width, height, 8, 0, 0.0)


def rgb_frame(width: int = 15, height: int = 9, lossy_bytes: int = 0) -> Frame:
    return Frame(picture(width, height).tobytes(), Encoding.RGB, width, height, 8, 0, 0.0, lossy_bytes)


def gray_frame(width: int = 15, height: int = 9) -> Frame:
    return Frame(picture(width, height, 1).tobytes(), Encoding.GRAY8, width, height, 8, 0, 0.0)


def gray16_frame(width: int = 15, height: int = 9, bits_stored: int = 12) -> Frame:
    samples = (np.arange(width * height, dtype="<u2") * 97) & ((1 << bits_stored) - 1)
    return Frame(samples.astype("<u2").tobytes(), Encoding.GRAY16, width, height, bits_stored, 0, 0.0)


@dataclass(frozen=True)
class Made:
    """A composed object as a file, and what was put into it."""

    path: Path
    composed: Composed
    pixels: bytes


def make_still(path: Path, exam: Exam | None, device: Device, frame: Frame, printed_text: str = "") -> Made:
    origins = replace(origins_of(exam, device), printed_text=printed_text)
    composed = compose_still(origins, pixel_form_from(frame), len(frame.data), lossy_bytes=frame.lossy_bytes)
    path.write_bytes(composed.header + frame.data + composed.trailer)
    return Made(path, composed, frame.data)


def make_document(
    path: Path,
    exam: Exam | None,
    pdf: bytes = b"%PDF-1.4\n%%EOF",
    is_trusted: bool = True,
    device: Device = SERIAL,
) -> Made:
    origins = replace(origins_of(exam, device), is_clock_trusted=is_trusted)
    composed = compose_document(origins, "Lensmeter: Results", len(pdf))
    path.write_bytes(composed.header + pdf + composed.trailer)
    return Made(path, composed, pdf)


def make_clip(path: Path, exam: Exam | None, frames: list[bytes], frame_time_ms: str = "33.366700") -> Made:
    """A clip as acquire writes it: fragments as they come, the slots filled at the end."""
    form = pixel_form_from(jpeg_frame(frames[0]))
    composed = compose_clip(origins_of(exam, GRABBER), form, 1000 / 30)
    fragments = b"".join(fragment_header(len(one) + len(one) % 2) + one + padding(len(one)) for one in frames)
    content = bytearray(composed.header + fragments + composed.trailer)
    values = {
        "NumberOfFrames": str(len(frames)),
        "FrameTime": frame_time_ms,
        "LossyImageCompressionRatio": format_ratio(form.frame_bytes * len(frames), sum(map(len, frames))),
    }
    for keyword, slot in composed.slots.items():
        content[slot.position : slot.position + slot.width] = slot.fill(values[keyword])
    path.write_bytes(content)
    return Made(path, composed, b"".join(frames))


STEPS = ((100, 3.0), (30000, 1.5), (65000, 0.1))  # as a digitizer sees a wedge that lets more and more light through


def make_film(path: Path, exam: Exam | None, width: int = 15, height: int = 9, device: FilmDevice = FILM) -> Made:
    bits, steps = device.depth, device.density_steps
    frame = gray_frame(width, height) if bits == 8 else gray16_frame(width, height, bits_stored=bits)
    is_coded = device.compression == "jpeg-ls"
    pixels = bytes(encode_jpeg_ls(frame.data, width, height, bits) or b"") if is_coded else frame.data
    form = film_form_from(width, height, bits, photometric=film_photometric_of(device), is_jpeg_ls=is_coded)
    density = density_table_from(steps, bits) if steps else None
    length = len(pixels) if is_coded else None
    composed = compose_film(origins_of(exam, device), form, 150, density=density, length=length)
    path.write_bytes(composed.header + pixels + composed.trailer)
    return Made(path, composed, frame.data)


def film_of(**changes: object) -> Callable[[Path, Exam | None], Made]:
    """A film of a digitizer that is configured otherwise."""
    device = FilmDevice.model_validate({**FILM.model_dump(), **changes})
    return lambda path, exam: make_film(path, exam, device=device)


def ends_with_delimiter(made: Made) -> bool:
    return made.path.read_bytes().endswith(SEQUENCE_DELIMITER)


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A program of the system's packages, not its namesake in a virtual environment."""
    command = [f"/usr/bin/{program}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)


def clip_frames() -> list[bytes]:
    return [jpeg(subsampling="4:2:0", is_odd=odd, quality=quality) for odd, quality in ((1, 80), (0, 70), (1, 60))]


# The standard gives a choice of 8 and 16 bits (PS3.3 C.11.1.1.1); this release of dciodvfy wants the highest of 16 to
# be used. Densities are thousandths (C.11.1.1.2), which 8 bits do not hold, and no film has 32.8; a table in other
# units (type US) would use all bits, and say nothing of densities.
ALLOWED_ERROR = "Modality LUT - LUT Descriptor number of bits = 16 but maximum LUT Data value is 0xbb8"

# Every kind of object that the box makes; what is made of an exam and what of none.
KINDS: dict[str, Callable[[Path, Exam | None], Made]] = {
    "still, JPEG 4:2:2": lambda path, exam: make_still(path, exam, GRABBER, jpeg_frame(jpeg(is_odd=True))),
    "still, JPEG 4:2:0": lambda path, exam: make_still(
        path, exam, GRABBER, jpeg_frame(jpeg(subsampling="4:2:0", is_odd=False))
    ),
    "still, JPEG 4:4:4": lambda path, exam: make_still(
        path, exam, GRABBER, jpeg_frame(jpeg(subsampling="4:4:4", is_odd=False))
    ),
    "still, JPEG gray": lambda path, exam: make_still(path, exam, SERIAL, jpeg_frame(jpeg(gray=True, is_odd=True))),
    "still, RGB": lambda path, exam: make_still(path, exam, SERIAL, rgb_frame()),
    "still, RGB that was JPEG": lambda path, exam: make_still(path, exam, SERIAL, rgb_frame(lossy_bytes=100)),
    "still, 8 bit gray": lambda path, exam: make_still(path, exam, SERIAL, gray_frame()),
    "still, 12 bit gray": lambda path, exam: make_still(path, exam, SERIAL, gray16_frame()),
    "page": lambda path, exam: make_still(path, exam, SERIAL, gray_frame(), printed_text="T-score\n-2.1"),
    "clip": lambda path, exam: make_clip(path, exam, clip_frames()),
    "film": make_film,
    "film, 12 bit": film_of(depth=12),
    "film, 8 bit": film_of(depth=8),
    "film, dark": film_of(photometric="MONOCHROME1"),
    "film, density": film_of(density_steps=STEPS),
    "film, JPEG-LS": film_of(compression="jpeg-ls"),
    "film, JPEG-LS, 8 bit": film_of(compression="jpeg-ls", depth=8),
}
