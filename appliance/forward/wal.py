"""What the journal's write-ahead log holds behind the place where SQLite ends its reading of it.

SQLite takes the first frame whose checksum is wrong for the end of the log, as a power cut leaves it, and forgets what
follows without a word. Flash that damages a frame in the middle would so bring back the journal of some time ago. Each
transaction is synced before the next one begins: behind a cut there can be the rest of one transaction, never another.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

# https://www.sqlite.org/fileformat2.html, 4.1 and 4.2: all numbers are big-endian; the magic's last bit gives the order
# of the words in the checksums.
_HEADER: Final = struct.Struct(">8I")  # magic, version, page size, checkpoint, two salts, two checksums
_FRAME: Final = struct.Struct(">6I")  # page, pages of the database after a commit (else 0), two salts, two checksums
_MAGICS: Final = (0x377F0682, 0x377F0683)
_CHECKED_OF_HEADER, _CHECKED_OF_FRAME = 24, 8
_PAGE_SIZES: Final = frozenset(1 << power for power in range(9, 17))


def has_lost_transactions(log: Path) -> bool:
    """Whether whole transactions lie behind a damaged frame of `log`. OSError when it cannot be read.

    That the last one is damaged cannot be told from a power cut in it.
    """
    try:
        with log.open("rb") as file:
            return _has_lost(file)
    except FileNotFoundError:
        return False


def _has_lost(file: BinaryIO) -> bool:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return False
    magic, _, page_size, _, *salts, first, second = _HEADER.unpack(header)
    order = ">" if magic & 1 else "<"
    sums = _sums_over(header[:_CHECKED_OF_HEADER], (0, 0), order)
    if magic not in _MAGICS or page_size not in _PAGE_SIZES or sums != (first, second):
        return bool(file.read(1))  # the header is synced before the first frame is written
    commits, is_sound = 0, True
    while len(frame := file.read(_FRAME.size + page_size)) == _FRAME.size + page_size:
        _, pages, *salted, first, second = _FRAME.unpack_from(frame)
        is_of_now = salted == salts  # others are of the log's last round, which this one overwrites
        if is_sound:
            sums = _sums_over(frame[_FRAME.size :], _sums_over(frame[:_CHECKED_OF_FRAME], sums, order), order)
            is_sound = is_of_now and sums == (first, second)
        if not is_sound and is_of_now and pages:
            commits += 1
    return commits > 1


def _sums_over(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """The running checksum of `data`, a multiple of eight bytes."""
    one, two = sums
    for left, right in struct.iter_unpack(f"{order}II", data):
        one = (one + left + two) & 0xFFFFFFFF
        two = (two + right + one) & 0xFFFFFFFF
    return one, two
