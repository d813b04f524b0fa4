"""Capture when the machine's Freeze is pressed: seen in the picture, done beside the loop that reads it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_error_from
from appliance.devices.frame import Frame
from appliance.devices.video.watch import FreezeTrigger

_log = logging.getLogger(__name__)

_CODE = "freeze_capture"


class FreezeCapture:
    """Shows each frame to the trigger; keeps the one that it fires at in a thread of its own, one at a time.

    Flash may stall for seconds, and the frames go on meanwhile. A freeze that comes while the last one is still being
    written is told of: press it again.
    """

    def __init__(self, keep: Callable[[Frame], object], findings: FindingBoard, name: str) -> None:
        self._keep, self._findings, self._name = keep, findings, name
        self._trigger = FreezeTrigger()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """The source was opened."""
        self._trigger.begin()

    def see(self, frame: Frame) -> None:
        """The next frame, in the loop's thread."""
        if not self._trigger.see(frame):
            return
        if self._thread is not None and self._thread.is_alive():
            sentence = f"The {self._name} was frozen while its last still was being saved; this one was not captured."
            self._findings.report(Finding(_CODE, sentence, "Freeze it once more.", self._name))
            return
        self._thread = threading.Thread(target=self._capture, args=(frame,), name="freeze", daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait for what is being written, at most so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _capture(self, frame: Frame) -> None:
        try:
            self._keep(frame)
        except ApplianceError as error:
            self._findings.report(finding_from(error, _CODE, self._name))
        except OSError as error:
            told = flash_error_from(error, f"The frozen picture of the {self._name} was not saved", "Freeze it again.")
            self._findings.report(finding_from(told, _CODE, self._name))
        except Exception as error:  # noqa: BLE001 -- nobody waits for an answer: it must be told all the same
            _log.exception("a frozen picture could not be kept")
            sentence = f"The frozen picture of the {self._name} was not kept, by a fault in the box."
            self._findings.report(Finding(_CODE, sentence, f"Call support ({type(error).__name__}).", self._name))
        else:
            self._findings.clear(_CODE, self._name)
