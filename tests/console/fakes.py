"""What the console's tests stand on: a clock turned by hand, entries, objects, and acquire and forward as fakes.

The fakes are small Starlette applications on unix sockets that answer as the real processes do, in threads of the test,
so that a test can look into them and break them.
"""

from __future__ import annotations

import io
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.base.durable import make_directory
from appliance.base.errors import ApplianceError
from appliance.base.http import answer_appliance_error, error_response, read_json
from appliance.base.paths import Paths
from appliance.base.sockets import bind_unix
from appliance.base.uids import new_uid
from appliance.config.load import configuration_from
from appliance.config.schema import Configuration
from appliance.exam.answers import WorklistAnswer, write_answer
from appliance.exam.exam import Exam
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem
from appliance.spool.names import object_name_from
from appliance.spool.tree import Spool, list_objects
from appliance.spool.writer import ObjectWriter

CONFIGURATION = """
[box]
name = "bridge"
institution = "Klinik am Hügel"
[[worklist]]
name = "ris"
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = 1
[performed_step]
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = 1
[[destinations]]
name = "archive"
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = 1
[[devices]]
name = "ultrasound"
driver = "xmodem"
title = "Ultrasound"
modality = "US"
line = "nowhere"
[[devices]]
name = "endoscope"
driver = "grabber"
title = "Endoscope"
modality = "ES"
source = "nowhere"
[[devices]]
name = "film"
driver = "sane"
title = "Film digitizer"
modality = "RG"
sane_device = "test:0"
scan_seconds = 20.0
"""


MODALITIES = {"ultrasound": "US", "endoscope": "ES", "film": "RG"}


def make_configuration() -> Configuration:
    return configuration_from(CONFIGURATION.encode(), Path("test.toml"))


class HandClock:
    """Time that passes only when somebody waits or the test turns it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.start = datetime(2026, 11, 22, 9, 30, 0, tzinfo=timezone(timedelta(hours=1)))

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return 1000.0 + self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.seconds += seconds
        return event.is_set()


def make_item(
    name: dict[str, str] | str = "Doe^Jane",
    patient_id: str = "PID-1",
    *,
    birth_date: str = "19610304",
    sex: str = "F",
    modality: str = "ES",
    procedure: str = "Gastroscopy",
    time_of_day: str = "093000",
    accession: str = "A-1",
    step: str = "S1",
    day: str = "",
) -> WorklistItem:
    """An entry of today, since the panel shows no other day's unless it is asked to."""
    groups = {"Alphabetic": name} if isinstance(name, str) else name
    return WorklistItem(
        source="ris",
        elements={
            "00080050": {"vr": "SH", "Value": [accession]},
            "00100010": {"vr": "PN", "Value": [groups]},
            "00100020": {"vr": "LO", "Value": [patient_id]},
            "00100030": {"vr": "DA", "Value": [birth_date] if birth_date else []},
            "00100040": {"vr": "CS", "Value": [sex]},
            "0020000D": {"vr": "UI", "Value": [f"1.2.3.{abs(hash((patient_id, step))) % 10**9}"]},
            "00321060": {"vr": "LO", "Value": [procedure]},
            "00401001": {"vr": "SH", "Value": [f"RP-{patient_id}"]},
            "00400100": {
                "vr": "SQ",
                "Value": [
                    {
                        "00080060": {"vr": "CS", "Value": [modality]},
                        "00400002": {"vr": "DA", "Value": [day or f"{datetime.now():%Y%m%d}"]},
                        "00400003": {"vr": "TM", "Value": [time_of_day]},
                        "00400009": {"vr": "SH", "Value": [step]},
                    }
                ],
            },
        },
    )


def make_items() -> list[WorklistItem]:
    """A believable morning in several scripts."""
    return [
        make_item(
            "Müller^Jürgen^^Dr.", "4711", birth_date="19480517", sex="M", time_of_day="080000", accession="20261"
        ),
        make_item(
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
            "JP-000123",
            birth_date="19750801",
            sex="M",
            modality="US",
            procedure="Abdomen ultrasound",
            time_of_day="083000",
            accession="20262",
        ),
        make_item(
            {"Alphabetic": "Ahmad^Layla", "Ideographic": "أحمد^ليلى"},
            "AR-77",
            birth_date="19900211",
            modality="ES",
            procedure="Colonoscopy",
            time_of_day="090000",
            accession="20263",
        ),
        make_item(
            "Люкceмбypг^Анна",
            "RU-9001-XII",
            birth_date="20190630",
            modality="RG",
            procedure="Thorax p.a., film digitized for comparison with the study of last year",
            time_of_day="093000",
            accession="20264",
        ),
        make_item("قباني^لنزار", "AR-78", birth_date="19230321", sex="M", time_of_day="100000", accession="20265"),
        make_item("Buc^Jérôme", "FR-1", birth_date="", sex="", time_of_day="103000", accession="20266"),
        *(
            make_item(
                f"Patient^Number {number}",
                f"N-{number:04}",
                time_of_day=f"{11 + number // 6:02}{number % 6}000",
                accession=f"30{number:03}",
            )
            for number in range(24)
        ),
    ]


def write_worklist(paths: Paths, items: list[WorklistItem], *, trouble: str = "", age_seconds: float = 20.0) -> None:
    answered = (datetime.now().astimezone() - timedelta(seconds=age_seconds)).isoformat(timespec="seconds")
    write_answer(paths.worklist, WorklistAnswer("ris", answered, answered, trouble), items)


def write_object(
    spool: Spool,
    exam: Exam | None,
    device: str,
    *,
    study: str | None = None,
    into: str | None = None,
    size: int = 64,
    preamble: bytes = b"",
    pixels: bytes = b"",
    bits: int = 8,
    sop_class_uid: str = SecondaryCaptureImageStorage,
) -> Path:
    """A small, true Secondary Capture object of `exam`, or of none, published as an acquire does."""
    uid = new_uid()
    series = exam.series_of(device) if exam else None
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = uid
    dataset.StudyInstanceUID = study or (exam.study_instance_uid if exam else new_uid())
    dataset.SeriesInstanceUID = series.series_instance_uid if series else new_uid()
    dataset.Modality = series.modality if series else MODALITIES[device]
    dataset.PatientID = exam.item.patient_id if exam else ""
    dataset.PatientName = exam.item.patient_name.alphabetic if exam else ""
    if series and series.series_description:
        dataset.SeriesDescription = series.series_description
    dataset.InstanceNumber = 1
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20261122", "093105"
    dataset.TimezoneOffsetFromUTC = "+0100"
    dataset.Rows = dataset.Columns = size
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = bits - 1, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = pixels or bytes(size * size * bits // 8)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    directory = spool.captured(device, into or (exam.exam_id if exam else None))
    make_directory(directory)
    return ObjectWriter(directory, uid, preamble + buffer.getvalue()[len(preamble) :]).publish()


def draw_picture(text: str, width: int = 640, height: int = 360, shade: int = 40) -> bytes:
    """A JPEG that says `text` and moves with the time."""
    image = Image.new("RGB", (width, height), (shade, 20, 60))
    draw = ImageDraw.Draw(image)
    x = int(time.monotonic() * 200) % width
    draw.ellipse((x - 40, height // 2 - 40, x + 40, height // 2 + 40), fill=(220, 120, 90))
    draw.rectangle((10, 10, width - 10, height - 10), outline=(120, 160, 200), width=3)
    draw.text((24, 20), text, fill=(255, 255, 255), font_size=height // 10)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=70)
    return out.getvalue()


class SocketServer:
    """A Starlette application on a unix socket, in a thread; `stop` takes it away as a killed process goes."""

    def __init__(self, app: Starlette, path: Path) -> None:
        app.add_exception_handler(ApplianceError, answer_appliance_error)
        self._listener = bind_unix(path)
        self._path = path
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=lambda: self._server.run(sockets=[self._listener]), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def begin_stop(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server.should_exit = True
        self._server.force_exit = True  # a killed process finishes nothing

    def stop(self) -> None:
        self.begin_stop()
        self._thread.join(10)
        self._listener.close()


_AT_REST = {
    "transfer": "Waiting for an image: press Print on the machine.",
    "film": "Ready: put a film in and press Scan film.",
}


class FakeAcquire:
    """One device's acquire: answers as PLAN says, and captures small true objects into captured/DEVICE/EXAM."""

    def __init__(self, paths: Paths, device: str, title: str, modality: str, kinds: list[str]) -> None:
        self.paths, self.device = paths, device
        self.spool, self.facts = Spool(paths.state), ExamFacts(Spool(paths.state).exams)
        self.title, self.modality, self.kinds = title, modality, kinds
        self.state, self.sentence = "idle", _AT_REST.get(kinds[0], "Ready.")
        self.progress: dict[str, Any] | None = None
        self.findings: list[dict[str, str]] = []
        self.captured: list[dict[str, Any]] = []
        self.is_drained = True
        self.has_picture = True
        self.may_end_film = threading.Event()
        """Until it is set a film that is being scanned is half done."""
        self.still_error: str = ""
        self.asked: list[str] = []
        self._recording_since = 0.0
        self._cancel = threading.Event()
        self.server: SocketServer | None = None
        self.start()

    def start(self) -> None:
        routes = [
            Route("/status", self._status),
            Route("/still", self._post(self._still), methods=["POST"]),
            Route("/clip/start", self._post(self._clip_start), methods=["POST"]),
            Route("/clip/stop", self._post(self._clip_stop), methods=["POST"]),
            Route("/film", self._post(self._film), methods=["POST"]),
            Route("/cancel", self._post(self._do_cancel), methods=["POST"]),
            Route("/drain", self._post(self._drain), methods=["POST"]),
            Route("/preview", self._preview),
            Route("/thumbnail/{uid}", self._thumbnail),
        ]
        self.server = SocketServer(Starlette(routes=routes), self.paths.acquire_socket(self.device))

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def _post(self, work: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            self.asked.append(request.url.path)
            return JSONResponse(await run_in_threadpool(work, await read_json(request)))

        return endpoint

    def _status(self, _request: Request) -> Response:
        progress = self.progress
        if self.state == "recording":
            progress = {"done": time.monotonic() - self._recording_since, "total": None, "unit": "seconds"}
        return JSONResponse(
            {
                "device": self.device,
                "title": self.title,
                "modality": self.modality,
                "driver": "fake",
                "kinds": self.kinds,
                "state": self.state,
                "sentence": self.sentence,
                "progress": progress,
                "findings": self.findings,
                "captured": self.captured[-64:],
            }
        )

    def save(self, exam_id: str, kind: str, frames: int = 1) -> dict[str, Any]:
        exam = self.facts.exam(exam_id)
        assert exam is not None
        classes = {"clip": MultiFrameTrueColorSecondaryCaptureImageStorage}
        sop_class = classes.get(kind, SecondaryCaptureImageStorage)
        path = write_object(self.spool, exam, self.device, sop_class_uid=sop_class)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        name = object_name_from(path.name)
        assert name is not None
        saved = {
            "sop_instance_uid": name.sop_instance_uid,
            "exam_id": exam_id,
            "kind": kind,
            "captured_at": now,
            "saved_at": now,
            "frames": frames,
            "bytes": path.stat().st_size,
            "file_name": path.name,
        }
        self.captured.append(saved)
        return saved

    def _still(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.still_error:
            raise ApplianceError(self.still_error, "Check the cable and try again.")
        return self.save(body["exam_id"], "still")

    def _clip_start(self, body: dict[str, Any]) -> dict[str, Any]:
        self.state, self.sentence, self._recording_since = "recording", "Recording.", time.monotonic()
        self._exam_id = body["exam_id"]
        return {"sop_instance_uid": new_uid()}

    def _clip_stop(self, _body: dict[str, Any]) -> dict[str, Any]:
        if self.state != "recording":
            raise ApplianceError("Nothing is being recorded.")
        self.state, self.sentence = "idle", "Ready."
        return self.save(self._exam_id, "clip", int(30 * (time.monotonic() - self._recording_since)) + 2)

    def _film(self, body: dict[str, Any]) -> dict[str, Any]:
        self._cancel.clear()
        self.state, self.sentence = "scanning", "Scanning the film."
        self.progress = {"done": 2_000_000, "total": 4_000_000, "unit": "bytes"}
        try:
            while not self.may_end_film.is_set():
                if self._cancel.wait(0.02):
                    raise ApplianceError("The scan was cancelled.", "Nothing of it was kept.")
            return self.save(body["exam_id"], "film")
        finally:
            self.state, self.sentence, self.progress = "idle", _AT_REST["film"], None

    def _do_cancel(self, _body: dict[str, Any]) -> dict[str, Any]:
        self._cancel.set()
        return {}

    def _drain(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.state == "recording":
            self._clip_stop({})
        deadline = time.monotonic() + float(body.get("seconds", 0))
        while not self.is_drained and time.monotonic() < deadline:
            time.sleep(0.02)
        return {"drained": self.is_drained}

    def _preview(self, _request: Request) -> Response:
        if not self.has_picture:
            return error_response(ApplianceError("There is no video signal.", "Check the cable."), 503)
        return Response(draw_picture("LIVE 12:34:56"), media_type="image/jpeg")

    def _thumbnail(self, request: Request) -> Response:
        uid = request.path_params["uid"]
        if all(saved["sop_instance_uid"] != uid for saved in self.captured):
            return error_response(ApplianceError("There is no such picture."), 404)
        return Response(draw_picture(self.modality, 160, 120), media_type="image/jpeg")


class FakeForward:
    """Forward: lists what lies in the outbox, and lets the test move it from saved to stored to committed."""

    def __init__(self, paths: Paths) -> None:
        self.paths, self.spool, self.facts = paths, Spool(paths.state), ExamFacts(Spool(paths.state).exams)
        self.states: dict[str, str] = {}
        self.said = ""
        self.trouble = ""
        self.step_state = ""
        self.hints = 0
        self.refreshed = 0
        self.asked: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.server: SocketServer | None = None
        self.start()

    def start(self) -> None:
        routes = [
            Route("/status", self._status),
            Route("/queue", self._queue),
            Route("/exams", self._exams),
            Route("/hint", self._hint, methods=["POST"]),
            Route("/worklist/refresh", self._refresh, methods=["POST"]),
            Route("/worklist/query", self._query_patient, methods=["POST"]),
        ]
        self.server = SocketServer(Starlette(routes=routes), self.paths.forward_socket)

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def set_all(self, state: str, said: str = "") -> None:
        self.said = said
        for path, _name in list_objects(self.spool.outbox):
            self.states[path.name] = state

    def _objects(self, exam_id: str | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        objects, steps = [], []
        for known in self.facts.exam_ids():
            exam, closed = self.facts.exam(known), self.facts.closed(known)
            if exam is None or (exam_id and known != exam_id):
                continue
            for modality in self.facts.started(known):
                state = self.step_state or (str(closed.outcome).lower() if closed else "in progress")
                step = exam.step_of(modality)
                steps.append(
                    {
                        "sop_instance_uid": step.sop_instance_uid,
                        "exam_id": known,
                        "modality": modality,
                        "state": state,
                        "said": self.trouble,
                    }
                )
            for instance in closed.instances if closed else ():
                state = self.states.get(instance.file_name, "pending")
                now = datetime.now().astimezone().isoformat(timespec="seconds")
                objects.append(
                    {
                        "sop_instance_uid": instance.sop_instance_uid,
                        "sop_class_uid": instance.sop_class_uid,
                        "transfer_syntax_uid": instance.transfer_syntax_uid,
                        "exam_id": known,
                        "device": instance.device,
                        "modality": instance.modality,
                        "path": f"outbox/{instance.file_name}",
                        "bytes": instance.bytes,
                        "frames": 1,
                        "patient_id": exam.item.patient_id,
                        "accession_number": exam.item.accession_number,
                        "study_instance_uid": exam.study_instance_uid,
                        "captured_at": now,
                        "saved_at": now,
                        "destinations": {
                            "archive": {
                                "state": state,
                                "stored_at": now
                                if state in {"stored", "commit_requested", "committed", "expired"}
                                else None,
                                "committed_at": now if state in {"committed", "expired"} else None,
                                "attempts": 1,
                                "is_unsent": state == "pending",
                                "next_attempt_at": None,
                                "said": self.said,
                            }
                        },
                    }
                )
        return objects, steps

    def _status(self, _request: Request) -> Response:
        objects, _steps = self._objects(None)
        states = [entry["destinations"]["archive"]["state"] for entry in objects]
        findings = (
            [
                {
                    "code": "archive-down",
                    "sentence": self.trouble,
                    "suggestion": "Call the PACS team.",
                    "subject": "archive",
                }
            ]
            if self.trouble
            else []
        )
        counts = {state: states.count(state) for state in ("pending", "stored", "committed", "refused")}
        return JSONResponse(
            {
                "sentence": "All is sent." if "pending" not in states else "Sending.",
                "findings": findings,
                "destinations": [{"name": "archive", **counts, "trouble": self.trouble}],
                "steps": {"due": 0, "trouble": ""},
            }
        )

    def _queue(self, request: Request) -> Response:
        objects, steps = self._objects(request.query_params.get("exam_id"))
        return JSONResponse({"objects": objects, "steps": steps})

    def _exams(self, request: Request) -> Response:
        first, last = request.query_params["first"], request.query_params["last"]
        told = {}
        for exam_id in (one for one in self.facts.exam_ids() if first <= one <= last):
            objects, steps = self._objects(exam_id)
            states = [entry["destinations"]["archive"]["state"] for entry in objects]
            alike = [
                {"place": "outbox", "is_decided": False, "states": [state], "count": states.count(state)}
                for state in dict.fromkeys(states)
            ]
            told[exam_id] = {"objects": alike, "steps": steps}
        return JSONResponse({"exams": told})

    def _hint(self, _request: Request) -> Response:
        self.hints += 1
        return JSONResponse({})

    async def _query_patient(self, request: Request) -> Response:
        self.asked.append(await read_json(request))
        return JSONResponse({"answers": self.answers})

    def _refresh(self, _request: Request) -> Response:
        self.refreshed += 1
        write_worklist(self.paths, make_items(), age_seconds=0)
        return JSONResponse({"answers": [{"source": "ris", "trouble": "", "items": 30}]})
