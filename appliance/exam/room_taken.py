"""What takes the room on a full flash when no exam waits to be sent: the largest part of it, and what helps there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.config.schema import Configuration
from appliance.exam.capacity import read_reclaimable
from appliance.spool.tree import Spool


@dataclass(frozen=True, slots=True)
class Part:
    """Some of what lies on the flash: what it is, its size, and what a person can do about it."""

    what: str
    bytes: int
    advice: str

    @property
    def sentence(self) -> str:
        """`Most of its room is taken by damaged images in quarantine (7.1 GB). Let support ...`"""
        return f"Most of its room is taken by {self.what} ({self.bytes / 1e9:.1f} GB). {self.advice}"


def read_largest_part(spool: Spool, configuration: Configuration) -> Part:
    """The largest part of all that lies on the file system of the spool. OSError when that cannot be looked at."""
    found = os.statvfs(spool.state)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    parts = list(_read_parts(spool, configuration))
    rest = Part(
        "other files than images",
        used - sum(part.bytes for part in parts),
        "Let support look what else lies on the flash, such as logs.",
    )
    return max(*parts, rest, key=lambda part: part.bytes)


def _read_parts(spool: Spool, configuration: Configuration) -> Iterator[Part]:
    unassigned = captured = 0
    for device in spool.captured_devices():
        alone = _size_of(spool.captured(device, None))
        unassigned += alone
        captured += _size_of(spool.state / "captured" / device) - alone
    yield Part("images of the exam that is open", captured, "End the exam, so that they are sent.")
    yield Part(
        "images that belong to no exam",
        unassigned,
        "Assign or discard them on the panel (Unassigned).",
    )
    yield Part(
        "discarded images",
        _size_of(spool.state / "discarded") + _size_of(spool.composed),
        "They go by themselves a day after their exam has ended.",
    )
    yield Part("images on their way", _size_of(spool.outbox), "See that the archive can be reached.")
    kept = _size_of(spool.kept)
    if kept and read_reclaimable(spool, configuration):
        yield Part(
            "copies of images that the archives have",
            kept,
            "They go by themselves within a minute; if they do not, call support.",
        )
    else:
        yield Part(
            "copies that the box may not let go of by itself",
            kept,
            "They stay until a person lets them go: let support export and release them (`appliance release`).",
        )
    yield Part(
        "damaged images in quarantine",
        _size_of(spool.quarantine),
        "Let support export them (`appliance export --damaged`) and take them out of quarantine/.",
    )
    yield Part(
        "journals",
        _size_of(spool.state / "journal"),
        "Let support look at the damaged ones (journal/damaged-1 and so on) and remove them.",
    )


def _size_of(directory: Path) -> int:
    """Bytes of all files below, as far as this process may see them: the others are among the rest then."""
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(Path(path, name)).st_size
            except FileNotFoundError:  # handed over in this moment
                continue
    return total
