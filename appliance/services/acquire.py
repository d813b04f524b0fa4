"""The acquire process of one device: `python -m appliance.services.acquire NAME`. No network; one device."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from appliance.acquire.api import make_app
from appliance.acquire.drivers import film_options_from, line_from, make_source, paper_size_from
from appliance.acquire.films import FilmRunner
from appliance.acquire.gate import ExamGate
from appliance.acquire.keeping import ObjectKeeper
from appliance.acquire.pages import PageRunner
from appliance.acquire.runner import DeviceRunner
from appliance.acquire.salvage import list_cut_short, salvage_device
from appliance.acquire.texts import TextRunner
from appliance.acquire.transfers import TransferRunner
from appliance.acquire.triggers import TriggerWatch, title_of
from appliance.acquire.video import VideoRunner
from appliance.base.clock import Clock, Deadline, SystemClock
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
    PrinterDevice,
    SerialDevice,
    TextDevice,
    TriggeredDevice,
)
from appliance.config.in_force import read_in_force
from appliance.config.schema import Configuration
from appliance.config.text_profiles import load_profile
from appliance.config.triggers import BytesTrigger, GpioTrigger, KeyTrigger, Trigger, WireTrigger
from appliance.devices.printer.languages import decoder_of
from appliance.devices.serial.line import Parity, SerialLine
from appliance.devices.signal.gpio import Bias, GpioSource, LineWish
from appliance.devices.signal.heard import HeardSource
from appliance.devices.signal.keys import KeySource
from appliance.devices.signal.modem import ModemSource, Wire, WireWish
from appliance.devices.signal.pattern import pattern_from_text
from appliance.devices.signal.source import SignalSource
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
    # What is to be told of the file, the console tells.
    configuration = read_in_force(paths.configuration).configuration
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
    watches = make_watches(paths.run, device, runner, findings, clock)
    threads = [
        threading.Thread(target=_work, args=(one, stop, life, died), name=name, daemon=True)
        for one, life in ((runner, alive), *((watch, _quietly) for watch in watches))
    ]
    for thread in threads:
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
    deadline = Deadline.after(clock, _STOP_SECONDS)
    for thread in threads:
        thread.join(deadline.remaining())
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
            line = line_from(device, paths.run, clock)
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


def make_watches(
    run: Path, device: Device, runner: DeviceRunner, findings: FindingBoard, clock: Clock
) -> list[TriggerWatch]:
    """One for each node that something may say *now* at; relative paths are below `run`."""
    by_node: dict[Path, list[Trigger]] = {}
    for trigger in device.triggers if isinstance(device, TriggeredDevice) else ():
        by_node.setdefault(trigger.node, []).append(trigger)
    return [
        TriggerWatch(make_signal_source(str(run / node), triggers, clock), triggers, runner, clock, findings)
        for node, triggers in by_node.items()
    ]


def make_signal_source(path: str, triggers: Sequence[Trigger], clock: Clock) -> SignalSource:
    """What listens at `path`, all of whose triggers are of one kind."""
    name = title_of(triggers[0])
    match triggers[0]:
        case KeyTrigger():
            wanted = [frozenset(one.codes) for one in triggers if isinstance(one, KeyTrigger)]
            return KeySource(path, wanted, clock, name)
        case GpioTrigger():
            lines = [
                LineWish(one.pin, one.is_active_low, Bias(one.bias)) for one in triggers if isinstance(one, GpioTrigger)
            ]
            return GpioSource(path, lines, clock, name)
        case WireTrigger():
            wires = [WireWish(Wire(one.wire), one.is_released) for one in triggers if isinstance(one, WireTrigger)]
            return ModemSource(path, wires, clock, name)
        case BytesTrigger() as first:
            patterns = [pattern_from_text(one.pattern) for one in triggers if isinstance(one, BytesTrigger)]
            parity = Parity[first.parity.upper()]
            line = SerialLine(path, clock, baud=first.baud, data_bits=first.data_bits, parity=parity, name=name)
            return HeardSource(line, patterns, clock)


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


class _Working(Protocol):
    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None: ...


def _quietly() -> None:
    """The sign of life is the device's loop's, not its triggers'."""


def _work(runner: _Working, stop: threading.Event, alive: Callable[[], None], died: threading.Event) -> None:
    """Run the device's loop; if it dies, so does the process, and the supervisor starts it again."""
    try:
        runner.run(stop, alive)
    finally:
        if not stop.is_set():
            died.set()
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
