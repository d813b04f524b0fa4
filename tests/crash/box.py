"""The whole box in one process: each service's own composition root, one inside the other, time in the test's hand.

A composition root builds its parts, starts its threads, and serves until it is told to stop. Here serving means: start
the next service, and after the last one do the job; no thread runs, each loop's round is called in turn. Replaced are
only the edges: sockets, signals, threads, clocks, the configuration's parser (its result is kept), and dimse.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from appliance.acquire.runner import DeviceRunner
from appliance.base import asking, http
from appliance.base.asking import Unreachable
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.base.paths import Paths
from appliance.config.in_force import InForce, read_in_force
from appliance.config.load import configuration_from
from appliance.config.schema import Configuration
from appliance.console.exams import ExamKeeper
from appliance.forward.worker import Worker
from tests.crash.archive import Archive

START = datetime.fromisoformat("2026-11-24T07:00:00+01:00")


class ServiceFailed(AssertionError):
    """A service did not come up by itself, or its loop ended."""


class SteppedClock:
    """Time stands still but for waits and rounds; both let the hospital report what is due."""

    def __init__(self, boots: int = 0) -> None:
        """Each of `boots` before this one took an hour."""
        self._start = START + timedelta(hours=boots)
        self._seconds = 50_000.0
        self.on_turn: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._seconds - 50_000.0)

    def monotonic(self) -> float:
        return self._seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.turn(min(seconds, 60.0))
        return event.is_set()

    def turn(self, seconds: float) -> None:
        self._seconds += max(0.0, seconds)
        self.on_turn()


@dataclass
class Box:
    """What the composition roots have built, while they serve."""

    paths: Paths
    archive: Archive
    clock: SteppedClock
    work: Callable[[Box], None]
    roots: list[tuple[str, Callable[[], int | None]]] = field(default_factory=list)
    apps: dict[str, Any] = field(default_factory=dict)
    runners: dict[str, DeviceRunner] = field(default_factory=dict)
    keeper: ExamKeeper | None = None
    workers: list[Worker] = field(default_factory=list)
    findings: dict[tuple[str, str], str] = field(default_factory=dict)
    is_up: bool = False

    @property
    def exams(self) -> ExamKeeper:
        assert self.keeper is not None
        return self.keeper

    def start_next(self) -> None:
        """Run the next composition root; it comes back here when it serves. Behind the last one comes the work."""
        if not self.roots:
            self.clock.on_turn = self.archive.report_due
            self.is_up = True
            self.work(self)
            return
        (name, root), waiting = self.roots.pop(0), len(self.roots)
        try:
            status = root()
        except ApplianceError as error:
            if self.is_up:
                raise
            raise ServiceFailed(f"{name} does not start: {error.sentence}") from error
        if status not in (0, None) or len(self.roots) == waiting > 0:
            raise ServiceFailed(f"{name} ended with {status}")

    def round(self) -> None:
        """Each service's loop comes round once. What ends a loop ends its process."""
        self.exams.round()
        for worker in self.workers:
            worker.round()
        self.clock.turn(0.5)

    def note(self, finding: Finding) -> None:
        self.findings[finding.code, finding.subject] = finding.sentence


_current: list[Box] = []


def start_box(paths: Paths, archive: Archive, clock: SteppedClock, work: Callable[[Box], None]) -> Box:
    """What happens at boot, and then `work` while every service is there. ServiceFailed, or what `work` raises.

    Must run inside `sealed`.
    """
    box = Box(paths, archive, clock, work)
    _current.append(box)
    try:
        with _environment(paths):
            status = importlib.import_module("appliance.services.recover").main()
        if status != 0:
            raise ServiceFailed(f"recovery ended with {status}")
        acquire, console, forward = (
            importlib.import_module(f"appliance.services.{name}") for name in ("acquire", "console", "forward")
        )
        configuration = acquire.read_in_force(paths.configuration).configuration
        for device in configuration.devices:
            box.roots.append((f"acquire {device.name}", partial(acquire.run_acquire, paths, device.name)))
        box.roots.append(("forward", partial(forward.run, paths, configuration, clock)))
        box.roots.append(("console", partial(console.run_console, paths)))
        box.start_next()
    finally:
        _current.pop()
    return box


class InProcessAsker:
    """Stands for base.asking.Asker: the same question to the same application, without a socket."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = str(path), name
        self._box = _current[-1]

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float = 5.0
    ) -> dict[str, Any]:
        app = self._box.apps.get(self._path)
        if app is None:
            raise Unreachable(f"{self._name} does not answer.")
        return asking._object_from(*_exchange(app, method, path, json.dumps(body or {}).encode()), self._name)

    def close(self) -> None:
        pass


def _exchange(app: Any, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """One request through an application: its status and its body."""
    told: list[dict[str, Any]] = []
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    target, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": target,
        "raw_path": target.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"appliance"), (b"content-type", b"application/json")],
        "client": None,
        "server": None,
    }
    asyncio.run(app(scope, receive, send))
    return int(told[0]["status"]), b"".join(one.get("body", b"") for one in told[1:])


@cache
def _configuration_from(text: bytes, path: Path) -> Configuration:
    return configuration_from(text, path)


def _serve(app: Any, listeners: list[Any], on_ready: Callable[[], None]) -> None:
    box = _current[-1]
    http.answer_in_words(app)
    box.apps.update({listener.path: app for listener in listeners})
    on_ready()
    box.start_next()


def _note_runner(runner: DeviceRunner, *_: Any) -> None:
    _current[-1].runners[runner.device.name] = runner


def _note_keeper(keeper: ExamKeeper, *_: Any) -> None:
    _current[-1].keeper = keeper


class _Listener:
    """Stands for the commitment listener: the archive reports by a call."""

    def __init__(self, *given: Any, **_: Any) -> None:
        _current[-1].archive.hear = next(one for one in given if callable(one))

    def stop(self) -> None:
        _current[-1].archive.hear = None


@contextlib.contextmanager
def _environment(paths: Paths) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in paths.environment()}
    os.environ.update(paths.environment())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _RoundByRound:
    """Stands for threading.Thread: the loop's function is called at once, and is one of those that only note."""

    def __init__(self, *, target: Callable[..., object], args: tuple[Any, ...], **_: Any) -> None:
        self._target, self._args = target, args

    def start(self) -> None:
        self._target(*self._args)

    def join(self, _seconds: float | None = None) -> None:
        pass


_THREADS = SimpleNamespace(Thread=_RoundByRound, Event=threading.Event)
_NO_SIGNALS = SimpleNamespace(
    SIGTERM=signal.SIGTERM, SIGINT=signal.SIGINT, signal=lambda *_: None, getsignal=lambda *_: None
)
_DIMSE = ("open_association", "store_object", "request_commitment", "create_step", "set_step", "query_worklist")


@contextlib.contextmanager
def sealed() -> Iterator[None]:
    """The edges are replaced inside the block. AttributeError when one of them is called otherwise by now."""
    acquire, console, forward, recover = (
        importlib.import_module(f"appliance.services.{name}") for name in ("acquire", "console", "forward", "recover")
    )
    report = FindingBoard.report

    def note_and_report(board: FindingBoard, finding: Finding) -> None:
        if _current:
            _current[-1].note(finding)
        report(board, finding)

    with contextlib.ExitStack() as stack:

        def put(owner: Any, name: str, value: Any) -> None:
            before = getattr(owner, name)
            stack.callback(setattr, owner, name, before)
            setattr(owner, name, value)

        for service in (acquire, console, forward):
            put(service, "serve", _serve)
            put(service, "bind_unix", lambda path: SimpleNamespace(path=str(path)))
            put(service, "signal", _NO_SIGNALS)
        for service in (acquire, console):
            put(service, "SystemClock", lambda: _current[-1].clock)
            put(service, "read_in_force", _read_in_force)
            put(service, "threading", _THREADS)
        put(acquire, "_work", _note_runner)
        put(console, "_keep", _note_keeper)
        put(recover, "configure_logging", lambda *_: None)
        put(forward, "CommitmentListener", _Listener)
        put(Worker, "start", lambda worker: _current[-1].workers.append(worker))
        put(Worker, "join", lambda *_: True)
        put(FindingBoard, "report", note_and_report)
        for module in (console, importlib.import_module("appliance.console.acquires")):
            put(module, "Asker", InProcessAsker)
        for name in _DIMSE:
            original = _find_dimse(name)
            for module in [one for one in sys.modules.values() if one.__name__.startswith("appliance.")]:
                if getattr(module, name, None) is original:
                    put(module, name, _to_archive(name))
        level = logging.root.manager.disable
        stack.callback(logging.disable, level)
        logging.disable(logging.CRITICAL)
        yield


def _read_in_force(path: Path) -> InForce:
    try:
        return InForce(_configuration_from(path.read_bytes(), path))
    except OSError:
        return read_in_force(path)


def _to_archive(name: str) -> Callable[..., Any]:
    return lambda *given, **named: getattr(_current[-1].archive, name)(*given, **named)


def _find_dimse(name: str) -> Any:
    for module in ("association", "store", "commitment", "performed_step", "worklist"):
        found = getattr(importlib.import_module(f"appliance.dimse.{module}"), name, None)
        if found is not None:
            return found
    raise AttributeError(f"appliance.dimse has no {name} any more")
