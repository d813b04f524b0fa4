"""What the audit trail holds: records of acts, and how they lie in the lines of its segments."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

from appliance.base.durable import SECTOR_BYTES
from appliance.exam.exam import Exam
from appliance.exam.item import ISSUER_OF_PATIENT_ID, PATIENT_NAME, name_at, text_at

SEGMENT_BYTES = 256 * 1024
_MOST_TEXT = 1024
_SUFFIX = ".log"
# A worklist's text may hold one; no reader of JSON takes it.
_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXT = re.compile(rb"[^\n]*\n|[^\n]+")
_DIGEST_LENGTH = 64
# What a line may begin with; JSON holds no control character as such.
_BEGINNING = re.compile(rb"[0-9a-f]{0,64}|[0-9a-f]{64} (\{[^\x00-\x1f]*)?")
_HOLE = re.compile(rb"\0+")


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
    TRANSCRIPT_READ = "transcript-read"
    RECORDS_DROPPED = "records-dropped"
    OTHER = "other"
    """Of a newer release, whose name for it this one does not know."""

    @classmethod
    def _missing_(cls, _value: object) -> Act:
        return cls.OTHER


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


@dataclass(frozen=True, slots=True)
class Stray:
    """Bytes of a segment that are in no whole line, from the offset `start` to `end`.

    `is_torn`: a power cut, or a writer that is just at it, leaves such. Others were altered, or never written here.
    """

    start: int
    end: int
    lines: int
    is_torn: bool


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
    return _digest_of(text) + b" " + text + b"\n"


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


def read_segment(segment: Path, start: int = 0) -> tuple[list[Line], list[Stray]]:
    """The whole lines of `segment` from the offset `start` on, and what of it is in no whole line.

    OSError when flash does not give it back.
    """
    with segment.open("rb") as file:
        file.seek(start)
        data = file.read(2 * SEGMENT_BYTES)
    lines, strays = [], []
    at = strays_from = 0
    for match in _TEXT.finditer(data):
        line = _line_in(match[0], start + match.end())
        if line is not None:
            if strays_from < at:
                strays.append(_stray_from(data[strays_from:at], start + strays_from, is_last=False))
            lines.append(line)
            strays_from = match.end()
        at = match.end()
    if strays_from < at:
        strays.append(_stray_from(data[strays_from:at], start + strays_from, is_last=True))
    return lines, strays


def _line_in(text: bytes, end: int) -> Line | None:
    digest, _, content = text.partition(b" ")
    if not text.endswith(b"\n") or _digest_of(content[:-1]) != digest:
        return None
    try:
        read = json.loads(content)
        return Line(_record_from(read), digest.decode("ascii"), str(read.get("previous", "")), end)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def _record_from(read: dict[str, Any]) -> Record:
    """By hand, since whoever only appends, or looks, would wait for pydantic longer than for all the rest.

    What a newer release has more in it is passed over. KeyError, TypeError, ValueError or AttributeError for no record.
    """
    number, at = read["number"], datetime.fromisoformat(read["at"])
    if not isinstance(number, int) or at.tzinfo is None:
        raise TypeError("a number or a moment that is none")
    subject, party = read.get("subject"), read.get("party")
    return Record(
        number=number,
        process=_text_from(read["process"]),
        at=at,
        act=Act(read["act"]),
        actor=_text_from(read["actor"]),
        outcome=Effect(read.get("outcome", Effect.SUCCESS)),
        subject=_subject_from(subject) if subject is not None else None,
        objects=tuple(map(_text_from, read.get("objects", ()))),
        sop_classes=tuple(map(_text_from, read.get("sop_classes", ()))),
        party=Party(_text_from(party["name"]), _text_from(party.get("address", ""))) if party is not None else None,
        detail=_text_from(read.get("detail", "")),
    )


def _subject_from(read: dict[str, Any]) -> Subject:
    return Subject(
        exam_id=_text_from(read["exam_id"]),
        study_instance_uid=_text_from(read["study_instance_uid"]),
        patient_id=_text_from(read["patient_id"]),
        patient_name=_text_from(read["patient_name"]),
        issuer_of_patient_id=_text_from(read.get("issuer_of_patient_id", "")),
        accession_numbers=tuple(map(_text_from, read.get("accession_numbers", ()))),
    )


def _text_from(value: object) -> str:
    return _SURROGATE.sub("\ufffd", str(value))


def _stray_from(data: bytes, start: int, *, is_last: bool) -> Stray:
    return Stray(start, start + len(data), data.count(b"\n"), is_last and _is_torn(data, start))


def _is_torn(data: bytes, start: int) -> bool:
    """Whether a power cut can have made this of one line: its beginning, or one whose lost sectors are zeros."""
    if b"\n" in data[:-1]:
        return False
    holes = list(_HOLE.finditer(data))
    if holes:
        end = start + len(data)
        return all(_is_edge(start + hole.start(), start) and _is_edge(start + hole.end(), end) for hole in holes)
    if not _BEGINNING.fullmatch(data):
        return False
    text = data[_DIGEST_LENGTH + 1 :].decode("utf-8", "replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return True
    # All but its end of line: one that was never finished proves itself, one whose last byte was altered does not.
    return end == len(text) and _digest_of(data[_DIGEST_LENGTH + 1 :]) == data[:_DIGEST_LENGTH]


def _is_edge(offset: int, end_of_write: int) -> bool:
    return offset % SECTOR_BYTES == 0 or offset == end_of_write


def _digest_of(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode("ascii")
