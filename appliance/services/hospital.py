"""The simulated hospital as a process: worklist, performed steps, storage, commitment and verification on one port."""

from __future__ import annotations

import logging
import signal
import socket
import sys
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
from appliance.simulator.hospital.report_association import deliver_report
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
        deliver=partial(deliver_report, options.ae_title, options.box),
        faults=faults,
        clock=clock,
        timing=options.timing,
        retrieve_ae=options.ae_title,
        on_failure=end.give,
    )
    server = HospitalServer(
        options.ae_title,
        options.address,
        options.port,
        worklist=WorklistService(clock, options.box.ae_title),
        steps=StepService(steps, faults),
        storage=StorageService(objects, faults),
        commitment=CommitmentService(commitments, reporter),
        faults=faults,
        clock=clock,
    )
    server.start()
    reporter.start()
    notify_ready(f"The hospital {options.ae_title} listens on port {options.port}.")
    logger.info("%s listens on %s port %d", options.ae_title, options.address, options.port)
    end.wait()
    has_failed = reporter.has_failed()
    notify_stopping()
    server.stop()
    reporter.stop()
    lock.release()
    if has_failed:
        raise ApplianceError("The hospital cannot report on commitments any more.", "Its log says why.")
    logger.info("hospital ends")


if __name__ == "__main__":
    sys.exit(main())
