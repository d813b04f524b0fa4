"""Once at boot, before the network and the services: what nobody confirmed goes back, and what is in force is rendered.

The whole box waits for this, so it imports no more than it needs: what takes a change back is needed at few boots.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from appliance.base.clock import Clock, SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.log import configure_logging
from appliance.base.paths import Paths
from appliance.config.history import History
from appliance.config.in_force import keep_in_force
from appliance.config.loading import System, lock_changes

_log = logging.getLogger(__name__)


def main() -> int:
    """0 when it did what it was started for, 1 with a sentence in the log."""
    configure_logging("apply")
    try:
        restore(Paths.from_environment(), System(Path("/")), SystemClock())
    except ApplianceError as error:
        _log.critical("%s", error)
        return 1
    return 0


def restore(paths: Paths, system: System, clock: Clock) -> None:
    """What nobody confirmed goes back, and everything below /run says what is in force then. Services start later."""
    lock = lock_changes(paths)
    if History(paths.configuration.parent).under_way() is not None:
        from appliance.services.apply import take_back_at_boot

        take_back_at_boot(paths, system, clock)
    system.boot(keep_in_force(paths))
    lock.release()


if __name__ == "__main__":
    sys.exit(main())
