"""One export: select, check the room, write and verify each object, then the DICOMDIR; and what to say of it.

A second run on the same medium goes on where the first was cut off: what is there is verified and left as it is.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError, Finding
from appliance.base.flash import reason_of
from appliance.exam.audit import Act, AuditTrail, Effect, Party
from appliance.exam.facts import ExamFacts
from appliance.export.directory import directory_of
from appliance.export.medium import FileId, Medium, MediumError, UnreadableError
from appliance.export.selection import Chosen, Selection, Wanted, exam_if_readable, locate, select
from appliance.spool.tree import Spool

_log = logging.getLogger(__name__)

_GO_ON = "Put it in again and repeat the command: it goes on where it was."
_SEE_EXAM = "`appliance exam show` tells what became of it."
_CHECK_FLASH = "Have the box's flash checked; the others are exported."


class StoppedError(ApplianceError):
    """A person, or the system, ended the export."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. `seconds_left` is None until something can be told of it."""

    objects: int
    objects_done: int
    bytes: int
    bytes_done: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Safe:
    """An object that lies verified on the medium under `file_id`, as a path."""

    sop_instance_uid: str
    exam_id: str
    file_id: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of it. `listed` is how many objects the DICOMDIR lists, those of earlier exports included.

    `trouble` is a sentence, and `suggestion` what to do, when it did not come to its end; then the DICOMDIR is the one
    of the run before, or none.
    """

    medium: str
    objects: int
    bytes: int
    safe: tuple[Safe, ...]
    written: int = 0
    there_before: int = 0
    listed: int = 0
    committed: int = 0
    decided: int = 0
    in_quarantine: int = 0
    findings: tuple[Finding, ...] = ()
    trouble: str = ""
    suggestion: str = ""


class Export:
    """Writes what is wanted onto one medium."""

    def __init__(
        self,
        spool: Spool,
        root: Path,
        trail: AuditTrail,
        clock: Clock,
        *,
        actor: str,
        is_stopped: Callable[[], bool] = lambda: False,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> None:
        """`actor` is who asked for it, for the audit trail. `on_progress` is called about once for each MB."""
        self._spool = spool
        self._root = root
        self._trail = trail
        self._clock = clock
        self._actor = actor
        self._is_stopped = is_stopped
        self._on_progress = on_progress
        self._facts = ExamFacts(spool.exams)
        self._findings: list[Finding] = []
        self._safe: list[Safe] = []
        self._written = self._there_before = 0
        self._total = self._began = 0.0
        self._work = self._work_before = 0.0
        self._selection = Selection((), 0, 0, 0, ())
        self._bytes = 0

    def run(self, wanted: Wanted, *, is_own_flash_fine: bool = False) -> Exported:
        """Export. ApplianceError when it cannot even begin; nothing was written then."""
        self._selection = selection = select(self._spool, wanted)
        self._bytes = selection.bytes
        self._findings += selection.findings
        medium = Medium(self._root, self._count)
        try:
            if not is_own_flash_fine:
                medium.ensure_mounted((Path("/"), self._spool.state))
            with _as_medium_error():
                medium.ensure_ours()
                medium.sweep()
                _ensure_room(medium, selection)
            if not selection.objects:
                return self._report(0)
            return self._fill(medium)
        finally:
            medium.close()

    def _fill(self, medium: Medium) -> Exported:
        # Each byte is written once and read back once.
        self._total = 2.0 * self._bytes
        self._began = self._clock.monotonic()
        listed = 0
        try:
            for exam_id, objects in groupby(self._selection.objects, key=lambda chosen: chosen.exam_id):
                self._export_exam(medium, exam_id, list(objects))
            with _as_medium_error():
                data, listed = directory_of(medium.root, medium.list_objects(), self._tell_of_damaged, self._stop_if)
                medium.write_directory(data)
        except (MediumError, StoppedError) as error:
            _log.warning("the export ends early: %s", error.sentence)
            count = f"{len(self._safe)} of {len(self._selection.objects)} objects are whole on it."
            return replace(self._report(0), trouble=f"{error.sentence} {count}", suggestion=error.suggestion)
        _log.info("exported %d objects, %d of them were there", len(self._safe), self._there_before)
        return self._report(listed)

    def _report(self, listed: int) -> Exported:
        selection = self._selection
        return Exported(
            medium=str(self._root),
            objects=len(selection.objects),
            bytes=self._bytes,
            safe=tuple(self._safe),
            written=self._written,
            there_before=self._there_before,
            listed=listed,
            committed=selection.committed,
            decided=selection.decided,
            in_quarantine=selection.in_quarantine,
            findings=tuple(self._findings),
        )

    # -- objects

    def _export_exam(self, medium: Medium, exam_id: str, objects: list[Chosen]) -> None:
        """An exam's objects. What leaves the box is in the audit trail before its first byte does, and how it ended."""
        is_begun = False
        before = len(self._safe)
        uids = [chosen.sop_instance_uid for chosen in objects]
        effect, said = Effect.MAJOR_FAILURE, "The export ended early."
        try:
            for chosen in objects:
                self._stop_if()
                self._work_before += 2.0 * chosen.bytes
                with _as_medium_error():
                    file_id, is_there = medium.find_place(chosen)
                if not is_there and not is_begun:
                    self._record(exam_id, uids, Effect.SUCCESS, "The export begins.")
                    is_begun = True
                self._export(medium, chosen, file_id, is_there=is_there)
            effect, said = Effect.SUCCESS, "All are on the medium, verified."
            if len(self._safe) - before < len(objects):
                effect, said = Effect.MINOR_FAILURE, "Some could not be exported."
        finally:
            if is_begun:
                safe = [one.sop_instance_uid for one in self._safe[before:]]
                self._record(exam_id, safe, effect, said)

    def _export(self, medium: Medium, chosen: Chosen, file_id: FileId, *, is_there: bool) -> None:
        if is_there:
            self._there_before += 1
        else:
            source = locate(self._spool, chosen)
            if not source.exists():
                told = "An object has left this box since the export began."
                self._tell(Finding("object-gone", told, _SEE_EXAM, chosen.sop_instance_uid))
                return
            try:
                with _as_medium_error():
                    medium.write(chosen, source, file_id)
            except UnreadableError as error:
                self._tell(Finding("object-unreadable", error.sentence, _CHECK_FLASH, chosen.sop_instance_uid))
                return
            self._written += 1
        self._safe.append(Safe(chosen.sop_instance_uid, chosen.exam_id, "/".join(file_id)))
        self._work = self._work_before
        self._count(0)

    def _record(self, exam_id: str, uids: list[str], effect: Effect, said: str) -> None:
        exam = exam_if_readable(self._facts, exam_id)
        party = Party("removable medium", str(self._root))
        try:
            self._trail.record(
                Act.OBJECTS_EXPORTED,
                actor=self._actor, outcome=effect, exam=exam, objects=uids, party=party, detail=said,
            )  # fmt: skip
        except OSError as error:
            # Where flash takes nothing any more, what is on it must still get out.
            told = f"The audit trail cannot be written: {reason_of(error)}."
            self._tell(Finding("audit-unwritten", told, "Write down who exported what, and when."))

    def _tell_of_damaged(self, file_id: FileId) -> None:
        told = f"The file {'/'.join(file_id)} on the medium is no readable object; the DICOMDIR leaves it out."
        self._tell(Finding("medium-damaged", told, "Delete it there.", "/".join(file_id)))

    def _tell(self, finding: Finding) -> None:
        _log.warning("%s (%s)", finding.sentence, finding.subject)
        if finding not in self._findings:
            self._findings.append(finding)

    # -- getting on

    def _stop_if(self) -> None:
        if self._is_stopped():
            raise StoppedError("The export was stopped.", "Repeat the command: it goes on where it was.")

    def _count(self, count: int) -> None:
        self._stop_if()
        self._work = min(self._work + count, self._work_before)
        elapsed = self._clock.monotonic() - self._began
        left = elapsed * (self._total - self._work) / self._work if self._work and elapsed > 1.0 else None
        self._on_progress(
            Progress(len(self._selection.objects), len(self._safe), self._bytes, int(self._work / 2), left)
        )


def _ensure_room(medium: Medium, selection: Selection) -> None:
    needed, free = medium.missing_bytes(selection.objects), medium.free_bytes()
    if free is not None and free < needed:
        raise MediumError(
            f"There is not enough room on {medium.name}: {-(-needed // 1_000_000)} MB are needed, "
            f"{free // 1_000_000} MB are free.",
            "Take a larger stick, or export some exams with --exam.",
        )


@contextmanager
def _as_medium_error() -> Iterator[None]:
    """The medium's OSError in a sentence: MediumError, or UnreadableError where only this object is too large."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise UnreadableError("An object is larger than the stick's file system takes (4 GB on FAT).") from error
        sentence, suggestion = {
            errno.ENOSPC: ("The stick is full.", "Take a larger one, or export some exams with --exam."),
            errno.EROFS: ("The stick is write-protected, or failed.", "Take another stick."),
            errno.EACCES: ("Nothing may be written to the stick.", "Mount it so that the export may write to it."),
            errno.EPERM: ("Nothing may be written to the stick.", "Mount it so that the export may write to it."),
        }.get(error.errno or 0, (f"The stick does not answer any more ({error.strerror}).", _GO_ON))
        raise MediumError(sentence, suggestion) from error
