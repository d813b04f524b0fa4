"""The journal's schema only adds: what the first release wrote opens for ever, and goes on where it was."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from appliance.config.schema import Destination
from appliance.dimse.commitment import CommitmentReport
from appliance.forward.journal import MIGRATIONS, MOST_ASIDE, Journal, JournalDamaged
from appliance.forward.ledger import Ledger
from appliance.forward.listing import Listing
from appliance.forward.states import DeliveryState
from appliance.forward.transactions import Transactions
from appliance.spool.tree import Spool
from tests.forward.hand_clock import HandClock
from tests.forward.test_ledger import EXAM, backoff, instance

FROZEN = Path(__file__).with_name("journal_v1.sql")
ONE = Destination(name="one", ae_title="ONE", host="h", port=104)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal" / "journal.sqlite"
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.executescript(FROZEN.read_text())
    db.close()
    return path


def _schema(db: sqlite3.Connection) -> set[tuple[str, str]]:
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(name, " ".join(sql.replace('"', "").split())) for name, sql in rows}


def test_ok__the_first_migration_is_never_changed(path: Path) -> None:
    frozen, fresh = sqlite3.connect(path), sqlite3.connect(":memory:")
    fresh.executescript(MIGRATIONS[0])
    assert _schema(fresh) == _schema(frozen)
    frozen.close()
    fresh.close()


def test_ok__migrations_only_add() -> None:
    before: set[str] = set()
    db = sqlite3.connect(":memory:")
    for statements in MIGRATIONS:
        db.executescript(statements)
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {f"{table}.{row[1]}" for table in tables for row in db.execute(f"PRAGMA table_info({table})")}
        strict = {row[1] for row in db.execute("PRAGMA table_list") if row[5]}
        assert before < columns
        assert set(tables) <= strict
        before = columns
    db.close()


def test_ok__a_journal_of_the_first_release_goes_on_where_it_was(path: Path, tmp_path: Path) -> None:
    journal = Journal(path)
    assert not journal.is_new, "it knew everything that lay there"
    ledger = Ledger(journal, HandClock())
    transactions = Transactions(ledger)
    states = {number: ledger.state_of(f"1.2.{number}", "one") for number in range(1, 8)}
    assert states == {
        1: DeliveryState.COMMITTED,
        2: DeliveryState.COMMIT_REQUESTED,
        3: DeliveryState.STORED,
        4: DeliveryState.REFUSED,
        5: DeliveryState.PENDING,  # its claim is void
        6: DeliveryState.PENDING,
        7: DeliveryState.PENDING,
    }
    assert transactions.apply_report(CommitmentReport("ONE", "9.2", frozenset({"1.2.2"}), {}), backoff) == ["1.2.2"]
    ledger.add_object(EXAM, instance(3), ["one"])
    (told,) = [
        one for one in Listing(journal, Spool(tmp_path)).queue()["objects"] if one["sop_instance_uid"] == "1.2.3"
    ]
    assert told["series_instance_uid"] == instance(3).series_instance_uid, "the first release did not know the series"
    assert told["destinations"]["one"]["state"] == "stored"
    assert [one.sop_instance_uid for one in transactions.open("9.3", ONE, 5)] == ["1.2.3"]
    journal.close()
    assert not Journal(path).is_new


def test_ok__an_empty_journal_of_the_first_release_may_know_less_than_the_files(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.executescript(MIGRATIONS[0] + "PRAGMA user_version = 1;")
    db.close()
    assert Journal(path).is_new


def test_ok__a_journal_is_new_until_everything_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    for _ in range(2):
        journal = Journal(path)
        assert journal.is_new, "a crash amid the rebuild"
        journal.close()
    journal = Journal(path)
    journal.mark_whole()
    journal.close()
    assert not Journal(path).is_new


def test_ok__what_is_left_of_a_deleted_journal_does_no_harm(tmp_path: Path) -> None:
    """Somebody deleted the database and not its log."""
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    Ledger(journal, HandClock()).add_object(EXAM, instance(1), ["one"])
    log = path.with_name("journal.sqlite-wal").read_bytes()
    assert log
    journal.close()
    path.unlink()
    path.with_name("journal.sqlite-wal").write_bytes(log)
    journal = Journal(path)
    assert journal.is_new
    assert Ledger(journal, HandClock()).state_of("1.2.1", "one") is None


def test_ok__only_the_newest_damaged_journals_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal" / "journal.sqlite"
    path.parent.mkdir()
    (path.parent / "damaged-other").mkdir()
    for number in range(1, 13):
        path.write_bytes(b"%d is no journal" % number * 100)
        Journal(path).close()
        kept = {one.name for one in path.parent.iterdir() if one.is_dir()} - {"damaged-other"}
        assert kept == {f"damaged-{one}" for one in range(max(1, number + 1 - MOST_ASIDE), number + 1)}
    assert (path.parent / "damaged-12" / path.name).read_bytes().startswith(b"12 is")
    assert "damaged-9 is removed: the newest 3 damaged journals are kept" in caplog.text


@pytest.mark.parametrize("first", range(8))
def test_fail__no_flipped_bit_keeps_forward_from_starting(tmp_path: Path, first: int) -> None:
    """Each is a journal that works: this one, or a new one beside what was set aside."""
    whole = tmp_path / "whole" / "journal.sqlite"
    journal = Journal(whole)
    Ledger(journal, HandClock()).add_object(EXAM, instance(1), ["one"])
    journal.close()
    content = whole.read_bytes()
    for at in range(first, len(content), 8 * 37):
        directory = tmp_path / str(at)
        path = directory / "journal.sqlite"
        directory.mkdir()
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :])
        journal = Journal(path)
        with journal.reading() as db:
            assert db.execute("SELECT count(*) FROM objects").fetchone()[0] in (0, 1)
        journal.close()
        shutil.rmtree(directory)


def test_fail__a_text_that_is_none_ends_the_process_and_names_no_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite"
    ended: list[int] = []
    journal = Journal(path, end_process=ended.append)
    Ledger(journal, HandClock()).add_object(EXAM, instance(1), ["one"])
    with journal.transaction() as db:
        db.execute("UPDATE objects SET patient_id = CAST(x'50494420ff' AS TEXT)")
    with pytest.raises(JournalDamaged), journal.reading() as db:
        db.execute("SELECT * FROM objects").fetchall()
    assert ended and "PID" not in caplog.text and "rebuilds it" in caplog.text
