"""The end of retention: files leave `kept/`, and an exam of which nothing is left is marked for the console.

The order of each step is what a power cut leaves; all of it is repeated by the next look, and finds what was done:

1. the audit record (an object may so have two),
2. while its exam is not settled, the object's end in `settled/EXAM.early.json`. A cut here leaves a record of what
   still lies in `kept/`: a rebuilt journal takes the file for kept, and its end for what it was,
3. unlink, one sync of `kept/` for all. A cut leaves some of the files. To a journal that survived those that are gone
   are kept and committed, and are unlinked once more; a rebuilt one finds their end in `settled/`, so it never takes
   them for lost, and never sends them again,
4. the journal: expired.

Once nothing of a settled exam is here and the time of its record is over too, `settled/EXAM.expired.json` says so and
the journal's rows go. A cut between the two leaves the rows, which go with the next look. The console takes the exam
away then (console/expired.py).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from appliance.base.clock import Clock, Deadline
from appliance.base.durable import make_directory, replace_file, sync_directory, write_once
from appliance.base.errors import finding_from
from appliance.base.findings import FindingBoard
from appliance.base.flash import telling_of_flash
from appliance.config.schema import Retention
from appliance.exam.audit import Act
from appliance.exam.audit_gate import AuditGate
from appliance.exam.decisions import UNDECIDED, Decided, all_decided_from
from appliance.exam.exam import Exam
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.forward.intake import Intake
from appliance.forward.kept import KeptLedger
from appliance.forward.ledger import Ledger
from appliance.forward.listing import Listing
from appliance.forward.retention import DAY_SECONDS, KeptObject, Proof, Room, choose_expiring, is_over, proof_of
from appliance.forward.work_time import WorkTime
from appliance.spool.settled import early_path, expired_path, settled_path
from appliance.spool.tree import Spool, free_bytes

_log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
# Of one look: removing much takes flash long, and the exams wait meanwhile. The next look follows at once.
MOST_AT_ONCE = 200


class Expiry:
    """Looks every LOOK_SECONDS at what is kept; part of the rescan's thread, beside intake and settlement."""

    def __init__(
        self,
        spool: Spool,
        ledger: Ledger,
        retention: Retention,
        wanted_bytes: int,
        *,
        listing: Listing,
        intake: Intake,
        findings: FindingBoard,
        clock: Clock,
        audit: AuditGate,
        is_clock_trusted: Callable[[], bool],
        free_bytes: Callable[[Path], int] = free_bytes,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`wanted_bytes` of flash are to be free. `on_progress` is called after each file that was removed."""
        self._spool = spool
        self._facts = ExamFacts(spool.exams)
        self._ledger = ledger
        self._kept = KeptLedger(ledger.journal)
        self._retention = retention
        self._wanted_bytes = wanted_bytes
        self._listing = listing
        self._intake = intake
        self._findings = findings
        self._clock = clock
        self._free_bytes = free_bytes
        self._is_clock_trusted = is_clock_trusted
        self._audit = audit
        self._on_progress = on_progress
        self._work_time = WorkTime(ledger.journal, clock)
        self._noted: set[str] = set()  # settled exams of which the journal knows since when
        self._next_look = Deadline.after(clock, 0.0)

    def work(self) -> None:
        """`expire`, if it is time for it."""
        if self._next_look.is_over():
            is_all = self.expire()
            self._next_look = Deadline.after(self._clock, LOOK_SECONDS if is_all else 0.0)

    def seconds_of_work(self) -> float:
        """The time by which retention is measured (work_time.py)."""
        return self._work_time.advance(is_clock_trusted=self._is_clock_trusted())

    def expire(self) -> bool:
        """One look: take away what may go, then whole exams. What flash does not let it is told, and tried again.

        False when more than MOST_AT_ONCE may go, and all went well so far.
        """
        is_all = True
        now = self.seconds_of_work()
        self._note(now)
        with self._telling("retention-stuck", "What is kept cannot be looked through"):
            chosen: dict[str, list[KeptObject]] = {}
            found = self._choose(now)
            for one in found[:MOST_AT_ONCE]:
                chosen.setdefault(one.exam_id, []).append(one)
            done = [self._try_to_expire(exam_id, objects) for exam_id, objects in chosen.items()]
            is_all = len(found) <= MOST_AT_ONCE or not all(done)
        for exam_id in self._kept.exams_settled_for(now, self._retention.facts_days * DAY_SECONDS):
            with self._telling("exam-unexpired", f"The record of the exam {exam_id} cannot be let go of", exam_id):
                self._end_exam(exam_id)
        return is_all

    def _telling(self, code: str, sentence: str, subject: str = "") -> AbstractContextManager[None]:
        return telling_of_flash(self._findings, code, sentence, "It is tried again by itself.", subject)

    def _note(self, now: float) -> None:
        """Since when objects are kept and exams settled."""
        fresh = self._intake.settled - self._noted
        # An exam that is over and waits for the console has no rows any more, and needs none.
        lasting = [exam_id for exam_id in sorted(fresh) if not expired_path(self._spool, exam_id).exists()]
        with self._ledger.journal.transaction():
            self._kept.note_kept(now)
            for exam_id in lasting:
                self._kept.note_settled(exam_id, now)
        self._noted = (self._noted | fresh) & self._intake.settled

    # -- objects

    def _choose(self, now: float) -> list[KeptObject]:
        room = Room(self._free_bytes(self._spool.kept), self._wanted_bytes)
        # Whoever lacks no room need not look at what is too young.
        least_seconds = self._retention.committed_days * DAY_SECONDS if room.free >= room.wanted else 0.0
        candidates: list[KeptObject] = []
        counts: Counter[tuple[Proof, bool]] = Counter()
        for kept in self._kept.kept_objects(now, least_seconds):
            self._on_progress()
            for one in self._with_decisions(kept):
                if (proof := proof_of(one)) is None:
                    continue
                kind = proof, is_over(one, proof, self._retention)
                counts[kind] += 1
                # The first of each kind are all that can be among the first of the chosen.
                if counts[kind] <= MOST_AT_ONCE + 1:
                    candidates.append(one)
        return choose_expiring(candidates, self._retention, room)

    def _with_decisions(self, kept: Sequence[KeptObject]) -> list[KeptObject]:
        decisions = {exam_id: self._decisions_of(exam_id) for exam_id in {one.exam_id for one in kept}}
        return [
            replace(one, decided=_joined(one.decided, told.get(one.sop_instance_uid, UNDECIDED)))
            for one in kept
            if (told := decisions[one.exam_id]) is not None
        ]

    def _decisions_of(self, exam_id: str) -> dict[str, Decided] | None:
        """What people decided by now, also since the exam was settled; None when flash does not tell."""
        with self._telling("decisions-unreadable", f"Decisions about the exam {exam_id} cannot be read", exam_id):
            directory = self._spool.exams / exam_id
            return all_decided_from(path.name for path in directory.iterdir()) if directory.exists() else {}
        return None

    def _try_to_expire(self, exam_id: str, objects: Sequence[KeptObject]) -> bool:
        sentence = f"Objects of the exam {exam_id} that are not needed any more cannot be removed"
        with self._telling("objects-unexpired", sentence, exam_id):
            self._expire(exam_id, objects)
            return True
        return False

    def _expire(self, exam_id: str, objects: Sequence[KeptObject]) -> None:
        uids = [one.sop_instance_uid for one in objects]
        self._audit.record(
            Act.OBJECT_EXPIRED,
            actor=self._audit.process,
            exam=self._read_exam(exam_id),
            objects=uids,
            sop_classes=[one.sop_class_uid for one in objects],
        )
        if not settled_path(self._spool, exam_id).exists():
            self._record_early(exam_id, uids)
        for one in objects:
            (self._spool.kept / one.file_name).unlink(missing_ok=True)
            self._on_progress()
        sync_directory(self._spool.kept)
        with self._ledger.journal.transaction():
            for uid in uids:
                self._ledger.expire(uid)
        _log.info("%d objects of exam %s have expired", len(uids), exam_id)

    def _read_exam(self, exam_id: str) -> Exam | None:
        try:
            return self._facts.exam(exam_id)
        except DamagedFactError:
            return None  # its objects are told of all the same

    def _record_early(self, exam_id: str, uids: Sequence[str]) -> None:
        gone = self._kept.expired_early(exam_id) | set(uids)
        objects = [one for one in self._listing.settlement(exam_id)["objects"] if one["sop_instance_uid"] in gone]
        record = {"exam_id": exam_id, "objects": objects, "steps": []}
        make_directory(self._spool.settled)
        replace_file(early_path(self._spool, exam_id), json.dumps(record, indent=1).encode())

    # -- exams

    def _end_exam(self, exam_id: str) -> None:
        try:
            closed = self._facts.closed(exam_id)
        except DamagedFactError as error:
            self._findings.report(finding_from(error, "damaged-fact", exam_id))
            return
        directories = (self._spool.outbox, self._spool.kept, self._spool.quarantine)
        files = [directory / one.file_name for one in (closed.instances if closed else ()) for directory in directories]
        if any(path.exists() for path in files):
            return  # what is damaged stays until a person takes it away, and its exam as long
        record = {"exam_id": exam_id, "expired_at": self._clock.now().isoformat()}
        write_once(expired_path(self._spool, exam_id), json.dumps(record).encode())
        self._kept.forget_exam(exam_id)
        _log.info("exam %s has expired", exam_id)


def _joined(one: Decided, other: Decided) -> Decided:
    return Decided(one.kinds | other.kinds, one.released_at | other.released_at)
