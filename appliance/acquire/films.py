"""A film digitizer: one film at a time, its rows streamed from the scanner to flash, never whole in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from appliance.acquire.gate import ExamGate, Ticket, WrongExamError
from appliance.acquire.keeping import Kind, ObjectKeeper, Saved
from appliance.acquire.preview import FilmThumbnail
from appliance.acquire.runner import DeviceRunner, State
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_error_from
from appliance.base.uids import new_uid
from appliance.compose.instance import compose_film
from appliance.compose.pixels import film_form_from
from appliance.config.devices import FilmDevice
from appliance.devices.errors import ScanCancelled
from appliance.devices.film.options import FilmOptions
from appliance.devices.film.scan import FilmScan, scan_film

_TICK_SECONDS = 1.0
# TERM, its grace and KILL of the digitizer's program, and a flash that stalls meanwhile.
_END_SECONDS = 15.0


class FilmRunner(DeviceRunner):
    """Scans when it is told to; nothing happens in its loop but the sign of life."""

    kinds = ("film",)

    def __init__(
        self,
        device: FilmDevice,
        options: FilmOptions,
        keeper: ObjectKeeper,
        gate: ExamGate,
        clock: Clock,
        findings: FindingBoard,
    ) -> None:
        super().__init__(device, keeper, gate, clock, findings)
        self._film = device
        self._options = options
        self._busy = threading.Lock()
        self._cancel = threading.Event()
        self._done, self._total = 0, 0
        self._stopping = False

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Be alive until `stop`; a scan under way is then broken off, and has let go of everything on return."""
        while not stop.is_set():
            alive()
            self.clock.wait(stop, _TICK_SECONDS)
        self._stopping = True
        self._cancel.set()
        if self._busy.acquire(timeout=_END_SECONDS):
            self._busy.release()

    def scan_film(self, exam_id: str | None) -> Saved:
        """One film, durable. Errors of the digitizer as `devices.film.scan`; the panel shows them as a finding too."""
        if not self._busy.acquire(blocking=False):
            raise ApplianceError("A film is being scanned already.", "Wait for it, or cancel it.")
        try:
            self._cancel.clear()
            if self._stopping:
                self._cancel.set()
            self._done, self._total = 0, 0
            with self.gate.admitting(exam_id) as ticket:
                self.keeper.check(ticket)
                self.keeper.ensure_room()
                self.state = State.SCANNING
                saved = self._scan(ticket)
            self.findings.clear("scan_failed", self.device.name)
            return saved
        except WrongExamError:
            raise
        except ScanCancelled:
            self.findings.clear("scan_failed", self.device.name)
            raise
        except OSError as error:
            failed = flash_error_from(error, "The film was not saved", "Scan it again.")
            self.findings.report(finding_from(failed, "scan_failed", self.device.name))
            raise failed from error
        except ApplianceError as error:
            self.findings.report(finding_from(error, "scan_failed", self.device.name))
            raise
        finally:
            self.state = State.IDLE
            self._busy.release()

    def _scan(self, ticket: Ticket) -> Saved:
        with scan_film(self._options, self.clock, cancel=self._cancel, on_progress=self._note_progress) as film:
            return self._keep(ticket, film)

    def _keep(self, ticket: Ticket, film: FilmScan) -> Saved:
        header = film.header
        self._total = header.data_bytes
        form = film_form_from(header.width, header.height, header.bits)
        composed = compose_film(self.keeper.origins(ticket, new_uid()), form, header.resolution_dpi)
        writer = self.keeper.begin(ticket, composed.sop_instance_uid, composed.header)
        thumbnail = FilmThumbnail(header.width, header.height)
        try:
            for chunk in film.chunks:
                writer.append(chunk)
                thumbnail.feed(chunk)
            writer.append(composed.trailer)
            path = writer.publish()
        except BaseException:
            writer.abandon()
            raise
        saved = self.keeper.remember(ticket, path, Kind.FILM, 1, writer.bytes_written)
        self.thumbnails.put(saved.sop_instance_uid, thumbnail.jpeg())
        self.note_saved(saved)
        return saved

    def cancel(self) -> None:
        self._cancel.set()

    def _note_progress(self, part: float) -> None:
        self._done = round(part * self._total)

    def progress(self) -> dict[str, Any] | None:
        if self.state is not State.SCANNING:
            return None
        return {"done": self._done, "total": self._total or None, "unit": "bytes"}

    def sentence(self) -> str:
        if self.state is State.SCANNING:
            return f"Scanning a film, {100 * self._done // max(1, self._total)} %."
        return "Ready: put a film in and press Scan."
