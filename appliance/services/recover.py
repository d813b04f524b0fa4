"""At boot, before anything captures: salvage what a pulled plug left in every device's directory, plugged in or not."""

from __future__ import annotations

import logging
import sys

from appliance.acquire.salvage import salvage_device
from appliance.base.errors import ApplianceError
from appliance.base.lock import ProcessLock
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)


def main() -> int:
    """0 when every device's directory was looked through; 1 with a sentence for each that could not be."""
    configure_logging("recover")
    paths = Paths.from_environment()
    spool = Spool(paths.state)
    failed = 0
    for device in spool.captured_devices():
        try:
            lock = ProcessLock(paths.run / f"acquire-{device}.lock", f"The acquire process of {device}")
            salvage_device(spool, ExamFacts(spool.exams), device)
            lock.release()
        except (ApplianceError, OSError) as error:
            failed += 1
            _log.error("the captures of %s could not be looked through: %s", device, error)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
