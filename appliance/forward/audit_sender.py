"""The audit trails of all processes on their way to the collector: in order, at least once, delaying nothing else.

A batch counts as sent when the collector's side has read it and ended the connection (see `audit_line`); then the
position is written to flash. What was cut off before is sent again: every message bears its record's number.
Segments that were sent whole are removed, but for the newest few of each trail, which stay for people to look at.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.base.clock import Clock
from appliance.base.durable import make_directory, replace_file
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.base.flash import reason_of, telling_of_flash
from appliance.config.schema import AuditCollector, Box
from appliance.dimse.tls import Identity
from appliance.exam.audit_message import syslog_from
from appliance.exam.audit_reading import (
    Position,
    bytes_from,
    is_next,
    list_trails,
    read_positions,
    sent_path,
)
from appliance.exam.audit_record import Line, list_segments, read_segment
from appliance.forward.audit_line import deliver, frame_from
from appliance.forward.states import backoff_seconds
from appliance.forward.worker import Worker

_log = logging.getLogger(__name__)

UNSENT_CODE, LOST_CODE, DAMAGED_CODE, UNREADABLE_CODE = (
    "audit-unsent",
    "audit-lost",
    "audit-damaged",
    "audit-unreadable",
)
KEPT_SEGMENTS = 16
TELL_AFTER_SECONDS = 300.0
_LOOK_SECONDS = 2.0
_BATCH_RECORDS = 200
_RETRY_FIRST_SECONDS, _RETRY_LONGEST_SECONDS = 5.0, 300.0


@dataclass(frozen=True, slots=True)
class _Batch:
    """The next lines of one trail, and where it stands once they are sent."""

    process: str
    lines: list[Line]
    position: Position


class AuditSender:
    """Looks for new records every two seconds and brings them to the collector."""

    def __init__(
        self,
        collector: AuditCollector,
        box: Box,
        identity: Identity,
        directory: Path,
        findings: FindingBoard,
        clock: Clock,
    ) -> None:
        """`directory` is `audit/`."""
        self._collector = collector
        self._box = box
        self._identity = identity
        self._directory = directory
        self._findings = findings
        self._clock = clock
        self._positions = read_positions(directory)
        self._failures = 0
        self._failing_since = 0.0
        self.worker = Worker("audit", self.work, clock)

    def work(self) -> float:
        """Send what is there, one trail after the other; seconds until the next look."""
        more = False
        trails = list[Path]()
        with self._telling("The audit trails cannot be looked at"):
            trails = list_trails(self._directory)
        for trail in trails:
            batch = None
            with self._telling(f"The audit trail of {trail.name} cannot be looked at", trail.name):
                batch = self._next_batch(trail)
            if batch is None:
                continue
            if not self._send(batch):
                return backoff_seconds(self._failures, _RETRY_FIRST_SECONDS, _RETRY_LONGEST_SECONDS)
            self._advance(batch)
            self._remove_sent(trail)
            more = more or len(batch.lines) == _BATCH_RECORDS
        return 0.0 if more and not self.worker.is_stopping else _LOOK_SECONDS

    def _telling(self, sentence: str, subject: str = "") -> AbstractContextManager[None]:
        suggestion = "Until then nothing of it reaches the collector."
        return telling_of_flash(self._findings, UNREADABLE_CODE, sentence, suggestion, subject)

    def _next_batch(self, trail: Path) -> _Batch | None:
        """What is to be sent of `trail`; None when nothing is."""
        segments, start = list_segments(trail), self._positions.get(trail.name, Position())
        newest = segments[-1] if segments else None
        if newest and newest.name < start.segment:
            self._tell_of_cut(trail.name, start)
            start = Position()  # somebody took the whole trail away, and it began anew
        elif newest and newest.name == start.segment and newest.stat().st_size < start.offset:
            self._tell_of_cut(trail.name, start)
            start = self._positions[trail.name] = replace(start, offset=newest.stat().st_size)
        position, lines = start, list[Line]()
        for segment in segments:
            if segment.name < start.segment:
                continue
            try:
                found, _ = read_segment(segment, position.offset if segment.name == position.segment else 0)
            except OSError as error:
                self._tell(DAMAGED_CODE, trail.name, f"{segment.name} of it cannot be read ({reason_of(error)}).")
                continue
            for line in found[: _BATCH_RECORDS - len(lines)]:
                self._compare(trail.name, position, line)
                lines.append(line)
                position = Position(segment.name, line.end, line.record.number, line.digest)
            if len(lines) == _BATCH_RECORDS:
                break
        return _Batch(trail.name, lines, position) if lines else None

    def _tell_of_cut(self, process: str, last: Position) -> None:
        said = f"Its end is missing: the collector has its records up to number {last.number}."
        self._tell(DAMAGED_CODE, process, said)

    def _compare(self, process: str, last: Position, line: Line) -> None:
        """Tell of what is not there between the last line and this one."""
        if not last.digest or is_next(line, last.digest):
            return
        if last.segment and not (self._directory / process / last.segment).exists():
            count = line.record.number - last.number - 1
            said = f"{count} records of it had to be removed before the collector took them."
            self._tell(LOST_CODE, process, said)
        else:
            said = f"Between its records {last.number} and {line.record.number} something is missing or was changed."
            self._tell(DAMAGED_CODE, process, said)

    def _tell(self, code: str, process: str, said: str) -> None:
        suggestion = "Let whoever looks after data protection know; `appliance audit` shows what is there."
        self._findings.report(Finding(code, f"The audit trail of {process} is not whole: {said}", suggestion, process))

    def _send(self, batch: _Batch) -> bool:
        frames = (frame_from(syslog_from(line.record, self._box)) for line in batch.lines)
        try:
            deliver(frames, self._collector, self._identity)
        except (ApplianceError, OSError) as error:
            self._note_failure(error)
            return False
        self._failures = 0
        self._findings.clear(UNSENT_CODE)
        return True

    def _note_failure(self, error: ApplianceError | OSError) -> None:
        if not self._failures:
            self._failing_since = self._clock.monotonic()
            _log.info("the audit collector takes nothing now: %s", _sentence_of(error))
        self._failures += 1
        if self._clock.monotonic() - self._failing_since >= TELL_AFTER_SECONDS:
            suggestion = error.suggestion if isinstance(error, ApplianceError) else ""
            minutes = int((self._clock.monotonic() - self._failing_since) // 60)
            self._findings.report(
                Finding(
                    UNSENT_CODE,
                    f"The audit collector {self._collector.host} has taken nothing for {minutes} minutes: "
                    f"{_sentence_of(error)} {self.count_waiting()} records wait.",
                    f"They stay on this box and are sent later. {suggestion}".rstrip(),
                )
            )

    def count_waiting(self) -> int:
        """How many records the collector has not taken yet, by their numbers."""
        with suppress(OSError):  # `work` tells of what cannot be looked at
            return sum(self._count_waiting_of(trail) for trail in list_trails(self._directory))
        return 0

    def _count_waiting_of(self, trail: Path) -> int:
        for segment in reversed(list_segments(trail)):
            with suppress(OSError):
                if lines := read_segment(segment)[0]:
                    return lines[-1].record.number - self._positions.get(trail.name, Position()).number
        return 0

    def _advance(self, batch: _Batch) -> None:
        """Write down how far it went. Where flash does not take that, the next run sends it again: better twice."""
        self._positions[batch.process] = batch.position
        path = sent_path(self._directory)
        try:
            make_directory(path.parent)
            replace_file(path, bytes_from(self._positions))
        except OSError as error:
            _log.warning("how far the audit trails were sent cannot be written to flash: %s", reason_of(error))

    def _remove_sent(self, trail: Path) -> None:
        position = self._positions[trail.name]
        for segment in list_segments(trail)[:-KEPT_SEGMENTS]:
            if segment.name < position.segment:
                with suppress(OSError):  # a flash that cannot remove it now can so later
                    segment.unlink(missing_ok=True)


def _sentence_of(error: ApplianceError | OSError) -> str:
    if isinstance(error, ApplianceError):
        return error.sentence
    # A name that is not found has no number of the system's (getaddrinfo(3)), but words.
    words = error.strerror or str(error)
    return f"it cannot be reached ({words})."
