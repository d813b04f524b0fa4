"""What nodes of machines are called."""

from __future__ import annotations

from typing import Final

TRIGGER_SUFFIX: Final = "-trigger"
"""What says *now* to the device NAME over a line of its own is /dev/appliance/NAME-trigger, and has no process."""
