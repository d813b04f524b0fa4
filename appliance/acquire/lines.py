"""A machine on a serial line: the line is opened, used until it is gone, and opened anew; what goes over it is shown.

A capture is of the exam that is open at its first byte: its ticket is taken then, and given back when all of it is
durable or given up.
"""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import ObjectKeeper
from appliance.acquire.runner import DeviceRunner, State
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_error_from, reason_of
from appliance.config.devices import PrinterDevice, SerialDevice, TextDevice
from appliance.devices.errors import DeviceError
from appliance.devices.serial.line import SerialLine

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0


class BoxFault(ApplianceError):
    """A defect of ours kept something from being saved: to try the same again would not help."""

    def __init__(self, sentence: str, error: Exception) -> None:
        self.why = f"by a fault in the box ({type(error).__name__})."
        super().__init__(f"{sentence}, {self.why}", "Call support.")


class LineRunner(DeviceRunner):
    """`_listen` takes what the machine says; everything around it is the same for all that speak on a line."""

    def __init__(
        self,
        device: SerialDevice | PrinterDevice | TextDevice,
        line: SerialLine,
        keeper: ObjectKeeper,
        gate: ExamGate,
        clock: Clock,
        findings: FindingBoard,
    ) -> None:
        super().__init__(device, keeper, gate, clock, findings)
        self.state = State.UNPLUGGED  # until the line is open: what comes before is nobody's
        self._line = line
        self._ticket: Ticket | None = None
        self._received = 0

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Open the line, listen until it is gone, and again."""
        while not stop.is_set():
            alive()
            try:
                self._use_line(stop, alive)
            except DeviceError as error:
                self.state = State.UNPLUGGED
                self.findings.report(finding_from(error, "unplugged", self.device.name))
                self.clock.wait(stop, _RETRY_SECONDS)

    def _use_line(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        try:
            self._line.open()
            self.state = State.IDLE
            self.findings.clear("unplugged", self.device.name)
            self._listen(stop, alive)
        finally:
            self._break_off()
            self._line.close()

    @abstractmethod
    def _listen(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Take what comes over the open line until `stop`. DeviceError when the line is gone."""

    def _break_off(self) -> None:
        """The line is let go: what is under way comes no further."""
        self._end_capture()

    # -- one capture ---------------------------------------------------------------------------------------------------

    def _begin_capture(self, ticket: Ticket | None) -> None:
        """The first byte came; without a ticket nobody can say whose it is."""
        self._ticket, self._received = ticket, 0
        self.state = State.RECEIVING

    def _end_capture(self) -> None:
        """It is durable, or given up. Harmless when none is under way."""
        if self._ticket is not None:
            self.gate.end(self._ticket)
        self._ticket = None
        if self.state is State.RECEIVING:
            self.state = State.IDLE

    def _admit_page(self, began: float | None = None) -> Ticket:
        """Whose page it is, from its first byte on; nobody's, and not decided, where that cannot be said."""
        try:
            ticket = self.gate.admit(began=began)
        except OSError as error:
            _log.error("the exams cannot be read: %s", reason_of(error))
            sentence = f"Whose pages come from {self.title} could not be read from flash; they are kept unassigned."
            self.findings.report(Finding("page_unassigned", sentence, "Check whose they are.", self.device.name))
            return Ticket(self.clock.now())
        try:
            self.keeper.check(ticket)
        except ApplianceError as error:
            return self._unassigned_page(ticket, error.sentence, error.suggestion)
        if ticket.exam is not None:
            self.findings.clear("page_unassigned", self.device.name)
        return ticket

    def _unassigned_page(self, ticket: Ticket, why: str, what_to_do: str = "Check whose it is.") -> Ticket:
        """In place of `ticket`, which is given back."""
        sentence = f"A page from {self.title} is kept unassigned: {why}"
        self.findings.report(Finding("page_unassigned", sentence, what_to_do, self.device.name))
        self.gate.end(ticket)
        return ticket.unassigned

    def _failure_of(self, keep: Callable[[], None], what: str, what_to_do: str) -> ApplianceError | None:
        """None when `keep` made `what` durable; else why not, in words, whatever the fault: the line stays in use.

        BoxFault for a defect of ours; UnconfirmedError as `ObjectWriter.publish`.
        """
        try:
            keep()
        except ApplianceError as error:
            return error
        except OSError as error:
            return flash_error_from(error, f"{what} from {self.title} was not saved", what_to_do)
        except Exception as error:  # noqa: BLE001 -- one capture must not end the process for every one that follows
            _log.exception("what came over a line could not be kept")
            return BoxFault(f"{what} from {self.title} was not kept", error)
        return None

    # -- what is shown -------------------------------------------------------------------------------------------------

    def transcript(self, most: int) -> list[dict[str, Any]]:
        kept = self._line.transcript
        if kept is None:
            return super().transcript(most)
        now = self.clock.monotonic()
        return [
            {"age": round(now - one.at, 3), "direction": str(one.direction), "bytes": one.data.hex()}
            for one in kept.entries(most)
        ]

    def progress(self) -> dict[str, Any] | None:
        if self.state is not State.RECEIVING:
            return None
        return {"done": self._received, "total": None, "unit": "bytes"}

    def sentence(self) -> str:
        match self.state:
            case State.RECEIVING:
                return self._receiving_sentence()
            case State.UNPLUGGED:
                return "The serial line is not connected; it is tried again by itself."
            case _:
                return self._waiting_sentence()

    @abstractmethod
    def _receiving_sentence(self) -> str:
        """What comes in now."""

    @abstractmethod
    def _waiting_sentence(self) -> str:
        """What is waited for, and what a person does for it."""
