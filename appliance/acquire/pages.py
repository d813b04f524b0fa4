"""A machine that prints: the box is its printer, and each page becomes an object.

The exam that is open at a page's first byte owns it. No printer's language has an acknowledgement: a machine that has
sent a page has forgotten it. So a page that cannot be saved waits in memory and is tried again, the machine is told to
wait where its line allows that, and whatever is not kept is said.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper
from appliance.acquire.lines import BoxFault, LineRunner
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding, counted, finding_from
from appliance.base.findings import FindingBoard
from appliance.config.devices import PrinterDevice
from appliance.devices.errors import DeviceError
from appliance.devices.printer.decoder import PrinterDecoder
from appliance.devices.printer.page import Began, Doubt, Ended, Event, Page, Refused, frame_from_page
from appliance.devices.serial.line import SerialLine
from appliance.spool.writer import UnconfirmedError

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_PIECE_BYTES = 512
_RETRY_SECONDS = 2.0
# Pages that wait to be saved: beyond them the machine must wait, or they are lost.
MOST_WAITING = 8
# A flash that does not come back from a sync for so long is no stall: the watchdog may then act.
_STALL_SECONDS = 60.0
# Silence that ends a page while the exam is being ended.
_HURRIED_SECONDS = 2.0
_STOP_SECONDS = 20.0
FORMATS = {"escp9": "ESC/P 9-PIN", "escp24": "ESC/P 24-PIN", "escpos": "ESC/POS", "pcl": "PCL"}


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A whole page on its way to flash. `began` is the monotonic moment of its first byte."""

    page: Page
    ticket: Ticket
    began: float


class PageRunner(LineRunner):
    """One thread reads and decodes, another saves: a flash that stalls must not cost what comes meanwhile."""

    kinds = ("page",)

    def __init__(
        self,
        device: PrinterDevice,
        line: SerialLine,
        decoder: PrinterDecoder,
        keeper: ObjectKeeper,
        gate: ExamGate,
        clock: Clock,
        findings: FindingBoard,
    ) -> None:
        super().__init__(device, line, keeper, gate, clock, findings)
        self._printer = device
        self._decoder = decoder
        self._began = 0.0
        self._heard_at: float | None = None  # the last byte, until a silence has ended what may go on
        self._pending = b""  # read, and not decoded yet
        self._exam_id: str | None = None  # of the last page that began
        self._held_for: tuple[str | None] | None = None  # that exam, when the machine was last told to wait in a job
        self._is_hurried = False
        self._lost = 0
        self._lost_of: str | None = None
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._is_ending = False
        self._failed = False  # the last attempt to save
        self._keeping_since: float | None = None

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """As every machine on a line. What is whole at the end is saved before."""
        saving = threading.Thread(target=self._save_pages, args=(stop,), name="pages", daemon=True)
        saving.start()
        try:
            super().run(stop, lambda: self._sign(alive))
        finally:
            with self._changed:
                self._is_ending = True
                self._changed.notify_all()
            saving.join(_STOP_SECONDS)
            for waiting in self._waiting:
                self.gate.end(waiting.ticket)
                self._note_lost(waiting.ticket, "The box was stopped before its flash took them.", "")

    def _sign(self, alive: Callable[[], None]) -> None:
        since = self._keeping_since
        if since is None or self.clock.monotonic() - since < _STALL_SECONDS:
            alive()

    # -- reading -------------------------------------------------------------------------------------------------------

    def _listen(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        while not stop.is_set():
            alive()
            is_full = len(self._waiting) >= MOST_WAITING
            is_held = self._failed or is_full
            may_hold = self._line.hold(is_held)
            if is_held and may_hold:
                self._note_held()
            if is_full and may_hold:
                self.clock.wait(stop, _POLL_SECONDS)
                continue
            if not self._pending:
                self._pending = self._line.read(_POLL_SECONDS)
            if self._pending:
                # Little by little: what comes may ask for more work than it has bytes, and pages must find room.
                piece, self._pending = self._pending[:_PIECE_BYTES], self._pending[_PIECE_BYTES:]
                self._heard_at = self.clock.monotonic()
                self._act(self._decoder.feed(piece), lambda: self._wait_for_room(stop, alive))
                self._received += len(piece)
            elif self._heard_at is not None and self.clock.monotonic() - self._heard_at >= self._idle_seconds:
                self._end_page()

    def _end_page(self) -> None:
        """The machine says nothing more, by itself or since the line is gone: what came is what there is."""
        pending, self._pending = self._pending, b""
        self._act(self._decoder.feed(pending) + self._decoder.pause())
        self._heard_at, self._held_for = None, None

    def _break_off(self) -> None:
        self._end_page()

    def _note_held(self) -> None:
        """The machine is told to wait: its silence is the box's own doing, and so is how late its next page comes."""
        self._held_for = self._held_for or (self._exam_id,)
        self._heard_at = self.clock.monotonic()

    @property
    def _idle_seconds(self) -> float:
        idle = self._printer.idle_seconds
        return min(idle, _HURRIED_SECONDS) if self._is_hurried else idle

    def _wait_for_room(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Until another page may wait to be saved, if the machine can be told to wait as well."""
        try:
            while len(self._waiting) >= MOST_WAITING and self._line.hold(True) and not stop.is_set():
                self._note_held()
                alive()
                self.clock.wait(stop, _POLL_SECONDS)
        except DeviceError:
            return  # the next read finds that the line is gone; what came before is not lost by it

    def _act(self, events: list[Event], before_page: Callable[[], None] = lambda: None) -> None:
        for event in events:
            match event:
                case Began():
                    self._began = self.clock.monotonic()
                    self._end_capture()
                    self._begin_capture(self._admit())
                case Ended(page):
                    if page is not None:
                        before_page()
                        self._put(page)
                    self._end_capture()
                case Refused(why):
                    self._note_lost(self._ticket, why, "Check the printer's language, and the speed of the line.")
                    self._end_capture()

    def _admit(self) -> Ticket:
        ticket = self._admit_page()
        if not ticket.is_decided:
            return ticket
        if self._held_for is not None and (ticket.exam_id,) != self._held_for:
            # It was printed while another exam was open: this is not the next patient's.
            why = "the machine had to wait with it, and its exam was ended meanwhile."
            return self._unassigned_page(ticket, why)
        self._exam_id = ticket.exam_id
        if self._lost and ticket.exam_id != self._lost_of:
            self._lost = 0  # what the exam before lacks is not this one's
            self.findings.clear("page_lost", self.device.name)
        return ticket

    def _put(self, page: Page) -> None:
        """A page is whole: it waits to be saved, or is lost where too many wait already."""
        self._is_hurried = False
        ticket, self._ticket = self._ticket or Ticket(self.clock.now()), None
        with self._changed:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(_Waiting(page, ticket, self._began))
                self._changed.notify_all()
                return
        self.gate.end(ticket)
        self._note_lost(ticket, f"{MOST_WAITING} pages wait to be saved, and no more fit.", "Check the box's flash.")

    def _note_lost(self, ticket: Ticket | None, why: str, what_to_do: str) -> None:
        self._lost += 1
        self._lost_of = ticket.exam_id if ticket else None
        sentence = f"{counted(self._lost, 'page')} from {self.title} could not be kept. {why}"
        self.findings.report(Finding("page_lost", sentence, f"{what_to_do} Print them again.", self.device.name))

    # -- saving --------------------------------------------------------------------------------------------------------

    def _save_pages(self, stop: threading.Event) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_ending:
                    self._changed.wait(_RETRY_SECONDS)
                if not self._waiting:
                    return
                first = self._waiting[0]
            failed = self._keep_or_say_why_not(first)
            self._failed = failed is not None
            if failed is None:
                self.findings.clear("page_failed", self.device.name)
                with self._changed:
                    self._waiting.popleft()
                self.gate.end(first.ticket)
                continue
            self.findings.report(finding_from(failed, "page_failed", self.device.name))
            if self._is_ending:
                return
            self.clock.wait(stop, _RETRY_SECONDS)

    def _keep_or_say_why_not(self, waiting: _Waiting) -> ApplianceError | None:
        """None when the page is durable, or can never be."""
        self._keeping_since = self.clock.monotonic()
        said = "It is tried again by itself: do not switch the box off."
        failed = self._failure_of(lambda: self._keep(waiting), "A page", said)
        self._keeping_since = None
        match failed:
            case UnconfirmedError():  # it stands, and is listed
                self.findings.report(finding_from(failed, "page_unconfirmed", self.device.name))
            case BoxFault():
                self._note_lost(waiting.ticket, f"That was {failed.why}", failed.suggestion)
            case _:
                return failed
        return None

    def _keep(self, waiting: _Waiting) -> None:
        page = waiting.page
        frame = frame_from_page(page, waiting.began, is_ink_white=self._printer.ink == "white")
        saved = self.keeper.keep_still(
            waiting.ticket,
            frame,
            Kind.PAGE,
            digital_format=FORMATS[self._printer.language],
            printed_text=page.text,
        )
        self.note_saved(saved, frame)
        if page.skipped:
            _log.info("commands that are not known here: %s", ", ".join(one.hex(" ") for one in page.skipped))
        if page.doubts:
            why = "; it ".join(str(doubt) for doubt in Doubt if doubt in page.doubts)
            sentence = f"The last page from {self.title} {why}."
            self.findings.report(Finding("page_doubtful", sentence, "Compare it with the machine.", self.device.name))
        else:
            self.findings.clear("page_doubtful", self.device.name)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def finish(self, exam_id: str) -> None:
        """The exam is being ended: a page that waits for silence alone ends sooner."""
        ticket = self._ticket
        if ticket is not None and ticket.exam_id == exam_id:
            self._is_hurried = True

    def _receiving_sentence(self) -> str:
        return f"Receiving a page, {self._received // 1024} KiB so far."

    def _waiting_sentence(self) -> str:
        if self._waiting:
            return f"{counted(len(self._waiting), 'page')} waiting to be saved."
        return "Waiting for a page: press Print on the machine."
