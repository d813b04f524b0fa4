"""A film digitizer: one film or a stack of them, their rows streamed to flash, never whole in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from appliance.acquire.gate import ExamGate, Ticket, WrongExamError
from appliance.acquire.keeping import Kind, ObjectKeeper, Saved
from appliance.acquire.preview import FilmThumbnail
from appliance.acquire.runner import DeviceRunner, State
from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, counted, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_error_from
from appliance.base.jpeg_ls import check_jpeg_ls, encode_jpeg_ls
from appliance.base.uids import new_uid
from appliance.compose.density import density_table_from
from appliance.compose.instance import compose_film
from appliance.compose.kinds import film_photometric_of
from appliance.compose.pixels import film_form_from
from appliance.config.devices import FilmDevice
from appliance.devices.errors import ScanCancelled
from appliance.devices.film.offered import check_offered, read_offered
from appliance.devices.film.options import FilmOptions
from appliance.devices.film.scan import FilmScan, scan_film
from appliance.devices.film.stack import FilmStack, open_stack

_TICK_SECONDS = 1.0
# TERM, its grace and KILL of the digitizer's program, and a flash that stalls meanwhile.
_END_SECONDS = 15.0
_WERE = {False: "was", True: "were"}


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
        self._number = 0  # of the film in its stack; 0 where there is no stack
        steps = device.density_steps
        self._density = density_table_from(steps, device.depth) if steps else None
        self._is_known = False  # whether the digitizer has what is configured
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
        """One film, or a stack of them: durable, the last one of a stack. The panel shows errors as a finding too.

        Errors of the digitizer as `devices.film.scan`. What was saved before one stays saved, and the sentence says so.
        """
        if not self._busy.acquire(blocking=False):
            raise ApplianceError("A film is being scanned already.", "Wait for it, or cancel it.")
        saved: list[Saved] = []
        try:
            self._cancel.clear()
            if self._stopping:
                self._cancel.set()
            self._done, self._total, self._number = 0, 0, 0
            (self._scan_stack if self._film.stack else self._scan_one)(exam_id, saved)
            self.findings.clear("scan_failed", self.device.name)
            return saved[-1]
        except WrongExamError:
            raise
        except ScanCancelled:
            self.findings.clear("scan_failed", self.device.name)
            raise
        except OSError as error:
            failed = flash_error_from(error, "The film was not saved", "Scan it again.")
            self._tell(failed, len(saved))
            raise failed from error
        except ApplianceError as error:
            self._is_known = False  # another digitizer may be there the next time
            self._tell(error, len(saved))
            raise
        finally:
            self.state = State.IDLE
            self._busy.release()

    def _tell(self, error: ApplianceError, saved: int) -> None:
        """On the panel, and to whoever pressed: what is safe all the same."""
        if saved:
            error.sentence += f" {counted(saved, 'film')} of the stack {_WERE[saved > 1]} saved before it."
        self.findings.report(finding_from(error, "scan_failed", self.device.name))

    def _scan_one(self, exam_id: str | None, saved: list[Saved]) -> None:
        with self.gate.admitting(exam_id) as ticket:
            self._prepare(ticket)
            with scan_film(self._options, self.clock, cancel=self._cancel, on_progress=self._note_progress) as film:
                saved.append(self._keep(ticket, film))

    def _scan_stack(self, exam_id: str | None, saved: list[Saved]) -> None:
        """Each film is the open exam's at its own beginning; none is fed before the one in front of it is durable."""
        with ExitStack() as opened:
            films: FilmStack | None = None
            while True:
                with self.gate.admitting(exam_id) as ticket:
                    self._prepare(ticket)
                    if films is None:
                        most = self._film.max_films
                        stack = open_stack(self._options, self.clock, most, cancel=self._cancel)
                        films = opened.enter_context(stack)
                    self._number, self._done, self._total = len(saved) + 1, 0, 0
                    film = films.next_film(self._note_progress)
                    if film is None:
                        return
                    saved.append(self._keep(ticket, film))

    def _prepare(self, ticket: Ticket) -> None:
        """Whatever can be wrong before a film is fed."""
        self.keeper.check(ticket)
        self.keeper.ensure_room()
        self.state = State.SCANNING
        if self._film.compression == "jpeg-ls":
            check_jpeg_ls()
        if not self._is_known:
            check_offered(self._options, read_offered(self._options, self.clock))
            self._is_known = True

    def _keep(self, ticket: Ticket, film: FilmScan) -> Saved:
        header = film.header
        self._total = header.data_bytes
        is_dark = self._film.photometric == "MONOCHROME1"
        thumbnail = FilmThumbnail(header.width, header.height, header.bits, is_inverted=is_dark)
        chunks: Iterator[bytes | memoryview] = _shown_to(thumbnail, film.chunks)
        coded = None
        if self._film.compression == "jpeg-ls":
            pixels = _joined(chunks, header.data_bytes)
            coded = encode_jpeg_ls(pixels, header.width, header.height, header.bits)
            chunks = iter((memoryview(pixels) if coded is None else coded,))
        photometric = film_photometric_of(self._film)
        form = film_form_from(
            header.width, header.height, header.bits, photometric=photometric, is_jpeg_ls=coded is not None
        )
        composed = compose_film(
            self.keeper.origins(ticket, new_uid()),
            form,
            header.resolution_dpi,
            density=self._density,
            length=len(coded) if coded is not None else None,
        )
        writer = self.keeper.begin(ticket, composed.sop_instance_uid, composed.header)
        try:
            for chunk in chunks:
                writer.append(chunk)
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
            percent = 100 * self._done // max(1, self._total)
            if self._number:
                return f"Scanning film {self._number} of the stack, {percent} %."
            return f"Scanning a film, {percent} %."
        if self._film.stack:
            return "Ready: put films in and press Scan film."
        return "Ready: put a film in and press Scan film."


def _shown_to(thumbnail: FilmThumbnail, chunks: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    for chunk in chunks:
        thumbnail.feed(chunk)
        yield chunk


def _joined(chunks: Iterable[bytes | memoryview], size: int) -> bytearray:
    """The whole film, with no second copy of it on the way."""
    pixels, at = bytearray(size), 0
    for chunk in chunks:
        pixels[at : at + len(chunk)] = chunk
        at += len(chunk)
    return pixels
