"""Runs the demo's processes as systemd runs the box's: ready by sd_notify, restarted when dead, stopped in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.base.errors import ApplianceError

_RESTART_SECONDS = 0.5
_STOP_SECONDS = 15.0
_TICK_SECONDS = 0.1
_MOST_STARTS = 3
_LOG_LIMIT = 16 * 1024 * 1024

# sd_listen_fds(3): descriptor 3, and LISTEN_PID is the process that exec makes of this one.
_PASS_LISTENER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One process: a module of `appliance.services` and its arguments; `listener` is passed as systemd passes it.

    `is_oneshot`: it is run once, to its end, before those that follow; as a unit of that type, ordered before them.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    listener: socket.socket | None = None
    is_oneshot: bool = False


@dataclass(slots=True)
class _Child:
    part: Part
    notify: socket.socket
    process: subprocess.Popen[bytes] | None = None
    is_ready: bool = False
    died_at: float = 0.0
    starts: int = 0
    log: Path = field(default_factory=Path)


class Supervisor:
    """Children are started by the thread that calls `run_until`, which therefore must be the main thread.

    (The kernel sends a child its parent-death signal when the *thread* that started it ends, prctl(2).)
    """

    def __init__(self, parts: Sequence[Part], environment: Mapping[str, str], run: Path, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)
        self._environment = dict(environment)
        self._children = [
            _Child(part, _bind_notify(run / f"{part.name}.notify"), log=logs / f"{part.name}.log") for part in parts
        ]
        self._notify_paths = {part.name: str(run / f"{part.name}.notify") for part in parts}

    def start(self, seconds: float, stop: threading.Event) -> None:
        """Start every part and wait until all are ready. ApplianceError names the one that is not in time."""
        deadline = time.monotonic() + seconds
        for child in self._children:
            self._spawn(child)
            if child.part.is_oneshot:
                self._await_end(child, deadline, stop)
        while not stop.wait(_TICK_SECONDS):
            self._tick()
            late = [child for child in self._children if not child.is_ready]
            if not late:
                return
            if time.monotonic() > deadline or any(child.starts > _MOST_STARTS for child in late):
                worst = max(late, key=lambda child: child.starts)
                raise ApplianceError(
                    f"{worst.part.name} does not start: {_last_line_of(worst.log)}", f"See {worst.log} for more."
                )

    @staticmethod
    def _await_end(child: _Child, deadline: float, stop: threading.Event) -> None:
        """Until it has ended, however: one that fails holds up no other. ApplianceError when it is not in time."""
        assert child.process is not None
        while child.process.poll() is None and not stop.wait(_TICK_SECONDS):
            if time.monotonic() > deadline:
                raise ApplianceError(f"{child.part.name} does not end.", f"See {child.log} for more.")
        child.is_ready = True

    def run_until(self, stop: threading.Event) -> None:
        """Restart what dies until `stop` is set."""
        while not stop.wait(_TICK_SECONDS):
            self._tick()

    def stop(self) -> None:
        """SIGTERM to all, one deadline for all; SIGKILL for who does not hear."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in self._children:
            child.notify.close()
            Path(self._notify_paths[child.part.name]).unlink(missing_ok=True)

    def _tick(self) -> None:
        for child in self._children:
            self._hear(child)
            if child.process is None or child.part.is_oneshot:
                continue
            if child.process.poll() is not None:
                now = time.monotonic()
                if child.died_at == 0.0:
                    child.died_at, child.is_ready = now, False
                elif now - child.died_at >= _RESTART_SECONDS:
                    self._spawn(child)

    def _spawn(self, child: _Child) -> None:
        child.died_at, child.is_ready = 0.0, False
        child.starts += 1
        environment = {**os.environ, **self._environment, "NOTIFY_SOCKET": self._notify_paths[child.part.name]}
        command = [sys.executable, "-m", child.part.module, *child.part.arguments]
        descriptors: tuple[int, ...] = ()
        if child.part.listener is not None:
            descriptors = (child.part.listener.fileno(),)
            environment["LISTEN_FDS"] = "1"
            command = [sys.executable, "-S", "-c", _PASS_LISTENER, str(descriptors[0]), *command]
        # setpriv(1): whatever ends this supervisor, even SIGKILL, ends its children too. A session of their own: a
        # Ctrl-C reaches the supervisor alone, which stops them in order.
        command = ["setpriv", "--pdeathsig", "TERM", "--", *command]
        if child.log.exists() and child.log.stat().st_size > _LOG_LIMIT:
            child.log.replace(child.log.with_suffix(".log.1"))
        with child.log.open("ab") as log:
            child.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=descriptors,
            )

    @staticmethod
    def _hear(child: _Child) -> None:
        while True:
            try:
                message = child.notify.recv(4096)
            except BlockingIOError:
                return
            for line in message.decode("utf-8", "replace").splitlines():
                if line == "READY=1":
                    child.is_ready = True


def _last_line_of(log: Path) -> str:
    """What the process said last."""
    lines = log.read_text(encoding="utf-8", errors="replace")[-4096:].strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing."


def _bind_notify(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    notify.bind(str(path))
    return notify


def stop_on_signals(stop: threading.Event) -> None:
    """SIGINT and SIGTERM end the demo in an orderly way."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
