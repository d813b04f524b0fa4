"""What a new box offers of the stick that is plugged in: looked at again and again, in a thread of its own.

A stick may be pulled out, changed for another, or hang while it is read: whoever asks hears what was found last, and
that the stick is silent where a look does not end. Nothing lasts longer than the stick: pulled out and plugged in again
it is offered anew.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError
from appliance.config.first import is_empty, summary_from
from appliance.config.host import SupportKey
from appliance.config.load import ConfigurationError, Problem, configuration_from
from appliance.config.short_code import short_code_of
from appliance.config.signed import signer_of
from appliance.config.stick import FILE, OnStick, StickState, is_stick_there, read_stick

_log = logging.getLogger(__name__)

OFFER_SECONDS = 900.0
_SILENT_SECONDS = 20.0
_LOOK_SECONDS = 1.0
_MOST_PROBLEMS = 5

Trace = tuple[int, int, int, int] | None
"""Device, inode, size and time of the file: another one is another file."""


@dataclass(frozen=True, slots=True)
class _Found:
    state: StickState
    trace: Trace = None
    code: str = ""
    problems: tuple[dict[str, Any], ...] = ()
    summary: dict[str, Any] | None = None
    until: Deadline | None = None


@dataclass(slots=True)
class StickWatch:
    """`keys` are those by which the box knows its admins; `count_sticks` how many sticks are plugged in."""

    directory: Path
    keys: Callable[[], Sequence[SupportKey]]
    count_sticks: Callable[[], int]
    clock: Clock
    _found: _Found = field(default_factory=lambda: _Found(StickState.NONE))
    _refused: str = ""
    _look_until: Deadline | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, stop: threading.Event) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            self.look()
            self.clock.wait(stop, _LOOK_SECONDS)

    def look(self) -> None:
        """One look. Nothing that lies on a stick ends the thread."""
        self._look_until = Deadline.after(self.clock, _SILENT_SECONDS)
        found = self._look()
        with self._lock:
            if found.state is not self._found.state:
                _log.info("the stick is %s", found.state)
            if found.state is StickState.NONE:
                self._refused = ""
            self._found, self._look_until = found, None

    def view(self) -> dict[str, Any]:
        """As JSON: `state`, `code`, `problems` (`kind`, `words`, and where), and of what is offered the `summary`."""
        with self._lock:
            found, state = self._found, self._state()
        return {
            "state": state,
            "code": found.code,
            "problems": list(found.problems) if state is found.state else [],
            "summary": found.summary if state is StickState.OFFERED else None,
        }

    def take(self, code: str) -> bytes:
        """The bytes with the code that was compared, read once more. ApplianceError when that cannot be."""
        with self._lock:
            if self._state() is not StickState.OFFERED:
                raise ApplianceError("The stick is not offered any more.", "Nothing was changed. Look at the screen.")
        on_stick = read_stick(self.directory)
        if on_stick is None:
            raise ApplianceError("The stick was pulled out.", "Nothing was changed. Plug it in again.")
        if short_code_of(on_stick.text) != code:
            raise ApplianceError(
                "Another file lies on the stick than the one whose code was compared.",
                "Nothing was changed. Compare the code once more.",
            )
        return on_stick.text

    def refuse(self, code: str) -> None:
        """A person refused what has this code: it is not offered again before the stick was pulled out."""
        with self._lock:
            self._refused = code

    def _state(self) -> StickState:
        """Under the lock."""
        found = self._found
        if self._look_until is not None and self._look_until.is_over():
            return StickState.SILENT
        if found.state is StickState.OFFERED and found.code == self._refused:
            return StickState.REFUSED
        if found.state is StickState.OFFERED and found.until is not None and found.until.is_over():
            return StickState.LATE
        return found.state

    def _look(self) -> _Found:
        if self.count_sticks() > 1:
            return _Found(StickState.TWO)
        trace = self._trace()
        if trace is None:
            return _Found(StickState.WITHOUT if is_stick_there(self.directory) else StickState.NONE)
        if trace == self._found.trace:
            return self._found
        try:
            on_stick = read_stick(self.directory)
        except ApplianceError as error:
            return _Found(StickState.UNREADABLE, problems=({"kind": "said", "words": error.sentence},))
        return _Found(StickState.NONE) if on_stick is None else self._judge(on_stick, trace)

    def _trace(self) -> Trace:
        try:
            found = os.lstat(self.directory / FILE)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _judge(self, on_stick: OnStick, trace: Trace) -> _Found:
        keys = [one for one in self.keys() if one.role == "admin"]
        if on_stick.signature is not None and keys:
            try:
                signer_of(on_stick.text, on_stick.signature, keys)
            except ApplianceError:
                return _Found(StickState.BADLY_SIGNED, trace)
            return _Found(StickState.SIGNED, trace)
        try:
            configuration = configuration_from(on_stick.text, Path(FILE))
        except ConfigurationError as error:
            return _Found(StickState.UNUSABLE, trace, problems=tuple(map(_told, error.problems[:_MOST_PROBLEMS])))
        if is_empty(configuration):
            empty = {"kind": "empty", "words": f"{FILE}: names no worklist, destination or device"}
            return _Found(StickState.UNUSABLE, trace, problems=(empty,))
        code = short_code_of(on_stick.text)
        until = Deadline.after(self.clock, OFFER_SECONDS)
        return _Found(StickState.OFFERED, trace, code, summary=summary_from(configuration), until=until)


def _told(problem: Problem) -> dict[str, Any]:
    """What the panel says in its language, and beside it the words for whoever wrote the file."""
    return {"kind": problem.kind, "key": problem.key, "line": problem.line, "words": str(problem)}
