"""Making an object anew for the exam that it belongs to: what people decided, carried out step by step.

    decision        who the object is of, and the UID of the one that takes its place: durable before anything is done
    composed/       the new object is written there, whole or not at all
    captured/…      it is renamed to where it would lie if it had been captured for the right patient
    discarded/…     the old one is renamed out of the way, where it lies for a day

The old object goes only when the new one is where it belongs. So whatever lies in `captured/` although it is decided
about is still to be done, and repeating it after a crash at any step gives the same objects under the same UIDs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from appliance.base.clock import Clock
from appliance.base.durable import make_directory, move_file, remove_temporaries
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.base.uids import uid_from_parts
from appliance.config.schema import Box
from appliance.console.audit import PANEL, PanelAudit
from appliance.exam.decisions import Decision, DecisionKind
from appliance.exam.exam import Exam
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.exam.moved import MOVED, Moved, MovedObject
from appliance.spool.names import TemporaryName, is_intact
from appliance.spool.tree import UNASSIGNED, Spool, ensure_room, list_captured, list_objects, next_number
from appliance.spool.writer import ObjectWriter

_log = logging.getLogger(__name__)

_BLOCK = 1024 * 1024
_WHERE = {DecisionKind.DISCARDED, DecisionKind.REASSIGNED}


class Mover:
    """Carries out decisions; for the one thread that looks after the exams, and under its lock."""

    def __init__(
        self,
        spool: Spool,
        facts: ExamFacts,
        box: Box,
        clock: Clock,
        *,
        findings: FindingBoard,
        audit: PanelAudit,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_progress` is called again and again while a large object is read and written."""
        self._spool = spool
        self._facts = facts
        self._box = box
        self._clock = clock
        self._findings = findings
        self._audit = audit
        self._on_progress = on_progress

    def sweep(self) -> None:
        """At the start: what a crash left half-written is made again, for as long as it is wanted. OSError."""
        remove_temporaries(self._spool.composed)

    # -- what is to be done

    def carry_out_of(self, exam_id: str) -> None:
        """Whatever was decided about objects that lie in `captured/` for this exam. ApplianceError, OSError."""
        decided = self._facts.decided(exam_id)
        if not decided:
            return
        for device, path, name in list_captured(self._spool, exam_id):
            kinds = decided[name.sop_instance_uid].kinds & _WHERE if name.sop_instance_uid in decided else ()
            for kind in kinds:
                self._carry_out(exam_id, device, path, kind, name.sop_instance_uid)

    def carry_out_unassigned(self, into: str | None = None) -> None:
        """The same of objects that belong to no exam; with `into` only those that are to be in that exam."""
        decided = self._facts.decided(UNASSIGNED)
        if not decided:
            return
        for device in self._spool.captured_devices():
            for path, name in list_objects(self._spool.captured(device, None)):
                if name.sop_instance_uid in decided:
                    for kind in decided[name.sop_instance_uid].kinds & _WHERE:
                        self._carry_out(UNASSIGNED, device, path, kind, name.sop_instance_uid, into)

    def _carry_out(
        self, exam_id: str, device: str, path: Path, kind: DecisionKind, uid: str, into: str | None = None
    ) -> None:
        if kind is DecisionKind.REASSIGNED:
            decision = self._facts.read(exam_id, f"{kind}-{uid}", Decision)
            assert decision is not None
            if into is not None and decision.new_exam_id != into:
                return
            if not self._make(path, decision.new_exam_id, device, decision.new_sop_instance_uid):
                return
        elif into is not None:
            return
        self.discard(path, device, None if exam_id == UNASSIGNED else exam_id)

    def discard(self, path: Path, device: str, exam_id: str | None) -> None:
        """Put an object out of the way; durable when this returns."""
        target = self._spool.discarded(device, exam_id)
        make_directory(target)
        move_file(path, target / path.name)

    # -- an exam that was opened with the objects of another

    def begin(self, moved: Moved) -> None:
        """Write all facts that follow from `moved.json`, in their order; each is written once, however often."""
        exam_id = moved.exam.exam_id
        for one in moved.objects:
            self._facts.decide(moved.from_exam_id, moved.decision_on(one))
        for born_ended in (moved.exam, moved.note_exam) if moved.is_released else ():
            if born_ended is not None:
                self._facts.write(born_ended.exam_id, MOVED, moved)
                self._facts.write(born_ended.exam_id, "closing", moved.closing)
                self._facts.write(born_ended.exam_id, "exam", born_ended)
        if not moved.is_released:
            self._facts.write(moved.from_exam_id, "closing", moved.closing)
            self._facts.write(exam_id, "exam", moved.exam)

    def begin_again(self) -> None:
        """At the start: write what a crash may have cut off, of exams with `moved.json` that have not ended."""
        for exam_id in self._facts.exam_ids():
            directory = self._facts.directory / exam_id
            if not (directory / f"{MOVED}.json").exists() or (directory / "closed.json").exists():
                continue
            try:
                moved = self._facts.moved(exam_id)
            except DamagedFactError as error:
                self._findings.report(
                    Finding("damaged-exam", error.sentence, "Support must look at the files.", exam_id)
                )
                continue
            if moved is not None:
                self.begin(moved)

    def decide_rest(self, exam_id: str) -> None:
        """At the exam's end, when everything of it is here: what follows from what people decided before."""
        self._follow_late(exam_id)
        self._rename_series(exam_id)

    def _follow_late(self, exam_id: str) -> None:
        """All of the exam was moved: what was still under way when that was decided is moved behind it."""
        moved = self._moved_wholly(exam_id)
        if moved is None:
            return
        decided = self._facts.decided(exam_id)
        late = [one for one in list_captured(self._spool, exam_id) if one[2].sop_instance_uid not in decided]
        for device, path, name in late:
            new_uid = uid_from_parts("moved", moved.exam.exam_id, name.sop_instance_uid)
            one = MovedObject(name.sop_instance_uid, new_uid, device, path.name)
            self._audit.record_moved(self._facts.exam(exam_id), moved.exam, [one], moved.actor)
            self._facts.decide(exam_id, moved.decision_on(one))

    def _rename_series(self, exam_id: str) -> None:
        """At the end: images that bear another description than people gave their series are made anew under it."""
        devices = {one.device for one in self._facts.described(exam_id)}
        exam = self._facts.exam(exam_id) if devices else None
        if exam is None:
            return
        decided = self._facts.decided(exam_id)
        for device, path, name in list_captured(self._spool, exam_id):
            wanted = exam.series_of(device).series_description if device in devices else None
            if wanted is None or name.sop_instance_uid in decided or _description_in(path) == wanted:
                continue
            one = MovedObject(
                name.sop_instance_uid, uid_from_parts("described", name.sop_instance_uid, wanted), device, ""
            )
            self._audit.record_described(exam, one, PANEL)
            reason = "the series is called otherwise"
            now = self._clock.now().replace(microsecond=0)
            new = {"new_sop_instance_uid": one.new_sop_instance_uid, "new_exam_id": exam_id}
            self._facts.decide(
                exam_id, Decision(DecisionKind.REASSIGNED, one.sop_instance_uid, now, PANEL, reason, **new)
            )

    def _moved_wholly(self, exam_id: str) -> Moved | None:
        for decision in self._facts.decisions(exam_id):
            if decision.kind is DecisionKind.REASSIGNED:
                moved = self._facts.moved(decision.new_exam_id)
                if moved is not None and moved.is_all and moved.from_exam_id == exam_id:
                    return moved
        return None

    def is_complete(self, exam_id: str) -> bool:
        """Make what is to be in this exam; false while the exam that it comes from has not ended."""
        self.carry_out_unassigned(exam_id)
        moved = self._facts.moved(exam_id)
        if moved is None:
            return True
        if not moved.is_released:
            return self._facts.closed(moved.from_exam_id) is not None
        if moved.note_exam is not None and moved.note_exam.exam_id == exam_id:
            self._make_note(moved, moved.note_exam)
            return True
        for one in moved.objects:
            path = self._sent_path(one.file_name)
            if path is not None:
                self._make(path, exam_id, one.device, one.new_sop_instance_uid)
        return True

    def _make_note(self, moved: Moved, exam: Exam) -> None:
        """The note that rejects what was sent as of the wrong patient."""
        from appliance.compose.note import compose_note

        device, uid = exam.series[0].device, moved.note_sop_instance_uid
        closed = self._facts.closed(moved.from_exam_id)
        if closed is None or self._is_made(exam.exam_id, device, uid):
            return
        composed = self._composed(uid)
        if composed is None:
            rejected = [one for one in closed.instances if one.sop_instance_uid in moved.rejected]
            note = compose_note(exam, self._box, device, uid, rejected)
            composed = self._write(uid, [note], next_number(self._spool.captured(device, exam.exam_id)))
        self._take_in(composed, device, exam.exam_id)

    def _sent_path(self, file_name: str) -> Path | None:
        for directory in (self._spool.outbox, self._spool.kept):
            if (directory / file_name).exists():
                return directory / file_name
        return None

    # -- one object

    def _make(self, path: Path, exam_id: str, device: str, new_uid: str) -> bool:
        """Make the new object of the one at `path`; false when that is damaged, and was set aside."""
        if self._is_made(exam_id, device, new_uid):
            return True
        exam = self._facts.exam(exam_id)
        if exam is None or self._facts.closed(exam_id) is not None:
            raise ApplianceError(f"An image belongs to the exam {exam_id}, which cannot take it any more.")
        composed = next(
            (one for one, name in list_objects(self._spool.composed) if name.sop_instance_uid == new_uid), None
        )
        if composed is None:
            if not is_intact(path, self._on_progress):
                self._set_aside(path)
                return False
            composed = self._compose(path, exam, device, new_uid)
        self._take_in(composed, device, exam_id)
        return True

    def _composed(self, uid: str) -> Path | None:
        return next((one for one, name in list_objects(self._spool.composed) if name.sop_instance_uid == uid), None)

    def _take_in(self, composed: Path, device: str, exam_id: str) -> None:
        target = self._spool.captured(device, exam_id)
        make_directory(target)
        move_file(composed, target / composed.name)
        _log.info("an object is made anew for exam %s: %s", exam_id, composed.name)

    def _is_made(self, exam_id: str, device: str, new_uid: str) -> bool:
        places = (self._spool.captured(device, exam_id), self._spool.discarded(device, exam_id))
        if any(name.sop_instance_uid == new_uid for place in places for _, name in list_objects(place)):
            return True
        closed = self._facts.closed(exam_id)
        is_listed = closed is not None and any(one.sop_instance_uid == new_uid for one in closed.instances)
        return is_listed or new_uid in self._facts.decided(exam_id)

    def _set_aside(self, path: Path) -> None:
        if path.parent.parent.parent == self._spool.state / "captured":
            make_directory(self._spool.quarantine)
            move_file(path, self._spool.quarantine / path.name)
        sentence = f"The file {path.name} was damaged on flash; it cannot be given to the right patient."
        self._findings.report(Finding("quarantined", sentence, "It was set aside; support can look.", path.name))

    def _compose(self, path: Path, exam: Exam, device: str, new_uid: str) -> Path:
        # pydicom costs 15 MB: only a console that needs it pays for it.
        from appliance.compose.moved import object_as_moved, read_around
        from appliance.spool.summary import highest_instance_number

        target = self._spool.captured(device, exam.exam_id)
        ensure_room(self._spool.state, path.stat().st_size, self._box.reserve_bytes)
        with path.open("rb") as file:
            source, start, end = read_around(file)
            number = 1 + highest_instance_number([one for one, _ in list_objects(target)])
            try:
                made = object_as_moved(source, exam, device, self._box, new_uid, number)
            except (KeyError, ValueError) as error:
                raise ApplianceError(
                    f"An image of the device {device} cannot be given to the exam {exam.exam_id}.",
                    "The device was set up after the exam was opened, or the image is not this box's own.",
                ) from error
            file.seek(start)
            kept = _blocks_of(file, end - start)
            return self._write(new_uid, chain([made.header], kept, [made.trailer]), next_number(target))

    def _write(self, uid: str, blocks: Iterable[bytes], number: int) -> Path:
        # What a crash left half-written: nobody else writes here.
        (self._spool.composed / str(TemporaryName(uid, 0))).unlink(missing_ok=True)
        writer = ObjectWriter(self._spool.composed, uid, b"")
        try:
            for block in blocks:
                writer.append(block)
                self._on_progress()
            return writer.publish(number)
        except BaseException:
            writer.abandon()
            raise


def _blocks_of(file: BinaryIO, length: int) -> Iterator[bytes]:
    """`length` bytes of the file from where it stands."""
    while length and (block := file.read(min(_BLOCK, length))):
        length -= len(block)
        yield block


def _description_in(path: Path) -> str:
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesDescription"])
    return str(header.get("SeriesDescription") or "")
