"""Which objects go onto the medium, told by files alone: neither the journal nor any other process is asked.

What a person wants when the archive is away is what no archive is responsible for. So that is the default: everything
but what `settled/` knows as committed (or verified, where an archive does not commit) everywhere, and what a person
released (from all its destinations; released from one it counts by the others). What people discarded, rejected or
moved to another exam is never exported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.base.errors import ApplianceError, Finding
from appliance.base.flash import flash_finding_from
from appliance.exam.decisions import UNDECIDED, Decided, DecisionKind, all_decided_from
from appliance.exam.exam import Exam
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.known_states import States, is_safe, read_states
from appliance.spool.names import object_name_from
from appliance.spool.tree import UNASSIGNED, Spool

_NEVER = frozenset({DecisionKind.DISCARDED, DecisionKind.REASSIGNED, DecisionKind.REJECTED})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: these exams whole, everything on the box, or (neither) what no archive has committed.

    `with_damaged` adds what lies in quarantine; it is put aside on the medium too.
    """

    exams: tuple[str, ...] = ()
    is_all: bool = False
    with_damaged: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """An object to be exported. `exam_id` is empty where it belongs to none; `digest` is empty for a file without a
    name that proves it; `is_aside` for what lay in quarantine."""

    path: Path
    sop_instance_uid: str
    offset: int
    digest: str
    bytes: int
    exam_id: str
    is_aside: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """What goes onto the medium, oldest exam first, and how many objects are left here since they need not."""

    objects: tuple[Chosen, ...]
    committed: int
    decided: int
    in_quarantine: int
    findings: tuple[Finding, ...]

    @property
    def bytes(self) -> int:
        return sum(chosen.bytes for chosen in self.objects)

    def exam_ids(self) -> list[str]:
        """Each exam of which something is exported, in order; the empty one is of objects without an exam."""
        return list(dict.fromkeys(chosen.exam_id for chosen in self.objects))


def select(spool: Spool, wanted: Wanted) -> Selection:
    """Look through the spool. ApplianceError when a wanted exam is not known.

    What flash does not let us list is told as a finding, and the rest goes on: this is the last resort.
    """
    facts = ExamFacts(spool.exams)
    known = facts.exam_ids()
    for exam_id in wanted.exams:
        if exam_id not in known:
            raise ApplianceError(f"There is no exam {exam_id} on this box.", "See `appliance exam list`.")
    return _Looking(spool, facts, wanted).select()


def locate(spool: Spool, chosen: Chosen) -> Path:
    """Where the object's file lies now: it may have been handed over since. Its old place when it is nowhere."""
    name = chosen.path.name
    places = [chosen.path, spool.outbox / name, spool.kept / name]
    places += [spool.captured(device, None) / name for device in spool.captured_devices()]
    return next((path for path in places if path.exists()), chosen.path)


class _Looking:
    """One look through the spool."""

    def __init__(self, spool: Spool, facts: ExamFacts, wanted: Wanted) -> None:
        self._spool = spool
        self._facts = facts
        self._wanted = wanted
        self._findings: list[Finding] = []
        self._decisions: dict[str, dict[str, Decided]] = {}
        self._states: dict[str, States] = {}

    def select(self) -> Selection:
        here = self._list_here()
        exam_of = self._exams_of({path.name for path, exam_id in here.values() if exam_id is None})
        is_whole = self._wanted.is_all or bool(self._wanted.exams)
        chosen: list[Chosen] = []
        committed = decided = 0
        for path, place_exam in here.values():
            exam_id = (exam_of.get(path.name) if place_exam is None else place_exam) or ""
            if self._wanted.exams and exam_id not in self._wanted.exams:
                continue
            name = object_name_from(path.name)
            assert name is not None
            told = self._decisions_of(exam_id).get(name.sop_instance_uid, UNDECIDED)
            states = self._states_of(exam_id).get(name.sop_instance_uid, {})
            left = [state for destination, state in states.items() if destination not in told.released_at]
            if told.kinds & _NEVER or ((told.kinds or (states and not left)) and not is_whole):
                decided += 1
            elif is_safe(left) and not is_whole:
                committed += 1
            else:
                chosen.append(Chosen(path, name.sop_instance_uid, name.offset, name.digest, 0, exam_id))
        # Objects of no exam last, so that the exams stand in order.
        chosen.sort(key=lambda one: (one.exam_id == "", one.exam_id, one.path.name))
        aside = list(self._list_aside())
        chosen += aside if self._wanted.with_damaged else ()
        objects = tuple(found for one in chosen if (found := self._measure(one)) is not None)
        in_quarantine = 0 if self._wanted.with_damaged else len(aside)
        return Selection(objects, committed, decided, in_quarantine, tuple(self._findings))

    def _list_here(self) -> dict[str, tuple[Path, str | None]]:
        """By name: each object's file, and its exam where the directory says it (None: a closed exam's list does).

        Looked at in the order in which objects are handed over, so that none slips through between two looks.
        """
        found: dict[str, tuple[Path, str | None]] = {}
        top = self._spool.state / "captured"
        directories = [directory for device in self._list(top) for directory in self._list(device)]
        for directory in sorted(directories, key=lambda path: path.name == UNASSIGNED):
            exam_id = "" if directory.name == UNASSIGNED else directory.name
            found |= {path.name: (path, exam_id) for path in self._list(directory) if object_name_from(path.name)}
        for directory in (self._spool.outbox, self._spool.kept):
            found |= {path.name: (path, None) for path in self._list(directory) if object_name_from(path.name)}
        return found

    def _list(self, directory: Path) -> list[Path]:
        try:
            return sorted(directory.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            sentence = f"The directory {directory.name} cannot be read"
            self._findings.append(flash_finding_from(error, "directory-unreadable", sentence, "", directory.name))
            return []

    def _exams_of(self, names: set[str]) -> dict[str, str]:
        """By file name: the exam whose end lists it. Where a list cannot be read, its objects are of no exam."""
        found: dict[str, str] = {}
        for exam_id in self._facts.exam_ids() if names else ():
            try:
                closed = self._facts.closed(exam_id)
            except (DamagedFactError, OSError) as error:
                said = (
                    error.sentence if isinstance(error, DamagedFactError) else f"The list of {exam_id} is unreadable."
                )
                self._findings.append(Finding("damaged-fact", said, "Its objects are exported without it.", exam_id))
                continue
            for instance in closed.instances if closed else ():
                if instance.file_name in names:
                    found[instance.file_name] = exam_id
        return found

    def _decisions_of(self, exam_id: str) -> dict[str, Decided]:
        if exam_id not in self._decisions:
            paths = self._list(self._facts.directory / exam_id) if exam_id else ()
            self._decisions[exam_id] = all_decided_from(path.name for path in paths)
        return self._decisions[exam_id]

    def _states_of(self, exam_id: str) -> States:
        if exam_id not in self._states:
            self._states[exam_id] = read_states(self._spool, exam_id)
        return self._states[exam_id]

    def _list_aside(self) -> Iterator[Chosen]:
        for path in self._list(self._spool.quarantine):
            if path.is_file():
                uid = path.name.removeprefix("interrupted-").partition("~")[0]
                yield Chosen(path, uid, 0, "", 0, "", is_aside=True)

    def _measure(self, chosen: Chosen) -> Chosen | None:
        """`chosen` with its size. None when it has gone, which only what is safe elsewhere does."""
        for _ in range(2):
            path = locate(self._spool, chosen)
            try:
                return replace(chosen, path=path, bytes=path.stat().st_size)
            except FileNotFoundError:
                continue  # handed over between two looks
            except OSError as error:
                told = flash_finding_from(
                    error, "object-unreadable", "An object cannot be read", "", chosen.sop_instance_uid
                )
                self._findings.append(told)
                break
        return None


def exam_if_readable(facts: ExamFacts, exam_id: str) -> Exam | None:
    """Whose exam it is, for the audit trail; None when its record cannot be read."""
    try:
        return facts.exam(exam_id) if exam_id else None
    except (DamagedFactError, OSError):
        return None
