"""One of each: a second copy of a process refuses to start, with a sentence."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from appliance.base.errors import ApplianceError


class ProcessLock:
    """flock(2) on a file: the kernel lets go when the holder dies, so no lock outlives its owner."""

    def __init__(self, path: Path, what: str) -> None:
        """Take the lock now. ApplianceError when a living process holds it; `what` names it for people."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise ApplianceError(
                f"{what} is running already.", f"Stop the other one first; {path} names what is locked."
            ) from None

    def release(self) -> None:
        os.close(self._descriptor)
