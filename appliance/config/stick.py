"""A configuration on a stick: what lies there now, whatever somebody does with sticks meanwhile.

The stick is anybody's: its file is read within bounds, and never twice for one purpose. What is put in force are the
very bytes whose code was compared.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.config.load import MAX_FILE_BYTES
from appliance.config.signed import NAMESPACE

FILE = f"{NAMESPACE}.toml"
TAKEN_FROM_NONE = "a configured box takes nothing from a stick"
"""What the panel is told when one was plugged in all the same."""
_MOST_SIGNATURE_BYTES = 64 * 1024


class StickState(StrEnum):
    """What there is to say of the place where sticks are mounted."""

    NONE = "none"
    TWO = "two"  # which of them was meant?
    WITHOUT = "without"  # a stick, and no configuration on it
    SILENT = "silent"  # it was asked, and does not answer
    UNREADABLE = "unreadable"
    UNUSABLE = "unusable"  # no configuration that a box could take
    SIGNED = "signed"  # by one of the box's admins: it is taken by itself
    BADLY_SIGNED = "badly_signed"
    OFFERED = "offered"
    REFUSED = "refused"  # by a person
    LATE = "late"  # it was offered for too long


@dataclass(frozen=True, slots=True)
class OnStick:
    """The file's bytes, and those of the signature beside it, where there is one."""

    text: bytes
    signature: bytes | None


def read_stick(directory: Path) -> OnStick | None:
    """What lies on the stick that is mounted at `directory`; None without a configuration. ApplianceError."""
    text = _read(directory / FILE, MAX_FILE_BYTES + 1)
    if text is None:
        return None
    return OnStick(text, _read(directory / f"{FILE}.sig", _MOST_SIGNATURE_BYTES))


def is_stick_there(directory: Path) -> bool:
    """Whether a stick is mounted at `directory`, which is empty otherwise."""
    try:
        return directory.is_mount() or any(directory.iterdir())
    except OSError:
        return False


def count_sticks(
    sys: Path = Path("/sys"), mounts: Path = Path("/proc/self/mountinfo"), at: str = "/media/stick"
) -> int:
    """How many USB sticks are plugged in, of which one is mounted `at`: not the one that the box itself runs from.

    `sys` and `mounts` are /sys and /proc/self/mountinfo (sysfs(5), proc_pid_mountinfo(5)).
    """
    try:
        mounted = {fields[2]: fields[4] for line in mounts.read_text().splitlines() if len(fields := line.split()) > 4}
        return sum(_is_stick(disk, mounted, at) for disk in (sys / "block").iterdir())
    except OSError:
        return 0


def _is_stick(disk: Path, mounted: dict[str, str], at: str) -> bool:
    try:
        # A card reader without a card has no size.
        is_removable = (disk / "removable").read_text().strip() == "1" and (disk / "size").read_text().strip() != "0"
        is_usb = "/usb" in str(disk.resolve())
        return is_removable and is_usb and not any(_is_used(part, mounted, at) for part in _parts(disk))
    except OSError:
        return False  # it is being pulled out


def _parts(disk: Path) -> Iterator[Path]:
    """The disk itself and its partitions."""
    yield disk
    yield from (part for part in disk.iterdir() if (part / "partition").exists())


def _is_used(part: Path, mounted: dict[str, str], at: str) -> bool:
    """By the box itself: mounted elsewhere, or beneath something else (dm-verity)."""
    holders = part / "holders"
    is_held = holders.is_dir() and any(holders.iterdir())
    return is_held or mounted.get((part / "dev").read_text().strip(), at) != at


def _read(file: Path, most: int) -> bytes | None:
    """At most `most` bytes of an ordinary file; None where there is none. ApplianceError."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ApplianceError(f"{file.name} on the stick cannot be read: {reason_of(error)}.") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ApplianceError(f"{file.name} on the stick is no file.")
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            return opened.read(most)
    except OSError as error:
        raise ApplianceError(f"{file.name} on the stick cannot be read: {reason_of(error)}.") from error
    finally:
        os.close(descriptor)
