"""What the audit trail holds: records of acts, and how they lie in the lines of its segments."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from appliance.exam.exam import Exam
from appliance.exam.item import ISSUER_OF_PATIENT_ID, PATIENT_NAME, name_at, text_at

SEGMENT_BYTES = 256 * 1024
_MOST_TEXT = 1024
_SUFFIX = ".log"
# A worklist's text may hold one; no reader of JSON takes it.
_SURROGATE = re.compile("[\ud800-\udfff]")


class Act(StrEnum):
    """What was done."""

    EXAM_OPENED = "exam-opened"
    EXAM_CLOSED = "exam-closed"
    EXAM_DISCONTINUED = "exam-discontinued"
    OBJECT_DISCARDED = "object-discarded"
    OBJECT_REASSIGNED = "object-reassigned"
    OBJECT_RELEASED = "object-released"
    OBJECTS_EXPORTED = "objects-exported"
    TRANSFER_BEGUN = "transfer-begun"
    OBJECTS_TRANSFERRED = "objects-transferred"
    OBJECT_EXPIRED = "object-expired"
    CONFIGURATION_CHANGED = "configuration-changed"
    LOGIN = "login"
    SERVICE_STARTED = "service-started"
    SERVICE_STOPPED = "service-stopped"
    TRAIL_READ = "trail-read"
    RECORDS_DROPPED = "records-dropped"


class Effect(IntEnum):
    """How it went: EventOutcomeIndicator (PS3.15 A.5.2.1)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose data it was, and of which exam."""

    exam_id: str
    study_instance_uid: str
    patient_id: str
    patient_name: str
    issuer_of_patient_id: str = ""
    accession_numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Party:
    """The other side: an archive by AE title and host, a medium, the machine that somebody logged in from."""

    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One act. `number` counts the records of `process` and never begins anew.

    `objects` are SOP Instance UIDs, `sop_classes` their SOP Class UIDs in the same order, or none where nobody knew.
    """

    number: int
    process: str
    at: datetime
    act: Act
    actor: str
    outcome: Effect = Effect.SUCCESS
    subject: Subject | None = None
    objects: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()
    party: Party | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line of a segment: the record, its digest, the digest of the line before, and the offset of its end."""

    record: Record
    digest: str
    previous: str
    end: int


_ADAPTER: TypeAdapter[Record] = TypeAdapter(Record)


def subject_from(exam: Exam) -> Subject:
    """What a record says of the exam and its patient."""
    elements = exam.item.elements
    name = name_at(elements, PATIENT_NAME)
    groups = (name.alphabetic, name.ideographic, name.phonetic)
    return Subject(
        exam_id=exam.exam_id,
        study_instance_uid=exam.study_instance_uid,
        patient_id=exam.item.patient_id,
        patient_name="=".join(groups).rstrip("="),
        issuer_of_patient_id=text_at(elements, ISSUER_OF_PATIENT_ID),
        accession_numbers=tuple(dict.fromkeys(item.accession_number for item in exam.items if item.accession_number)),
    )


def line_from(record: Record, number: int, previous: str) -> bytes:
    """The line of a segment: digest, space, JSON in UTF-8, end of line."""
    content = asdict(record) | {"number": number, "previous": previous, "at": record.at.isoformat()}
    content["actor"], content["detail"] = record.actor[:_MOST_TEXT], record.detail[:_MOST_TEXT]
    written = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    text = _SURROGATE.sub("\ufffd", written).encode("utf-8")
    return hashlib.sha256(text).hexdigest().encode("ascii") + b" " + text + b"\n"


def list_segments(directory: Path) -> list[Path]:
    """The segments of one process's trail, oldest first. OSError when they cannot be looked at."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if path.suffix == _SUFFIX and path.stem.isdecimal())


def segment_after(directory: Path, segment: Path | None) -> Path:
    """The name of the segment that follows `segment`, or of the first."""
    return next_segment(segment) if segment else directory / f"{1:08d}{_SUFFIX}"


def next_segment(segment: Path) -> Path:
    return segment.with_name(f"{int(segment.stem) + 1:08d}{_SUFFIX}")


def read_segment(segment: Path, start: int = 0) -> tuple[list[Line], int]:
    """The whole lines of `segment` from the offset `start` on, and how many bytes of it are in no whole line.

    A line that is just being written counts among the latter. OSError when flash does not give it back.
    """
    with segment.open("rb") as file:
        file.seek(start)
        data = file.read(2 * SEGMENT_BYTES)
    lines, stray, at = [], 0, start
    for text in data.splitlines(keepends=True):
        at += len(text)
        line = _line_in(text, at)
        if line is None:
            stray += len(text)
        else:
            lines.append(line)
    return lines, stray


def _line_in(text: bytes, end: int) -> Line | None:
    digest, _, content = text.partition(b" ")
    if not text.endswith(b"\n") or hashlib.sha256(content[:-1]).hexdigest().encode("ascii") != digest:
        return None
    try:
        record = _ADAPTER.validate_json(content)
        return Line(record, digest.decode("ascii"), str(json.loads(content).get("previous", "")), end)
    except (ValueError, ValidationError):
        return None  # of a newer release, whose acts this one does not know
