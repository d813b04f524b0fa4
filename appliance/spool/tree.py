"""The directories of the spool and who hands over to whom: captured → outbox → kept (DESIGN: where things lie)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.base.durable import TEMPORARY_PREFIX, make_directory
from appliance.base.errors import ApplianceError
from appliance.spool.names import ObjectName, object_name_from

UNASSIGNED = "unassigned"


class NoRoomError(ApplianceError):
    """There is not enough free flash for what was asked, with the reserve that must stay free."""


@dataclass(frozen=True, slots=True)
class Spool:
    """Where objects lie below the state directory. All of it is one filesystem: each hand-over is a rename."""

    state: Path

    @property
    def exams(self) -> Path:
        return self.state / "exams"

    @property
    def outbox(self) -> Path:
        return self.state / "outbox"

    @property
    def kept(self) -> Path:
        return self.state / "kept"

    @property
    def quarantine(self) -> Path:
        return self.state / "quarantine"

    @property
    def settled(self) -> Path:
        return self.state / "settled"

    def captured(self, device: str, exam_id: str | None) -> Path:
        """Where the objects of `device` for this exam, or for none, are born."""
        return self.state / "captured" / device / (exam_id or UNASSIGNED)

    def captured_devices(self) -> list[str]:
        """Every device that ever captured here, plugged in or not."""
        top = self.state / "captured"
        return sorted(entry.name for entry in top.iterdir() if entry.is_dir()) if top.is_dir() else []

    def make(self) -> None:
        """Create what is missing. On the box systemd-tmpfiles did, with the owners that the walls need."""
        for directory in (self.exams, self.state / "captured", self.outbox, self.kept, self.quarantine, self.settled):
            make_directory(directory)


def list_objects(directory: Path) -> Iterator[tuple[Path, ObjectName]]:
    """The published objects in `directory`, by name; temporaries and foreign names are passed over."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        name = object_name_from(path.name)
        if name is not None:
            yield path, name


def list_temporaries(directory: Path) -> list[Path]:
    """What a crash left half-written in `directory`."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if path.name.startswith(TEMPORARY_PREFIX))


def free_bytes(directory: Path) -> int:
    """Bytes that an unprivileged process may still write on the filesystem of `directory`."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def ensure_room(directory: Path, needed: int, reserve: int) -> None:
    """NoRoomError unless `needed` bytes fit and `reserve` bytes stay free afterwards."""
    free = free_bytes(directory)
    if free < needed + reserve:
        raise NoRoomError(
            f"The box's flash is full: {free // 1_000_000} MB are free, "
            f"{(needed + reserve) // 1_000_000} MB are needed to be safe.",
            "Images wait until the archive has committed them; check that the archive can be reached.",
        )
