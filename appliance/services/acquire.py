"""The acquire process of one device: `python -m appliance.services.acquire NAME`. No network; one device."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from appliance.acquire.api import make_app
from appliance.acquire.films import FilmRunner
from appliance.acquire.gate import ExamGate
from appliance.acquire.keeping import ObjectKeeper
from appliance.acquire.pages import PageRunner
from appliance.acquire.runner import DeviceRunner
from appliance.acquire.salvage import list_cut_short, salvage_device
from appliance.acquire.texts import TextRunner
from appliance.acquire.transfers import TransferRunner
from appliance.acquire.video import VideoRunner
from appliance.base.clock import Clock, SystemClock
from appliance.base.clock_trust import ClockTrust
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.flash import telling_of_flash
from appliance.base.http import serve
from appliance.base.lock import ProcessLock
from appliance.base.log import configure_logging
from appliance.base.notify import notify_ready, notify_stopping, notify_watchdog
from appliance.base.paths import Paths
from appliance.base.sockets import bind_unix
from appliance.config.devices import (
    Device,
    FilmDevice,
    GrabberDevice,
    LineDevice,
    PrinterDevice,
    SerialDevice,
    TalkingDevice,
    TextDevice,
)
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.config.text_profiles import load_profile
from appliance.devices.film.options import FilmOptions
from appliance.devices.printer.languages import decoder_of
from appliance.devices.printer.paper import PaperSize
from appliance.devices.serial.line import Flow, Parity, SerialLine, Transcript
from appliance.devices.video.layout import Area
from appliance.devices.video.source import VideoSource
from appliance.devices.video.stream import StreamGrabber
from appliance.devices.video.v4l2_mode import CaptureWish
from appliance.devices.video.v4l2_stream import V4l2Grabber
from appliance.exam.audit import Act, AuditTrail, Effect
from appliance.exam.audit_gate import AuditGate
from appliance.exam.facts import ExamFacts
from appliance.spool.room import captures_bytes_from
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

# A clip that is ended by the stop is still written, on a flash that may stall.
_STOP_SECONDS = 70.0
_ALIVE_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Serve until told to stop; 0 then, 1 when it could not begin or its working thread died."""
    if len(arguments) != 1:
        print("usage: python -m appliance.services.acquire NAME", file=sys.stderr)  # noqa: T201
        return 2
    configure_logging(f"acquire of {arguments[0]}")
    try:
        return run_acquire(Paths.from_environment(), arguments[0])
    except ApplianceError as error:
        _log.critical("%s", error)
        return 1


def run_acquire(paths: Paths, name: str) -> int:
    """The parts list. ApplianceError when something cannot start."""
    configuration = load_configuration(paths.configuration)
    try:
        device = configuration.device(name)
    except KeyError:
        known = ", ".join(one.name for one in configuration.devices) or "none"
        raise ApplianceError(f"No device is called {name!r}.", f"The configuration has: {known}.") from None
    lock = ProcessLock(paths.acquire_lock(name), f"The acquire process of {name}")
    clock = SystemClock()
    spool = Spool(paths.state)
    facts = ExamFacts(spool.exams)
    findings = FindingBoard()
    with telling_of_flash(findings, "spool-unmade", "The box's directories cannot be looked after"):
        spool.make()
    audit = AuditGate(AuditTrail(paths.audit, f"acquire-{name}", clock), findings)
    audit.record(Act.SERVICE_STARTED, actor=audit.process)
    with telling_of_flash(findings, "unsalvaged", "What was interrupted cannot be looked through", subject=name):
        for found in (*salvage_device(spool, facts, name), *list_cut_short(spool, facts, name)):
            findings.report(found.finding)
    runner = make_runner(paths, configuration, device, spool, facts, findings, clock)

    stop, died = threading.Event(), threading.Event()
    # uvicorn raises the signal that stopped it once more when it is done; these handlers take it then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    alive = _SignOfLife(clock, runner.sentence)
    thread = threading.Thread(target=_work, args=(runner, stop, alive, died), name=name, daemon=True)
    thread.start()

    def report_ready() -> None:
        notify_ready(runner.sentence())
        # uvicorn lets what is asked of it come to its end; that needs the runner to stop now, not after uvicorn has.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopping_first(stop, signal.getsignal(number)))
        if stop.is_set():  # asked to stop before uvicorn listened to signals
            os.kill(os.getpid(), signal.SIGTERM)

    serve(make_app(runner), [bind_unix(paths.acquire_socket(name))], report_ready)
    notify_stopping()
    stop.set()
    thread.join(_STOP_SECONDS)
    outcome = Effect.MAJOR_FAILURE if died.is_set() else Effect.SUCCESS
    audit.record(Act.SERVICE_STOPPED, actor=audit.process, outcome=outcome)
    lock.release()
    return 1 if died.is_set() else 0


def make_runner(
    paths: Paths,
    configuration: Configuration,
    device: Device,
    spool: Spool,
    facts: ExamFacts,
    findings: FindingBoard,
    clock: Clock,
) -> DeviceRunner:
    """The runner that fits the device's driver."""
    keeper = ObjectKeeper(spool, configuration.box, device, clock, captures_bytes_from(configuration.devices))
    gate = ExamGate(facts, clock, ClockTrust(paths.clock).is_trusted)
    match device:
        case GrabberDevice():
            return VideoRunner(device, make_source(device, paths.run, clock), keeper, gate, clock, findings)
        case SerialDevice():
            line = SerialLine(
                str(paths.run / device.line),
                clock,
                baud=device.baud,
                name=device.name,
                transcript=transcript_for(device),
            )
            return TransferRunner(device, line, keeper, gate, clock, findings)
        case PrinterDevice():
            line = line_from(device, paths.run, clock)
            decoder = decoder_of(device.language, paper_size_from(device))
            return PageRunner(device, line, decoder, keeper, gate, clock, findings)
        case TextDevice():
            profile = load_profile(device.profile)
            line = line_from(device, paths.run, clock)
            return TextRunner(device, profile, line, keeper, gate, clock, findings)
        case FilmDevice():
            return FilmRunner(device, film_options_from(device, paths.run), keeper, gate, clock, findings)


def transcript_for(device: LineDevice) -> Transcript | None:
    """Where what goes over the device's line is kept, if that is configured."""
    return Transcript(device.transcript_bytes) if device.transcript_bytes else None


def line_from(device: TalkingDevice, run: Path, clock: Clock) -> SerialLine:
    """The line on which `device` speaks; a relative path is below `run`."""
    return SerialLine(
        str(run / device.line),
        clock,
        baud=device.baud,
        data_bits=device.data_bits,
        parity=Parity[device.parity.upper()],
        flow=Flow(device.flow),
        name=device.name,
        transcript=transcript_for(device),
    )


def paper_size_from(device: PrinterDevice) -> PaperSize:
    """The paper that is in the printer."""
    return PaperSize(
        width_mm=device.paper_width_mm,
        height_mm=device.paper_height_mm,
        dpi=device.page_dpi,
        max_pixels=device.max_pixels,
        max_pages=device.max_pages,
    )


def make_source(device: GrabberDevice, run: Path, clock: Clock) -> VideoSource:
    """The kernel's video node, or the socket of another process; relative paths are below `run`."""
    crop = Area(*device.crop) if device.crop else None
    masks = tuple(Area(*one) for one in device.masks)
    if not device.is_video_node:
        path = str(run / device.source)
        return StreamGrabber(path, device.max_frame_bytes, clock, device.name, crop=crop, masks=masks)
    wish = CaptureWish(
        formats=device.formats,
        rate=device.frames_per_second,
        max_frame_bytes=device.max_frame_bytes,
        is_diagnostic=device.quality == "diagnostic",
        input=device.input,
        standard=device.standard,
        size=device.size,
        crop=crop,
        masks=masks,
        deinterlace=device.deinterlace,
        controls=tuple(device.controls.items()),
    )
    return V4l2Grabber(str(device.source), wish, clock, device.name)


def film_options_from(device: FilmDevice, run: Path) -> FilmOptions:
    """What the digitizer is asked for, from its configuration; relative paths are below `run`."""
    directory = device.sane_config_directory
    return FilmOptions(
        device=device.sane_device,
        resolution_dpi=device.resolution_dpi,
        width_mm=device.width_mm,
        height_mm=device.height_mm,
        depth=device.depth,
        source=device.source,
        left_mm=device.left_mm,
        top_mm=device.top_mm,
        extra=device.options,
        config_directory=run / directory if directory else None,
        name=device.name,
        max_bytes=device.max_bytes,
        warm_up=device.stall_seconds,
        stall=device.stall_seconds,
        total=device.scan_seconds,
    )


class _SignOfLife:
    """Feeds the watchdog from the working loop, which comes round for every frame: once a second is enough.

    With it goes what the device does now, for `systemctl status`.
    """

    def __init__(self, clock: Clock, sentence: Callable[[], str]) -> None:
        self._clock = clock
        self._sentence = sentence
        self._last = float("-inf")

    def __call__(self) -> None:
        now = self._clock.monotonic()
        if now - self._last >= _ALIVE_SECONDS:
            self._last = now
            notify_watchdog(self._sentence())


def _stopping_first(stop: threading.Event, uvicorns: Any) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        if callable(uvicorns):
            uvicorns(number, frame)

    return handle


def _work(runner: DeviceRunner, stop: threading.Event, alive: Callable[[], None], died: threading.Event) -> None:
    """Run the device's loop; if it dies, so does the process, and the supervisor starts it again."""
    try:
        runner.run(stop, alive)
    finally:
        if not stop.is_set():
            died.set()
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
