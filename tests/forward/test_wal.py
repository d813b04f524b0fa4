"""A log that flash damaged is told from one that a power cut ended, and never loses transactions without a word."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from appliance.forward.journal import Journal
from appliance.forward.wal import has_lost_transactions

TRANSACTIONS = 30
_HEADER, _FRAME = 32, 24 + 1024
_SECTOR = 512


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of marks `1`, `2` and so on as a pulled plug leaves it, all of them in its log."""
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    journal = Journal(path)
    for number in range(1, TRANSACTIONS + 1):
        with journal.transaction() as db:
            # The index and the table: more pages than one in each transaction.
            db.execute("INSERT INTO marks VALUES (?)", (str(number),))
            db.execute("INSERT INTO settled_exams VALUES (?, 0)", (f"{number:04}" * 100,))
    copy = tmp_path_factory.mktemp("pulled") / path.name
    shutil.copy(path, copy)
    shutil.copy(_log_of(path), _log_of(copy))
    journal.close()
    return copy


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _starts_of_commits(log: bytes) -> list[int]:
    """Where the transactions of the log end, each with the frame that commits it."""
    places = range(_HEADER, len(log), _FRAME)
    return [place + _FRAME for place in places if int.from_bytes(log[place + 4 : place + 8], "big")]


def opened(journal: Path, directory: Path, log: bytes) -> tuple[int, bool]:
    """How many of the transactions a box that begins with `log` knows; and whether it set the journal aside."""
    path = directory / "journal" / journal.name
    path.parent.mkdir()
    shutil.copy(journal, path)
    _log_of(path).write_bytes(log)
    opened = Journal(path)
    with opened.reading() as db:
        (count,) = db.execute("SELECT count(*) FROM settled_exams").fetchone()
    opened.close()
    return count, (path.parent / "damaged-1").exists()


def test_ok__the_log_of_a_pulled_plug_is_whole(journal: Path, tmp_path: Path) -> None:
    assert opened(journal, tmp_path, _log_of(journal).read_bytes()) == (TRANSACTIONS, False)


@pytest.mark.parametrize("seed", range(60))
def test_fail__a_flipped_bit_loses_no_transaction_but_the_last_without_a_word(
    journal: Path, tmp_path: Path, seed: int
) -> None:
    log = bytearray(_log_of(journal).read_bytes())
    ends = _starts_of_commits(log)
    place = random.Random(seed).randrange(len(log) * 8)
    log[place // 8] ^= 1 << place % 8
    count, is_aside = opened(journal, tmp_path, bytes(log))
    if place // 8 >= ends[-2]:
        assert (count, is_aside) == (TRANSACTIONS - 1, False), "as a power cut in the last one"
    elif not is_aside:
        # Only where nothing was lost: no byte of the log counts for nothing but its version and its round.
        assert count == TRANSACTIONS


@pytest.mark.parametrize("seed", range(40))
def test_ok__a_power_cut_in_a_transaction_is_no_damage(journal: Path, tmp_path: Path, seed: int) -> None:
    """Any of its sectors may be missing, be zero or be what the log's last round left there."""
    chosen = random.Random(seed)
    log = bytearray(_log_of(journal).read_bytes())
    begin = _starts_of_commits(log)[-2]
    for sector in range(-(-begin // _SECTOR), -(-len(log) // _SECTOR)):
        part = slice(sector * _SECTOR, min((sector + 1) * _SECTOR, len(log)))
        if chosen.random() < 0.5:
            log[part] = chosen.choice([bytes, chosen.randbytes])(part.stop - part.start)
    if chosen.random() < 0.5:
        del log[chosen.randrange(begin, len(log)) :]
    count, is_aside = opened(journal, tmp_path, bytes(log))
    assert not is_aside
    assert count in (TRANSACTIONS - 1, TRANSACTIONS)


def test_ok__what_the_last_round_left_behind_is_no_damage(tmp_path: Path) -> None:
    """After a checkpoint the log begins anew over its old frames, which have other salts."""
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a TEXT);")
    for _ in range(20):
        connection.execute("INSERT INTO t VALUES (hex(randomblob(3000)))")
    connection.execute("PRAGMA wal_checkpoint(RESTART)")
    connection.execute("INSERT INTO t VALUES ('x')")
    assert not has_lost_transactions(_log_of(path))
    copy = tmp_path / "copy-wal"
    data = bytearray(_log_of(path).read_bytes())
    data[_HEADER + 100] ^= 1  # the one transaction of this round
    copy.write_bytes(data)
    assert not has_lost_transactions(copy)
    connection.close()


@pytest.mark.parametrize("log", [b"", b"\0" * 31, b"\0" * 32])
def test_ok__nothing_in_it_is_no_damage(tmp_path: Path, log: bytes) -> None:
    (tmp_path / "log").write_bytes(log)
    assert not has_lost_transactions(tmp_path / "log")
    assert not has_lost_transactions(tmp_path / "none")
