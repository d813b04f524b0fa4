"""A machine that sends image files by itself: receive, keep, and only then acknowledge to the machine.

The exam that is open at a transfer's first byte owns it. A sender whose acknowledgement was lost, since the box was
killed or the line was cut, sends once more: the same bytes from the same machine in the same exam are the same object,
under the same SOP Instance UID.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper, Saved
from appliance.acquire.preview import THUMBNAIL_SIZE, small_jpeg_from
from appliance.acquire.runner import DeviceRunner, State
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.uids import uid_from_parts
from appliance.config.schema import SerialDevice
from appliance.devices.errors import DeviceError, DeviceGone
from appliance.devices.serial.line import SerialLine
from appliance.devices.serial.picture import picture_from_file
from appliance.devices.serial.receiver import Transfer, XmodemReceiver
from appliance.devices.serial.xmodem import TransferLimits
from appliance.spool.tree import list_objects

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.5


class TransferRunner(DeviceRunner):
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
        super().__init__(device, keeper, gate, clock, findings)
        self._serial = device
        self._line = line
        self._received: int | None = None
        self._ticket: Ticket | None = None

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Open the line, take transfers until it is gone, and again."""
        while not stop.is_set():
            alive()
            try:
                self._line.open()
                self.state = State.IDLE
                self.findings.clear("unplugged", self.device.name)
                self._take_transfers(stop, alive)
            except DeviceError as error:
                self.state = State.UNPLUGGED
                self.findings.report(finding_from(error, "unplugged", self.device.name))
                self.clock.wait(stop, _RETRY_SECONDS)
            finally:
                self._line.close()

    def _take_transfers(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        limits = TransferLimits(
            max_bytes=self._serial.max_bytes, silence=self._serial.gap_seconds, total=self._serial.transfer_seconds
        )
        receiver = XmodemReceiver(self._line, self.clock, limits)
        while not stop.is_set():
            alive()
            try:
                self._take_one(receiver, stop, alive)
            except DeviceGone:
                raise
            except ApplianceError as error:
                # A bad transfer or a full flash: say so, and be there for the next one. The exam goes on.
                self.findings.report(finding_from(error, "transfer_failed", self.device.name))
            finally:
                self._end_ticket()

    def _take_one(self, receiver: XmodemReceiver, stop: threading.Event, alive: Callable[[], None]) -> None:
        if not receiver.wait_for_sender(stop, _POLL_SECONDS, self._begin):
            return

        def note_progress(received: int) -> None:
            self._received = received
            alive()

        transfer = receiver.receive_transfer(note_progress, stop)
        assert self._ticket is not None
        try:
            self._keep(self._ticket, transfer)
        except ApplianceError:
            transfer.refuse()
            raise
        except OSError as error:
            transfer.refuse()
            raise ApplianceError(
                f"The image from {self.title} could not be written to flash: {error.strerror}.",
                "Nothing was acknowledged to the machine; check the box's flash and send again.",
            ) from error
        self.findings.clear("transfer_failed", self.device.name)
        transfer.acknowledge()

    def _begin(self, at: float) -> None:
        """The first byte: from here on the image is the open exam's."""
        self._ticket = self.gate.admit(began=at)
        self._received = 0
        self.state = State.RECEIVING

    def _end_ticket(self) -> None:
        if self._ticket is not None:
            self.gate.end(self._ticket)
        self._ticket, self._received = None, None
        if self.state is State.RECEIVING:
            self.state = State.IDLE

    def _keep(self, ticket: Ticket, transfer: Transfer) -> Saved | None:
        frame = picture_from_file(transfer.payload, self._serial.max_pixels, timestamp=transfer.started_at)
        digest = hashlib.sha256(transfer.payload).hexdigest()
        uid = uid_from_parts("transfer", ticket.exam_id or "", self.device.name, digest)
        directory = self.keeper.directory(ticket)
        if any(name.sop_instance_uid == uid for _, name in list_objects(directory)):
            sentence = f"{self.title} sent an image that is saved already; it was kept once."
            self.findings.report(Finding("sent_again", sentence, "Nothing needs to be done.", self.device.name))
            return None
        self.findings.clear("sent_again", self.device.name)
        saved = self.keeper.keep_still(ticket, frame, Kind.TRANSFER, uid=uid, digital_format="XMODEM")
        self.thumbnails.put(saved.sop_instance_uid, small_jpeg_from(frame, THUMBNAIL_SIZE))
        return saved

    def progress(self) -> dict[str, Any] | None:
        received = self._received
        return None if received is None else {"done": received, "total": None, "unit": "bytes"}

    def sentence(self) -> str:
        match self.state:
            case State.RECEIVING:
                return f"Receiving an image, {(self._received or 0) // 1024} KiB so far."
            case State.UNPLUGGED:
                return "The serial line is not connected; it is tried again by itself."
            case _:
                return "Waiting for an image: press Print on the machine."
