"""Faults put in on purpose, to see that the proof notices: the program without one of its precautions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.acquire import api as acquire_api
from appliance.base import durable, http
from appliance.console.exams import ExamKeeper
from appliance.dimse.verified import VerifiedSource
from appliance.forward import intake
from appliance.forward.journal import Journal
from appliance.forward.worker import Worker
from appliance.spool import writer
from appliance.spool.writer import ObjectWriter
from tests.flash.layer import Kind

_ERRORS = (Kind.EIO, Kind.EBADMSG, Kind.EROFS, Kind.ENOSPC)


@dataclass(frozen=True, slots=True)
class Fault:
    """Code replaced by worse code; the operations (call and path) and the kinds of failure that show it."""

    replacements: tuple[tuple[Any, str, Any], ...]
    near: str
    kinds: tuple[Kind, ...] = _ERRORS


def _sync_and_shrug(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _NoSync:
    """`os`, but whose fsync answers without having done anything."""

    def __getattr__(self, name: str) -> Any:
        return (lambda _: None) if name in ("fsync", "fdatasync") else getattr(os, name)


def _rename_before_sync(self: ObjectWriter) -> Path:
    self._digest.update(self._header)
    target = self._directory / str(writer.ObjectName(self._uid, self._offset, self._digest.hexdigest()))
    self._temporary.rename(target)
    writer.sync_directory(self._directory)
    os.fsync(self._descriptor)
    self._close()
    return target


@contextlib.contextmanager
def _transaction_left_open(self: Journal) -> Iterator[Any]:
    """As it was: COMMIT outside of what rolls back."""
    with self._lock:
        if self._connection.in_transaction:
            yield self._connection
            return
        with self._watching():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _work_without_gate(self: Worker) -> float:
    return self._work()


def _round_without_gate(self: ExamKeeper, task: str, exam_id: str, act: Callable[[], None]) -> None:
    act()


@contextlib.contextmanager
def _silent(*_: Any, **__: Any) -> Iterator[None]:
    with contextlib.suppress(OSError):
        yield


def _answer_appliance_errors_only(app: Any) -> None:
    app.add_exception_handler(http.ApplianceError, http.answer_appliance_error)


FAULTS: dict[str, Fault] = {
    "an error of fsync is swallowed": Fault(
        ((durable, "sync_directory", _sync_and_shrug), (writer, "sync_directory", _sync_and_shrug)),
        r"fsync (captured|exams)/.*",
        (Kind.EIO,),
    ),
    "saved is answered without a sync": Fault(((writer, "os", _NoSync()),), r"write captured/.*"),
    "an object is renamed before it is synced": Fault(
        ((ObjectWriter, "publish", _rename_before_sync),), r"write captured/.*"
    ),
    "a transaction whose commit failed stays open": Fault(
        ((Journal, "transaction", _transaction_left_open),), r"(write|fdatasync) journal/.*-wal"
    ),
    "a worker has no gate": Fault(((Worker, "round", _work_without_gate),), r"(write|fdatasync) journal/.*-wal"),
    "the console's rounds have no gate": Fault(
        ((ExamKeeper, "_try", _round_without_gate),), r"(write|link|fsync) exams/.*closed.json"
    ),
    "nobody is told of what fails": Fault(((intake, "telling_of_flash", _silent),), r"read outbox/.*", (Kind.EBADMSG,)),
    "a request is answered by no sentence": Fault(
        (
            (http, "answer_in_words", _answer_appliance_errors_only),
            (acquire_api, "in_words", lambda *_: contextlib.nullcontext()),
        ),
        r"(write|fsync) captured/.*",
    ),
    "an object is believed unread": Fault(
        ((intake, "is_intact", lambda *_: True), (VerifiedSource, "_compare", lambda _: None)),
        r"write captured/.*~0",
        (Kind.FLIP_WRITE,),
    ),
}


@contextlib.contextmanager
def with_fault(name: str | None) -> Iterator[None]:
    """The program with this fault inside the block; as it is for None."""
    with contextlib.ExitStack() as stack:
        for owner, attribute, value in FAULTS[name].replacements if name else ():
            stack.callback(setattr, owner, attribute, getattr(owner, attribute))
            setattr(owner, attribute, value)
        yield
