"""The audit trail: every act on patient data is a line in `audit/PROCESS/`, durable before the act is answered.

A trail is a row of segments, `00000001.log` and so on. A line is the SHA-256 of what follows it, a space, and the
record as JSON, which holds its number and the digest of the line before: a torn line, an edited one and a missing one
are all noticed, the newest too; that the end was cut off, as far as `audit_mark` or the collector's side knows of it.
(Who may write these files can also make a new chain; against that stands the collector's copy.)

What was recorded is never changed: where the newest segment does not end in a whole line, as after a power cut, the
next record begins a new segment, and the chain goes on from the last whole line. The number of a line that was altered
or cut off is passed over. A trail is bounded: beyond MOST_BYTES its oldest segment goes, since no examination waits for
a collector, and a record says how many records went with it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Required, TypedDict, Unpack

from appliance.base.clock import Clock
from appliance.base.durable import make_directory, sync_directory, write_all
from appliance.base.flash import reason_of
from appliance.exam.audit_mark import read_mark, write_mark
from appliance.exam.audit_record import (
    SEGMENT_BYTES,
    Act,
    Effect,
    Line,
    Party,
    Record,
    Stray,
    line_from,
    list_segments,
    next_segment,
    read_segment,
    segment_after,
    subject_from,
)
from appliance.exam.exam import Exam

__all__ = ["Act", "AuditTrail", "Effect", "Party"]

MOST_BYTES = 32 * 1024 * 1024
# A record of more objects becomes several, so that none grows beyond what a collector takes in one message.
MOST_OBJECTS = 200
_NO_DIGEST = "0" * 64
_LEAST_LINE_BYTES = 200


class Particulars(TypedDict, total=False):
    """Who did it, how it went, in which exam and to which SOP Instances (see `Record`), and what else is to be said."""

    actor: Required[str]
    outcome: Effect
    exam: Exam | None
    objects: Sequence[str]
    sop_classes: Sequence[str]
    party: Party | None
    detail: str


class AuditTrail:
    """Appends the records of one process. Safe between threads, and between processes of one name (the command)."""

    def __init__(self, directory: Path, process: str, clock: Clock) -> None:
        """`directory` is `audit/`. Nothing is touched before the first record."""
        self.process = process
        self.unreadable = ""
        """What flash did not give back as it was when the end was looked for, and why; empty where it gave all."""
        self._directory = directory / process
        self._clock = clock
        self._lock = threading.Lock()
        self._tail: _Tail | None = None

    def record(self, act: Act, **particulars: Unpack[Particulars]) -> None:
        """Write down that `act` was done now; durable when it returns. OSError when flash does not take it."""
        for one in self.records_of(act, **particulars):
            self.append(one)

    def records_of(
        self,
        act: Act,
        *,
        actor: str,
        outcome: Effect = Effect.SUCCESS,
        exam: Exam | None = None,
        objects: Sequence[str] = (),
        sop_classes: Sequence[str] = (),
        party: Party | None = None,
        detail: str = "",
    ) -> Iterator[Record]:
        """The act as of now, for `append`: one record, or several where it was about many objects."""
        subject = subject_from(exam) if exam else None
        for first in range(0, len(objects) or 1, MOST_OBJECTS):
            these = slice(first, first + MOST_OBJECTS)
            yield Record(
                *(0, self.process, self._clock.now(), act, actor, outcome, subject),
                objects=tuple(objects[these]),
                sop_classes=tuple(sop_classes[these]),
                party=party,
                detail=detail,
            )

    def append(self, record: Record) -> None:
        """Write `record` under the next number; durable when it returns. OSError when flash does not take it."""
        with self._lock, self._locked():
            tail, self._tail = self._tail, None  # unknown again if anything below fails
            if tail is None or not tail.is_current():
                self.unreadable = ""
                tail = self._read_tail()
            before, tail = tail.segment, self._append(tail, record)
            dropped = self._drop_oldest() if tail.segment != before else 0
            if dropped:
                said = f"The trail was full: its {dropped} oldest records were removed."
                tail = self._append(
                    tail,
                    Record(
                        *(0, self.process, self._clock.now(), Act.RECORDS_DROPPED, self.process),
                        outcome=Effect.SERIOUS_FAILURE,
                        detail=said,
                    ),
                )
            self._tail = tail

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The directory, ours alone: the command may run twice at a time. The kernel lets go when a holder dies."""
        if self._tail is None or not self._directory.is_dir():
            make_directory(self._directory)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _append(self, tail: _Tail, record: Record) -> _Tail:
        number = tail.number + 1
        line = line_from(record, number, tail.digest)
        is_new = not tail.is_whole or tail.bytes + len(line) > SEGMENT_BYTES
        segment = segment_after(self._directory, tail.segment) if is_new or not tail.segment else tail.segment
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (os.O_EXCL if is_new else 0)
        descriptor = os.open(segment, flags | os.O_CLOEXEC, 0o640)
        size = 0 if is_new else tail.bytes
        try:
            write_all(descriptor, line)
            os.fsync(descriptor)
        except OSError:
            # Else every attempt on full flash would leave a torn segment. What stays is passed over all the same.
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
        finally:
            os.close(descriptor)
        if is_new:
            sync_directory(self._directory)
        write_mark(self._directory, number)
        return _Tail(segment, size + len(line), number, line[:64].decode(), is_whole=True)

    def _drop_oldest(self) -> int:
        """Keep the trail within its bound; answers how many records went."""
        dropped = 0
        sizes = {segment: segment.stat().st_size for segment in list_segments(self._directory)}
        surplus = sum(sizes.values()) - MOST_BYTES
        for segment, size in sizes.items():
            if surplus <= 0:
                break
            dropped += len(self._read_if_readable(segment)[0])
            segment.unlink()
            surplus -= size
        return dropped

    def _read_tail(self) -> _Tail:
        """Where the trail ends now."""
        # Whoever made the newest segment may have been cut off before its own sync.
        sync_directory(self._directory)
        segments = list_segments(self._directory)
        newest, size = (segments[-1], segments[-1].stat().st_size) if segments else (None, 0)
        mark, lost, last = read_mark(self._directory), 0, None
        for segment in reversed(segments):
            lines, strays = self._read_if_readable(segment)
            end = strays[-1] if strays and (not lines or strays[-1].start == lines[-1].end) else None
            # No number is ever given twice: as many are passed over as can have been there.
            if lines:
                last = lines[-1]
                lost += 0 if end is None or end.is_torn else max(1, end.lines)
                break
            lost += 0 if end and end.is_torn else segment.stat().st_size // _LEAST_LINE_BYTES
        number = (last.record.number if last else 0) + lost
        if mark > number:
            self._note(f"records {number + 1} to {mark} (they are gone)")
        is_whole = newest is not None and size == (last.end if last and segment == newest else 0)
        return _Tail(newest, size, max(number, mark), last.digest if last else _NO_DIGEST, is_whole)

    def _read_if_readable(self, segment: Path) -> tuple[list[Line], list[Stray]]:
        """The lines of `segment`, none when flash does not give them back, of which `unreadable` tells.

        New records must find their place all the same.
        """
        try:
            lines, strays = read_segment(segment)
        except OSError as error:
            self._note(f"{segment.name} ({reason_of(error)})")
            return [], []
        if not all(stray.is_torn for stray in strays):
            self._note(f"{segment.name} (something of it was changed)")
        return lines, strays

    def _note(self, what: str) -> None:
        self.unreadable = f"{self.unreadable}, {what}".removeprefix(", ")


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where the next record goes: behind `bytes` of `segment` if that is whole, else into a new segment after it."""

    segment: Path | None
    bytes: int
    number: int
    digest: str
    is_whole: bool

    def is_current(self) -> bool:
        """False when somebody else has written since, or taken the segment away."""
        assert self.segment is not None
        try:
            return self.segment.stat().st_size == self.bytes and not next_segment(self.segment).exists()
        except FileNotFoundError:
            return False
