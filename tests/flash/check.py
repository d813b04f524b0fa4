"""What must be true of a job whose flash failed somewhere, after the flash is well again."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from appliance.base.paths import Paths
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem
from appliance.spool.names import is_intact, object_name_from
from appliance.spool.tree import UNASSIGNED
from tests.crash.archive import dataset_in
from tests.crash.check import pixels_in
from tests.flash.job import Hospital, Job, Promise, Told, edges
from tests.flash.layer import Flash, Kind, Operation

KINDS = tuple(Kind)
_FLIPS = (Kind.FLIP_READ, Kind.FLIP_WRITE)
# No sentence for people is a programmer's.
_NO_WORDS = re.compile(
    r"Errno|Traceback|sqlite3?\.|\bNone\b|\w+Error\b(?!s)|disk I/O error|database disk image|object at 0x"
)


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """The flash fails at operation `at` of the job, or of the short one, as `kind` says; `seed` names all three."""

    at: int
    kind: Kind
    is_short: bool = False

    @property
    def seed(self) -> int:
        return (self.at * len(KINDS) + KINDS.index(self.kind)) * 2 + self.is_short

    @classmethod
    def of(cls, seed: int) -> Case:
        return cls(seed // 2 // len(KINDS), KINDS[seed // 2 % len(KINDS)], seed % 2 == 1)


@dataclass
class Verdict:
    """What was wrong with one case; nothing, if all is well. `fired` is what failed first."""

    case: Case
    fired: str = ""
    wrong: list[str] = field(default_factory=list)
    told: Told = field(default_factory=Told)

    @property
    def is_good(self) -> bool:
        return not self.wrong

    def text(self) -> str:
        head = f"seed {self.case.seed}: {self.case.kind} at operation {self.case.at} ({self.fired or 'without effect'})"
        return "\n".join([head, *(f"  WRONG: {one}" for one in self.wrong)])


def measure(directory: Path, items: Sequence[WorklistItem], flash: Flash, *, is_short: bool = False) -> list[Operation]:
    """Every operation of the job on a flash that is well. Must run inside `sealed`."""
    verdict, operations = _run(Case(0, Kind.EIO, is_short), directory, items, flash)
    if not verdict.is_good:
        raise AssertionError(verdict.text())
    return operations


def cases_of(operations: Sequence[Operation], kinds: Sequence[Kind] = KINDS, *, is_short: bool = False) -> list[Case]:
    """Every operation in every way that can strike it, in the order of the operations."""
    return [
        Case(at, kind, is_short)
        for at, operation in enumerate(operations, start=1)
        for kind in kinds
        if operation.is_struck_by(kind)
    ]


def check_case(case: Case, directory: Path, items: Sequence[WorklistItem], flash: Flash) -> Verdict:
    """Do the job below `directory` with this fault, heal the flash, finish the job, and look. Inside `sealed`."""
    return _run(case, directory, items, flash)[0]


def _run(case: Case, directory: Path, items: Sequence[WorklistItem], flash: Flash) -> tuple[Verdict, list[Operation]]:
    paths = Paths(directory / "state", directory / "run")
    verdict = Verdict(case)
    try:
        job = Job(paths, items, flash, is_short=case.is_short)
        job.lay_out()
        flash.watch(paths.state)
        with edges(job):
            flash.arm(case.kind if case.at else None, case.at)
            job.work()
            flash.heal()
            verdict.fired, verdict.told = flash.fired(), job.told
            operations = flash.operations()
            told_until_then = job.told.everything()
            job.finish()
            if case.kind in (Kind.FLIP_WRITE, Kind.FLIP_READ):
                # A wrong bit that was written, or that SQLite read from its log and copied, shows when it is read.
                job.start_again()
        verdict.wrong += job.told.wrong
        verdict.wrong += _wrong_words(case, verdict.fired, told_until_then, job.told, items)
        verdict.wrong += _wrong_at_the_end(case, paths.state, job.hospital, job.told)
    finally:
        flash.watch(Path("/nowhere"))
        shutil.rmtree(directory, ignore_errors=True)
    return verdict, operations


# -- words


def _wrong_words(case: Case, fired: str, told: str, all_told: Told, items: Sequence[WorklistItem]) -> Iterator[str]:
    for sentence in dict.fromkeys([*all_told.sentences, *all_told.logged]):
        if _NO_WORDS.search(sentence):
            yield f"these are no words for people: {sentence}"
        if any(len(name) > 2 and name in sentence for item in items for name in (item.patient_id,)):
            yield "a patient is named"
    # SQLite tries again by itself, and lives without some of what it does beside its work.
    # A list, and here the configuration, that could not be read is read once more.
    call, _, path = fired.partition(" ")
    is_read_again = path.startswith(("worklist", "config")) and call in ("open", "read", "stat")
    # pydicom asks for the time of a file that it has read, SQLite for the directories above its own: both do without.
    is_idle_look = call == "stat" and (path.endswith(".dcm") or path == ".")
    may_be_quiet = path.startswith("journal") or is_read_again or is_idle_look
    if fired and case.kind not in _FLIPS and not may_be_quiet and "flash" not in told.lower():
        yield f"{fired} failed and nobody was told: {told[-300:]!r}"


# -- when all is done


def _wrong_at_the_end(case: Case, state: Path, hospital: Hospital, told: Told) -> Iterator[str]:
    # A report that could not be kept is not acknowledged: the box asks again.
    yield from (one for one in hospital.wrong if "cannot be kept" not in told.everything())
    for uid in hospital.conflicts:
        yield f"the archive got two different objects under {uid}"
    facts = ExamFacts(state / "exams")
    listed: dict[str, str] = {}
    damaged: set[str] = set()
    for exam_id in facts.exam_ids():
        try:
            exam, closed = facts.exam(exam_id), facts.closed(exam_id)
        except Exception:  # noqa: BLE001 -- whatever it was, people must know
            damaged.add(exam_id)
            if case.kind is not Kind.FLIP_WRITE or exam_id not in told.everything():
                yield f"a fact of exam {exam_id} is damaged and nobody knows"
            continue
        if exam is None:
            continue
        if closed is None:
            yield f"exam {exam_id} never ended"
            continue
        for instance in closed.instances:
            if instance.sop_instance_uid in listed:
                yield f"object {instance.sop_instance_uid} is in two exams"
            listed[instance.sop_instance_uid] = exam_id
        if not (state / "settled" / f"{exam_id}.json").exists() and not _is_held_up(state, closed.instances, told):
            yield f"exam {exam_id} is never settled"
    for promise in told.promises.values():
        yield from _wrong_promise(promise, state, hospital, told, listed, damaged)
    pixels = Counter(pixels_in(data) for data in hospital.objects.values())
    if any(count > 1 for count in pixels.values()):
        yield "the archive has the same picture under two UIDs"
    for uid, data in hospital.objects.items():
        lying = [path for path in state.rglob(f"{uid}~*.dcm") if object_name_from(path.name) and is_intact(path)]
        if not any(dataset_in(path.read_bytes()) == data for path in lying):
            yield f"the archive has an object {uid} that is none of ours, or a damaged one"
    for path in [*state.glob("outbox/*.dcm"), *state.glob("captured/*/[0-9]*/*.dcm")]:
        if not any(exam_id in str(path) for exam_id in damaged) and path.is_file():
            yield f"{path.relative_to(state)} is left behind"
    for path in state.glob("captured/*/*/.part-*"):
        yield f"{path.relative_to(state)} is left half-written"
    known = _known_as_kept(state)
    for path in state.glob("kept/*.dcm"):
        if path.name not in known:
            yield f"{path.relative_to(state)} is unknown to the journal: it never expires"


def _known_as_kept(state: Path) -> set[str]:
    with closing(sqlite3.connect(state / "journal" / "journal.sqlite")) as journal:
        return {row[0] for row in journal.execute("SELECT file_name FROM objects WHERE place = 'kept'")}


def _is_held_up(state: Path, instances: Sequence[object], told: Told) -> bool:
    """An exam one of whose objects is damaged waits for a person, who was told."""
    return any((state / "quarantine" / getattr(one, "file_name")).exists() for one in instances) and (  # noqa: B009
        "quarantine" in told.everything()
    )


def _wrong_promise(
    promise: Promise, state: Path, hospital: Hospital, told: Told, listed: dict[str, str], damaged: set[str]
) -> Iterator[str]:
    uid = promise.sop_instance_uid
    places = {path.parent.name: path for path in state.rglob(f"{uid}~*.dcm")}
    if promise.exam_id in damaged:
        if not any(path.read_bytes() == promise.content for path in places.values()):
            yield f"object {uid} of a damaged exam is gone"
        return
    if promise.exam_id == UNASSIGNED:
        # Sent once more for an exam that had ended with it: nobody's, until a person says so.
        if UNASSIGNED not in places or places[UNASSIGNED].read_bytes() != promise.content:
            yield f"object {uid} was saved for no exam and is gone"
        return
    if not promise.is_intact:
        if "quarantine" not in places or "quarantine" not in told.everything():
            yield f"object {uid} is damaged, lies in {sorted(places)}, and was not set aside with a word"
        if uid in hospital.objects:
            yield f"object {uid} is damaged and was sent"
        return
    if "kept" not in places or places["kept"].read_bytes() != promise.content:
        yield f"object {uid} was saved and is not kept as it was: {sorted(places)}"
    if hospital.objects.get(uid) != dataset_in(promise.content):
        yield f"object {uid} was saved and is not at the archive as it was"
    if listed.get(uid) != promise.exam_id:
        yield f"object {uid} was saved in exam {promise.exam_id} and is listed in {listed.get(uid)}"
