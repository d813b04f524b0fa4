"""The console's process: the panel's server and the keeper of exams."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from appliance.base.asking import Asker
from appliance.base.clock import SystemClock
from appliance.base.clock_trust import ClockTrust
from appliance.base.data_partition import read_data_findings
from appliance.base.errors import ApplianceError
from appliance.base.findings import FindingBoard
from appliance.base.http import serve
from appliance.base.lock import ProcessLock
from appliance.base.log import configure_logging
from appliance.base.notify import notify_ready, notify_stopping, notify_watchdog
from appliance.base.paths import Paths
from appliance.base.sockets import bind_unix, inherited_listeners
from appliance.base.tokens import Tokens
from appliance.config.in_force import read_in_force
from appliance.console.access_api import Access
from appliance.console.acquires import Acquires
from appliance.console.api import Parts, build_app
from appliance.console.audit import PanelAudit
from appliance.console.clock import ClockWatch, newest_moment
from appliance.console.configuration import record_configuration
from appliance.console.correcting import Corrections
from appliance.console.deciding import Decisions
from appliance.console.discarded import DiscardedObjects
from appliance.console.exams import ExamKeeper
from appliance.console.expired import ExpiredExams
from appliance.console.first import FirstContact
from appliance.console.flash import FlashWatch
from appliance.console.image_api import ImageParts
from appliance.console.kinds import Kinds
from appliance.console.language import PanelLanguage
from appliance.console.lock import PanelLock
from appliance.console.objects import Pictures
from appliance.console.presence import Presence
from appliance.console.releasing import Releases
from appliance.console.room import Room
from appliance.console.worklist import Worklist
from appliance.exam.audit import Act, AuditTrail, Effect
from appliance.exam.audit_gate import AuditGate
from appliance.exam.audit_mark import mark_path
from appliance.exam.exam import Outcome
from appliance.exam.facts import ExamFacts
from appliance.spool.known_states import States
from appliance.spool.tree import Spool, list_captured

_log = logging.getLogger(__name__)

_HINT_SECONDS = 2.0
_QUEUE_SECONDS = 10.0
_STOP_SECONDS = 10.0


def main() -> int:
    """Serve until told to stop; 0 then, 1 when it could not begin or its working thread died."""
    configure_logging("console")
    try:
        return run_console(Paths.from_environment())
    except ApplianceError as error:
        _log.critical("%s", error)
        return 1


def run_console(paths: Paths) -> int:
    in_force = read_in_force(paths.configuration)
    configuration = in_force.configuration
    lock = ProcessLock(paths.console_lock, "The console")
    listeners = [*inherited_listeners(), bind_unix(paths.console_socket)]
    clock = SystemClock()
    spool = Spool(paths.state)
    acquires = Acquires(paths, configuration)
    forward = Asker(paths.forward_socket, "The sender")
    hinter = Asker(paths.forward_socket, "The sender")

    def hint() -> None:
        hinter.ask("POST", "/hint", {}, seconds=_HINT_SECONDS)

    findings = FindingBoard()
    for finding in (*in_force.findings, *read_data_findings(paths.run)):
        findings.report(finding)
    audit = AuditGate(AuditTrail(paths.audit, "console", clock), findings)
    audit.record(Act.SERVICE_STARTED, actor="console")
    known = paths.audit / "console" / "configuration.json"
    record_configuration(configuration, paths.configuration, known, audit)
    trust = ClockTrust(paths.clock)
    panel_lock = PanelLock(configuration.operators, configuration.panel.lock_seconds, clock, audit)
    watch = ClockWatch(trust, clock, findings, newest_moment(ExamFacts(spool.exams)))
    watch.look()
    panel_audit = PanelAudit(audit, lambda: panel_lock.operator)
    keeper = ExamKeeper(
        spool,
        configuration,
        clock,
        drain=acquires.drain,
        hint=hint,
        findings=findings,
        audit=panel_audit,
        is_clock_trusted=trust.is_trusted,
        on_progress=notify_watchdog,
        operator=lambda: panel_lock.operator,
    )

    def end_forgotten(exam_id: str, outcome: Outcome, reason: str, why: str) -> None:
        forgotten = keeper.current()
        if forgotten is not None and forgotten.exam.exam_id == exam_id:
            panel_audit.record_forgotten(forgotten.exam, why)
            keeper.begin_closing(exam_id, outcome, reason)

    presence = Presence(
        configuration.panel,
        clock,
        current=keeper.current,
        count_captured=lambda exam_id: len(list(list_captured(spool, exam_id))),
        states=lambda: [str(status["state"]) for status in acquires.statuses()],
        close=end_forgotten,
    )

    def look_for_people() -> None:
        presence.look()
        if keeper.current() is None:
            panel_lock.end_emergency()

    access = Access(Tokens(paths.console_socket.parent, trust.boot_id), panel_lock, presence)
    expired = ExpiredExams(spool, findings, clock, keeper.forget)
    worklist = Worklist(paths.worklist, [source.name for source in configuration.worklist], keeper.is_examined)

    def ask_states(exam_id: str) -> States:
        answer = hinter.ask("GET", f"/queue?exam_id={exam_id}", seconds=_QUEUE_SECONDS)
        return {
            one["sop_instance_uid"]: {name: told["state"] for name, told in one["destinations"].items()}
            for one in answer["objects"]
        }

    def ask_unsent(exam_id: str) -> set[str]:
        answer = hinter.ask("GET", f"/queue?exam_id={exam_id}", seconds=_QUEUE_SECONDS)
        return {
            one["sop_instance_uid"]
            for one in answer["objects"]
            if all(told["is_unsent"] for told in one["destinations"].values())
        }

    flash = FlashWatch(mark_path(paths.audit / "console"), findings, clock)
    room = Room(
        spool,
        configuration,
        clock,
        ask_forward=lambda: forward.ask("GET", "/status", seconds=_HINT_SECONDS),
        is_writable=lambda: flash.is_writable,
    )
    names = [one.name for one in configuration.destinations]
    releases = Releases(spool, clock, audit, destinations=names, ask_states=ask_states, hint=hint)
    facts, box = ExamFacts(spool.exams), configuration.box
    images = ImageParts(
        spool,
        facts,
        Decisions(spool, facts, box, clock, keeper=keeper, audit=panel_audit),
        Corrections(spool, facts, box, clock, keeper=keeper, audit=panel_audit, ask_unsent=ask_unsent),
        Pictures(spool, facts),
        Kinds(configuration),
        panel_audit.actor,
    )
    first = FirstContact(paths, configuration, audit, findings, clock)
    discarded = DiscardedObjects(spool, facts, findings, clock)
    app = build_app(
        Parts(
            configuration,
            spool,
            keeper,
            worklist,
            acquires,
            forward,
            findings,
            clock,
            watch,
            releases,
            room,
            images,
            access,
            PanelLanguage(paths.audit / "console" / "language", configuration.panel.language),
            first,
        )
    )

    stop, died = threading.Event(), threading.Event()
    # uvicorn raises the signal that stopped it once more when it is done; these handlers take it then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    on_round = (
        *(watch.look, flash.look, first.look, expired.work, discarded.work, look_for_people, audit.flush),
        notify_watchdog,
    )
    thread = threading.Thread(target=_keep, args=(keeper, on_round, stop, died), name="keeper", daemon=True)
    thread.start()

    def report_ready() -> None:
        notify_ready("The panel is ready.")
        _log.info("ready")
        if stop.is_set():  # asked to stop before uvicorn listened to signals
            os.kill(os.getpid(), signal.SIGTERM)

    serve(app, listeners, report_ready)
    notify_stopping()
    stop.set()
    keeper.wake()
    thread.join(_STOP_SECONDS)
    acquires.close()
    audit.record(
        Act.SERVICE_STOPPED, actor="console", outcome=Effect.MAJOR_FAILURE if died.is_set() else Effect.SUCCESS
    )
    lock.release()
    return 1 if died.is_set() else 0


def _keep(
    keeper: ExamKeeper, on_round: Sequence[Callable[[], None]], stop: threading.Event, died: threading.Event
) -> None:
    """Run the keeper; if it dies, so does the process: systemd starts it again, and the files say how to go on."""

    def end_round() -> None:
        for act in on_round:
            act()

    try:
        keeper.run(stop, end_round)
    finally:
        if not stop.is_set():
            died.set()
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
