"""The journal: one SQLite file that indexes what the files say. Losing it costs work, never an object.

WAL with synchronous FULL: a transaction that was answered survives a pulled plug. Each costs a sync and about 4 KiB
beside its pages, so what belongs together is written together. The schema only adds: a migration is never changed once
it was released, and a newer release's journal is used as far as it is known here.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from appliance.base.durable import make_directory, move_file, sync_directory
from appliance.base.flash import reason_of
from appliance.forward.claims import CLAIMS
from appliance.forward.states import DeliveryState, StepState
from appliance.forward.wal import has_lost_transactions
from appliance.forward.worker import EXIT_FAULT

_log = logging.getLogger(__name__)

MIGRATIONS: Final[tuple[str, ...]] = (
    # 1: objects, what becomes of each at each destination, commitment transactions, performed steps, peers in trouble.
    """
    CREATE TABLE objects (
        sop_instance_uid TEXT PRIMARY KEY,
        exam_id TEXT NOT NULL,
        sop_class_uid TEXT NOT NULL,
        transfer_syntax_uid TEXT NOT NULL,
        study_instance_uid TEXT NOT NULL DEFAULT '',
        device TEXT NOT NULL,
        modality TEXT NOT NULL,
        file_name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        frames INTEGER NOT NULL DEFAULT 0,
        patient_id TEXT NOT NULL DEFAULT '',
        accession_number TEXT NOT NULL DEFAULT '',
        captured_at TEXT NOT NULL DEFAULT '',
        saved_at TEXT NOT NULL DEFAULT '',
        place TEXT NOT NULL DEFAULT 'awaited' CHECK (place IN ('awaited', 'outbox', 'kept', 'quarantine'))
    ) STRICT;
    CREATE INDEX objects_of_exam ON objects (exam_id);
    CREATE INDEX objects_in_place ON objects (place);

    CREATE TABLE deliveries (
        sop_instance_uid TEXT NOT NULL REFERENCES objects,
        destination TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        claim TEXT NOT NULL DEFAULT '',
        attempts INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        stores INTEGER NOT NULL DEFAULT 0,
        rounds INTEGER NOT NULL DEFAULT 0,
        next_attempt_at REAL NOT NULL DEFAULT 0,
        stored_at TEXT NOT NULL DEFAULT '',
        committed_at TEXT NOT NULL DEFAULT '',
        said TEXT NOT NULL DEFAULT '',
        warning TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (sop_instance_uid, destination)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deliveries_due ON deliveries (destination, state, next_attempt_at);

    CREATE TABLE transactions (
        transaction_uid TEXT PRIMARY KEY,
        destination TEXT NOT NULL,
        deadline_at REAL NOT NULL,
        is_taken INTEGER NOT NULL DEFAULT 0,
        is_open INTEGER NOT NULL DEFAULT 1
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE transaction_members (
        transaction_uid TEXT NOT NULL REFERENCES transactions,
        sop_instance_uid TEXT NOT NULL,
        stores INTEGER NOT NULL,
        PRIMARY KEY (transaction_uid, sop_instance_uid)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE steps (
        sop_instance_uid TEXT PRIMARY KEY,
        exam_id TEXT NOT NULL,
        modality TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'due',
        outcome TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'COMPLETED', 'DISCONTINUED')),
        managers_uid TEXT NOT NULL,
        creation_sent INTEGER NOT NULL DEFAULT 0,
        final_sent INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        next_attempt_at REAL NOT NULL DEFAULT 0,
        said TEXT NOT NULL DEFAULT ''
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX steps_of_exam ON steps (exam_id);

    CREATE TABLE peers (
        name TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,
        next_attempt_at REAL NOT NULL,
        trouble TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    # 2: since when an object stands as it does, what C-FIND found, why commitment failed; when a transaction closed;
    # whether this journal has taken in everything that lay there when it was begun.
    """
    ALTER TABLE objects ADD COLUMN series_instance_uid TEXT NOT NULL DEFAULT '';
    ALTER TABLE deliveries ADD COLUMN since TEXT NOT NULL DEFAULT '';
    ALTER TABLE deliveries ADD COLUMN reason INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN found_at TEXT NOT NULL DEFAULT '';
    ALTER TABLE deliveries ADD COLUMN looked_rounds INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE transactions ADD COLUMN closed_at REAL NOT NULL DEFAULT 0;
    CREATE INDEX transactions_closed ON transactions (destination, is_open, closed_at);
    CREATE TABLE marks (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    INSERT INTO marks SELECT 'whole' WHERE EXISTS (SELECT 1 FROM objects) OR EXISTS (SELECT 1 FROM steps);
    """,
    # 3: what a person decided about an object, since when it is kept, when it expired; the time by which that is
    # measured; since when an exam is settled.
    """
    ALTER TABLE objects ADD COLUMN decision TEXT NOT NULL DEFAULT '';
    ALTER TABLE objects ADD COLUMN expired_at TEXT NOT NULL DEFAULT '';
    ALTER TABLE objects ADD COLUMN kept_seconds REAL NOT NULL DEFAULT -1;
    CREATE INDEX objects_kept ON objects (kept_seconds) WHERE place = 'kept' AND expired_at = '';
    CREATE TABLE settled_exams (exam_id TEXT PRIMARY KEY, settled_seconds REAL NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE work_time (seconds REAL NOT NULL, wall REAL NOT NULL) STRICT;
    """,
)


MOST_ASIDE = 3
"""So many damaged journals are kept for support to look at."""
_ASIDE = re.compile("damaged-([1-9][0-9]*)")
# After so many failures in a row the process ends: only a start looks through the whole journal.
_MOST_FAILURES = 3
_ERRNOS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
    sqlite3.SQLITE_PERM: errno.EACCES,
}
_DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# Of the module, not of SQLite, so that it has no code.
_NO_TEXT = "Could not decode to UTF-8"


class JournalFailed(OSError):
    """The flash failed under the journal; SQLite keeps the system's own reason to itself, its kind is in `errno`."""


class JournalDamaged(Exception):
    """What the journal holds is not what was written."""


class Journal:
    """One connection, shared by the process's threads one at a time.

    Where the flash fails, everything here raises JournalFailed, and what was to be written is not. A journal that turns
    out to be damaged, or fails again and again, ends the process: the next start sets it aside.
    """

    def __init__(self, path: Path, *, end_process: Callable[[int], None] = os._exit) -> None:
        """Open the journal or begin a new one. A damaged one is set aside first, whole, for support to look at."""
        make_directory(path.parent)
        self._path = path
        self._lock = threading.RLock()
        self._end_process = end_process
        self._failures = 0
        try:
            self._connection = _open_again(path)
        except (JournalDamaged, JournalFailed) as error:
            if isinstance(error, JournalFailed) and error.errno != errno.EIO:
                raise  # no space, no right: another file would fare no better
            begun = _set_aside(path, reason_of(error) if isinstance(error, OSError) else str(error))
            with _as_failures():
                self._connection = _open(path, begun=f"begun {begun}")

    @property
    def is_new(self) -> bool:
        """True until `mark_whole`: this journal may know less than the files, which were there before it."""
        with self.reading() as db:
            return db.execute("SELECT 1 FROM marks WHERE name = 'whole'").fetchone() is None

    def mark_whole(self) -> None:
        """Everything that lay there when this journal was begun has been looked at."""
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO marks VALUES ('whole')")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; durable when the block has ended. Nested blocks belong to the outermost."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            with self._watching():
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    # A COMMIT that failed may leave it open: what follows would be part of it, and never be durable.
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            self._failures = 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Questions only."""
        with self._lock, self._watching():
            yield self._connection

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            with _as_failures():
                yield
        except JournalDamaged as error:
            self._end(f"The journal is damaged ({error}); the process ends, and the next one rebuilds it.")
            raise
        except JournalFailed as error:
            self._failures += error.errno == errno.EIO
            if self._failures >= _MOST_FAILURES:
                self._end(f"The journal fails again and again ({reason_of(error)}); the process ends and looks anew.")
            raise

    def _end(self, sentence: str) -> None:
        _log.critical("%s", sentence)
        self._end_process(EXIT_FAULT)

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _open(path: Path, begun: str = "begun") -> sqlite3.Connection:
    """The journal; one that was not there carries the mark `begun` until people are told of it (rebuilt.py)."""
    try:
        is_rolled_back = has_lost_transactions(path.with_name(f"{path.name}-wal"))
    except OSError as error:
        raise JournalFailed(error.errno, "the journal's log cannot be read") from error
    if is_rolled_back:
        raise JournalDamaged("its log is damaged in the middle")
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        # Before the first table is there. A step changes a few rows of a few pages, and each goes to the flash whole:
        # of the usual size twice as many bytes.
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # Otherwise a journal of half a year of work is held in memory twice.
        connection.execute("PRAGMA cache_size = -2000")
        if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise JournalDamaged("it does not pass its check")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version == len(MIGRATIONS):
            _check_schema(connection)
            _check_states(connection)
        if version < len(MIGRATIONS):
            mark = "" if version else f"INSERT INTO marks VALUES ('{begun}');"
            statements = "\n".join((*MIGRATIONS[version:], mark, f"PRAGMA user_version = {len(MIGRATIONS)};"))
            connection.executescript(f"BEGIN;\n{statements}\nCOMMIT;")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.executescript(CLAIMS)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_again(path: Path) -> sqlite3.Connection:
    """`_open`, once more if the flash failed: what fails a second time is a bad place."""
    try:
        with _as_failures():
            return _open(path)
    except JournalFailed:
        with _as_failures():
            return _open(path)


def _check_schema(connection: sqlite3.Connection) -> None:
    """JournalDamaged when a table or a column is not called as it was: a flipped bit leaves a name a name."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript("\n".join(MIGRATIONS))
        if _schema_of(connection) != _schema_of(fresh):
            raise JournalDamaged("its tables are not those that were made")


def _schema_of(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(row[0], " ".join(row[1].replace('"', "").split())) for row in rows}


def _check_states(connection: sqlite3.Connection) -> None:
    """JournalDamaged when a state is none: SQLite keeps no digest of what it holds."""
    for table, states in (("deliveries", DeliveryState), ("steps", StepState)):
        for row in connection.execute(f"SELECT DISTINCT state FROM {table}"):
            if row[0] not in set(states):
                raise JournalDamaged(f"{table} have a state that is none")


@contextmanager
def _as_failures() -> Iterator[None]:
    """SQLite's errors that are the medium's become JournalFailed or JournalDamaged; the others are our own faults."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else sqlite3.SQLITE_ERROR
        if code in _DAMAGES:
            raise JournalDamaged("SQLite cannot read it") from error
        if code in _ERRNOS:
            raise JournalFailed(_ERRNOS[code], "the journal cannot be read or written") from error
        if _NO_TEXT in str(error):
            raise JournalDamaged("a text in it is none") from None  # the error would say which: a patient's, perhaps
        raise
    except UnicodeDecodeError as error:
        raise JournalDamaged("a word of SQLite about it is none") from error


def _set_aside(path: Path, why: str) -> str:
    """Move the damaged journal into a directory of its own beside it; that directory's name."""
    numbers = sorted(int(match[1]) for one in path.parent.iterdir() if (match := _ASIDE.fullmatch(one.name)))
    for number in numbers[: max(0, len(numbers) + 1 - MOST_ASIDE)]:
        _remove_aside(path.parent / f"damaged-{number}")
    aside = path.parent / f"damaged-{(numbers or [0])[-1] + 1}"
    make_directory(aside)
    _log.error("the journal is damaged (%s); it is kept as %s and rebuilt from the files", why, aside.name)
    for part in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        if part.exists():
            move_file(part, aside / part.name)
    return aside.name


def _remove_aside(aside: Path) -> None:
    """Flash that does not let it go is no reason not to begin a new journal."""
    try:
        shutil.rmtree(aside)
        sync_directory(aside.parent)
    except OSError as error:
        _log.error("%s cannot be removed: %s", aside.name, reason_of(error))
    else:
        _log.warning("%s is removed: the newest %d damaged journals are kept", aside.name, MOST_ASIDE)
