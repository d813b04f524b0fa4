"""The program that changes the configuration: root's, since it loads what the system's own programs read.

systemd starts it for whoever connects to its socket, and it ends when nothing is under way and nobody asks any more.
What it left when the box went down is looked after at boot (services/restore.py).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.base.clock import Clock, SystemClock
from appliance.base.clock_trust import ClockTrust
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.http import serve
from appliance.base.log import configure_logging
from appliance.base.notify import notify_ready, notify_stopping, notify_watchdog
from appliance.base.paths import Paths
from appliance.base.sockets import bind_unix, inherited_listeners
from appliance.config.api import Parts, make_app
from appliance.config.applying import Applier
from appliance.config.change_states import ChangeState
from appliance.config.history import Change, History, Outcome
from appliance.config.in_force import keep_in_force
from appliance.config.load import ConfigurationError, Problem, configuration_from, line_in
from appliance.config.loading import System, lock_changes
from appliance.config.schema import Configuration
from appliance.config.trying import try_box
from appliance.config.updating import check_no_update
from appliance.dimse.tls import identity_from, pins_of
from appliance.dimse.tls_files import UnusableFiles, tls_below
from appliance.exam.audit import Act, AuditTrail, Effect
from appliance.exam.audit_gate import AuditGate
from appliance.exam.facts import ExamFacts, day_of
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 30.0
_ROUND_SECONDS = 1.0
_STOP_SECONDS = 10.0
_LONGEST_DETAIL = 900


@dataclass(frozen=True, slots=True)
class Loading:
    """What this box does to load a configuration, and to try it."""

    system: System
    paths: Paths
    clock: Clock
    tried: dict[str, dict[str, Any]] = field(default_factory=dict)

    def begin(self) -> None:
        check_no_update()

    def load(self, before: Configuration, after: Configuration, restarts: Sequence[str]) -> None:
        keep_in_force(self.paths)
        self.system.load(before, after, restarts)

    def test(self, before: Configuration, after: Configuration, seconds: float) -> Sequence[str]:
        return try_box(self.paths, before, after, self.clock, seconds, self.tried.__setitem__)


def main() -> int:
    """0 when it ended as it should, 1 with a sentence in the log."""
    configure_logging("apply")
    try:
        run_apply(Paths.from_environment(), System(Path("/")), SystemClock())
    except ApplianceError as error:
        _log.critical("%s", error)
        return 1
    return 0


def take_back_at_boot(paths: Paths, system: System, clock: Clock) -> None:
    """What nobody confirmed goes back; whoever asked renders what is in force then. ApplianceError."""

    class Rendering(Loading):
        def load(self, before: Configuration, after: Configuration, restarts: Sequence[str]) -> None:
            """There is nothing yet that could be loaded anew."""

    applier = make_applier(paths, Rendering(system, paths, clock), clock)
    applier.resume()
    while applier.step():
        pass


def run_apply(paths: Paths, system: System, clock: Clock, idle_seconds: float = _IDLE_SECONDS) -> None:
    """Answer until nothing is under way and nobody has asked for `idle_seconds`, or until told to stop."""
    lock = lock_changes(paths)
    loading = Loading(system, paths, clock)
    applier = make_applier(paths, loading, clock)
    applier.resume()
    asked_at = [clock.monotonic()]

    def note_question() -> None:
        asked_at[0] = clock.monotonic()

    def check(text: bytes, name: Path) -> None:
        check_files(text, name, paths)
        check_exam(paths)
        check_no_update()

    stop, died = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())

    def keep() -> None:
        try:
            applier.run(stop)
        finally:
            if not stop.is_set():
                died.set()
                os.kill(os.getpid(), signal.SIGTERM)

    def watch() -> None:
        while not clock.wait(stop, _ROUND_SECONDS):
            notify_watchdog()
            if applier.is_busy():
                note_question()
            elif clock.monotonic() - asked_at[0] > idle_seconds:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=keep, name="applier", daemon=True)
    thread.start()
    threading.Thread(target=watch, name="watch", daemon=True).start()
    app = make_app(Parts(applier, check, note_question, loading.tried))
    serve(
        app, inherited_listeners() or [bind_unix(paths.apply_socket)], lambda: notify_ready("Configurations are taken.")
    )
    notify_stopping()
    stop.set()
    # A change that is being loaded is taken up by the next start, which finds its record.
    thread.join(_STOP_SECONDS)
    lock.release()
    if died.is_set():
        raise ApplianceError("The program that changes the configuration died.", "It is started again.")


def make_applier(paths: Paths, loading: Loading, clock: Clock) -> Applier:
    """The applier of this boot, whose ends stand in the audit trail."""
    audit = AuditGate(AuditTrail(paths.audit, "apply", clock), FindingBoard())

    def record(change: Change, outcome: Outcome) -> None:
        is_kept = outcome.state is ChangeState.CONFIRMED
        said = f"Change {change.number} ({change.what}), proposed by {change.who}, is {outcome.state}: {outcome.why}."
        changes = f" {'; '.join(change.changes)}" if change.changes else ""
        audit.record(
            Act.CONFIGURATION_CHANGED,
            actor=outcome.who,
            outcome=Effect.SUCCESS if is_kept else Effect.MINOR_FAILURE,
            detail=f"{said}{changes}"[:_LONGEST_DETAIL],
        )

    return Applier(History(paths.configuration.parent), loading, clock, ClockTrust(paths.clock).boot_id, record)


def check_files(text: bytes, name: Path, paths: Paths) -> None:
    """The certificates that `text` names, as the services find them. ConfigurationError with all that is wrong."""
    configuration = configuration_from(text, name)
    if configuration.tls is None:
        return
    try:
        identity_from(tls_below(configuration.tls, paths.run), pins_of(configuration))
    except UnusableFiles as error:
        raise ConfigurationError(
            tuple(Problem(name, f"tls.{one.key}", str(one), line_in(text, ("tls", one.key))) for one in error.faults)
        ) from error


def check_exam(paths: Paths) -> None:
    """ApplianceError while an exam is open: services that start anew would cut into it."""
    exam_id = ExamFacts(Spool(paths.state).exams).open_exam_id()
    if exam_id is not None:
        opened = exam_id.rpartition("-")[2]
        raise ApplianceError(
            f"Exam {exam_id} is open, since {opened[:2]}:{opened[2:4]} of {day_of(exam_id)}: nothing was changed.",
            "Apply it when the exam has ended; with --wait the command waits for that.",
        )


if __name__ == "__main__":
    sys.exit(main())
