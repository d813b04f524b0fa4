"""Taking work in: the rescan of `exams/` and `outbox/`, which is the truth however many hints were lost.

Facts of exams become rows; a file that arrived is read whole once, against the digest in its name, and only then due.
One damaged or unreadable file or fact is set aside or told about, and the others go on.

What a person decided about an object, before or after it became a row, withdraws it, from one destination or all. The
performed step that is told to the hospital lists it all the same: the list says what the step produced and is fixed by
the exam's end, a step that was told as ended can be changed no more (PS3.4 F.7.2.2), and that an image is not to be
used is not said by MPPS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from appliance.base.clock import Clock, Deadline
from appliance.base.durable import TEMPORARY_PREFIX, make_directory, move_file
from appliance.base.errors import Finding, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import telling_of_flash
from appliance.exam.decisions import DecisionKind, decided_from
from appliance.exam.exam import Closed, Exam, Outcome
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.forward.claims import doubt, may_have_been_sent
from appliance.forward.kept import KeptLedger
from appliance.forward.late_rejection import tell_of_late_rejection
from appliance.forward.ledger import LARGE_BYTES, Arrival, DueObject, Ledger, Place
from appliance.forward.removed import read_removed, tell_removed
from appliance.forward.settled_record import SettledRecord, read_record
from appliance.forward.states import DeliveryState
from appliance.forward.step_ledger import StepLedger
from appliance.forward.strangers import Strangers
from appliance.spool.names import is_intact
from appliance.spool.settled import early_path, expired_path, settled_path
from appliance.spool.summary import DamagedObjectError, read_summary
from appliance.spool.tree import Spool, list_objects

_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
# What has arrived is recorded together, which spares the flash; so long it may wait for what is read behind it.
_UNRECORDED_SECONDS = 5.0


class Intake:
    """What is known of each exam's directory, and what is still awaited."""

    def __init__(
        self,
        spool: Spool,
        ledger: Ledger,
        steps: StepLedger | None,
        findings: FindingBoard,
        clock: Clock,
        *,
        destinations: frozenset[str],
        on_new: Callable[[], None],
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`steps` is None where no performed-step manager is configured; `on_new` is called when something is due.

        `on_progress` is called again and again while a rescan gets on, which may take long: large files are read whole.
        """
        self._spool = spool
        self._facts = ExamFacts(spool.exams)
        self._ledger = ledger
        self._kept = KeptLedger(ledger.journal)
        self._strangers = Strangers(spool, ledger, findings, clock, PATIENCE_SECONDS)
        self._steps = steps
        self._findings = findings
        self._clock = clock
        self._destinations = destinations
        self._on_new = on_new
        self._on_progress = on_progress
        # Exams that were there before this journal was: it has not heard what was told about them.
        self._before_journal: frozenset[str] | None = None if ledger.journal.is_new else frozenset()
        self._taken_in: dict[str, set[str]] = {}
        self._awaited_since: dict[str, float] = {}
        self._damaged: set[str] = set()
        self._are_names_mended = False
        self.settled: set[str] = set()
        """Exams of which nothing more is expected."""
        self.closed: dict[str, Closed] = {}
        """Exams that are over and not settled."""
        self._tell_of_damaged()

    def rescan(self) -> None:
        """One look at everything that is not settled. What cannot be read is told about and looked at again."""
        if not self._are_names_mended:
            with self._telling("kept-unreadable", "The list of kept objects cannot be read"):
                lying = {name.sop_instance_uid: path.name for path, name in list_objects(self._spool.kept)}
                for uid in self._kept.mend_names(lying):
                    _log.error("the journal called the file of object %s otherwise than it is called", uid)
                self._are_names_mended = True
        with self._telling("exams-unreadable", "The list of exams cannot be read"):
            self._look_at_exams()
        self._look_for_awaited()
        self._tell_of_damaged()
        with self._telling("outbox-unreadable", "The list of objects in the outbox cannot be read"):
            self._strangers.look()

    def _look_at_exams(self) -> None:
        exam_ids = list(self._facts.exam_ids())
        is_first_look = self._before_journal is None
        if self._before_journal is None:
            self._before_journal = frozenset(exam_ids)
        known = [self._try_exam(exam_id) for exam_id in exam_ids if exam_id not in self.settled]
        if is_first_look and all(known):
            self._ledger.journal.mark_whole()
        # The console takes away what has expired.
        self.settled.intersection_update(exam_ids)
        self._taken_in = {exam_id: names for exam_id, names in self._taken_in.items() if exam_id not in self.settled}
        self._tell_of_destinations()

    def _telling(self, code: str, sentence: str, subject: str = "") -> AbstractContextManager[None]:
        return telling_of_flash(self._findings, code, sentence, "It is tried again by itself.", subject)

    # -- facts

    def _try_exam(self, exam_id: str) -> bool:
        """True when everything about the exam that lies there is known."""
        self._on_progress()
        with self._telling("fact-unreadable", f"A record of the exam {exam_id} cannot be read", exam_id):
            try:
                self._look_at_exam(exam_id)
                self._findings.clear("damaged-fact", exam_id)
                return True
            except DamagedFactError as error:
                self._findings.report(finding_from(error, "damaged-fact", exam_id))
        return False

    def _look_at_exam(self, exam_id: str) -> None:
        directory = self._spool.exams / exam_id
        try:
            # Not glob(), which takes a directory that cannot be read for an empty one.
            entries = {path.name for path in directory.iterdir()}
        except FileNotFoundError:
            return  # it has expired, and the console took it away a moment ago
        names = {name for name in entries if name.endswith(".json") and not name.startswith(TEMPORARY_PREFIX)}
        known = self._taken_in.setdefault(exam_id, set())
        if names == known:
            return
        settled = settled_path(self._spool, exam_id)
        is_settled = settled.exists()
        # A journal that flash gave back as it was some time ago knows less than the files.
        if is_settled and (self._kept.is_settled(exam_id) or expired_path(self._spool, exam_id).exists()):
            self.settled.add(exam_id)
            return
        exam = self._facts.exam(exam_id)
        if exam is None:
            return
        closed = self._facts.closed(exam_id)
        if not is_settled or closed is None:
            for modality in self._started(exam_id, closed):
                self._begin_step(exam, modality)
        if closed is not None:
            path = settled if is_settled else early_path(self._spool, exam_id)
            record = self._read_record(exam_id, path)
            self._take_over(exam, closed, names, record, was_settled=is_settled)
            if record is None:
                # Not before: where it lies it tells that the exam had been settled.
                self._set_aside(exam_id, path)
            if is_settled and record is not None:
                self.settled.add(exam_id)
            else:
                self.closed[exam_id] = closed
        self._taken_in[exam_id] = names
        self._on_new()

    def _read_record(self, exam_id: str, path: Path) -> SettledRecord | None:
        """None when it is damaged: then what was told of the exam, a journal that never heard of it was not told."""
        try:
            return read_record(path)
        except DamagedFactError as error:
            _log.error("%s", error)
        self._before_journal = (self._before_journal or frozenset()) | {exam_id}
        return None

    def _set_aside(self, exam_id: str, record: Path) -> None:
        make_directory(self._spool.quarantine)
        move_file(record, self._spool.quarantine / record.name)
        sentence = f"The record of what became of the exam {exam_id} is damaged, and lies in quarantine."
        suggestion = "Its objects are sent once more; the archive knows them. Have the box's flash checked."
        self._findings.report(Finding("record-damaged", sentence, suggestion, exam_id))

    def _started(self, exam_id: str, closed: Closed | None) -> Iterable[str]:
        """The modalities whose steps have begun; of a closed exam its list tells as well, where a fact is damaged."""
        try:
            return self._facts.started(exam_id)
        except DamagedFactError as error:
            if closed is None:
                raise
            _log.error("%s The exam's list of objects tells which steps have begun.", error)
            return ()

    def _is_before_journal(self, exam_id: str) -> bool:
        return self._before_journal is None or exam_id in self._before_journal

    def _begin_step(self, exam: Exam, modality: str) -> None:
        if self._steps is None:
            return
        try:
            step = exam.step_of(modality)
        except KeyError:
            _log.error("exam %s began a step of modality %s that it did not plan", exam.exam_id, modality)
            return
        self._steps.add(exam.exam_id, step, may_have_been_told=self._is_before_journal(exam.exam_id))

    def _tell_of_destinations(self) -> None:
        """One finding for each destination that was removed, and one where there is none at all."""
        tell_removed(self._findings, read_removed(self._ledger.journal, self._destinations))
        candidates = () if self._destinations else self.closed.values()
        exams = sum(1 for closed in candidates if closed.instances and not closed.destinations)
        if exams:
            sentence = f"{exams} exam{'s go' if exams > 1 else ' goes'} nowhere: no destination is configured."
            suggestion = "All of it stays saved. Configure a destination; it is then sent there."
            self._findings.report(Finding("no-destination", sentence, suggestion))
        else:
            self._findings.clear("no-destination")

    def _take_over(
        self, exam: Exam, closed: Closed, names: set[str], record: SettledRecord | None, *, was_settled: bool
    ) -> None:
        """An exam that is over becomes rows in one act: a step that ended long ago must not look due meanwhile.

        A manager that has forgotten it would create it anew, and it would stay IN PROGRESS there. `record` is what a
        journal knew that was lost, or is an old one: nothing that it says is done again. Where it is damaged (None),
        what it no longer tells is done again, with the files that are here. An empty list of destinations: none was
        configured at the closing, so it goes wherever this box sends to by now.
        """
        is_damaged, record = record is None, record or SettledRecord()
        destinations = closed.destinations or record.destinations or self._destinations
        with self._ledger.journal.transaction() as db:
            for instance in closed.instances:
                told = record.objects.get(instance.sop_instance_uid)
                is_gone = was_settled and is_damaged and self._find_file(instance.file_name) is None
                wanted = () if is_gone else destinations if told is None else told
                self._ledger.add_object(exam.exam_id, instance, wanted)
            if self._is_before_journal(exam.exam_id):
                doubt(db, exam.exam_id)
            decisions = list(filter(None, map(decided_from, sorted(names))))
            withdrawn = {uid for uid, _kind, destination in decisions if not destination}
            self._restore_objects(closed, record, withdrawn, was_settled=was_settled)
            for uid, kind, destination in decisions:
                was_sent = kind is DecisionKind.REJECTED and may_have_been_sent(db, uid)
                if self._ledger.withdraw(uid, kind, f"a person decided: {kind}", destination):
                    self._findings.clear("object-missing", uid)
                    if was_sent:
                        tell_of_late_rejection(self._facts, self._findings, exam.exam_id, uid)
            if self._steps is not None:
                self._end_steps(exam, closed, self._steps)
                for uid, step in record.steps.items():
                    self._steps.restore_final(uid, step.state, step.said)

    def _restore_objects(self, closed: Closed, record: SettledRecord, decided: set[str], *, was_settled: bool) -> None:
        places = (Place.AWAITED, Place.OUTBOX) if record.objects or was_settled else ()
        unmoved = {one.sop_instance_uid for place in places for one in self._ledger.objects_in(place)}
        for instance in closed.instances:
            uid = instance.sop_instance_uid
            for name, ended in record.objects.get(uid, {}).items():
                self._ledger.restore_final(uid, name, ended)
            if (uid in record.objects or was_settled) and uid in unmoved:
                # What lies elsewhere is looked for. What is nowhere was done with, and its time was over. But for what
                # a person withdrew nobody waited: the console may not have handed it over yet.
                found = self._find_file(instance.file_name)
                is_withdrawn = uid in decided or (
                    uid in record.objects
                    and all(one.state is DeliveryState.RELEASED for one in record.objects[uid].values())
                )
                if found is not None and found[0] is Place.KEPT and uid in record.objects:
                    self._ledger.place_object(uid, Place.KEPT)
                elif found is None and not is_withdrawn:
                    self._ledger.expire(uid)

    def _end_steps(self, exam: Exam, closed: Closed, steps: StepLedger) -> None:
        # A rejection note is an object of no step.
        performed = {instance.modality for instance in closed.instances} & {step.modality for step in exam.steps}
        for modality in sorted(performed):
            self._begin_step(exam, modality)
            steps.end(exam.exam_id, modality, closed.outcome)
        for step in exam.steps:
            if step.modality not in performed:
                # Nothing of this modality remained: a step of which the manager never heard is none, another ends.
                steps.drop_untold(exam.exam_id, step.modality)
                steps.end(exam.exam_id, step.modality, Outcome.DISCONTINUED)

    # -- files

    def _find_file(self, file_name: str) -> tuple[Place, Path] | None:
        for place, directory in (
            (Place.OUTBOX, self._spool.outbox),
            (Place.KEPT, self._spool.kept),
            (Place.QUARANTINE, self._spool.quarantine),
        ):
            if (path := directory / file_name).exists():
                return place, path
        return None

    def _look_for_awaited(self) -> None:
        arrived: list[tuple[str, Place, Arrival]] = []
        record_by = Deadline.after(self._clock, _UNRECORDED_SECONDS)
        for awaited in self._ledger.objects_in(Place.AWAITED):
            if record_by.is_over() or awaited.bytes > LARGE_BYTES:
                self._record_arrivals(arrived)
                arrived, record_by = [], Deadline.after(self._clock, _UNRECORDED_SECONDS)
            sentence = "An object is not sent, since it cannot be read"
            with self._telling("object-unreadable", sentence, awaited.sop_instance_uid):
                if (found := self._look_for(awaited)) is not None:
                    arrived.append((awaited.sop_instance_uid, *found))
        self._record_arrivals(arrived)

    def _record_arrivals(self, arrived: Sequence[tuple[str, Place, Arrival]]) -> None:
        with self._telling("arrivals-unwritten", "Objects that arrived are not sent yet, since it cannot be noted"):
            with self._ledger.journal.transaction():
                for uid, place, arrival in arrived:
                    self._ledger.place_object(uid, place, arrival)
            if arrived:
                self._on_new()

    def _look_for(self, awaited: DueObject) -> tuple[Place, Arrival] | None:
        """Where the object lies and what its file tells; None while it is not there, or when it is damaged."""
        found = self._find_file(awaited.file_name)
        if found is not None:
            place, path = found
            self._awaited_since.pop(awaited.sop_instance_uid, None)
            self._findings.clear("object-missing", awaited.sop_instance_uid)
            if place is Place.QUARANTINE:
                self._ledger.place_object(awaited.sop_instance_uid, Place.QUARANTINE)
                return None
            arrival = self._read_file(awaited, path)
            return None if arrival is None else (place, arrival)
        if awaited.is_withdrawn:
            return None  # whoever withdrew it knows
        now = self._clock.monotonic()
        if now - self._awaited_since.setdefault(awaited.sop_instance_uid, now) > PATIENCE_SECONDS:
            self._findings.report(
                Finding(
                    "object-missing",
                    "An object of a closed exam has not arrived in the outbox.",
                    "The console hands it over when it runs; if it runs, look for the file in captured/.",
                    awaited.sop_instance_uid,
                )
            )
        return None

    def _read_file(self, awaited: DueObject, path: Path) -> Arrival | None:
        try:
            if not is_intact(path, self._on_progress):
                raise DamagedObjectError(f"The file {path.name} does not match its digest.")
            summary = read_summary(path)
            modified = path.stat().st_mtime
        except DamagedObjectError as error:
            _log.error("%s", error)
            make_directory(self._spool.quarantine)
            move_file(path, self._spool.quarantine / path.name)
            self._ledger.place_object(awaited.sop_instance_uid, Place.QUARANTINE)
            return None
        except FileNotFoundError:
            return None  # somebody took it between our two looks; the next rescan sees where it is
        return Arrival(
            summary.study_instance_uid,
            summary.patient_id,
            summary.accession_number,
            summary.frames,
            summary.bytes,
            _iso_from_dicom(summary.captured_at),
            datetime.fromtimestamp(modified).astimezone().isoformat(),
        )

    def _tell_of_damaged(self) -> None:
        """One finding for each damaged object that is wanted somewhere; what is over is cleared."""
        before, self._damaged = self._damaged, {one.sop_instance_uid for one in self._ledger.unfinished_in_quarantine()}
        for uid in before - self._damaged:
            self._findings.clear("object-damaged", uid)
        for uid in sorted(self._damaged - before):
            self._findings.report(
                Finding(
                    "object-damaged",
                    "An object was damaged on flash and is kept in quarantine; it is not sent.",
                    "Have the box's flash checked; what is damaged lies in quarantine.",
                    uid,
                )
            )


def _iso_from_dicom(value: str) -> str:
    """A DT (`YYYYMMDDHHMMSS.ffffff+ZZXX`) as ISO 8601 in the box's own time; empty when it is none."""
    for form in ("%Y%m%d%H%M%S.%f%z", "%Y%m%d%H%M%S%z", "%Y%m%d%H%M%S.%f", "%Y%m%d%H%M%S", "%Y%m%d"):
        try:
            return datetime.strptime(value, form).astimezone().isoformat()
        except ValueError:
            continue
    return ""
