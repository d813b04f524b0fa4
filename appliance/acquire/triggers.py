"""What is done when something says *now*: a still, a clip, a film, or a word that the machine's study is complete.

Each node is listened to by a thread of the device's own process, which has the picture and the gate: the frame is the
first one at or after the signal's moment, and its exam the one that is open then. When nobody chose a patient the frame
is kept unassigned, and the panel says so. A machine's word that its study is complete ends no exam: a person does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from appliance.acquire.keeping import Saved
from appliance.acquire.runner import DeviceRunner, State
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_error_from
from appliance.config.triggers import Trigger
from appliance.devices.errors import DeviceError
from appliance.devices.signal.source import Debounce, Signal, SignalSource

_log = logging.getLogger(__name__)

_WAIT_SECONDS = 0.5
_RETRY_SECONDS = 2.0
# What was said so long before its turn came has no picture any more.
_STALE_SECONDS = 2.0
NAMES = {"key": "footswitch", "gpio": "contact", "wire": "contact", "bytes": "command"}


def title_of(trigger: Trigger) -> str:
    """What sentences call it."""
    return trigger.title or NAMES[trigger.kind]


class TriggerWatch:
    """One source of signals, and what each of its signals does with the device."""

    def __init__(
        self,
        source: SignalSource,
        triggers: Sequence[Trigger],
        runner: DeviceRunner,
        clock: Clock,
        findings: FindingBoard,
    ) -> None:
        """The source's signals are numbered as `triggers` are."""
        self._source = source
        self._triggers = tuple(triggers)
        self._debounces = [Debounce(one.debounce_seconds) for one in triggers]
        self._runner = runner
        self._clock = clock
        self._findings = findings
        self._subject = f"{runner.device.name}: {title_of(triggers[0])}"

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Listen until `stop`; a source that is gone is opened anew."""
        while not stop.is_set():
            alive()
            try:
                self._source.open()
                self._findings.clear("trigger_gone", self._subject)
                while not stop.is_set():
                    alive()
                    for signal in self._source.wait(_WAIT_SECONDS):
                        self.take(signal)
            except DeviceError as error:
                self._findings.report(finding_from(error, "trigger_gone", self._subject))
                self._clock.wait(stop, _RETRY_SECONDS)
            finally:
                self._source.close()

    def take(self, signal: Signal) -> None:
        """Do what this signal is for, unless it is a bounce of the one before."""
        trigger = self._triggers[signal.number]
        if not self._debounces[signal.number].accepts(signal.at):
            return
        title = title_of(trigger)
        try:
            if trigger.action != "end" and self._clock.monotonic() - signal.at > _STALE_SECONDS:
                sentence = f"The {title} came while the box was busy with what it did before; nothing was captured."
                raise ApplianceError(sentence, "Press it once more.")
            self._do(trigger, signal.at)
        except ApplianceError as error:
            self._findings.report(finding_from(error, "trigger_failed", self._subject))
        except OSError as error:
            told = flash_error_from(error, f"What the {title} captured was not saved", "Press it again.")
            self._findings.report(finding_from(told, "trigger_failed", self._subject))
        except Exception as error:  # noqa: BLE001 -- nobody waits for an answer: it must be told all the same
            _log.exception("a trigger could not be served")
            sentence = f"The {title} captured nothing, by a fault in the box ({type(error).__name__})."
            self._findings.report(Finding("trigger_failed", sentence, "Call support.", self._subject))
        else:
            self._findings.clear("trigger_failed", self._subject)

    def _do(self, trigger: Trigger, at: float) -> None:
        match trigger.action:
            case "still":
                self._note(trigger, self._runner.capture_at(at))
            case "film":
                self._note(trigger, self._runner.scan_film(None))
            case "clip" if self._runner.state is State.RECORDING:
                self._note(trigger, self._runner.stop_clip())
            case "clip":
                self._runner.start_clip(None)
            case "end":
                self._runner.note_study_end()

    def _note(self, trigger: Trigger, saved: Saved) -> None:
        if saved.exam_id is not None:
            self._findings.clear("trigger_unassigned", self._subject)
            return
        sentence = f"The {title_of(trigger)} came while no patient was chosen; what it captured is kept unassigned."
        self._findings.report(Finding("trigger_unassigned", sentence, "Check whose it is.", self._subject))
