"""scanimage as a child in a process group of its own: read with a deadline, and ended whatever state it is in."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import select
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import DeviceGone

_READ_SIZE = 1024 * 1024
_REMARKS_LIMIT = 8192
_GRACE_SECONDS = 2.0


class ScanChild:
    """A running scan. `read` gives its standard output; `remarks` is the end of what it said on standard error.

    The group is killed when the child is closed, and when this process ends in an orderly way. When this process is
    killed the child finds its pipe closed at its next write; one that hangs as well is ended with the unit's cgroup.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        clock: Clock,
        name: str,
        *,
        is_prompted: bool = False,
    ) -> None:
        """`is_prompted`: it waits for a line on its standard input, which `prompt` gives it."""
        self._clock = clock
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if is_prompted else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise DeviceGone(
                f"The program that drives the {name} cannot be started.", "Install the package sane-utils."
            ) from error
        self._pidfd = os.pidfd_open(self._process.pid)
        self._is_closed = False
        assert self._process.stdout is not None and self._process.stderr is not None
        self._output = self._process.stdout.fileno()
        self._stderr = self._process.stderr.fileno()
        self._remarks = bytearray()
        self._is_at_end = False
        self._selector = selectors.DefaultSelector()
        os.set_blocking(self._stderr, False)
        self._selector.register(self._stderr, selectors.EVENT_READ)
        self._take_from(self._output)
        atexit.register(self._kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def remarks(self) -> str:
        """What the child said on standard error, the last 8 KiB; for decisions, not for a log."""
        self._drain_remarks()
        return self._remarks.decode("utf-8", "replace")

    def prompt(self) -> None:
        """Give it the line that it waits for; nothing happens when it has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()

    def read_from(self, output: int | None) -> None:
        """From now on `read` gives what comes through this pipe, which stays the caller's; None: nothing."""
        if self._output in self._selector.get_map():
            self._selector.unregister(self._output)
        if output is None:
            self._is_at_end = True
            return
        self._take_from(output)
        if self._pidfd not in self._selector.get_map():
            # A pipe that nobody has opened yet does not tell that nobody ever will.
            self._selector.register(self._pidfd, selectors.EVENT_READ)

    def _take_from(self, output: int) -> None:
        self._output, self._is_at_end = output, False
        os.set_blocking(output, False)
        self._selector.register(output, selectors.EVENT_READ)
        with contextlib.suppress(OSError):  # a larger pipe only spares wake-ups
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _READ_SIZE)

    def read(self, seconds: float) -> bytes | None:
        """Up to 1 MiB of output; empty when nothing came in `seconds`, None when there will be no more."""
        if self._is_at_end:
            return None
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.fd == self._stderr:
                self._drain_remarks()
                continue
            try:
                data = os.read(self._output, _READ_SIZE)
            except BlockingIOError:
                continue
            if not data:
                self._is_at_end = True
                return None
            return data
        return b""

    def wait(self, deadline: Deadline) -> int | None:
        """The exit status (negative for a signal); None when the child has not ended by then."""
        # The child stays unreaped until `close`, so that until then its number is nobody else's.
        if not select.select([self._pidfd], [], [], deadline.remaining())[0]:
            return None
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def close(self, gently: bool) -> None:
        """End the child and all that it started. `gently`: TERM first, so that the digitizer gives the film back."""
        if self._is_closed:
            return
        self._is_closed = True
        if gently and self.wait(Deadline.after(self._clock, 0)) is None:
            self._signal(signal.SIGTERM)
            self.wait(Deadline.after(self._clock, _GRACE_SECONDS))
        self._kill()
        self._process.wait()
        atexit.unregister(self._kill)
        self._selector.close()
        os.close(self._pidfd)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _drain_remarks(self) -> None:
        if self._stderr not in self._selector.get_map():
            return
        while True:
            try:
                data = os.read(self._stderr, 65536)
            except BlockingIOError:
                return
            if not data:
                self._selector.unregister(self._stderr)
                return
            self._remarks = (self._remarks + data)[-_REMARKS_LIMIT:]

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        os.killpg(self._process.pid, number)
