"""The end of the way: a file that every destination has taken goes to `kept/`, an exam that is done is `settled/`."""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager

from appliance.base.clock import Clock
from appliance.base.durable import make_directory, move_file, remove_file, sync_directory, write_once
from appliance.base.findings import FindingBoard
from appliance.base.flash import telling_of_flash
from appliance.forward.intake import Intake
from appliance.forward.ledger import Ledger, Place
from appliance.forward.listing import Listing
from appliance.forward.step_ledger import StepLedger
from appliance.spool.settled import early_path, refused_path, settled_path
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)


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
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._steps = steps
        self._listing = listing
        self._intake = intake
        self._findings = findings
        self._clock = clock

    def settle(self) -> None:
        """Move what is finished, and settle the exams of which nothing more is to come."""
        for finished in self._ledger.finished_in_outbox():
            sentence = "An object that arrived everywhere cannot be moved from outbox to kept"
            with self._telling("object-unmoved", sentence, finished.sop_instance_uid):
                self._keep(finished.sop_instance_uid, finished.file_name)
        for exam_id in list(self._intake.closed):
            if self._ledger.count_unfinished(exam_id) or (self._steps and self._steps.count_unfinished(exam_id)):
                continue
            with self._telling("exam-unsettled", f"The end of the exam {exam_id} cannot be written", exam_id):
                self._settle_exam(exam_id)

    def _telling(self, code: str, sentence: str, subject: str) -> AbstractContextManager[None]:
        suggestion = "Nothing is lost. It is tried again by itself."
        return telling_of_flash(self._findings, code, sentence, suggestion, subject)

    def _keep(self, sop_instance_uid: str, file_name: str) -> None:
        target = self._spool.kept / file_name
        make_directory(target.parent)
        try:
            move_file(self._spool.outbox / file_name, target)
        except FileNotFoundError:
            if not target.exists():
                _log.error("the file of object %s is neither in outbox nor in kept", sop_instance_uid)
                self._ledger.place_object(sop_instance_uid, Place.AWAITED)
                return
            # Moved before a crash or an error that came between the rename and its sync.
            sync_directory(target.parent)
            sync_directory(self._spool.outbox)
        self._ledger.place_object(sop_instance_uid, Place.KEPT)

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
        _log.info("exam %s is settled", exam_id)
