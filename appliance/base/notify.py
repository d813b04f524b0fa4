"""What systemd hears from a service: READY, STATUS in a sentence, WATCHDOG from the loop that works (sd_notify(3))."""

from __future__ import annotations

from systemd import daemon


def notify_ready(status: str) -> None:
    """The service does its work from now on."""
    daemon.notify(f"READY=1\nSTATUS={status}")


def notify_watchdog() -> None:
    """The loop that does the work came round once more."""
    daemon.notify("WATCHDOG=1")


def notify_stopping() -> None:
    """The service is ending in an orderly way."""
    daemon.notify("STOPPING=1")
