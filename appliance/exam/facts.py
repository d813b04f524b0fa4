"""The facts of exams: `exams/EXAM/*.json`, each written once and never changed. Files are the truth.

An exam directory with `exam.json` and without `closing.json` is the open exam. At most one is open on a box.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from appliance.base.durable import (
    add_directory,
    forget_cached,
    make_directory,
    remove_file,
    remove_temporaries,
    replace_file,
    sync_directory,
    write_once,
)
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.exam.decisions import Decided, Decision, all_decided_from, decided_from
from appliance.exam.exam import Closed, Closing, Exam, Started
from appliance.exam.moved import DESCRIBED, MOVED, Described, Moved, exam_as_described

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_log = logging.getLogger(__name__)

AnyFact = Exam | Started | Closing | Closed | Decision | Moved | Described
Fact = TypeVar("Fact", Exam, Started, Closing, Closed, Decision, Moved, Described)

# The first release wrote no number: `20261122-093015-4af1`. Those stand before the others in any list.
_EXAM_ID = re.compile(r"\A(?:E(?P<number>[0-9]{6})-)?(?P<day>[0-9]{8})-[0-9]{6}(?(number)|-[0-9a-f]{4})\Z")


# The console alone writes what is in an exam's directory; the others read it.
_MODE = 0o750


class DamagedFactError(ApplianceError):
    """A fact's file cannot be read back: the medium lied, or somebody edited it."""


_ADAPTERS: dict[type[object], TypeAdapter[Any]] = {}


def _adapter_of(kind: type[object]) -> TypeAdapter[Any]:
    """Made when it is first needed: a command that only counts exams does not pay for it, nor for pydantic."""
    if kind not in _ADAPTERS:
        from pydantic import TypeAdapter

        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


# The last member of every fact's object: the digest of all that stands before it. The first release wrote none.
_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\Z')


def bytes_from(fact: AnyFact) -> bytes:
    """The fact as JSON, and in it the digest of itself: a bit that flips in a name leaves it a name."""
    body = _adapter_of(type(fact)).dump_json(fact, indent=1).removesuffix(b"\n}")
    return body + b',\n "sha256": "' + hashlib.sha256(body).hexdigest().encode() + b'"\n}'


def is_whole(data: bytes) -> bool:
    """True when the bytes of a fact are those that its digest promises, or when nothing promises any."""
    seal = _SEAL.search(data)
    return seal is None or hashlib.sha256(data[: seal.start()]).hexdigest().encode() == seal[1]


def fact_from(data: bytes, kind: type[Fact], path: Path) -> Fact:
    """The fact of `kind` in `data`. Keys that a newer release added are ignored. DamagedFactError otherwise."""
    adapter = _adapter_of(kind)
    from pydantic import ValidationError

    try:
        fact: Fact = adapter.validate_json(data)
    except ValidationError as error:
        # Not the values: pydantic would print a patient's name into the log.
        where = ", ".join(
            ".".join(map(str, one["loc"])) or "whole file" for one in error.errors(include_input=False)[:3]
        )
        raise DamagedFactError(f"The file {path.name} of {path.parent.name} is damaged ({where}).") from None
    if not is_whole(data):
        raise DamagedFactError(f"The file {path.name} of {path.parent.name} is damaged (digest).") from None
    return fact


def _read_fact(path: Path, kind: type[Fact]) -> Fact:
    """The fact in the file. What cannot be right is read once more: the medium may have given it wrongly once."""
    try:
        return fact_from(path.read_bytes(), kind, path)
    except DamagedFactError:
        forget_cached(path)
        return fact_from(path.read_bytes(), kind, path)


def exam_id_from(number: int, now: datetime) -> str:
    """`E000123-20261122-093015`: as text in the order of opening, which is the number's, whatever the clock says.

    ValueError for what is not a number of six digits: at a hundred exams a day the last one comes after 27 years.
    """
    if not 0 < number <= 999_999:
        raise ValueError(f"{number} is no number of an exam")
    return f"E{number:06d}-{now:%Y%m%d-%H%M%S}"


def day_of(exam_id: str) -> str:
    """The day on which the exam was opened (YYYYMMDD), as the box's clock had it then."""
    match = _EXAM_ID.match(exam_id)
    return match["day"] if match else ""


class ExamFacts:
    """Reads and writes the facts below one `exams/` directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._over: set[str] = set()  # exams known to have been closed or to be closing: facts never change
        self._made = ""  # the exam whose directory this process made durable last

    def write(self, exam_id: str, name: str, fact: AnyFact) -> bool:
        """Write `exams/EXAM/NAME.json` durably; false when it had been written before, and stands."""
        return write_once(self._make(exam_id) / f"{name}.json", bytes_from(fact))

    def _make(self, exam_id: str) -> Path:
        """The exam's directory, durable: synced once by this process, also where the one before it made it."""
        directory = self.directory / exam_id
        if exam_id != self._made or not directory.is_dir():
            make = add_directory if self._made else make_directory
            make(directory, _MODE)
            self._made = exam_id
        return directory

    def replace_damaged(self, exam_id: str, name: str, fact: Closing) -> None:
        """Write durably what stands from now on for a fact that cannot be read any more; a crash leaves either."""
        replace_file(self.directory / exam_id / f"{name}.json", bytes_from(fact))

    def read(self, exam_id: str, name: str, kind: type[Fact]) -> Fact | None:
        """The fact, or None when it was not written yet."""
        path = self.directory / exam_id / f"{name}.json"
        try:
            return _read_fact(path, kind)
        except FileNotFoundError:
            return None

    def exam(self, exam_id: str) -> Exam | None:
        """The exam as it was opened, its series called as people called them since."""
        exam = self.read(exam_id, "exam", Exam)
        return exam if exam is None else exam_as_described(exam, self.described(exam_id))

    def described(self, exam_id: str) -> list[Described]:
        """What people called the exam's series, each device's last word last."""
        directory = self.directory / exam_id
        found = [
            (int(match["number"]), path)
            for path in (directory.iterdir() if directory.is_dir() else ())
            if path.suffix == ".json" and (match := DESCRIBED.match(path.stem))
        ]
        return [_read_fact(path, Described) for _number, path in sorted(found)]

    def moved(self, exam_id: str) -> Moved | None:
        """What was moved into the exam when it was opened; None where nothing was."""
        return self.read(exam_id, MOVED, Moved)

    def closing(self, exam_id: str) -> Closing | None:
        return self.read(exam_id, "closing", Closing)

    def is_ending(self, exam_id: str) -> bool:
        """Whether the exam began to end, however damaged the fact is that says so; true of one that has ended too."""
        return (self.directory / exam_id / "closing.json").exists()

    def closed(self, exam_id: str) -> Closed | None:
        return self.read(exam_id, "closed", Closed)

    def closed_at(self, exam_id: str) -> datetime | None:
        """When the exam ended, read alone; None when it has not. DamagedFactError, OSError."""
        path = self.directory / exam_id / "closed.json"
        try:
            return datetime.fromisoformat(json.loads(path.read_bytes())["closed_at"])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            raise DamagedFactError(f"The file {path.name} of {exam_id} is damaged (closed_at).") from None

    def started(self, exam_id: str) -> dict[str, Started]:
        """By modality: the steps that have begun."""
        directory, found = self.directory / exam_id, {}
        # Not glob(), which takes a directory that cannot be read for an empty one.
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            if path.name.startswith("started-") and path.suffix == ".json":
                fact = _read_fact(path, Started)
                found[fact.modality] = fact
        return found

    def decide(self, exam_id: str, decision: Decision) -> bool:
        """Write the decision durably; false when the same was decided before, which stands."""
        return self.write(exam_id, decision.name, decision)

    def take_back(self, exam_id: str, decision: Decision) -> None:
        """Let a decision be none any more, durably. Only of an exam that has not ended: nobody has obeyed it yet."""
        remove_file(self.directory / exam_id / f"{decision.name}.json")

    def decided(self, exam_id: str) -> dict[str, Decided]:
        """By SOP Instance UID what was decided, as the names of the exam's files say it."""
        directory = self.directory / exam_id
        return all_decided_from(path.name for path in directory.iterdir()) if directory.is_dir() else {}

    def decisions(self, exam_id: str) -> list[Decision]:
        """What people decided about the exam's objects, in the order of time. DamagedFactError when one is damaged."""
        directory = self.directory / exam_id
        if not directory.is_dir():
            return []
        paths = sorted(path for path in directory.iterdir() if decided_from(path.name))
        found = [_read_fact(path, Decision) for path in paths]
        return sorted(found, key=lambda decision: decision.decided_at)

    def exam_ids(self) -> list[str]:
        """All exams, oldest first. What else lies in the directory is not an exam."""
        if not self.directory.is_dir():
            return []
        return sorted(entry.name for entry in self.directory.iterdir() if _EXAM_ID.match(entry.name))

    def next_exam_id(self, now: datetime) -> str:
        """The identifier of the exam that is opened next. Its number is one more than the newest exam's.

        That counts on for ever since the newest exam is never taken away (`may_be_removed`): the directories themselves
        are the counter. Only the console opens exams.
        """
        newest = _EXAM_ID.match(next(reversed(self.exam_ids()), ""))
        return exam_id_from(int(newest["number"] or 0) + 1 if newest else 1, now)

    def may_be_removed(self, exam_id: str) -> bool:
        """False for the newest exam, from which the next one's number comes."""
        return exam_id not in self.exam_ids()[-1:]

    def open_exam_id(self) -> str | None:
        """The open exam's identifier, or None."""
        for exam_id in reversed(self.exam_ids()):
            if exam_id in self._over:
                continue
            if self.is_ending(exam_id):
                self._over.add(exam_id)
            elif (self.directory / exam_id / "exam.json").exists():
                return exam_id
        return None

    def sweep(self) -> None:
        """Remove what a crash left half-written; for the console, the one writer, at its start.

        An exam's directory without any fact goes too: its opening was never answered. What flash does not let go stays:
        nobody reads a temporary name.
        """
        for directory in (self.directory, *(self.directory / exam_id for exam_id in self.exam_ids())):
            try:
                if remove_temporaries(directory):
                    _log.warning("swept what a crash had left half-written in %s", directory.name)
                if directory != self.directory and not any(directory.iterdir()):
                    directory.rmdir()
                    sync_directory(self.directory)
            except OSError as error:
                _log.error("%s cannot be swept: %s", directory.name, reason_of(error))

    def unfinished(self) -> Iterator[str]:
        """Exams that began to close and were interrupted: `closing.json` without `closed.json`."""
        for exam_id in self.exam_ids():
            if self.is_ending(exam_id) and not (self.directory / exam_id / "closed.json").exists():
                yield exam_id
