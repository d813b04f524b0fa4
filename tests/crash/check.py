"""What must be true after any power cut, and the recovery that makes it so, run on one state."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydicom import dcmread

from appliance.acquire.keeping import Kind
from appliance.acquire.transfers import PADDING, TransferRunner
from appliance.base.paths import Paths
from appliance.exam.exam import Outcome
from appliance.exam.facts import ExamFacts
from appliance.exam.item import WorklistItem
from appliance.simulator.hospital.worklist_items import items_of_day
from appliance.spool.names import is_intact, object_name_from
from tests.acquire.world import make_frame, picture
from tests.crash.archive import Archive, dataset_in
from tests.crash.box import START, Box, SteppedClock, start_box
from tests.crash.pixels import SIZE, shown_pixels
from tests.crash.record import Note, Promise
from tests.crash.states import Case, write_tree
from tests.crash.trail import wrong_in_the_trail
from tests.crash.world import transferred_image

_MOST_ROUNDS = 120
# In every so many-th state something new is captured, and another patient examined, which takes as long as all else.
_THOROUGH = 4
_PIXELS = (b"\xe0\x7f\x10\x00OB", b"\xe0\x7f\x10\x00OW")
# What nobody may ever read on the panel because of a power cut: something saved is damaged, gone, or nobody's.
_NEVER = re.compile(
    r"damaged|missing|unreadable|unknown|quarantin|stranger|unmoved|unsettled|fact|refused|exam-(?!ended)"
)


@dataclass
class Verdict:
    """What was wrong with one case; nothing, if all is well."""

    case: Case
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.wrong

    def text(self) -> str:
        """For people: the moment, what the cut did, what broke."""
        case = self.case
        what = "the recovery" if case.after else "the job"
        lines = [f"seed {case.name}: a power cut before event {case.position} of {what}; {case.cut}."]
        lines += [f"  lost: {words}" for words in case.lost]
        lines += [f"  promised: {note.promise} {note.subject}" for note in case.notes[-5:]]
        return "\n".join([*lines, *(f"  WRONG: {one}" for one in self.wrong)])


def check_case(case: Case, directory: Path, items: Sequence[WorklistItem]) -> Verdict:
    """Lay the case out below `directory`, start the box on it, let the job finish, and look. Must run inside `sealed`.

    `items` are the patients of the day.
    """
    verdict = Verdict(case)
    state = directory / "state"
    try:
        write_tree(case.tree, case.same, state)
        verdict.wrong += wrong_on_the_medium(case, state)
        if verdict.is_good:
            archive = Archive.from_tree(case.hospital, SteppedClock(len(case.after)))
            verdict.wrong += recover(case, directory, archive, items, is_thorough=case.seed % _THOROUGH == 0)
            verdict.wrong += [] if verdict.wrong else wrong_at_the_end(case, state, archive)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return verdict


Voice = Callable[..., None]
"""Called with the arguments of `recorder.voiced` when something is promised."""


def recover(
    case: Case,
    directory: Path,
    archive: Archive,
    items: Sequence[WorklistItem],
    *,
    is_thorough: bool,
    voice: Voice = lambda *_, **__: None,
) -> list[str]:
    """Start the box on what lies in `directory`/state and let the job finish; what went wrong meanwhile."""
    paths = Paths(directory / "state", directory / "run")
    paths.run.mkdir()
    archive.voice = voice
    job = _Job(case, paths, items, voice, is_thorough=is_thorough)
    try:
        box = start_box(paths, archive, archive.clock, job.finish)
    except Exception as error:  # noqa: BLE001 -- whatever ends a service is what we look for
        return [f"a service ended: {type(error).__name__}: {error} {_place_of(error)}"]
    return [*job.wrong, *_wrong_findings(box)]


def patients_of_the_day() -> list[WorklistItem]:
    """The hospital's worklist, without the entries that lack something."""
    items = [WorklistItem("ris", entry.to_json_dict()) for entry in items_of_day(START.date(), "BRIDGE")]
    return [item for item in items if not list(item.missing())]


def _promised(case: Case, promise: Promise) -> list[Note]:
    return [note for note in case.notes if note.promise is promise]


def _place_of(error: Exception) -> str:
    return " < ".join(f"{one.name}:{one.lineno}" for one in reversed(traceback.extract_tb(error.__traceback__)[-4:]))


# -- before anything runs


def wrong_on_the_medium(case: Case, state: Path) -> Iterator[str]:
    """What no recovery could make good again."""
    for path in state.rglob("*.dcm"):
        if object_name_from(path.name) is not None and not is_intact(path):
            yield f"{path.relative_to(state)} bears its final name and is not what that says"
    for note in _promised(case, Promise.SAVED):
        places = [path for path in state.rglob(f"{note.subject}~*.dcm") if path.parent.name != "quarantine"]
        if not any(path.read_bytes() == note.content for path in places):
            yield f"object {note.subject} was saved and is gone"
        for path in places:
            if path.parent.name not in ("outbox", "kept", note.exam_id or "unassigned"):
                yield f"object {note.subject} of exam {note.exam_id} lies in {path.parent.relative_to(state)}"
    for path in [*state.glob("exams/*/[a-z]*.json"), *state.glob("settled/[0-9]*.json")]:
        try:
            json.loads(path.read_bytes())
        except ValueError:
            yield f"{path.relative_to(state)} bears its final name and is damaged"
            return
    facts = ExamFacts(state / "exams")
    for note in _promised(case, Promise.OPENED):
        file = facts.directory / note.subject / "exam.json"
        if not file.exists() or file.read_bytes() != note.content:
            yield f"exam {note.subject} was opened and its record is not what it was"
    for note in _promised(case, Promise.CLOSED):
        closed = facts.closed(note.subject)
        if closed is None or len(closed.instances) != note.count:
            yield f"exam {note.subject} had ended with {note.count} objects and its list is not there"
    yield from wrong_in_the_trail(state, case.hospital)


# -- the job


class _Job:
    """What was left to do when the power was cut, and one more patient behind it."""

    def __init__(
        self, case: Case, paths: Paths, items: Sequence[WorklistItem], voice: Voice, *, is_thorough: bool
    ) -> None:
        self._case, self._paths, self._items, self._voice = case, paths, items, voice
        self._is_thorough = is_thorough
        self._number = 10 * len(case.after)  # no picture is taken twice
        self.wrong: list[str] = []

    def finish(self, box: Box) -> None:
        self.wrong += self._wrong_in_journal()
        self._promise_captured()
        self._round(box)
        current = box.exams.current()
        if current is not None and not current.is_closing:
            self._send_again(box)
            if self._is_thorough:
                self._capture(box, current.exam.exam_id)
            box.exams.begin_closing(current.exam.exam_id, Outcome.COMPLETED)
        self._settle(box)
        if not self._is_thorough:
            return
        known = {exam.item.key for exam in self._exams()}
        item = next(item for item in self._items if item.key not in known)
        exam = box.exams.open(item)
        self._voice(Promise.OPENED, exam.exam_id, exam.exam_id)
        self._capture(box, exam.exam_id)
        box.exams.begin_closing(exam.exam_id, Outcome.COMPLETED)
        self._settle(box)

    def _send_again(self, box: Box) -> None:
        """The ultrasound sends its image until it is acknowledged, also when the box has it already."""
        image = transferred_image()
        if any(image in note.content for note in _promised(self._case, Promise.SAVED)):
            return
        runner = box.runners["ultrasound"]
        assert isinstance(runner, TransferRunner)
        runner._begin(box.clock.monotonic(), is_next=False)
        transfer: Any = SimpleNamespace(payload=image + PADDING * 7, started_at=box.clock.monotonic(), is_batch=False)
        failed = runner._keep_or_say_why_not(transfer)
        runner._end_capture()
        if failed is not None:
            self.wrong.append(f"the image that is sent once more is refused: {failed.sentence}")
        self._promise_captured()

    def _capture(self, box: Box, exam_id: str) -> None:
        runner = box.runners["endoscope"]
        self._number += 1
        frame = make_frame(picture(self._number, (40, 24)))
        with runner.gate.admitting(exam_id) as ticket:
            saved = runner.keeper.keep_still(ticket, frame, Kind.STILL)
        self._voice(Promise.SAVED, saved.sop_instance_uid, exam_id)

    def _promise_captured(self) -> None:
        """The panel calls saved what lies there when the services are up."""
        for path in self._paths.state.glob("captured/*/E*/*.dcm"):
            self._voice(Promise.SAVED, path.name.partition("~")[0], path.parent.name)

    def _round(self, box: Box) -> None:
        """Each loop comes round, and the panel shows which exams have ended by then."""
        box.round()
        facts, current = ExamFacts(self._paths.state / "exams"), box.exams.current()
        for exam in self._exams():
            closed = facts.closed(exam.exam_id)
            if closed is not None and (current is None or current.exam.exam_id != exam.exam_id):
                self._voice(Promise.CLOSED, exam.exam_id, exam.exam_id, len(closed.instances))

    def _settle(self, box: Box) -> None:
        for _ in range(_MOST_ROUNDS):
            self._round(box)
            if all((self._paths.state / "settled" / f"{exam.exam_id}.json").exists() for exam in self._exams()):
                return
        self.wrong.append("the job does not finish: an exam is never settled")

    def _exams(self) -> list[Any]:
        facts = ExamFacts(self._paths.state / "exams")
        return [exam for exam_id in facts.exam_ids() if (exam := facts.exam(exam_id)) is not None]

    def _wrong_in_journal(self) -> Iterator[str]:
        """What the archive heard of us must be known, however the power cut came."""
        journal = self._paths.journal
        if list(journal.parent.glob("damaged-*")):
            yield "the journal did not survive"
        with contextlib.closing(sqlite3.connect(journal)) as db:
            for note in _promised(self._case, Promise.ASKED):
                if not db.execute("SELECT 1 FROM transactions WHERE transaction_uid = ?", [note.subject]).fetchone():
                    yield f"transaction {note.subject} was asked for and is not known"
            for note in _promised(self._case, Promise.COMMITTED):
                rows = db.execute("SELECT state FROM deliveries WHERE sop_instance_uid = ?", [note.subject])
                if [row[0] for row in rows] != ["committed"]:
                    yield f"object {note.subject} was committed, the report was answered, and it is not known"


# -- when all is done


def wrong_at_the_end(case: Case, state: Path, archive: Archive) -> Iterator[str]:
    yield from archive.wrong
    for uid in archive.conflicts:
        yield f"the archive got two different objects under {uid}"
    for note in _promised(case, Promise.COMMITTED):
        if note.subject in archive.stored_again:
            yield f"object {note.subject} was committed and is stored once more"
    facts = ExamFacts(state / "exams")
    under_way = {note.subject for note in _promised(case, Promise.CUT_SHORT)}
    listed: dict[str, str] = {}
    for exam_id in facts.exam_ids():
        exam, closed = facts.exam(exam_id), facts.closed(exam_id)
        if exam is None:
            continue
        if closed is None:
            yield f"exam {exam_id} never ended"
            continue
        patient = exam.item.patient_id
        for instance in closed.instances:
            uid = instance.sop_instance_uid
            if uid in under_way and not instance.is_cut_short:
                yield f"the clip {uid} was cut short and exam {exam_id} does not say so"
            if uid in listed:
                yield f"object {uid} is in two exams, {listed[uid]} and {exam_id}"
            listed[uid] = exam_id
            kept = state / "kept" / instance.file_name
            if not kept.exists() or not is_intact(kept):
                yield f"object {uid} of exam {exam_id} is not kept whole"
                continue
            header = dcmread(
                kept, specific_tags=["PatientID", "StudyInstanceUID", "PhotometricInterpretation", "PixelData"]
            )
            if header.PhotometricInterpretation == "RGB" and not _are_shown(header.PixelData):
                yield f"object {uid} of exam {exam_id} has a frame that the machine never gave"
            if (header.get("PatientID", ""), header.StudyInstanceUID) != (patient, exam.study_instance_uid):
                yield f"object {uid} of exam {exam_id} belongs to another patient"
            if archive.objects.get(uid) != dataset_in(kept.read_bytes()):
                yield f"object {uid} of exam {exam_id} is not at the archive as it was saved"
        for step in exam.steps:
            wanted = "COMPLETED" if any(one.modality == step.modality for one in closed.instances) else None
            found = archive.steps.get(step.sop_instance_uid)
            if found != wanted and (wanted or found not in (None, "DISCONTINUED")):
                yield f"the step of {step.modality} in exam {exam_id} is {found}, not {wanted}"
    yield from _wrong_objects(case, archive, listed)
    yield from _left_behind(state)


def _are_shown(pixels: bytes) -> bool:
    size = SIZE[0] * SIZE[1] * 3
    return all(pixels[at : at + size] in shown_pixels() for at in range(0, len(pixels), size))


def _wrong_objects(case: Case, archive: Archive, listed: dict[str, str]) -> Iterator[str]:
    for note in _promised(case, Promise.SAVED):
        if listed.get(note.subject) != note.exam_id:
            yield f"object {note.subject} was saved in exam {note.exam_id} and is not in its list"
        if archive.objects.get(note.subject) != dataset_in(note.content):
            yield f"object {note.subject} was saved and is not at the archive as it was"
    longest = {note.subject: note for note in _promised(case, Promise.SYNCED)}
    for note in longest.values():
        frames = note.content[note.count :]
        if frames not in archive.objects.get(note.subject, b"" if frames else frames):
            yield f"the clip {note.subject} lacks frames that were synced"
    pixels = Counter(pixels_in(data) for data in archive.objects.values())
    if any(count > 1 for count in pixels.values()):
        yield "the archive has the same picture under two UIDs"
    for uid in archive.objects:
        if uid not in listed:
            yield f"the archive has object {uid}, which is in no exam"


def pixels_in(data: bytes) -> str:
    at = max(data.rfind(tag) for tag in _PIXELS)
    return hashlib.sha256(data[at:]).hexdigest()


def _left_behind(state: Path) -> Iterator[str]:
    for path in [*state.glob("captured/*/*/*"), *state.glob("outbox/*"), *state.glob("quarantine/*")]:
        yield f"{path.relative_to(state)} is left behind"


def _wrong_findings(box: Box) -> Iterator[str]:
    for (code, subject), sentence in box.findings.items():
        if _NEVER.search(code):
            yield f"the panel says {code} of {subject}: {sentence}"


def describe(case: Case) -> str:
    """What lies on the medium, for people."""
    return json.dumps({path: None if data is None else len(data) for path, data in case.tree.items()}, indent=1)
