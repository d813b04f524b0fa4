"""Taking away the records of exams of which nothing is on the box any more, once forward says that their time is over.

`settled/EXAM.expired.json` says so. The order is what keeps a power cut from leaving half an exam, which would look
open, or like one to be taken in anew:

1. the empty directories below `captured/`. If one is not empty something of the exam came late: the exam stays until it
   was set aside. A cut leaves the whole exam without some empty directories,
2. one rename makes `exams/EXAM/` a directory that no reader takes for an exam's. A cut leaves the whole exam, or none,
3. the files in there, then itself. A cut leaves some of them under a name that nobody reads,
4. the records in `settled/`, the one that says all this last. A cut leaves at least that one.

Each is synced before the next begins, and the next look repeats what is missing. The worklist's mark and the study of a
later exam come from these records: forward keeps them for `[retention] facts_days`. The newest exam stays in any case:
the next one's number comes from it.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path

from appliance.base.clock import Clock, Deadline
from appliance.base.durable import remove_file, sync_directory
from appliance.base.errors import ApplianceError, finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import flash_finding_from
from appliance.exam.exam import Exam
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.settled import expired_path, list_early, list_expired, settled_path
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
_HIDDEN = ".expired-"
_CODE = "exam-unremoved"


class ExpiredExams:
    """Looks every LOOK_SECONDS; part of the keeper's thread."""

    def __init__(
        self, spool: Spool, findings: FindingBoard, clock: Clock, forget: Callable[[Exam], None] = lambda _exam: None
    ) -> None:
        """`forget` is called with each exam before its record goes."""
        self._spool = spool
        self._facts = ExamFacts(spool.exams)
        self._findings = findings
        self._clock = clock
        self._forget = forget
        self._next_look = Deadline.after(clock, 0.0)

    def work(self) -> None:
        """`remove`, if it is time for it."""
        if self._next_look.is_over():
            self._next_look = Deadline.after(self._clock, LOOK_SECONDS)
            self.remove()

    def remove(self) -> None:
        """Take away what may go. What flash does not let go is told and tried again; the others go on."""
        try:
            for directory in self._spool.exams.iterdir():
                if directory.name.startswith(_HIDDEN):
                    self._empty(directory)
            exam_ids = list_expired(self._spool)
        except OSError as error:
            self._tell(error, "")
            return
        self._findings.clear(_CODE)
        for exam_id in exam_ids:
            try:
                self._remove(exam_id)
            except OSError as error:
                self._tell(error, exam_id)
            except ApplianceError as error:
                self._findings.report(finding_from(error, _CODE, exam_id))
            else:
                self._findings.clear(_CODE, exam_id)

    def _tell(self, error: OSError, exam_id: str) -> None:
        sentence = "The record of an exam that has expired cannot be removed"
        self._findings.report(flash_finding_from(error, _CODE, sentence, "It is tried again by itself.", exam_id))

    def _remove(self, exam_id: str) -> None:
        directory = self._spool.exams / exam_id
        if directory.exists():
            is_over = settled_path(self._spool, exam_id).exists() and (directory / "closed.json").exists()
            if not is_over:
                raise ApplianceError(f"The exam {exam_id} is marked as expired and is not settled; it stays.")
            if not self._facts.may_be_removed(exam_id) or not self._remove_captured(exam_id):
                return
            exam = self._read_exam(exam_id)
            hidden = directory.with_name(_HIDDEN + exam_id)
            directory.rename(hidden)
            sync_directory(self._spool.exams)
            self._empty(hidden)
            if exam is not None:
                self._forget(exam)
        for path in (settled_path(self._spool, exam_id), *list_early(self._spool, exam_id)):
            path.unlink(missing_ok=True)
        sync_directory(self._spool.settled)
        remove_file(expired_path(self._spool, exam_id))
        _log.info("the record of exam %s is taken away", exam_id)

    def _read_exam(self, exam_id: str) -> Exam | None:
        try:
            return self._facts.exam(exam_id)
        except DamagedFactError:
            return None  # nobody could remember it either

    def _remove_captured(self, exam_id: str) -> bool:
        """False when something still lies there."""
        for device in self._spool.captured_devices():
            directory = self._spool.captured(device, exam_id)
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return False
            sync_directory(directory.parent)
        return True

    def _empty(self, hidden: Path) -> None:
        for path in hidden.iterdir():
            path.unlink()
        hidden.rmdir()
        sync_directory(self._spool.exams)
