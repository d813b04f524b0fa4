"""Exams from opening to hand-over. The console is the only one that writes `exams/`.

The keeper's `round` is repeated about twice a second by one thread, which does everything that may have been cut off by
a crash; requests only write the one fact that they are about (`exam.json`, `closing.json`) and wait for the rest:

    exam.json      → opened: the patient is on disk before anything is answered
    started-M.json → the first object of modality M is durable (noticed by looking into captured/)
    closing.json   → nothing new belongs to the exam; every acquire is asked until it has drained, or time is over
    closed.json    → outcome, end, the complete list of objects, and where each of them must go
    renames        → captured/DEVICE/EXAM/ → outbox/, then a hint to forward
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from appliance.base.asking import Unreachable
from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_error_from, in_words, telling_of_flash
from appliance.config.schema import Configuration
from appliance.console.aftercare import Aftercare
from appliance.console.audit import PanelAudit
from appliance.console.closing import (
    Drain,
    Draining,
    closed_from,
    hand_over,
    list_instances,
    list_leftovers,
    read_closing,
)
from appliance.console.current import CurrentExam
from appliance.console.examined import Examined, read_examined
from appliance.console.moving import Mover
from appliance.console.starting import Starts
from appliance.exam.exam import Closed, Closing, Exam, Outcome, open_exam
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.exam.item import WorklistItem
from appliance.exam.moved import MOVED, Moved
from appliance.exam.unscheduled import with_patient_id
from appliance.spool.cut_short import cut_short_sentence
from appliance.spool.tree import UNASSIGNED, Spool

_log = logging.getLogger(__name__)

ROUND_SECONDS = 0.5
_CLOSE_ANSWER_SECONDS = 120.0
_NOTICING, _ENDING, _LOOKING_AFTER, _MOVING = "watching", "ending", "hand-over", "moving"
_TASKS = {_NOTICING: "The start", _ENDING: "The end", _LOOKING_AFTER: "The hand-over", _MOVING: "The moving of images"}
_AGAIN = "It is tried again by itself; call support if it stays."


class ExamKeeper:
    """Opens, watches and closes exams; at most one occupies the box."""

    def __init__(
        self,
        spool: Spool,
        configuration: Configuration,
        clock: Clock,
        *,
        drain: Callable[[Sequence[str], str], Mapping[str, Drain]],
        hint: Callable[[], None],
        findings: FindingBoard,
        audit: PanelAudit,
        is_clock_trusted: Callable[[], bool] = lambda: True,
        on_progress: Callable[[], None] = lambda: None,
        operator: Callable[[], str] = lambda: "",
    ) -> None:
        """`drain(devices, exam_id)` asks each of the devices once, for a few seconds at most; `hint()` tells forward
        that the outbox has something new and may raise ApplianceError, since forward looks by itself; `on_progress()`
        is called again and again while a large object is made anew; `operator()` is who works at the panel (PN)."""
        self._spool = spool
        self._configuration = configuration
        self._clock = clock
        self._is_clock_trusted = is_clock_trusted
        self._operator = operator
        self._drain = drain
        self._hint = hint
        self._findings = findings
        self._audit = audit
        self._facts = ExamFacts(spool.exams)
        self._mover = Mover(
            spool, self._facts, configuration.box, clock, findings=findings, audit=audit, on_progress=on_progress
        )
        self._starts = Starts(spool, self._facts, clock, self._tell_forward)
        self._after = Aftercare(spool, self._facts, findings, clock, self._tell_forward)
        self._lock = threading.RLock()
        self._moving = threading.Lock()  # held while objects of the open exam are put away, or taken back
        self._wake = threading.Event()
        self._done: dict[str, threading.Event] = {}
        self._draining: dict[str, Draining] = {}
        self._stuck: dict[str, Finding] = {}  # exams whose ending fails, and why
        self._open: Exam | None = None
        self._closing: dict[str, Exam | None] = {}
        self._examined = Examined()
        self._is_informed = False  # what the exams' files say is in the four above
        with telling_of_flash(findings, "spool-unmade", "The box's directories cannot be looked after"):
            spool.make()
            self._facts.sweep()
            self._mover.sweep()
        self._read_exams()
        self._interrupted = self._open.exam_id if self._open else ""  # until a person says that it goes on

    # -- what is asked of the keeper, from any thread

    def current(self) -> CurrentExam | None:
        """The exam that occupies the box, or None when another may be opened."""
        with self._lock:
            if self._open is not None:
                return CurrentExam(self._open, False, is_interrupted=self._interrupted == self._open.exam_id)
            for exam_id, exam in self._closing.items():
                if exam is not None and exam_id not in self._stuck:
                    draining = self._draining.get(exam_id)
                    return CurrentExam(exam, is_closing=True, waiting_for=draining.waiting_for if draining else ())
            return None

    def open(self, item: WorklistItem, *further: WorklistItem) -> Exam:
        """Open an exam on `item`, and on `further` steps of the same patient; it is durable when this returns.

        ApplianceError when another occupies the box, or when the entries are not one patient's.
        """
        with self._lock:
            self._check_free()
            if self._open is not None:
                raise ApplianceError("Another exam is open.", "End it before you open the next one.")
            exam = self.plan(item, *further)
            self._is_informed = False  # if writing fails, the file may be there all the same
            with self._audit.opening(exam), in_words("The exam was not opened", "Look at the screen again."):
                if not self._facts.write(exam.exam_id, "exam", exam):
                    raise ApplianceError("The exam could not be opened.", "Try again.")
            self._is_informed = True
            self._open = exam
        _log.info("exam %s opened", exam.exam_id)
        return exam

    def plan(self, item: WorklistItem, *further: WorklistItem) -> Exam:
        """The exam that would be opened on these entries now, with all of its identifiers. Nothing is written."""
        now = self._clock.now()
        exam_id = self._facts.next_exam_id(now)
        given, called = self._configuration.unscheduled, self._configuration.box.ae_title
        return open_exam(
            with_patient_id(item, exam_id, given.id_prefix or called, given.issuer or called),
            self._configuration.devices,
            now,
            exam_id,
            further_items=further,
            so_far=self._examined.study_so_far(item),
            is_clock_trusted=self._is_clock_trusted(),
            has_told_steps=self._configuration.performed_step is not None,
            operators_name=self._operator(),
        )

    def _check_free(self) -> None:
        """ApplianceError unless the exams are known and none of them is being ended."""
        self._read_exams()
        if not self._is_informed:
            raise ApplianceError("The exams on this box cannot be read.", "See the findings for what is wrong.")
        if any(exam_id not in self._stuck for exam_id in self._closing):
            raise ApplianceError("The exam before is still being ended.", "Wait until it has ended; then try again.")

    @contextmanager
    def holding(self, exam_id: str) -> Iterator[Exam]:
        """The exam, which stays open inside, and is read again after. ApplianceError when it is not open any more."""
        with self._lock, self._moving:
            if self._open is None or self._open.exam_id != exam_id:
                raise ApplianceError("This exam is not open any more.", "Look at the screen again.")
            yield self._open
            self._open = self._find_open() or self._open
        self._wake.set()

    def move(self, moved: Moved) -> None:
        """Begin what `moved` says, whose exam comes from `plan` inside of `planning`; the keeper's thread does it."""
        self._is_informed = False  # as in `open`
        with self._audit.opening(moved.exam), in_words("Nothing was moved", "Look at the screen again."):
            if not self._facts.write(moved.exam.exam_id, MOVED, moved):
                raise ApplianceError("Nothing was moved.", "Try again.")
            self._mover.begin(moved)
        ending: list[Exam | None] = [moved.exam, moved.note_exam] if moved.is_released else [self._open]
        for exam in filter(None, ending):
            self._closing[exam.exam_id] = exam
            self._done[exam.exam_id] = threading.Event()
        self._open = self._open if moved.is_released else moved.exam
        self._is_informed = True
        self._wake.set()

    @contextmanager
    def planning(self) -> Iterator[CurrentExam | None]:
        """What occupies the box; nothing changes inside. ApplianceError while an exam is being ended."""
        with self._lock:
            self._check_free()
            yield self.current()

    def close(self, exam_id: str, outcome: Outcome, reason: str = "") -> Closed:
        """End the exam and wait until it is handed over. Asked again after a lost answer, it gives the same answer.

        ApplianceError when there is no such exam, Unreachable when ending takes longer than anybody should wait: it
        goes on by itself.
        """
        self.begin_closing(exam_id, outcome, reason)
        with self._lock:
            done = self._done.get(exam_id)
        deadline = Deadline.after(self._clock, _CLOSE_ANSWER_SECONDS)
        while done is not None and not self._clock.wait(done, 1.0):
            trouble = self._stuck.get(exam_id)
            if trouble is not None:
                raise Unreachable(trouble.sentence, trouble.suggestion)
            if deadline.is_over():
                raise Unreachable("The exam is still being ended.", "It goes on by itself; look again in a minute.")
        closed = self._facts.closed(exam_id)
        if closed is None:
            raise ApplianceError("The exam could not be ended.", "See the findings for what is wrong.")
        return closed

    def begin_closing(self, exam_id: str, outcome: Outcome, reason: str = "") -> None:
        """Write `closing.json` of the open exam; nothing to do when the exam is closing or closed already."""
        with self._lock:
            if self._open is not None and self._open.exam_id == exam_id:
                closing = Closing(self._clock.now().replace(microsecond=0), outcome, reason)
                with in_words("The exam was not ended", "Try again."):
                    self._facts.write(exam_id, "closing", closing)
                self._closing[exam_id] = self._open
                self._done[exam_id] = threading.Event()
                self._open = None
                _log.info("exam %s is being ended: %s", exam_id, outcome)
            elif exam_id not in self._facts.exam_ids() or not self._facts.is_ending(exam_id):
                raise ApplianceError("There is no such exam open.", "Look at the screen again: it may have been ended.")
        self._wake.set()

    def go_on(self) -> None:
        """A person has seen that the exam was interrupted by a restart, and goes on with it."""
        self._interrupted = ""

    def wake(self) -> None:
        """Something was captured: look now, not only in half a second."""
        self._wake.set()

    def is_examined(self, key: str) -> bool:
        """True when an exam with at least one object was made of this worklist item, as far back as exams are kept."""
        with self._lock:
            return self._examined.has(key)

    def forget(self, exam: Exam) -> None:
        """The exam has expired, and its record is taken away."""
        with self._lock:
            self._examined.forget(exam)

    # -- the one thread that does the work

    def run(self, stop: threading.Event, on_round: Callable[[], None]) -> None:
        """Repeat `round` until `stop`; `on_round` is called after each, to feed the watchdog."""
        while not stop.is_set():
            self._wake.clear()
            self.round()
            on_round()
            # While an acquire is silent each round asks again; the pause keeps that from being a busy loop.
            self._clock.wait(self._wake if not self._draining else stop, ROUND_SECONDS)

    def round(self) -> None:
        """Notice what was captured, and bring every ended exam one step further. Repeats whatever a crash cut off."""
        with self._lock:
            self._read_exams()
            current, closing = self._open, list(self._closing)
        if current is not None:
            self._try(_NOTICING, current.exam_id, partial(self._starts.notice, current))
            self._try(_MOVING, current.exam_id, partial(self._put_away, current.exam_id))
        self._try(_MOVING, UNASSIGNED, self._mover.carry_out_unassigned)
        for exam_id in closing:
            self._try(_ENDING, exam_id, partial(self._advance, exam_id))
        with telling_of_flash(self._findings, "captures-unreadable", "The captured images cannot be listed", _AGAIN):
            for exam_id in self._after.exams():
                self._try(_LOOKING_AFTER, exam_id, partial(self._after.complete, exam_id))
            self._after.report_unassigned()

    def _try(self, task: str, exam_id: str, act: Callable[[], None]) -> None:
        """Do one exam's step; a fault of it becomes a finding, and the step is repeated in the next round."""
        finding_code = f"exam-{task}"
        try:
            act()
        except (ApplianceError, OSError) as error:
            if isinstance(error, OSError):
                error = flash_error_from(error, f"{_TASKS[task]} of exam {exam_id} cannot go on")
            finding = Finding(finding_code, error.sentence, f"{_AGAIN} {error.suggestion}".rstrip(), exam_id)
            self._findings.report(finding)
            if task == _ENDING:
                self._stuck[exam_id] = finding
        else:
            if task == _ENDING:
                self._stuck.pop(exam_id, None)
            self._findings.clear(finding_code, exam_id)

    def _put_away(self, exam_id: str) -> None:
        with self._moving:
            self._mover.carry_out_of(exam_id)

    def _advance(self, exam_id: str) -> None:
        """Bring an exam that is being ended one step further: drain, list, write `closed.json`, hand over."""
        exam = self._closing[exam_id] or self._facts.exam(exam_id)
        closing = read_closing(self._facts, exam_id, self._clock.now(), self._findings)
        closed = self._facts.closed(exam_id)
        if exam is None or closing is None:
            raise DamagedFactError(f"The exam {exam_id} is being ended but its record is missing.")
        with self._lock:
            self._closing[exam_id] = exam
        if closed is None:
            if not self._is_drained(exam_id):
                return
            self._starts.notice(exam)
            self._mover.decide_rest(exam_id)
            self._mover.carry_out_of(exam_id)
            if not self._mover.is_complete(exam_id):
                return
            closed = self._list_and_close(exam, closing)
        hand_over(self._spool, exam_id, closed)
        self._tell_forward()
        with self._lock:
            self._draining.pop(exam_id, None)
            self._closing.pop(exam_id, None)
            self._after.note_closed(exam_id)
            self._examined.add(exam, closed)
            # Normally none: an older one can only be open if a file was damaged and came back.
            self._open = self._open or self._find_open()
            done = self._done.pop(exam_id, None)
        if done is not None:
            done.set()
        _log.info("exam %s ended: %s, %d objects", exam_id, closed.outcome, len(closed.instances))

    def _is_drained(self, exam_id: str) -> bool:
        devices = [device.name for device in self._configuration.devices]
        draining = self._draining.setdefault(exam_id, Draining.begin(devices, self._clock))
        if draining.waiting_for:
            answers = self._drain(draining.waiting_for, exam_id)
            draining.take(
                answers, {device: self._spool.captured(device, exam_id).is_dir() for device in draining.waiting_for}
            )
        return not draining.waiting_for

    def _list_and_close(self, exam: Exam, closing: Closing) -> Closed:
        instances, findings = list_instances(self._spool, exam)
        sentences = self._draining[exam.exam_id].findings + [finding.sentence for finding in findings]
        sentences += [cut_short_sentence(one.frames, one.device, one.left_out) for one in instances if one.is_cut_short]
        if list_leftovers(self._spool, exam.exam_id):
            sentences.append("An interrupted capture is not part of this exam; if it is salvaged it is unassigned.")
        destinations = tuple(destination.name for destination in self._configuration.destinations)
        closed = closed_from(closing, tuple(instances), destinations, self._clock.now(), sentences)
        self._audit.record_end(exam, closed)
        self._facts.write(exam.exam_id, "closed", closed)
        for finding in findings:
            self._findings.report(finding)
        if sentences:
            self._findings.report(Finding("exam-ended", " ".join(sentences), "", exam.exam_id))
        # What was written first stands, if a round before this one was cut off between writing and moving.
        return self._facts.closed(exam.exam_id) or closed

    def _tell_forward(self) -> None:
        try:
            self._hint()
        except ApplianceError as error:
            _log.info("no hint given: %s", error.sentence)

    # -- what the files say at the start

    def _read_exams(self) -> None:
        """Once; again after the flash did not give them, or did not say whether a new one was written."""
        if self._is_informed:
            return
        with self._lock, telling_of_flash(self._findings, "exams-unreadable", "The exams cannot be read", _AGAIN):
            self._mover.begin_again()
            current, unfinished = self._find_open(), list(self._facts.unfinished())
            self._examined = read_examined(self._facts)
            self._open = current
            for exam_id in unfinished:
                self._closing.setdefault(exam_id, None)
                self._done.setdefault(exam_id, threading.Event())
            self._is_informed = True

    def _find_open(self) -> Exam | None:
        """The open exam. One whose record is damaged occupies nothing, since nothing can be captured into it."""
        exam_id = self._facts.open_exam_id()
        if exam_id is None:
            return None
        try:
            exam = self._facts.exam(exam_id)
        except DamagedFactError as error:
            self._findings.report(Finding("damaged-exam", error.sentence, "Support must look at the files.", exam_id))
            return None
        if exam is not None:
            self._starts.read(exam_id)
        return exam
