"""A journal made by systemd's own writer, for whoever reads one."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

_WRITER = "/lib/systemd/systemd-journal-remote"


def write_journal(directory: Path, lines: list[tuple[datetime, str, int, str]]) -> Path:
    """A directory with a journal of `lines`: moment, unit, priority (syslog's), message. A unit `-X` is systemd's
    own word about the unit X.
    """
    directory.mkdir(parents=True, exist_ok=True)
    text = ""
    for number, (at, unit, priority, message) in enumerate(lines):
        micro = int(at.timestamp() * 1_000_000)
        text += f"__REALTIME_TIMESTAMP={micro}\n__MONOTONIC_TIMESTAMP={number + 1}\n_BOOT_ID={'ab' * 16}\n"
        text += f"UNIT={unit[1:]}\n_SYSTEMD_UNIT=init.scope\n" if unit.startswith("-") else f"_SYSTEMD_UNIT={unit}\n"
        text += f"PRIORITY={priority}\nMESSAGE={message}\n\n"
    subprocess.run(
        [_WRITER, "-o", str(directory / "system.journal"), "-"], input=text.encode(), check=True, timeout=60,
        capture_output=True,
    )  # fmt: skip
    return directory
