"""What every device's runner offers to the process around it, and what they share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from appliance.acquire.gate import ExamGate
from appliance.acquire.keeping import ObjectKeeper, Saved
from appliance.acquire.preview import Thumbnails
from appliance.acquire.salvage import INTERRUPTED
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.config.devices import Device
from appliance.devices.frame import Frame


class State(StrEnum):
    """What the device is doing, in the panel's words."""

    IDLE = "idle"
    RECORDING = "recording"
    RECEIVING = "receiving"
    SCANNING = "scanning"
    NO_SIGNAL = "no signal"
    UNPLUGGED = "unplugged"


# The finding that a machine called its study complete.
STUDY_END = "study_complete"


class Unsupported(ApplianceError):
    """This kind of device cannot do what was asked."""


class DeviceRunner(ABC):
    """One device: a loop of its own (`run`), commands from the panel, and what it shows of itself."""

    kinds: tuple[str, ...] = ()

    def __init__(
        self, device: Device, keeper: ObjectKeeper, gate: ExamGate, clock: Clock, findings: FindingBoard
    ) -> None:
        self.device = device
        self.keeper = keeper
        self.gate = gate
        self.clock = clock
        self.findings = findings
        self.thumbnails = Thumbnails()
        self.state = State.IDLE
        self._study_end: str | None = None  # the exam whose study the machine called complete

    @property
    def title(self) -> str:
        return self.device.title or self.device.name

    @abstractmethod
    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Work until `stop` is set; `alive` is called each time the loop comes round."""

    @abstractmethod
    def sentence(self) -> str:
        """What the device is doing, for people."""

    def note_saved(self, saved: Saved, frame: Frame | None = None) -> None:
        """An object is durable: its small picture for the strip, and what was interrupted before it is history."""
        if frame is not None:
            self.thumbnails.put_frame(saved.sop_instance_uid, frame)
        for finding in self.findings.listing():
            if finding.code == INTERRUPTED:
                self.findings.clear(finding.code, finding.subject)

    def progress(self) -> dict[str, Any] | None:
        """How far something long has come: `done`, `total` (or None) and `unit`; None when nothing is under way."""
        return None

    def capture_at(self, moment: float) -> Saved:
        """A still of this moment (monotonic) that not the panel asked for; of the open exam, or unassigned."""
        raise Unsupported(f"{self.title} takes no stills.")

    def note_study_end(self) -> None:
        """The machine says that its study is complete: the panel shows it until the exam is ended. OSError."""
        self._study_end = self.gate.open_exam_id()
        if self._study_end is not None:
            sentence = f"{self.title} says that the study is complete."
            self.findings.report(Finding(STUDY_END, sentence, "End the exam when all of it is here.", self.device.name))

    def _forget_study_end(self) -> None:
        if self._study_end is not None and self.gate.open_exam_id() != self._study_end:
            self._study_end = None
            self.findings.clear(STUDY_END, self.device.name)

    def take_still(self, exam_id: str | None) -> Saved:
        raise Unsupported(f"{self.title} takes no stills.")

    def start_clip(self, exam_id: str | None) -> str:
        raise Unsupported(f"{self.title} records no clips.")

    def stop_clip(self, exam_id: str | None = None) -> Saved:
        raise Unsupported(f"{self.title} records no clips.")

    def scan_film(self, exam_id: str | None) -> Saved:
        raise Unsupported(f"{self.title} scans no film.")

    def cancel(self) -> None:
        """Break off what is under way, if it is something that can be broken off."""

    def finish(self, exam_id: str) -> None:
        """End what goes on until somebody ends it, before `exam_id` closes."""

    def preview(self) -> bytes:
        raise Unsupported(f"{self.title} has no live picture.")

    def transcript(self, most: int) -> list[dict[str, Any]]:
        """The last `most` entries of what went over the device's line, where that is kept, the oldest first.

        Each with its `age` in seconds, its `direction`, and its `bytes` in hexadecimal.
        """
        raise Unsupported(f"What goes over {self.title}'s line is not kept.", "Configure transcript_bytes to keep it.")

    def status(self) -> dict[str, Any]:
        """The device as the console shows it. OSError when the exams cannot be read."""
        self._forget_study_end()
        return {
            "device": self.device.name,
            "title": self.title,
            "modality": self.device.modality,
            "driver": self.device.driver,
            "kinds": list(self.kinds),
            "state": str(self.state),
            "sentence": self.sentence(),
            "progress": self.progress(),
            "findings": self.findings.as_json(),
            "study_complete": self._study_end,
            "captured": [json_from(saved) for saved in self.keeper.recently_saved()],
        }


def json_from(saved: Saved) -> dict[str, Any]:
    """`saved` as it crosses a socket: times in ISO 8601."""
    return {
        **asdict(saved),
        "captured_at": saved.captured_at.isoformat(),
        "saved_at": saved.saved_at.isoformat(),
    }
