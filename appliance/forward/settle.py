"""The end of the way: a file that every destination has taken goes to `kept/`, an exam that is done is `settled/`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from appliance.base.clock import Clock
from appliance.base.durable import make_directory, remove_file, rename_file, sync_directory, write_once
from appliance.base.findings import FindingBoard
from appliance.base.flash import telling_of_flash
from appliance.forward.intake import Intake
from appliance.forward.kept import KeptLedger
from appliance.forward.ledger import DueObject, Ledger, Place
from appliance.forward.listing import Listing
from appliance.forward.step_ledger import StepLedger
from appliance.spool.settled import early_path, refused_path, settled_path
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

_TOGETHER = 100


class Settlement:
    """Moves what is finished. A restart repeats what is missing: each step finds what the one before did.

    What the flash does not let it move or write is told about and tried again; the others go on.
    """

    def __init__(
        self,
        spool: Spool,
        ledger: Ledger,
        steps: StepLedger | None,
        *,
        listing: Listing,
        intake: Intake,
        findings: FindingBoard,
        clock: Clock,
        seconds_of_work: Callable[[], float],
    ) -> None:
        """`seconds_of_work` is the time by which retention is measured."""
        self._kept = KeptLedger(ledger.journal)
        self._seconds_of_work = seconds_of_work
        self._spool = spool
        self._ledger = ledger
        self._steps = steps
        self._listing = listing
        self._intake = intake
        self._findings = findings
        self._clock = clock

    def settle(self) -> None:
        """Move what is finished, and settle the exams of which nothing more is to come."""
        finished = self._ledger.finished_in_outbox()
        for start in range(0, len(finished), _TOGETHER):
            self._keep(finished[start : start + _TOGETHER])
        for exam_id in list(self._intake.closed):
            if self._ledger.count_unfinished(exam_id) or (self._steps and self._steps.count_unfinished(exam_id)):
                continue
            with self._telling("exam-unsettled", f"The end of the exam {exam_id} cannot be written", exam_id):
                self._settle_exam(exam_id)

    def _telling(self, code: str, sentence: str, subject: str) -> AbstractContextManager[None]:
        suggestion = "Nothing is lost. It is tried again by itself."
        return telling_of_flash(self._findings, code, sentence, suggestion, subject)

    def _keep(self, finished: Sequence[DueObject]) -> None:
        """Rename each, sync both directories once, record where they are: what a cut leaves behind is found and done.

        Each sync makes the filesystem write its own journal, which for a still is as much as the still itself.
        """
        make_directory(self._spool.kept)
        places = {}
        for one in finished:
            sentence = "An object that arrived everywhere cannot be moved from outbox to kept"
            with self._telling("object-unmoved", sentence, one.sop_instance_uid):
                places[one.sop_instance_uid] = self._rename(one)
        with self._telling("moves-undurable", "What was moved from outbox to kept is not durable there yet", ""):
            sync_directory(self._spool.kept)
            sync_directory(self._spool.outbox)
            with self._ledger.journal.transaction():
                for uid, place in places.items():
                    self._ledger.place_object(uid, place)
                self._kept.note_kept(self._seconds_of_work())

    def _rename(self, one: DueObject) -> Place:
        """Where the object's file is then; it may have been moved before, and the cut have come between."""
        target = self._spool.kept / one.file_name
        try:
            rename_file(self._spool.outbox / one.file_name, target)
        except FileNotFoundError:
            if not target.exists():
                _log.error("the file of object %s is neither in outbox nor in kept", one.sop_instance_uid)
                return Place.AWAITED
        return Place.KEPT

    def _settle_exam(self, exam_id: str) -> None:
        record = {"exam_id": exam_id, "settled_at": self._clock.now().isoformat(), **self._listing.settlement(exam_id)}
        make_directory(self._spool.settled)
        write_once(settled_path(self._spool, exam_id), json.dumps(record, indent=1).encode())
        refused = [refused_path(self._spool, exam_id, step["modality"]) for step in record["steps"]]
        for told in (early_path(self._spool, exam_id), *refused):
            if told.exists():
                remove_file(told)  # all that it says is said again; a cut before leaves it to the console
        self._intake.settled.add(exam_id)
        del self._intake.closed[exam_id]
        self._findings.clear("record-damaged", exam_id)
        _log.info("exam %s is settled", exam_id)
