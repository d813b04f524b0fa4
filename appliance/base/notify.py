"""What systemd hears from a service: READY, STATUS in a sentence, WATCHDOG from the loop that works (sd_notify(3))."""

from __future__ import annotations

import logging

from systemd import daemon

_log = logging.getLogger(__name__)


def notify_ready(status: str) -> None:
    """The service does its work from now on."""
    _tell(f"READY=1\nSTATUS={status}")


def notify_watchdog(status: str = "") -> None:
    """The loop that does the work came round once more; `status` is what it does now, if that is to be told."""
    _tell(f"WATCHDOG=1\nSTATUS={status}" if status else "WATCHDOG=1")


def notify_stopping() -> None:
    """The service is ending in an orderly way."""
    _tell("STOPPING=1")


def _tell(text: str) -> None:
    try:
        daemon.notify(text)
    except OSError as error:
        # The manager is being started anew, perhaps. What the service does must not end for that; a manager that goes
        # on hearing nothing ends it.
        _log.warning("systemd does not hear %s: %s", text.partition("=")[0], error.strerror)
