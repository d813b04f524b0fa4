"""Puts a configuration in force until somebody confirms it, and takes it back by itself otherwise.

Nothing of it depends on whoever asked: the change is a durable record, its deadline runs here, and a start anew finds
the record and goes on, or back. What loading and testing mean is passed in.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError
from appliance.base.flash import flash_error_from, in_words, reason_of
from appliance.config.change_states import FINAL, ChangeEvent, ChangeState, state_after, state_found
from appliance.config.changes import changes_between, settings_from
from appliance.config.history import Change, History, Outcome, damaged_change, view_from
from appliance.config.in_force import in_force_from
from appliance.config.load import ConfigurationError, configuration_from
from appliance.config.restarts import restarts_between
from appliance.config.schema import Configuration

_log = logging.getLogger(__name__)

LEAST_SECONDS, MOST_SECONDS = 20.0, 24 * 3600.0
_ITSELF = "the box"
_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 2.0


class Loading(Protocol):
    """Brings what runs to what the file says."""

    def begin(self) -> None:
        """ApplianceError: not now. Asked once the record is durable, and before anything else is changed."""
        ...

    def load(self, before: Configuration, after: Configuration, restarts: Sequence[str]) -> None:
        """Everything that `after` has otherwise than `before`; `restarts` are units. ApplianceError: it is not up."""
        ...

    def test(self, before: Configuration, after: Configuration, seconds: float) -> Sequence[str]:
        """A sentence for each check that was good, in `seconds` at most; ApplianceError with those that were not."""
        ...


@dataclass(slots=True)
class _UnderWay:
    change: Change
    state: ChangeState
    who: str = _ITSELF  # who brings it to its end
    why: str = ""
    withdrawn_by: str = ""
    is_touched: bool = False  # more than its record may have changed


@dataclass(slots=True)
class Applier:
    """One change at a time. `run` in a thread of its own; the rest may be called from any. `on_end` hears each end."""

    history: History
    loading: Loading
    clock: Clock
    boot_id: str
    on_end: Callable[[Change, Outcome], None]
    _now: _UnderWay | None = None
    _lock: threading.Condition = field(default_factory=threading.Condition)

    def resume(self) -> None:
        """Take up the change that was under way when the last program ended. Before everything else."""
        number = self.history.under_way()
        if number is None:
            return
        change = self.history.change(number) or damaged_change(number)
        is_same_boot = change.boot_id == self.boot_id
        state = state_found(is_tested=self.history.is_tested(number), is_same_boot=is_same_boot)
        why = "" if state is ChangeState.WAITING else _INTERRUPTED[is_same_boot]
        self._now = _UnderWay(change, state, why=why, is_touched=True)
        _log.info("change %d was found %s", number, state)

    def propose(self, text: bytes, name: Path, *, who: str, what: str, confirm_seconds: float) -> Change | None:
        """Take `text` as the next configuration; its way goes on by itself. None when it is in force already.

        ConfigurationError with everything that is wrong, ApplianceError when another change is under way: nothing is
        changed then. The deadline for its confirmation begins now.
        """
        if not LEAST_SECONDS <= confirm_seconds <= MOST_SECONDS:
            raise ApplianceError(
                f"The time for its confirmation must be from {LEAST_SECONDS:.0f} s to 24 h, and is "
                f"{confirm_seconds:.0f} s.",
                "Nothing was changed.",
            )
        after = configuration_from(text, name)
        with self._lock:
            self._refuse_while_under_way()
            with in_words("The configuration cannot be changed", "Nothing was changed."):
                old = self.history.active.read_bytes() if self.history.active.exists() else b""
                if old == text:
                    return None
                before = self._in_force(old)
                change = self.history.begin(
                    Change(
                        number=0,
                        who=who,
                        at=self._moment(),
                        what=what,
                        changes=tuple(changes_between(settings_from(before), settings_from(after))),
                        restarts=restarts_between(before, after),
                        boot_id=self.boot_id,
                        deadline=self.clock.monotonic() + confirm_seconds,
                        confirm_seconds=confirm_seconds,
                    ),
                    old,
                    text,
                )
            self._now = _UnderWay(change, ChangeState.PROPOSED)
            self._lock.notify_all()
        _log.info("change %d is proposed by %s", change.number, who)
        return change

    def confirm(self, who: str) -> Change:
        """The change that is under way stays. ApplianceError when there is none, or it cannot be confirmed now."""
        with self._lock:
            now = self._under_way()
            if now.state is not ChangeState.WAITING or self._is_late(now):
                raise ApplianceError(f"Change {now.change.number} is {now.state}: it cannot be confirmed now.")
            with in_words(f"Change {now.change.number} cannot be confirmed", "It goes back when its time is over."):
                self._end(now, ChangeEvent.CONFIRMED, who, "confirmed")
            return now.change

    def take_back(self, who: str) -> Change:
        """The change that is under way goes back now. ApplianceError when there is none."""
        with self._lock:
            now = self._under_way()
            if now.state is ChangeState.WAITING:
                self._go_back(now, ChangeEvent.WITHDRAWN, "it was taken back", who)
            elif now.state is not ChangeState.GOING_BACK:
                now.withdrawn_by = who
            self._lock.notify_all()
            return now.change

    def is_busy(self) -> bool:
        """Whether a change is under way."""
        with self._lock:
            return self._now is not None

    def view(self, number: int) -> dict[str, Any]:
        """What is known of a change, as JSON says it. ApplianceError when there is none of this number."""
        with self._lock:
            now = self._now if self._now is not None and self._now.change.number == number else None
            left = 0.0 if now is None else max(0.0, now.change.deadline - self.clock.monotonic())
            state, why = (now.state, now.why) if now else ("", "")
        return view_from(self.history, number, state, why, left)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`."""
        while not stop.is_set():
            with in_words("The configuration cannot be looked after"):
                worked = self.step()
            if not worked:
                with self._lock:
                    self._lock.wait(_LOOK_SECONDS)

    def step(self) -> bool:
        """One step of the change that is under way; false when there was nothing to do."""
        with self._lock:
            now = self._now
            if now is None:
                return False
            if now.state is not ChangeState.GOING_BACK and (now.withdrawn_by or self._is_late(now)):
                event = ChangeEvent.WITHDRAWN if now.withdrawn_by else ChangeEvent.TIME_OVER
                why = "it was taken back" if now.withdrawn_by else f"nobody confirmed it until {self._until(now)}"
                self._go_back(now, event, why, now.withdrawn_by or _ITSELF)
        match now.state:
            case ChangeState.WAITING:
                return False
            case ChangeState.GOING_BACK:
                return self._restore(now)
            case _:
                self._forward(now)
                return True

    def _forward(self, now: _UnderWay) -> None:
        number = now.change.number
        try:
            match now.state:
                case ChangeState.PROPOSED:
                    self.loading.begin()
                    now.is_touched = True
                    self.history.put_in_force(number)
                    event = ChangeEvent.WRITTEN
                case ChangeState.LOADING:
                    before, after = self._both(number)
                    self.loading.load(before, after, now.change.restarts)
                    event = ChangeEvent.LOADED
                case _:
                    left = max(0.0, now.change.deadline - self.clock.monotonic())
                    self.history.mark_tested(number, tuple(self.loading.test(*self._both(number), left)))
                    event = ChangeEvent.TESTED
        except ApplianceError as error:
            with self._lock:
                self._go_back(now, ChangeEvent.FAILED, str(error), _ITSELF)
        except OSError as error:
            with self._lock:
                self._go_back(now, ChangeEvent.FAILED, str(flash_error_from(error, "The flash failed")), _ITSELF)
        else:
            with self._lock:
                now.state = state_after(now.state, event)
            _log.info("change %d is %s", number, now.state)

    def _restore(self, now: _UnderWay) -> bool:
        """The old text in force, everything loaded, the end written; false when the flash must be asked once more."""
        number, why = now.change.number, now.why
        try:
            self.history.put_back(number)
            before, after = self._both(number)
            try:
                if now.is_touched:
                    self.loading.load(after, before, now.change.restarts)
            except ApplianceError as error:
                # The file is the old one, and its services are tried by systemd for ever: the end is told with it.
                _log.error("change %d went back, and: %s", number, error)
                why = f"{why}; and then: {error}"
            with self._lock:
                self._end(now, ChangeEvent.RESTORED, now.who, why)
        except OSError as error:
            _log.error("change %d cannot go back yet: %s", number, reason_of(error))
            self.clock.wait(threading.Event(), _AGAIN_SECONDS)
            return False
        return True

    def _both(self, number: int) -> tuple[Configuration, Configuration]:
        texts = (self.history.text(number, is_after=is_after) for is_after in (False, True))
        before, after = map(self._in_force, texts)
        return before, after

    def _in_force(self, text: bytes) -> Configuration:
        """By what the box works under `text`; a box that never had a usable one works by the defaults."""
        try:
            return in_force_from(text, self.history.active).configuration
        except ConfigurationError:
            return Configuration()

    def _go_back(self, now: _UnderWay, event: ChangeEvent, why: str, who: str) -> None:
        now.state = state_after(now.state, event)
        now.why, now.who = why, who
        _log.warning("change %d goes back", now.change.number)

    def _end(self, now: _UnderWay, event: ChangeEvent, who: str, why: str) -> None:
        outcome = Outcome(state_after(now.state, event), who, self._moment(), why)
        assert outcome.state in FINAL
        try:
            self.history.end(now.change.number, outcome)
        finally:
            # A sync that failed behind the end's name leaves the end standing, though a power cut may take it.
            if self.history.has_ended(now.change.number):
                now.state = outcome.state
                self._now = None
                _log.info("change %d is %s", now.change.number, outcome.state)
                self.on_end(now.change, outcome)

    def _refuse_while_under_way(self) -> None:
        if self._now is not None:
            change = self._now.change
            raise ApplianceError(
                f"Change {change.number} of {change.who} is {self._now.state} until {self._until(self._now)}.",
                "Confirm it, take it back (appliance config rollback), or wait for its end. Nothing was changed.",
            )

    def _under_way(self) -> _UnderWay:
        if self._now is None:
            raise ApplianceError("No change is waiting.", "`appliance config log` shows what became of the last ones.")
        return self._now

    def _is_late(self, now: _UnderWay) -> bool:
        return self.clock.monotonic() >= now.change.deadline

    def _until(self, now: _UnderWay) -> str:
        left = now.change.deadline - self.clock.monotonic()
        moment = datetime.fromtimestamp(self.clock.now().timestamp() + left, self.clock.now().tzinfo)
        return f"{moment:%H:%M:%S}"

    def _moment(self) -> str:
        return self.clock.now().isoformat(timespec="seconds")


_INTERRUPTED = {
    True: "it was interrupted before it was tested",
    False: "the box was started anew before it was confirmed",
}
