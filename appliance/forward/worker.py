"""A thread that looks, works, and sleeps until something is due or it is woken. A fault in it ends the process.

systemd (or the demo) starts the process again, and the journal and the files say where to go on: a process that lives
on with a dead thread would look well and do nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Callable

from appliance.base.clock import Clock
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_finding_from

_log = logging.getLogger(__name__)

LONGEST_SLEEP_SECONDS = 60.0
_FLASH_SECONDS = 5.0
EXIT_FAULT = 70  # EX_SOFTWARE, sysexits.h


class Worker:
    """Calls `work` again and again; it answers with the seconds until it wants to be called next."""

    def __init__(
        self,
        name: str,
        work: Callable[[], float],
        clock: Clock,
        *,
        findings: FindingBoard | None = None,
        end_process: Callable[[int], None] = os._exit,
    ) -> None:
        """With `findings` an OSError of the flash is told there, and the work tried again; without it is a fault."""
        self._name = name
        self._findings = findings
        self._work = work
        self._clock = clock
        self._end_process = end_process
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Begin no new piece of work."""
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> bool:
        """Wait for the end; true when it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def round(self) -> float:
        """`work`, once; the seconds until it wants to be called next."""
        if self._findings is None:
            return self._work()
        try:
            seconds = self._work()
        except OSError as error:
            again = "It is tried again by itself."
            self._findings.report(
                flash_finding_from(error, "work-failed", f"The work on {self._name} cannot go on", again, self._name)
            )
            return _FLASH_SECONDS
        self._findings.clear("work-failed", self._name)
        return seconds

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                seconds = self.round()
                if not self._stop.is_set():
                    self._clock.wait(self._wake, min(seconds, LONGEST_SLEEP_SECONDS))
        except BaseException as error:
            _log.critical("the %s worker ends the process: %s", self._thread.name, describe_fault(error))
            self._end_process(EXIT_FAULT)
            raise


def describe_fault(error: BaseException) -> str:
    """Kind and place of a fault, without its message, which may quote a patient's value."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames[-6:]))
    return f"{type(error).__name__} at {places}"
