"""The log of writes by golden bytes, and the rule of what a power cut leaves."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vm.write_log import SECTOR, Entry, Flag, count_entries, read_entries, replay_cut, survivors_of_cut

_SUPERBLOCK = (
    bytes.fromhex("7268737766736a00")  # magic 0x6a736677736872
    + bytes.fromhex("0100000000000000")  # version 1
    + bytes.fromhex("0300000000000000")  # three entries
    + bytes.fromhex("00020000")  # sectors of 512 bytes
)
_WRITE = (
    bytes.fromhex("0200000000000000")  # at sector 2
    + bytes.fromhex("0100000000000000")  # one sector
    + bytes.fromhex("0200000000000000")  # FUA
    + bytes.fromhex("0000000000000000")  # length of a mark's data
)
_DISCARD = bytes.fromhex("0000000000000000040000000000000004000000000000000000000000000000")
_FLUSH = bytes.fromhex("0000000000000000000000000000000001000000000000000000000000000000")


def _log_of(*sectors: bytes) -> bytes:
    return b"".join(sector.ljust(SECTOR, b"\0") for sector in sectors)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(_log_of(_SUPERBLOCK, _WRITE, b"w" * SECTOR, _DISCARD, _FLUSH))
    return path


def test_ok__entries_with_and_without_data(log: Path) -> None:
    assert count_entries(log) == 3
    assert read_entries(log) == [
        Entry(2, 1, Flag.FUA, 2 * SECTOR),
        Entry(0, 4, Flag.DISCARD, 4 * SECTOR),
        Entry(0, 0, Flag.FLUSH, 5 * SECTOR),
    ]


def test_ok__what_survived_is_on_the_disk(log: Path, tmp_path: Path) -> None:
    base, disk = tmp_path / "base", tmp_path / "disk"
    base.write_bytes(b"b" * SECTOR * 4)
    survivors = survivors_of_cut(read_entries(log), 3, random.Random(1))
    replay_cut(base, log, survivors, disk)
    assert disk.read_bytes() == b"b" * SECTOR * 2 + b"w" * SECTOR + b"b" * SECTOR


@pytest.mark.parametrize(
    "damaged",
    [b"", b"x" * SECTOR, _log_of(_SUPERBLOCK), _log_of(_SUPERBLOCK, _WRITE), _log_of(_SUPERBLOCK, _WRITE, b"", _WRITE)],
)
def test_fail__a_log_that_is_none_or_ends_early(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="log"):
        read_entries(path)


_ENTRIES = st.lists(
    st.builds(
        Entry,
        sector=st.integers(0, 50),
        sectors=st.integers(0, 8),
        flags=st.sampled_from([Flag(0), Flag.FUA, Flag.FLUSH, Flag.DISCARD]),
        data=st.just(0),
    ),
    max_size=30,
)


@given(_ENTRIES, st.integers(0, 30), st.integers(0, 1000))
def test_ok__nothing_flushed_is_lost_and_nothing_later_is_there(entries: list[Entry], cut: int, seed: int) -> None:
    survivors = survivors_of_cut(entries, cut, random.Random(seed))
    before = entries[:cut]
    flushes = [place for place, entry in enumerate(before) if Flag.FLUSH in entry.flags]
    flushed = before[: flushes[-1]] if flushes else []
    held = [entry for entry in flushed if entry.sectors and Flag.DISCARD not in entry.flags]
    assert survivors[: len(held)] == [(entry, entry.sectors) for entry in held]
    assert all(0 < sectors <= entry.sectors for entry, sectors in survivors)
    rest = iter(before)
    assert all(entry in rest for entry, _ in survivors)


def test_ok__each_request_after_the_flush_may_be_there_torn_or_gone() -> None:
    entries = [Entry(0, 8, Flag(0), 0)]
    seen = {tuple(sectors for _, sectors in survivors_of_cut(entries, 1, random.Random(seed))) for seed in range(200)}
    assert {(), (8,)} < seen
    assert any(0 < one[0] < 8 for one in seen if one)
