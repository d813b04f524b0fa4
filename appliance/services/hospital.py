"""The simulated hospital as a process: worklist, steps, storage, commitment, verification, plain or encrypted."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
import sys
from dataclasses import replace
from functools import partial
from typing import Self

from appliance.base.clock import SystemClock
from appliance.base.durable import make_directory
from appliance.base.errors import ApplianceError
from appliance.base.lock import ProcessLock
from appliance.base.log import configure_logging
from appliance.base.notify import notify_ready, notify_stopping
from appliance.simulator.hospital.commitment_ledger import CommitmentLedger
from appliance.simulator.hospital.commitment_reporter import CommitmentReporter
from appliance.simulator.hospital.commitment_service import CommitmentService
from appliance.simulator.hospital.faults import FaultBoard
from appliance.simulator.hospital.object_store import ObjectStore
from appliance.simulator.hospital.options import HospitalOptions, options_from_arguments
from appliance.simulator.hospital.report_association import Box, deliver_report
from appliance.simulator.hospital.server import HospitalServer
from appliance.simulator.hospital.step_ledger import StepLedger
from appliance.simulator.hospital.step_service import StepService
from appliance.simulator.hospital.storage_service import StorageService
from appliance.simulator.hospital.worklist_service import WorklistService

logger = logging.getLogger("appliance.services.hospital")


def main() -> int:
    """Run until SIGTERM or SIGINT; 1 with a sentence when it cannot start."""
    options = options_from_arguments(sys.argv[1:])
    configure_logging("hospital")
    try:
        with EndSignal() as end:
            run_hospital(options, end)
    except ApplianceError as error:
        logger.error("%s", error)
        return 1
    return 0


class EndSignal:
    """SIGTERM and SIGINT as a byte in a socket pair, from now on.

    Python runs handlers in the main thread between byte codes, so one that sets an Event loses the signal that comes
    just before the wait, and another thread (numpy brings some) may take it. The wakeup descriptor is written by the C
    handler in whichever thread.
    """

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        return self

    def wait(self) -> None:
        """Return when one has come, at once when it came before."""
        self._reader.recv(1)

    def give(self) -> None:
        """End as if a signal had come."""
        self._writer.send(b"!")

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


def run_hospital(options: HospitalOptions, end: EndSignal) -> None:
    """The parts list; returns after `end`. ApplianceError when the hospital cannot start or go on."""
    clock = SystemClock()
    make_directory(options.directory)
    lock = ProcessLock(options.directory / "lock", "The hospital of this directory")
    faults = FaultBoard(options.directory / "faults", options.faults)
    objects = ObjectStore(options.directory)
    steps = StepLedger(options.directory / "steps")
    commitments = CommitmentLedger(options.directory / "commitments")
    reporter = CommitmentReporter(
        commitments,
        class_of=objects.class_of,
        deliver=partial(deliver_report, options.ae_title, _box_from(options)),
        faults=faults,
        clock=clock,
        timing=options.timing,
        retrieve_ae=options.ae_title,
        on_failure=end.give,
    )
    ports = _ports_from(options)
    server = HospitalServer(
        options.ae_title,
        options.address,
        ports,
        worklist=WorklistService(clock, options.box.ae_title, faults),
        steps=StepService(steps, faults, clock),
        storage=StorageService(objects, faults),
        commitment=CommitmentService(commitments, reporter),
        faults=faults,
        clock=clock,
    )
    server.start()
    reporter.start()
    where = " and ".join(f"port {port}{' with TLS' if tls else ''}" for port, tls in ports.items())
    notify_ready(f"The hospital {options.ae_title} listens on {where}.")
    logger.info("%s listens on %s %s", options.ae_title, options.address, where)
    end.wait()
    has_failed = reporter.has_failed()
    notify_stopping()
    server.stop()
    reporter.stop()
    lock.release()
    if has_failed:
        raise ApplianceError("The hospital cannot report on commitments any more.", "Its log says why.")
    logger.info("hospital ends")


def _box_from(options: HospitalOptions) -> Box:
    if options.papers is None or not options.is_box_encrypted:
        return options.box
    return replace(options.box, tls=options.papers.client_context())


def _ports_from(options: HospitalOptions) -> dict[int, ssl.SSLContext | None]:
    """Each port with its encryption."""
    ports: dict[int, ssl.SSLContext | None] = {}
    if options.port is not None:
        ports[options.port] = None
    if options.tls_port is not None and options.papers is not None:
        ports[options.tls_port] = options.papers.server_context()
    return ports


if __name__ == "__main__":
    sys.exit(main())
