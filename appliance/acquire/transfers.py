"""A machine that sends image files by itself: receive, keep, and only then acknowledge to the machine.

The exam that is open at a transfer's first byte owns it. The files of a YMODEM batch are of one patient: what comes of
it after its exam has ended belongs to nobody. A sender whose acknowledgement was lost, since the box was killed or the
line was cut, sends once more: the same bytes from the same machine in the same exam are the same object, under the same
SOP Instance UID.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from appliance.acquire.answering import keep_while_alive, was_kept_before
from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper
from appliance.acquire.lines import LineRunner
from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import reason_of
from appliance.base.uids import uid_from_parts
from appliance.config.devices import SerialDevice
from appliance.devices.errors import DeviceGone, DeviceTimeout
from appliance.devices.serial.line import SerialLine
from appliance.devices.serial.picture import picture_from_file
from appliance.devices.serial.receiver import Transfer, XmodemReceiver
from appliance.devices.serial.xmodem import TransferLimits
from appliance.spool.tree import list_objects

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
PADDING = b"\x1a"


class TransferRunner(LineRunner):
    """Waits for the machine's transfers, one after another."""

    kinds = ("transfer",)

    def __init__(
        self,
        device: SerialDevice,
        line: SerialLine,
        keeper: ObjectKeeper,
        gate: ExamGate,
        clock: Clock,
        findings: FindingBoard,
    ) -> None:
        super().__init__(device, line, keeper, gate, clock, findings)
        self._serial = device
        self._kept_at: float | None = None
        self._batch_exam_id: str | None = None  # of the first file of the batch that goes on, or went on last

    def _listen(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        limits = TransferLimits(
            max_bytes=self._serial.max_bytes, silence=self._serial.gap_seconds, total=self._serial.transfer_seconds
        )
        line = _WatchedLine(self._line, alive)
        receiver = XmodemReceiver(line, self.clock, limits, self._kept_at)
        while not stop.is_set():
            try:
                self._take_one(receiver, stop, alive)
            except (DeviceGone, DeviceTimeout):
                raise  # where the receiver stands is not known any more: a new one, on a line opened anew
            except ApplianceError as error:
                # A bad transfer: say so, and be there for the next one. The exam goes on.
                self._note_failure(error)
            finally:
                self._end_capture()

    def _take_one(self, receiver: XmodemReceiver, stop: threading.Event, alive: Callable[[], None]) -> None:
        if not receiver.wait_for_sender(stop, _POLL_SECONDS, lambda at: self._begin(at, receiver.is_next_of_batch)):
            return
        transfer = receiver.receive_transfer(self._note_progress, stop)
        failed = keep_while_alive(lambda: self._keep_or_say_why_not(transfer), self.clock, alive)
        if failed is None:
            self._kept_at = self.clock.monotonic()
            self.findings.clear("transfer_failed", self.device.name)
            transfer.acknowledge()
        else:
            self._note_failure(failed)  # first: refusing needs the line once more
            transfer.refuse()

    def _keep_or_say_why_not(self, transfer: Transfer) -> ApplianceError | None:
        """None when the image is durable. Whatever the fault, the machine is told, and the line stays in use."""
        said = "Nothing was acknowledged to the machine: send it again."
        return self._failure_of(lambda: self._keep(self._admitted(), transfer), "An image", said)

    def _begin(self, at: float, is_next: bool) -> None:
        """The first byte: from here on the image is the open exam's; `is_next` of a batch is of its first file's."""
        self._begin_capture(None)
        try:
            ticket = self.gate.admit(began=at)
        except OSError as error:
            # The transfer is let come to its end: then the machine can be told that it failed.
            _log.error("the exams cannot be read: %s", reason_of(error))
            return
        if not is_next:
            self._batch_exam_id = ticket.exam_id
            for code in ("batch_unassigned", "empty_file"):
                self.findings.clear(code, self.device.name)  # of the batch before
        elif ticket.exam_id != self._batch_exam_id:
            sentence = f"{self.title} went on with its images after their exam had ended; they are kept unassigned."
            self.findings.report(Finding("batch_unassigned", sentence, "Check whose they are.", self.device.name))
            self.gate.end(ticket)
            ticket = ticket.unassigned
        self._ticket = ticket

    def _admitted(self) -> Ticket:
        if self._ticket is None:
            raise ApplianceError(
                f"Whose image came from {self.title} could not be read from flash.",
                "Nothing was acknowledged to the machine; check the box's flash and send again.",
            )
        return self._ticket

    def _note_progress(self, received: int) -> None:
        self._received = received

    def _note_failure(self, error: ApplianceError) -> None:
        """Say which machine it was: the panel shows findings on every screen."""
        finding = finding_from(error, "transfer_failed", self.device.name)
        if self.device.name not in finding.sentence.lower() and self.title not in finding.sentence:
            finding = replace(finding, sentence=f"{self.title}: {finding.sentence}")
        self.findings.report(finding)

    def _keep(self, ticket: Ticket, transfer: Transfer) -> None:
        if not transfer.payload:
            sentence = f"{self.title} sent an empty file among its images; there is nothing to keep of it."
            self.findings.report(Finding("empty_file", sentence, "Compare with the machine.", self.device.name))
            return
        frame = picture_from_file(transfer.payload, self._serial.max_pixels, timestamp=transfer.started_at)
        # Without the last block's padding: another block size does not make it another image.
        digest = hashlib.sha256(transfer.payload.rstrip(PADDING)).hexdigest()
        if ticket.exam is not None and was_kept_before(self.gate, lambda exam_id: self._uid_of(exam_id, digest)):
            # The acknowledgement was lost, the exam ended, and the machine tries again: this is not the next patient's.
            sentence = (
                f"{self.title} sent an image of an earlier exam once more; it is kept unassigned, not in this exam."
            )
            self.findings.report(Finding("sent_late", sentence, "Check whose image it is.", self.device.name))
            ticket = ticket.unassigned
        elif next(list_objects(self.keeper.directory(ticket.unassigned)), None) is None:
            self.findings.clear("sent_late", self.device.name)  # a person has said whose it is
        uid = self._uid_of(ticket.exam_id, digest)
        if self.keeper.has(ticket, uid):
            sentence = f"{self.title} sent an image that is saved already; it was kept once."
            self.findings.report(Finding("sent_again", sentence, "Nothing needs to be done.", self.device.name))
            return
        self.findings.clear("sent_again", self.device.name)
        digital_format = "YMODEM" if transfer.is_batch else "XMODEM"
        saved = self.keeper.keep_still(ticket, frame, Kind.TRANSFER, uid=uid, digital_format=digital_format)
        self.note_saved(saved, frame)

    def _uid_of(self, exam_id: str | None, digest: str) -> str:
        """The same bytes from the same machine in the same exam are the same object."""
        return uid_from_parts("transfer", exam_id or "", self.device.name, digest)

    def _receiving_sentence(self) -> str:
        return f"Receiving an image, {self._received // 1024} KiB so far."

    def _waiting_sentence(self) -> str:
        return "Waiting for an image: press Print on the machine."


class _WatchedLine:
    """The line, which gives a sign of life whenever it is read: a transfer may be silent for longer than a watchdog."""

    def __init__(self, line: SerialLine, alive: Callable[[], None]) -> None:
        self._line = line
        self._alive = alive

    @property
    def name(self) -> str:
        return self._line.name

    def read(self, seconds: float) -> bytes:
        self._alive()
        return self._line.read(seconds)

    def write(self, data: bytes, deadline: Deadline) -> None:
        self._line.write(data, deadline)

    def offer(self, data: bytes) -> None:
        self._line.offer(data)

    def purge(self, quiet: float, deadline: Deadline) -> int:
        return self._line.purge(quiet, deadline)
