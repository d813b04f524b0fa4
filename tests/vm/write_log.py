"""What a disk was told, in order, as QEMU's blklogwrites records it, and the states that a power cut could leave of it.

The format is dm-log-writes' (Linux, Documentation/admin-guide/device-mapper/log-writes.rst): a superblock of magic,
version, number of entries and sector size, then entries of sector, sectors, flags and length of data, each header in a
log sector of its own and the data behind it. All integers little-endian.
"""

from __future__ import annotations

import random
import shutil
import struct
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

SECTOR = 512
_MAGIC = 0x6A736677736872
_SUPERBLOCK = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")


class Flag(IntFlag):
    FLUSH = 1
    FUA = 2
    DISCARD = 4
    MARK = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. `data` is where its bytes lie in the log; a flush alone has no sectors."""

    sector: int
    sectors: int
    flags: Flag
    data: int


def count_entries(log: Path) -> int:
    """How many requests the log holds by now; it may grow meanwhile."""
    with log.open("rb") as file:
        return _read_superblock(file.read(_SUPERBLOCK.size))


def read_entries(log: Path) -> list[Entry]:
    """All requests. ValueError when it is not such a log or ends too early."""
    entries = []
    size = log.stat().st_size
    with log.open("rb") as file:
        count = _read_superblock(file.read(_SUPERBLOCK.size))
        place = SECTOR
        for number in range(count):
            file.seek(place)
            header = file.read(_ENTRY.size)
            if len(header) < _ENTRY.size:
                raise ValueError(f"the log ends before its entry {number} of {count}")
            sector, sectors, flags, _length = _ENTRY.unpack(header)
            entry = Entry(sector, sectors, Flag(flags), place + SECTOR)
            length = 0 if Flag.DISCARD in entry.flags else sectors * SECTOR
            place += SECTOR + length
            if place > size:
                raise ValueError(f"the log ends within its entry {number} of {count}")
            entries.append(entry)
    return entries


def survivors_of_cut(entries: list[Entry], cut: int, chance: random.Random) -> list[tuple[Entry, int]]:
    """What is on the medium when the power fails after `cut` requests: (request, how many of its sectors), in order.

    All up to the last flush; of what came after it, each request wholly, partly or not at all, as the disk pleased; a
    request with FUA wholly, since it was answered only then. Discards never change what is read back here.
    """
    before = entries[:cut]
    flushed = max((place for place, entry in enumerate(before) if Flag.FLUSH in entry.flags), default=-1)
    found = []
    for place, entry in enumerate(before):
        if not entry.sectors or Flag.DISCARD in entry.flags or Flag.MARK in entry.flags:
            continue
        # A flush that carries data says something about what came before it, not about its own data.
        if place < flushed or Flag.FUA in entry.flags:
            found.append((entry, entry.sectors))
        elif (sectors := chance.choice((0, chance.randint(0, entry.sectors), entry.sectors))) > 0:
            found.append((entry, sectors))
    return found


def replay_cut(base: Path, log: Path, survivors: list[tuple[Entry, int]], disk: Path) -> None:
    """`disk` becomes `base` and what survived; they may be the same."""
    if base != disk:
        shutil.copyfile(base, disk)
    with log.open("rb") as source, disk.open("r+b") as target:
        for entry, sectors in survivors:
            source.seek(entry.data)
            target.seek(entry.sector * SECTOR)
            target.write(source.read(sectors * SECTOR))


def _read_superblock(data: bytes) -> int:
    if len(data) < _SUPERBLOCK.size:
        raise ValueError("the log has no superblock")
    magic, version, count, sector = _SUPERBLOCK.unpack(data)
    if (magic, version, sector) != (_MAGIC, 1, SECTOR):
        raise ValueError(f"not a log of writes in sectors of {SECTOR} bytes")
    return int(count)
