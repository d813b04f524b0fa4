"""A film digitizer: one film at a time, its rows streamed from the scanner to flash, never whole in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from appliance.acquire.gate import ExamGate, Ticket
from appliance.acquire.keeping import Kind, ObjectKeeper, Saved
from appliance.acquire.preview import FilmThumbnail
from appliance.acquire.runner import DeviceRunner, State
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.uids import new_uid
from appliance.compose.instance import compose_film
from appliance.compose.pixels import film_form_from
from appliance.config.schema import FilmDevice
from appliance.devices.errors import ScanCancelled
from appliance.devices.film.options import FilmOptions
from appliance.devices.film.scan import FilmScan, scan_film
from appliance.spool.writer import ObjectWriter

_TICK_SECONDS = 1.0


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
        self._part = 0.0

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Be alive until `stop`; a scan under way is then broken off."""
        while not stop.is_set():
            alive()
            self.clock.wait(stop, _TICK_SECONDS)
        self._cancel.set()

    def scan_film(self, exam_id: str | None) -> Saved:
        """One film, durable. Errors of the digitizer as `devices.film.scan`; the panel shows them as a finding too."""
        if not self._busy.acquire(blocking=False):
            raise ApplianceError("A film is being scanned already.", "Wait for it, or cancel it.")
        try:
            self._cancel.clear()
            self._part = 0.0
            self.state = State.SCANNING
            with self.gate.admitting(exam_id) as ticket:
                saved = self._scan(ticket)
            self.findings.clear("scan_failed", self.device.name)
            return saved
        except ScanCancelled:
            self.findings.clear("scan_failed", self.device.name)
            raise
        except OSError as error:
            failed = ApplianceError(
                f"The film could not be written to flash: {error.strerror}.", "Check the box's flash and scan again."
            )
            self.findings.report(finding_from(failed, "scan_failed", self.device.name))
            raise failed from error
        except ApplianceError as error:
            self.findings.report(finding_from(error, "scan_failed", self.device.name))
            raise
        finally:
            self.state = State.IDLE
            self._busy.release()

    def _scan(self, ticket: Ticket) -> Saved:
        with scan_film(self._options, self.clock, cancel=self._cancel, on_progress=self._note_part) as film:
            return self._keep(ticket, film)

    def _keep(self, ticket: Ticket, film: FilmScan) -> Saved:
        header = film.header
        form = film_form_from(header.width, header.height, header.bits)
        self.keeper.ensure_room(form.frame_bytes)
        composed = compose_film(self.keeper.origins(ticket, new_uid()), form, header.resolution_dpi)
        writer = ObjectWriter(self.keeper.directory(ticket), composed.sop_instance_uid, composed.header)
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
        saved = self.keeper.remember(ticket, path, Kind.FILM, frames=1)
        self.thumbnails.put(saved.sop_instance_uid, thumbnail.jpeg())
        return saved

    def cancel(self) -> None:
        self._cancel.set()

    def _note_part(self, part: float) -> None:
        self._part = part

    def progress(self) -> dict[str, Any] | None:
        if self.state is not State.SCANNING:
            return None
        return {"done": round(100 * self._part), "total": 100, "unit": "%"}

    def sentence(self) -> str:
        if self.state is State.SCANNING:
            return f"Scanning a film, {100 * self._part:.0f} %."
        return "Ready: put a film in and press Scan."
