"""Who works at the box for a month: exam after exam through the console's API, as the panel's taps do.

Any process may be killed at any moment. A tap that was not answered is repeated; only what was answered *saved* counts,
and its bytes are remembered as they lay on the box then.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from appliance.base.asking import Refused, Unreachable
from appliance.base.errors import ApplianceError
from appliance.exam.reasons import REASONS
from appliance.spool.names import object_name_from
from tests.services.demo_box import Demo

_log = logging.getLogger(__name__)

# A process that was killed is up again in some seconds, on a busy machine in some more.
PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 0.1
_CLIP_SECONDS = 0.4
# What happens in how many of a hundred exams.
_UNSCHEDULED, _EMPTY, _DISCONTINUED, _CLIP, _SERIAL, _FILM = 15, 5, 5, 12, 8, 2

Answer = TypeVar("Answer")


class Stuck(AssertionError):
    """The box did not do for a long time what was asked of it again and again."""


@dataclass(frozen=True)
class Saved:
    """An object that was answered *saved*, and the SHA-256 of its data set as it lay on the box then."""

    exam_id: str
    digest: str


@dataclass
class Technologist:
    """`saved` by SOP Instance UID; `taps_lost` counts taps that were not answered."""

    demo: Demo
    choice: random.Random
    saved: dict[str, Saved] = field(default_factory=dict)
    exams: list[str] = field(default_factory=list)
    taps_lost: int = 0
    _entry: int = 0

    def __post_init__(self) -> None:
        self._console = self.demo.console()
        self._machines = self.demo.machines()

    def examine(self) -> None:
        """One exam from its choice to its end. Stuck when the box does not come to it."""
        exam_id = self._insist("open an exam", self._open)
        self.exams.append(exam_id)
        if not self._happens(_EMPTY):
            for _ in range(self.choice.randint(1, 3)):
                self._insist("a still", lambda: self._tap(exam_id, "endoscope", "still"))
            if self._happens(_CLIP):
                self._insist("a clip", lambda: self._record(exam_id))
            if self._happens(_SERIAL):
                self._insist("a serial image", lambda: self._print(exam_id))
            if self._happens(_FILM):
                self._insist("a film", lambda: self._tap(exam_id, "film", "film"))
        is_given_up = self._happens(_DISCONTINUED)
        self._insist("the end of the exam", lambda: self._close(exam_id, is_given_up))

    def retry_refused(self) -> None:
        """What a person does when the archive refused objects and is mended."""
        self._insist("a retry", lambda: self._console.ask("POST", "/api/queue/retry", {}, seconds=20))

    def _happens(self, of_hundred: int) -> bool:
        return self.choice.randrange(100) < of_hundred

    def _insist(self, what: str, act: Callable[[], Answer]) -> Answer:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return act()
            except (Unreachable, Refused) as error:
                self.taps_lost += 1
                _log.info("%s: %s", what, error.sentence)
                if time.monotonic() > end:
                    raise Stuck(f"{what} for {PATIENCE_SECONDS:g} s: {error.sentence}") from error
                time.sleep(_PAUSE_SECONDS)

    def _open(self) -> str:
        current = self._console.ask("GET", "/api/exam")["exam"]
        if current is not None and current["state"] == "open" and current["exam_id"] not in self.exams:
            return str(current["exam_id"])  # the answer to the tap before was lost
        if self._happens(_UNSCHEDULED):
            number = len(self.exams)
            body: dict[str, Any] = {"patient": {"name": f"Walkin^Number{number}", "patient_id": f"WALKIN-{number}"}}
        else:
            items = self._console.ask("GET", "/api/worklist")["items"]
            if not items:
                raise Unreachable("The worklist is empty.", "")
            self._entry += 1
            body = {"key": items[self._entry % len(items)]["key"]}
        return str(self._console.ask("POST", "/api/exams", body, seconds=15)["exam_id"])

    def _tap(self, exam_id: str, device: str, action: str) -> None:
        """A tap that is answered when its object is saved."""
        answer = self._command(exam_id, device, action)
        self._remember(exam_id, device, str(answer["sop_instance_uid"]))

    def _command(self, exam_id: str, device: str, action: str) -> dict[str, Any]:
        return self._console.ask("POST", f"/api/devices/{device}/{action}", {"exam_id": exam_id}, seconds=60)

    def _record(self, exam_id: str) -> None:
        with contextlib.suppress(Refused):  # it is being recorded already: the answer to the tap before was lost
            self._command(exam_id, "endoscope", "clip/start")
        time.sleep(_CLIP_SECONDS)
        self._tap(exam_id, "endoscope", "clip/stop")

    def _print(self, exam_id: str) -> None:
        """The machine was told that its image is kept: then it is in the exam."""
        answer = self._machines.ask("POST", "/ultrasound/print", {"format": "png"}, seconds=60)
        if not answer["acknowledged"]:
            raise Unreachable(str(answer["sentence"]), "")
        directory = self.demo.paths.state / "captured" / "ultrasound" / exam_id
        arrived = [name for name in map(object_name_from, _names_in(directory)) if name is not None]
        if not arrived:
            raise Unreachable("The serial image did not arrive in the exam.", "")
        for name in arrived:
            self._remember(exam_id, "ultrasound", name.sop_instance_uid)

    def _remember(self, exam_id: str, device: str, uid: str) -> None:
        # The exam is open and nobody else may take the file away.
        directory = self.demo.paths.state / "captured" / device / exam_id
        for path in directory.iterdir():
            name = object_name_from(path.name)
            if name is not None and name.sop_instance_uid == uid:
                self.saved[uid] = Saved(exam_id, data_set_digest(path.read_bytes()))
                return
        raise AssertionError(f"{uid} was answered saved and does not lie in {directory}")

    def _close(self, exam_id: str, is_given_up: bool) -> None:
        body = {"exam_id": exam_id, "outcome": "COMPLETED"}
        if is_given_up:
            body = {"exam_id": exam_id, "outcome": "DISCONTINUED", "reason": self.choice.choice(REASONS).code}
        try:
            self._console.ask("POST", "/api/exam/close", body, seconds=60)
        except ApplianceError:
            current = self._console.ask("GET", "/api/exam")["exam"]
            if current is not None and current["exam_id"] == exam_id:
                raise


def data_set_digest(file: bytes) -> str:
    """SHA-256 of the data set alone: the file meta information in front of it (PS3.10 7.1) is its owner's."""
    assert file[128:132] == b"DICM"
    length = int.from_bytes(file[140:144], "little")  # of (0002,0000), after its tag, VR and length
    return hashlib.sha256(file[144 + length :]).hexdigest()


def _names_in(directory: Any) -> list[str]:
    return [path.name for path in directory.iterdir()] if directory.is_dir() else []
