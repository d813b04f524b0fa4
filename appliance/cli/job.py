"""The main job without a person: everything goes through the console's API, as the panel's taps do.

Any process may be killed at any moment. What was answered *saved* counts; what was not answered is done again, which
may leave one object more in the exam and never one less.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from appliance.base.asking import Asker, Refused, Unreachable
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.report import ObjectRecord, Report, StepRecord, seconds_between
from appliance.config.devices import FilmDevice, GrabberDevice, SerialDevice
from appliance.config.schema import Configuration

_log = logging.getLogger(__name__)

CLIP_SECONDS = 5.0
STILLS = 2
_PAUSE_SECONDS = 0.25
_CAPTURE_SECONDS = 60.0
_CLOSE_SECONDS = 130.0

Answer = TypeVar("Answer")


class DeadlineError(ApplianceError):
    """The job's time is over; the sentence says what it was waiting for."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """`deadline` in seconds from the construction of the job; the simulated hospital's files are the proof of steps."""

    deadline: float
    hospital: Path


class Job:
    """Query, open, capture, close, wait. `run` once; `report` says what became of it, at any time."""

    def __init__(self, paths: Paths, configuration: Configuration, options: JobOptions) -> None:
        self._configuration = configuration
        self._options = options
        self._console = Asker(paths.console_socket, "The console")
        self._machines = Asker(paths.run / "machines.sock", "The machines' process")
        self._end = time.monotonic() + options.deadline
        self._stop = threading.Event()
        self._exam_id = ""
        self._is_closed = False
        self._saved: set[str] = set()  # what is known to be saved, by SOP Instance UID
        self._earlier: set[str] = set()  # what the exam held before this job
        self._missing = "The job did not begin."

    def run(self, stop: threading.Event) -> None:
        """Do the job until it is done or its time is over; `report` tells which."""
        self._stop = stop
        try:
            self._exam_id = self._open_exam()
            for device in self._configuration.devices:
                match device:
                    case GrabberDevice():
                        for number in range(1, STILLS + 1):
                            self._do(f"still {number}", partial(self._take_still, device.name))
                        self._do("the clip", partial(self._record_clip, device.name))
                    case SerialDevice():
                        self._do("the serial image", partial(self._receive_image, device.name))
                    case FilmDevice():
                        self._do("the film", partial(self._scan_film, device.name))
            self._do("the end of the exam", self._close_exam)
            self._is_closed = True
            while self._find_missing():
                self._pause(self._missing)
        except ApplianceError as error:
            self._missing = error.sentence

    def report(self) -> Report:
        """What is known of the exam's objects and steps now."""
        try:
            queue = self._console.ask("GET", f"/api/queue?exam_id={self._exam_id}") if self._exam_id else {}
        except ApplianceError:
            queue = {}
        return Report(
            exam_id=self._exam_id,
            objects=tuple(_record_from(one) for one in queue.get("objects", ())),
            steps=tuple(self._step_from(one) for one in queue.get("steps", ())),
            missing=self._missing,
        )

    def _open_exam(self) -> str:
        """The exam that is open already, if a run before was interrupted; else one on the next scheduled entry."""
        current = self._do("the console", lambda: self._console.ask("GET", "/api/exam"))["exam"]
        while current is not None and current["state"] != "open":
            self._pause("An earlier exam is still being ended.")
            current = self._do("the console", lambda: self._console.ask("GET", "/api/exam"))["exam"]
        if current is not None:
            self._earlier = self._captured_by(None)
            return str(current["exam_id"])
        self._do("the worklist", self._refresh_worklist)
        key = self._do("a scheduled entry", self._choose_entry)
        return str(self._do("the exam", lambda: self._open_on(key)))

    def _refresh_worklist(self) -> None:
        self._console.ask("POST", "/api/worklist/refresh", {}, seconds=15.0)

    def _choose_entry(self) -> str:
        """The first entry that nobody examined yet and that lacks nothing; else the first one at all."""
        worklist = self._console.ask("GET", "/api/worklist")
        items = worklist["items"]
        if not items:
            troubles = [source["trouble"] for source in worklist["sources"] if source["trouble"]]
            raise Unreachable(troubles[0] if troubles else "The worklist is empty.", "Check the worklist's source.")
        fit = [item for item in items if not item["examined"] and not item["missing"]]
        return str((fit or items)[0]["key"])

    def _open_on(self, key: str) -> str:
        try:
            return str(self._console.ask("POST", "/api/exams", {"key": key}, seconds=15.0)["exam_id"])
        except Refused:
            current = self._console.ask("GET", "/api/exam")["exam"]
            if current is None:
                raise
            return str(current["exam_id"])  # the answer to the first attempt was lost; the exam is there

    def _adopt(self, device: str) -> bool:
        """True when an attempt before this one was saved and its answer lost: the object is in the exam."""
        arrived = self._captured_by(device) - self._earlier - self._saved
        self._saved |= arrived
        return bool(arrived)

    def _take_still(self, device: str) -> None:
        if self._adopt(device):
            return
        answer = self._command(device, "still", seconds=_CAPTURE_SECONDS)
        self._saved.add(str(answer["sop_instance_uid"]))

    def _record_clip(self, device: str) -> None:
        """A clip of the full length; one that an interruption cut short is kept, and another one is recorded."""
        self._end_stray_clip(device)
        self._adopt(device)
        self._command(device, "clip/start")
        if self._stop.wait(CLIP_SECONDS):
            raise DeadlineError("The job was stopped while the clip was recorded.")
        answer = self._command(device, "clip/stop", seconds=_CAPTURE_SECONDS)
        self._saved.add(str(answer["sop_instance_uid"]))
        if answer["frames"] < self._least_frames(device):
            raise Unreachable("The clip was cut short.", "It is recorded again.")

    def _least_frames(self, device: str) -> float:
        found = self._configuration.device(device)
        assert isinstance(found, GrabberDevice)
        # A grabber on a busy machine drops some; half of them are a clip all the same.
        return found.frames_per_second * CLIP_SECONDS / 2

    def _end_stray_clip(self, device: str) -> None:
        """A clip that an attempt before this one started, and whose answer was lost."""
        statuses = self._console.ask("GET", "/api/exam")["devices"]
        if any(status["device"] == device and status["state"] == "recording" for status in statuses):
            self._saved.add(str(self._command(device, "clip/stop", seconds=_CAPTURE_SECONDS)["sop_instance_uid"]))

    def _receive_image(self, device: str) -> None:
        """Press Print at the ultrasound; its image counts when the machine was told that it is kept."""
        answer = self._machines.ask("POST", "/ultrasound/print", {"format": "png"}, seconds=_CAPTURE_SECONDS)
        if not answer["acknowledged"]:
            raise Unreachable(f"The serial image was not kept: {answer['sentence']}", "It is sent again.")
        if not self._adopt(device):
            raise Unreachable("The serial image did not arrive in the exam.", "It is sent again.")

    def _scan_film(self, device: str) -> None:
        if self._adopt(device):
            return
        answer = self._command(device, "film", seconds=self._left())
        self._saved.add(str(answer["sop_instance_uid"]))

    def _close_exam(self) -> None:
        body = {"exam_id": self._exam_id, "outcome": "COMPLETED"}
        self._console.ask("POST", "/api/exam/close", body, seconds=min(_CLOSE_SECONDS, self._left()))

    def _command(self, device: str, action: str, seconds: float = 15.0) -> dict[str, Any]:
        """One tap. A device that restarts, or that has no picture yet, is worth another attempt: Unreachable."""
        try:
            return self._console.ask(
                "POST",
                f"/api/devices/{device}/{action}",
                {"exam_id": self._exam_id},
                seconds=min(seconds, self._left()),
            )
        except Refused as error:
            raise Unreachable(error.sentence, error.suggestion) from error

    def _captured_by(self, device: str | None) -> set[str]:
        """What the open exam holds of `device`, or of all."""
        captured = self._console.ask("GET", "/api/exam")["captured"]
        return {str(one["sop_instance_uid"]) for one in captured if device in (None, one["device"])}

    def _do(self, what: str, act: Callable[[], Answer]) -> Answer:
        """`act` until it is answered; DeadlineError with the last trouble when the time is over."""
        while True:
            try:
                return act()
            except Unreachable as error:
                _log.info("%s: %s", what, error.sentence)
                self._pause(f"No {what.removeprefix('the ').removeprefix('a ')} in time: {error.sentence}")

    def _pause(self, waiting_for: str) -> None:
        if self._stop.wait(_PAUSE_SECONDS):
            raise DeadlineError(f"The job was stopped. {waiting_for}")
        if self._left() <= 0:
            raise DeadlineError(waiting_for)

    def _left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def _find_missing(self) -> str:
        """What is not finished yet, in a sentence; empty when all is."""
        self._missing = self.report().find_missing(self._saved)
        return self._missing

    def _step_from(self, step: dict[str, Any]) -> StepRecord:
        """The step as the box tells it, and as the simulated hospital keeps it (DICOM JSON)."""
        file = self._options.hospital / "steps" / f"{step['sop_instance_uid']}.json"
        status, listed = "", frozenset[str]()
        if file.exists():
            kept = json.loads(file.read_bytes())
            status = _values(kept, "00400252")[0] if _values(kept, "00400252") else ""
            listed = frozenset(
                _values(image, "00081155")[0]
                for series in _values(kept, "00400340")
                for image in _values(series, "00081140")
            )
        return StepRecord(str(step["sop_instance_uid"]), str(step["modality"]), status, listed)


def _values(elements: dict[str, Any], tag: str) -> list[Any]:
    return list(elements.get(tag, {}).get("Value") or [])


def _record_from(one: dict[str, Any]) -> ObjectRecord:
    """The slowest destination is what an object waits for."""
    destinations = one["destinations"]
    states = {name: str(told["state"]) for name, told in destinations.items()}
    stored = [told["stored_at"] for told in destinations.values()]
    committed = [told["committed_at"] for told in destinations.values()]
    return ObjectRecord(
        sop_instance_uid=one["sop_instance_uid"],
        sop_class_uid=one["sop_class_uid"],
        transfer_syntax_uid=one["transfer_syntax_uid"],
        path=one["path"],
        place=one["place"],
        device=one["device"],
        modality=one["modality"],
        state=next(iter(states.values())) if len(set(states.values())) == 1 else json.dumps(states),
        patient_id=one["patient_id"],
        accession_number=one["accession_number"],
        study_instance_uid=one["study_instance_uid"],
        bytes=one["bytes"],
        frames=one["frames"],
        seconds_to_saved=seconds_between(one["captured_at"], one["saved_at"]),
        seconds_to_stored=seconds_between(one["captured_at"], max(stored, default="") if all(stored) else ""),
        seconds_to_committed=seconds_between(one["captured_at"], max(committed, default="") if all(committed) else ""),
    )
