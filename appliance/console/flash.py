"""Whether the flash still takes anything, also while nothing else writes: an idle box must not say that it is well.

After an error ext4 becomes read-only, and statvfs(2) does not say so; but it then refuses to open a file for writing.
To open one changes nothing on flash, so that may be done as often as one likes. What it cannot show is flash that takes
the opening and fails at the writing: of that tells whoever writes next.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from appliance.base.clock import Clock, Deadline
from appliance.base.findings import FindingBoard
from appliance.base.flash import UNWRITABLE_CODE, telling_of_flash

_LOOK_SECONDS = 10.0


class FlashWatch:
    """Looks at one file that is there as long as the box runs. `is_writable` is thread-safe."""

    def __init__(self, probe: Path, findings: FindingBoard, clock: Clock) -> None:
        """`probe` is a file of this process. Where it is not there, whoever could not make it has told of it."""
        self._probe = probe
        self._findings = findings
        self._clock = clock
        self._until = Deadline.after(clock, 0.0)
        self.is_writable = True

    def look(self) -> None:
        """At most every ten seconds."""
        if not self._until.is_over():
            return
        self._until = Deadline.after(self._clock, _LOOK_SECONDS)
        is_writable = False
        with telling_of_flash(self._findings, UNWRITABLE_CODE, "Nothing can be saved"):
            with suppress(FileNotFoundError):
                os.close(os.open(self._probe, os.O_WRONLY | os.O_CLOEXEC))
            is_writable = True
        self.is_writable = is_writable
