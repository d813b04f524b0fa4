"""A machine that says its results in text: each message becomes pages, and a PDF document where that is configured.

The exam that is open at a message's first byte owns it; what the machine says of the patient changes nothing of that,
and is told where it differs. A protocol with acknowledgements is answered when everything of the message is durable. A
machine without them has forgotten its message: it waits in memory and is tried again, and the line is not read.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable

from appliance.acquire.answering import keep_while_alive, was_kept_before
from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper
from appliance.acquire.lines import BoxFault, LineRunner
from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError, Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.uids import uid_from_parts
from appliance.config.devices import TextDevice
from appliance.config.text_profiles import TextProfile
from appliance.devices.errors import DeviceError
from appliance.devices.serial.line import SerialLine
from appliance.devices.serial.xmodem import Began, Broken, Ended, Event, Send
from appliance.devices.text.drawing import frame_from_page, pages_from_reading, pdf_from_pages
from appliance.devices.text.framing import FramedDecoder
from appliance.devices.text.reading import Reading, reading_from_text

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_RETRY_SECONDS = 2.0
_WRITE_SECONDS = 5.0


class TextRunner(LineRunner):
    """Waits for the machine's messages, one after another."""

    kinds = ("page",)

    def __init__(
        self,
        device: TextDevice,
        profile: TextProfile,
        line: SerialLine,
        keeper: ObjectKeeper,
        gate: ExamGate,
        clock: Clock,
        findings: FindingBoard,
    ) -> None:
        super().__init__(device, line, keeper, gate, clock, findings)
        self._text = device
        self._profile = profile
        self._began = 0.0
        self._is_answered = profile.framing.nak is not None

    def _listen(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        decoder = FramedDecoder(self._profile.framing, self.device.name, self._text.max_bytes)
        try:
            while not stop.is_set():
                alive()
                until_moment = decoder.next_moment() - self.clock.monotonic()
                data = self._line.read(max(0.0, min(_POLL_SECONDS, until_moment)))
                events = decoder.feed(data, self.clock.monotonic())
                self._received = decoder.received
                self._act(decoder, deque(events), stop, alive)
        except DeviceError:
            if self._ticket is not None:
                self._note_failure(ApplianceError(f"{self.title}'s line was lost in the middle of its text."))
            raise

    def _act(
        self, decoder: FramedDecoder, events: deque[Event], stop: threading.Event, alive: Callable[[], None]
    ) -> None:
        while events:
            match events.popleft():
                case Send(data):
                    self._line.write(data, Deadline.after(self.clock, _WRITE_SECONDS))
                case Began(at):
                    self._began = at
                    self._begin_capture(self._admit_page(at))
                case Broken(error):
                    self._note_failure(error)
                    self._end_capture()
                case Ended(payload):
                    is_kept = self._keep_patiently(payload, stop, alive)
                    now = self.clock.monotonic()
                    self._end_capture()
                    events.extend(decoder.acknowledge(now) if is_kept else decoder.refuse(now))

    def _note_failure(self, error: ApplianceError) -> None:
        self.findings.report(finding_from(error, "text_failed", self.device.name))

    # -- saving --------------------------------------------------------------------------------------------------------

    def _keep_patiently(self, payload: bytes, stop: threading.Event, alive: Callable[[], None]) -> bool:
        """True when it is durable; False when the machine is to be told that it is not, or the box was stopped."""
        ticket = self._ticket or Ticket(self.clock.now())
        while True:
            failed = keep_while_alive(lambda: self._keep_or_say_why_not(ticket, payload), self.clock, alive)
            if failed is None:
                for code in ("text_failed", "text_unsaved"):
                    self.findings.clear(code, self.device.name)
                return True
            self.findings.report(finding_from(failed, "text_unsaved", self.device.name))
            if self._is_answered or self.clock.wait(stop, _RETRY_SECONDS):
                return False
            alive()

    def _keep_or_say_why_not(self, ticket: Ticket, payload: bytes) -> ApplianceError | None:
        said = "It was not acknowledged: send it again." if self._is_answered else "It is tried again by itself."
        failed = self._failure_of(lambda: self._keep(ticket, payload), "A text", said)
        if isinstance(failed, BoxFault) and not self._is_answered:
            self.findings.report(finding_from(failed, "text_lost", self.device.name))
            return None
        return failed

    def _keep(self, ticket: Ticket, payload: bytes) -> None:
        digest = hashlib.sha256(payload).hexdigest()
        if (
            self._is_answered
            and ticket.exam is not None
            and was_kept_before(self.gate, lambda exam_id: self._uid_of(exam_id, digest, 1))
        ):
            ticket = self._unassigned_page(ticket, "the machine sent it for an earlier exam already.")
        reading = reading_from_text(payload, self._profile)
        pages, is_cut = pages_from_reading(reading, self.title)
        is_new = False
        for number, page in enumerate(pages, 1):
            uid = self._uid_of(ticket.exam_id, digest, number)
            if self.keeper.has(ticket, uid):
                continue
            is_new = True
            frame = frame_from_page(page.draw(), number, self._began)
            saved = self.keeper.keep_still(
                ticket, frame, Kind.PAGE, uid=uid, digital_format=self._profile.format, printed_text=page.text
            )
            self.note_saved(saved, frame)
        if self._text.pdf:
            uid = self._uid_of(ticket.exam_id, digest, 0)
            if not self.keeper.has(ticket, uid):
                title = f"{self.title}: {reading.title}"
                pdf = pdf_from_pages(pages, title, ticket.captured_at)
                self.note_saved(self.keeper.keep_document(ticket, title, pdf, Kind.PAGE, uid=uid))
        self._tell(ticket, reading, is_cut, is_new)

    def _uid_of(self, exam_id: str | None, digest: str, number: int) -> str:
        """The same text from the same machine in the same exam are the same objects; number 0 is the document."""
        return uid_from_parts("text", exam_id or "", self.device.name, digest, str(number))

    def _tell(self, ticket: Ticket, reading: Reading, is_cut: bool, is_new: bool) -> None:
        """What a person should know of the message that was kept. No sentence holds anything of the text."""
        name, title = self.device.name, self.title
        known = {item.patient_id.strip() for item in ticket.exam.items} if ticket.exam is not None else set()
        is_other = bool(known) and any(one not in known for one in reading.patient_ids)
        told = {
            "other_patient": (
                is_other,
                f"{title} names another patient ID than the open exam's; its pages are kept in the open exam.",
                "Check whose they are before the exam is ended.",
            ),
            "text_cut": (is_cut, f"{title} sent more text than is drawn on its pages.", "Compare with the machine."),
            "sent_again": (
                not is_new,
                f"{title} sent a text that is saved already; it was kept once.",
                "Nothing needs to be done.",
            ),
        }
        for code, (is_so, sentence, what_to_do) in told.items():
            if is_so:
                self.findings.report(Finding(code, sentence, what_to_do, name))
            else:
                self.findings.clear(code, name)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _receiving_sentence(self) -> str:
        return "Receiving text."

    def _waiting_sentence(self) -> str:
        return "Waiting for results: press Print or Send on the machine."
