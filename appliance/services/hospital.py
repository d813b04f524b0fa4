"""The simulated hospital as a process: worklist, performed steps, storage, commitment and verification on one port."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from functools import partial

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

logger = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT; 1 with a sentence when it cannot start."""
    options = options_from_arguments(sys.argv[1:])
    configure_logging("hospital")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run_hospital(options, stop)
    except ApplianceError as error:
        logger.error("%s", error)
        return 1
    return 0


def run_hospital(options: HospitalOptions, stop: threading.Event) -> None:
    """The parts list; returns after `stop` is set. ApplianceError when the hospital cannot start."""
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
    stop.wait()
    notify_stopping()
    server.stop()
    reporter.stop()
    lock.release()
    logger.info("hospital ends")


if __name__ == "__main__":
    sys.exit(main())
