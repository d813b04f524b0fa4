"""At boot, before anything captures: salvage what a pulled plug left in every device's directory, plugged in or not."""

from __future__ import annotations

import logging
import sys

from appliance.acquire.salvage import Fate, Salvaged, salvage_device
from appliance.base.errors import ApplianceError
from appliance.base.flash import flash_error_from
from appliance.base.lock import ProcessLock
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.exam.facts import ExamFacts
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)


def main() -> int:
    """0 when every device's directory was looked through; 1 with a line for each file that waits for the next start."""
    configure_logging("recover")
    paths = Paths.from_environment()
    try:
        own = ProcessLock(paths.run / "recover.lock", "The recovery")
    except ApplianceError as error:
        _log.critical("%s", error)
        return 1
    spool = Spool(paths.state)
    found: list[Salvaged] = []
    is_whole = True
    try:
        devices = spool.captured_devices()
    except OSError as error:
        _log.error("%s", flash_error_from(error, "What was interrupted cannot be looked through"))
        devices, is_whole = [], False
    for device in devices:
        try:
            lock = ProcessLock(paths.run / f"acquire-{device}.lock", f"The acquire process of {device}")
        except ApplianceError as error:
            _log.info("%s It has looked through its own captures.", error.sentence)
            continue
        try:
            found += salvage_device(spool, ExamFacts(spool.exams), device)
        except OSError as error:
            _log.error("%s", flash_error_from(error, f"What was interrupted of {device} cannot be looked through"))
            is_whole = False
        lock.release()
    saved = sum(1 for one in found if one.fate is Fate.SAVED)
    _log.info("%d interrupted captures, %d of them saved", len(found), saved)
    own.release()
    return 0 if is_whole and all(one.fate not in (Fate.UNTOUCHED, Fate.WAITING) for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
