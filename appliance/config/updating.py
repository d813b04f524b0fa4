"""Whether the box is being updated: a configuration is not changed then, nor a box updated while a change waits.

RAUC says on D-Bus what it does. The other way round it asks the changes' records (image/…/check-update). RAUC first
says that it installs and then looks, and whoever changes a configuration first writes its record and then asks again:
so one of two that begin at once always sees the other.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final

from appliance.base.errors import ApplianceError

_RAUC: Final = "de.pengutronix.rauc"
_SECONDS: Final = 10.0


def check_no_update() -> None:
    """ApplianceError while RAUC installs an update. Without a bus, and without RAUC on it, nobody does."""
    owner = _asked("call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner", "s", _RAUC)
    if owner != [True]:
        return
    operation = _asked("get-property", _RAUC, "/", f"{_RAUC}.Installer", "Operation")
    if operation is None:
        raise ApplianceError(
            "Whether the box is being updated cannot be found out: nothing was changed.", "Try again in a minute."
        )
    if operation != "idle":
        raise ApplianceError(
            "The box is being updated: nothing was changed.",
            "Apply it when that has ended, and the box has started anew: rauc status",
        )


def _asked(*words: str) -> Any:
    """What busctl(1) was answered; None where it was not."""
    command = ["busctl", "--system", "--auto-start=no", "--json=short", *words]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
        return json.loads(done.stdout)["data"] if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return None
