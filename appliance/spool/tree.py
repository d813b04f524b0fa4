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
    def composed(self) -> Path:
        """Objects that are made anew for another exam, until they are whole."""
        return self.state / "composed"

    def discarded(self, device: str, exam_id: str | None) -> Path:
        """Where what a person discarded, or what is in another exam anew, lies for a day."""
        return self.state / "discarded" / device / (exam_id or UNASSIGNED)

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
        """Create what is missing. On the box systemd-tmpfiles did, with the owners that the walls need.

        A crash leaves the first of them, and the next start makes the others.
        """
        taken = (self.state / "captured", self.composed, self.state / "discarded")
        for directory in (self.exams, *taken, self.outbox, self.kept, self.quarantine, self.settled):
            make_directory(directory)


def list_objects(directory: Path) -> Iterator[tuple[Path, ObjectName]]:
    """The published objects in `directory`, by number and name; temporaries and foreign names are passed over."""
    if not directory.is_dir():
        return
    found = [(path, name) for path in directory.iterdir() if (name := object_name_from(path.name)) is not None]
    yield from sorted(found, key=lambda one: (one[1].number, one[0]))


def count_objects(directory: Path) -> int:
    """How many published objects lie in `directory`, without a list of them: there may be ten thousand."""
    if not directory.is_dir():
        return 0
    with os.scandir(directory) as entries:
        return sum(1 for entry in entries if object_name_from(entry.name) is not None)


def list_captured(spool: Spool, exam_id: str) -> list[tuple[str, Path, ObjectName]]:
    """The exam's objects that were not handed over yet, with their device, in the order in which they were saved."""
    found = [
        (device, path, name)
        for device in spool.captured_devices()
        for path, name in list_objects(spool.captured(device, exam_id))
    ]
    return sorted(found, key=lambda one: (one[2].number, one[0], one[1]))


def next_number(directory: Path) -> int:
    """The number of what is published next in `directory`, which is `captured/DEVICE/EXAM/`: of all devices the highest
    of the same exam, or of none, and one more.

    Each device counts on from what it sees of the others (a logical clock, as Lamport's): what was saved before has the
    smaller number, also after a restart. Two devices that save at the same moment may give the same number, and what a
    crash took away before it was *saved* leaves its number to the next.
    """
    places = [device / place for device in directory.parent.parent.iterdir() for place in {directory.name, UNASSIGNED}]
    return 1 + max((name.number for place in places for _, name in list_objects(place)), default=0)


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
