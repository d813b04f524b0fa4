"""Reading a process's audit trail: its records in order, whether the chain holds, and how far it was sent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from appliance.base.flash import reason_of
from appliance.exam.audit_mark import read_mark
from appliance.exam.audit_record import Line, Stray, list_segments, read_segment

_SENT_NAME = "sent.json"
_SENDER = "forward"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a trail was sent: all of what lies before `offset` of `segment`, the record `number` the last."""

    segment: str = ""
    offset: int = 0
    number: int = 0
    digest: str = ""


@dataclass(slots=True)
class Reading:
    """A whole trail. `faults` are sentences: what is missing, was changed, or cannot be read."""

    process: str
    lines: list[Line] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def list_trails(directory: Path) -> list[Path]:
    """The trail of each process below `audit/`."""
    return sorted(path for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


def read_trail(trail: Path, sent: Position | None = None) -> Reading:
    """Everything that flash gives back of the trail; `sent` is how far it was sent, if anything was.

    What a power cut left of a record that was never finished is no fault: the chain goes on behind it. That the oldest
    records are no longer there is none either.
    """
    reading = Reading(trail.name)
    # Before the records: whoever is writing now is never behind it.
    mark = max(read_mark(trail), sent.number if sent else 0)
    try:
        segments = list_segments(trail)
    except OSError as error:
        reading.faults.append(f"It cannot be looked at ({reason_of(error)}).")
        return reading
    is_readable = True
    for segment in segments:
        try:
            lines, strays = read_segment(segment)
        except OSError as error:
            reading.faults.append(f"{segment.name} cannot be read ({reason_of(error)}).")
            is_readable = False
            continue
        reading.faults += [_sentence_of(stray, segment) for stray in strays if not stray.is_torn]
        for line in lines:
            if reading.lines and not _follows(line, reading.lines[-1]):
                last, this = reading.lines[-1].record.number, line.record.number
                reading.faults.append(f"Between its records {last} and {this} something is missing or was changed.")
            reading.lines.append(line)
    newest = reading.lines[-1].record.number if reading.lines else 0
    if newest < mark and is_readable:
        said = f"its last record was number {mark}, the last whole one here is {newest}"
        reading.faults.append(f"Its end is missing or was changed: {said}.")
    return reading


def _follows(line: Line, last: Line) -> bool:
    return is_next(line, last.digest) and line.record.number == last.record.number + 1


def _sentence_of(stray: Stray, segment: Path) -> str:
    return f"{segment.name} holds from byte {stray.start} to {stray.end} what is no record, or one that was changed."


def is_next(line: Line, digest: str) -> bool:
    """Whether `line` was written right behind the one of `digest`."""
    return line.previous == digest


def sent_path(directory: Path) -> Path:
    """Where the forward process remembers how far it sent which trail, below `audit/`."""
    return directory / _SENDER / _SENT_NAME


def read_positions(directory: Path) -> dict[str, Position]:
    """By process. Nothing, where nothing was sent or that cannot be read: then everything is sent once more."""
    try:
        read = json.loads(sent_path(directory).read_bytes())
        return {str(process): _position_from(one) for process, one in read.items()}
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _position_from(read: dict[str, Any]) -> Position:
    offset, number = read["offset"], read["number"]
    if not isinstance(offset, int) or not isinstance(number, int):
        raise TypeError("a place that is none")
    return Position(str(read["segment"]), offset, number, str(read["digest"]))


def bytes_from(positions: dict[str, Position]) -> bytes:
    return json.dumps({process: asdict(one) for process, one in positions.items()}, indent=1).encode("utf-8")
