"""The forward process: worklist, performed steps, delivery and commitment. The only one that reaches the network."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from appliance.base.clock import Clock, SystemClock
from appliance.base.clock_trust import ClockTrust
from appliance.base.durable import make_directory, remove_temporaries
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.base.flash import in_words, telling_of_flash
from appliance.base.http import serve
from appliance.base.lock import ProcessLock
from appliance.base.log import configure_logging
from appliance.base.notify import notify_ready, notify_stopping, notify_watchdog
from appliance.base.paths import Paths
from appliance.base.sockets import bind_tcp, bind_unix
from appliance.compose.steps import creation_from, final_from
from appliance.config.in_force import read_in_force
from appliance.config.schema import Configuration
from appliance.dimse.association import Caller
from appliance.dimse.listener import CommitmentListener
from appliance.dimse.tls import Identity, pins_of
from appliance.dimse.tls_files import tls_below
from appliance.exam.audit import Act, AuditTrail
from appliance.exam.audit_gate import AuditGate
from appliance.exam.facts import ExamFacts
from appliance.forward.api import Parts, make_app
from appliance.forward.audit_sender import AuditSender
from appliance.forward.delivery import Delivery
from appliance.forward.encryption import EncryptionWatch
from appliance.forward.expiry import Expiry
from appliance.forward.intake import Intake
from appliance.forward.journal import Journal
from appliance.forward.ledger import Ledger
from appliance.forward.listing import Listing
from appliance.forward.metrics import Metrics
from appliance.forward.rebuilt import RebuiltJournal
from appliance.forward.refused_callers import RefusedCallers
from appliance.forward.reports import ReportDesk
from appliance.forward.retention import wanted_bytes_from
from appliance.forward.self_test import SelfTest
from appliance.forward.settle import Settlement
from appliance.forward.step_ledger import StepLedger
from appliance.forward.steps import StepMessages
from appliance.forward.transactions import Transactions
from appliance.forward.troubles import Troubles
from appliance.forward.worker import Worker
from appliance.forward.worklist import PatientSearch, WorklistPoller
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

RESCAN_SECONDS = 1.0
_STOP_SECONDS = 4.0


def main() -> int:
    """Run until SIGTERM or SIGINT; 1 with a sentence when it cannot start."""
    configure_logging("forward")
    try:
        paths = Paths.from_environment()
        # What is to be told of the file, the console tells.
        configuration = read_in_force(paths.configuration).configuration
        lock = ProcessLock(paths.forward_lock, "The forward process of this box")
        run(paths, configuration, SystemClock())
    except ApplianceError as error:
        _log.error("%s", error)
        return 1
    lock.release()
    return 0


def run(paths: Paths, configuration: Configuration, clock: Clock) -> None:
    """The parts list; returns after SIGTERM. ApplianceError when something cannot start."""
    with in_words("Images cannot be sent: the part of the box that does it cannot start"):
        _run(paths, configuration, clock)


def _run(paths: Paths, configuration: Configuration, clock: Clock) -> None:
    spool = Spool(paths.state)
    pins = pins_of(configuration)
    identity = Identity(tls_below(configuration.tls, paths.run), frozenset(pins)) if configuration.tls else None
    caller = Caller(configuration.box.ae_title, identity)
    findings = FindingBoard()
    with telling_of_flash(findings, "spool-unmade", "The box's directories cannot be looked after"):
        spool.make()
    _sweep((spool.settled, paths.worklist, paths.audit / "forward"), findings)
    audit = AuditGate(AuditTrail(paths.audit, "forward", clock), findings)
    audit.record(Act.SERVICE_STARTED, actor="forward")
    refused = RefusedCallers(findings, clock)
    encryption = EncryptionWatch(identity, findings, clock, pins) if identity else None
    journal = Journal(paths.journal)
    ledger = Ledger(journal, clock)
    transactions = Transactions(ledger)
    step_ledger = StepLedger(journal, clock, spool)
    troubles = Troubles(journal, clock)
    listing = Listing(journal, spool)

    deliveries: list[Delivery] = []

    def wake_after_report(name: str) -> None:
        for delivery in deliveries:
            if delivery.destination.name == name:
                delivery.wake()
        rescanner.wake()

    desk = ReportDesk(transactions, configuration.destinations, findings, wake_after_report, refused)
    for destination in configuration.destinations:
        deliveries.append(
            Delivery(
                destination,
                caller,
                spool=spool,
                ledger=ledger,
                transactions=transactions,
                troubles=troubles,
                desk=desk,
                findings=findings,
                audit=audit,
                clock=clock,
            )
        )
    steps = None
    if configuration.performed_step is not None:
        steps = StepMessages(
            configuration.performed_step,
            configuration.box,
            caller,
            facts=ExamFacts(spool.exams),
            ledger=step_ledger,
            troubles=troubles,
            findings=findings,
            clock=clock,
            creation_from=creation_from,
            final_from=final_from,
        )
    pollers = [
        (source, WorklistPoller(source, caller, paths.worklist, findings=findings, clock=clock))
        for source in configuration.worklist
    ]

    def wake_senders() -> None:
        for delivery in deliveries:
            delivery.wake()
        if steps:
            steps.worker.wake()

    intake = Intake(
        spool,
        ledger,
        step_ledger if steps else None,
        findings,
        clock,
        destinations=frozenset(destination.name for destination in configuration.destinations),
        on_new=wake_senders,
        on_progress=notify_watchdog,
    )
    expiry = Expiry(
        spool,
        ledger,
        configuration.retention,
        wanted_bytes_from(configuration),
        listing=listing,
        intake=intake,
        findings=findings,
        clock=clock,
        audit=audit,
        is_clock_trusted=ClockTrust(paths.clock).is_trusted,
        on_progress=notify_watchdog,
    )
    settlement = Settlement(
        spool,
        ledger,
        step_ledger if steps else None,
        listing=listing,
        intake=intake,
        findings=findings,
        clock=clock,
        seconds_of_work=expiry.seconds_of_work,
    )
    rebuilt = RebuiltJournal(journal, findings, clock)

    def rescan() -> float:
        intake.rescan()
        settlement.settle()
        expiry.work()
        rebuilt.tell()
        audit.flush()
        notify_watchdog()
        return RESCAN_SECONDS

    rescanner = Worker("rescan", rescan, clock, findings=findings)
    workers = [rescanner, refused.worker, *(poller.worker for _, poller in pollers)]
    workers += [worker for delivery in deliveries for worker in delivery.workers]
    if steps:
        workers.append(steps.worker)
    self_test = SelfTest(configuration, caller, paths.run, clock)
    if encryption:
        workers.append(encryption.worker)
    if configuration.audit and identity:
        sender = AuditSender(configuration.audit, configuration.box, identity, paths.audit, findings, clock)
        workers.append(sender.worker)
    listener = CommitmentListener(
        configuration.listener,
        caller,
        self_test.heard_before(desk.hear),
        on_refused=refused.note,
    )
    search = PatientSearch(configuration.worklist, caller)
    app = make_app(
        Parts(
            listing,
            findings,
            deliveries,
            steps,
            step_ledger,
            pollers,
            rescanner.wake,
            query_patient=search.query_patient,
            echo=self_test.echo,
            test=self_test.test,
            metrics=Metrics(
                spool,
                paths.worklist,
                [source.name for source in configuration.worklist],
                ledger.events,
                clock,
                ClockTrust(paths.clock).is_trusted,
            ),
        )
    )

    def begin() -> None:
        for worker in workers:
            worker.start()
        notify_ready("Images, performed steps and worklists are looked after.")

    # uvicorn raises the signal that stopped it once more; what follows here must still run.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    serve(app, [bind_unix(paths.forward_socket), *_metrics_port(configuration, findings)], begin)
    notify_stopping()
    listener.stop()
    _stop(workers)
    audit.record(Act.SERVICE_STOPPED, actor="forward")
    journal.close()
    _log.info("forward ends")


def _metrics_port(configuration: Configuration, findings: FindingBoard) -> list[socket.socket]:
    """The listener for a hospital's Prometheus, where one is configured; a finding where it cannot be opened."""
    wanted = configuration.metrics
    if wanted is None:
        return []
    try:
        return [bind_tcp(wanted.host, wanted.port)]
    except OSError as error:
        sentence = f"The metrics cannot be served at {wanted.host}, port {wanted.port}: {error.strerror or error}."
        findings.report(Finding("metrics-port", sentence, "See metrics.host and metrics.port in the configuration."))
        return []


def _sweep(directories: Iterable[Path], findings: FindingBoard) -> None:
    """Remove what a crash left half-written, before anything is written anew."""
    for directory in directories:
        sentence = f"What a power cut left half-written in {directory.name} cannot be removed"
        with telling_of_flash(findings, "unswept", sentence, "Have the box's flash checked.", directory.name):
            make_directory(directory)
            remove_temporaries(directory)


def _stop(workers: list[Worker]) -> None:
    """Let what is under way come to its next end; what takes longer is cut off, and repeated by the next run."""
    end = time.monotonic() + _STOP_SECONDS
    for worker in workers:
        worker.stop()
    if not all(worker.join(max(0.0, end - time.monotonic())) for worker in workers):
        _log.info("a peer is still being waited for; the next run goes on there")


if __name__ == "__main__":
    # A thread of the network library that waits for a stalled peer is no daemon and would keep the process.
    status = main()
    logging.shutdown()
    os._exit(status)
