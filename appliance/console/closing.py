"""The steps of an exam's end, each repeatable after a restart: wait, list, hand over, set aside what came late.

Nothing here keeps what matters in memory: a step that was cut off is found again in the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.base.clock import Clock, Deadline
from appliance.base.durable import forget_cached, make_directory, move_file, rename_file, sync_directory
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.exam.exam import Closed, Closing, Exam, Instance, Outcome
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.names import ObjectName, is_intact
from appliance.spool.tree import Spool, list_captured, list_temporaries

if TYPE_CHECKING:
    from appliance.spool.summary import ObjectSummary

# A killed acquire is started again and salvages what it was writing; this long it is given to do so.
DRAIN_SECONDS = 30.0
# A device that made no directory for the exam has begun no object of it. If its process does not answer either, the
# device is most likely not plugged in, and nobody should wait for it; this long covers a process that just restarts.
ABSENT_SECONDS = 3.0
UNASSIGNED_CODE = "unassigned"


class Drain(StrEnum):
    """What an acquire says when asked whether all of an exam is on flash."""

    DRAINED = "drained"
    BUSY = "busy"
    SILENT = "silent"


@dataclass(slots=True)
class Draining:
    """How far the devices of one closing exam are; begins anew after a restart."""

    deadline: Deadline
    absent_deadline: Deadline
    waiting_for: tuple[str, ...]
    findings: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, devices: Iterable[str], clock: Clock) -> Draining:
        return cls(Deadline.after(clock, DRAIN_SECONDS), Deadline.after(clock, ABSENT_SECONDS), tuple(devices))

    def take(self, answers: Mapping[str, Drain], has_directory: Mapping[str, bool]) -> None:
        """Take one round of answers: drop from `waiting_for` who is drained, absent, or out of time."""
        still = []
        for device in self.waiting_for:
            answer = answers.get(device, Drain.SILENT)
            is_absent = answer is Drain.SILENT and not has_directory[device]
            if answer is Drain.DRAINED or (is_absent and self.absent_deadline.is_over()):
                continue
            if not self.deadline.is_over():
                still.append(device)
            elif answer is Drain.BUSY:
                self.findings.append(
                    f"The device {device} was still at work when the exam was closed; "
                    "what it delivers now belongs to no exam."
                )
            else:
                self.findings.append(
                    f"The device {device} did not answer when the exam was closed; "
                    "what it had not saved until then belongs to no exam."
                )
        self.waiting_for = tuple(still)


def read_closing(facts: ExamFacts, exam_id: str, now: datetime, findings: FindingBoard) -> Closing | None:
    """How the exam is to end; None where nobody ended it.

    Where flash damaged that, the exam ends as discontinued: its images go their way, and nobody takes for complete what
    a person may have abandoned.
    """
    try:
        return facts.closing(exam_id)
    except DamagedFactError as error:
        closing = Closing(now.replace(microsecond=0), Outcome.DISCONTINUED)
        facts.replace_damaged(exam_id, "closing", closing)
        sentence = f"{error.sentence} The exam ends as discontinued; its images are sent."
        suggestion = "If it was complete, tell whoever reads it. Have the box's flash checked."
        findings.report(Finding("end-damaged", sentence, suggestion, exam_id))
        return closing


def closed_from(
    closing: Closing, instances: tuple[Instance, ...], destinations: tuple[str, ...], now: datetime, findings: list[str]
) -> Closed:
    """`closed.json`. An exam without any object did not take place: DISCONTINUED, whatever was asked for."""
    return Closed(
        closed_at=now.replace(microsecond=0),
        outcome=closing.outcome if instances else Outcome.DISCONTINUED,
        instances=instances,
        destinations=destinations,
        reason=closing.reason or ("" if instances else "nothing was captured"),
        findings=tuple(findings),
    )


def list_instances(spool: Spool, exam: Exam) -> tuple[list[Instance], list[Finding]]:
    """Everything of `exam` as its end lists it; what cannot be the exam's object goes to quarantine with a finding."""
    instances: list[Instance] = []
    findings: list[Finding] = []
    for device, path, name in list_captured(spool, exam.exam_id):
        try:
            summary = _read_object_of(exam, path, name)
        except ApplianceError as error:
            make_directory(spool.quarantine)
            move_file(path, spool.quarantine / path.name)
            findings.append(
                Finding("quarantined", error.sentence, "It was set aside in quarantine; support can look.", path.name)
            )
            continue
        instances.append(
            Instance(
                sop_class_uid=summary.sop_class_uid,
                sop_instance_uid=summary.sop_instance_uid,
                transfer_syntax_uid=summary.transfer_syntax_uid,
                series_instance_uid=summary.series_instance_uid,
                device=device,
                modality=summary.modality,
                file_name=path.name,
                bytes=summary.bytes,
                saved_at=summary.saved_at,
                frames=summary.frames,
                seconds=round(summary.seconds, 3),
                is_cut_short=summary.is_cut_short,
                left_out=summary.left_out,
            )
        )
    return instances, findings


def _read_object_of(exam: Exam, path: Path, name: ObjectName) -> ObjectSummary:
    """The summary of an object that truly is one of `exam`; ApplianceError otherwise, OSError when unreadable.

    What cannot be right is read once more: the medium may have given it wrongly once.
    """
    try:
        return _read_object_once(exam, path, name)
    except ApplianceError:
        forget_cached(path)
    if not is_intact(path):
        raise ApplianceError(f"The file {path.name} was damaged on flash.")
    return _read_object_once(exam, path, name)


def _read_object_once(exam: Exam, path: Path, name: ObjectName) -> ObjectSummary:
    # pydicom costs 15 MB: only a console that ends an exam pays for it.
    from appliance.spool.summary import read_summary

    try:
        summary = read_summary(path)
    except (ApplianceError, OSError):
        raise
    except Exception as error:  # on damaged bytes pydicom raises whatever its innermost line does; one file must not
        # keep the box from ever ending an exam again
        raise ApplianceError(f"The file {path.name} is not a readable object.") from error
    if summary.sop_instance_uid != name.sop_instance_uid:
        raise ApplianceError(f"The file {path.name} holds another object than its name says.")
    if summary.study_instance_uid != exam.study_instance_uid:
        raise ApplianceError(f"The file {path.name} does not belong to the study in whose exam it lies.")
    return summary


def list_leftovers(spool: Spool, exam_id: str) -> list[Path]:
    """What is half-written below the exam and will be salvaged, or given up, by its device's acquire."""
    return [path for device in spool.captured_devices() for path in list_temporaries(spool.captured(device, exam_id))]


def hand_over(spool: Spool, exam_id: str, closed: Closed) -> int:
    """Rename the closed exam's listed objects into the outbox; answers how many were still here.

    Each directory is synced once, the outbox first: the filesystem writes for a sync as much as for a still.
    """
    listed = {instance.file_name for instance in closed.instances}
    make_directory(spool.outbox)
    moved = [path for _device, path, _name in list_captured(spool, exam_id) if path.name in listed]
    for path in moved:
        rename_file(path, spool.outbox / path.name)
    if moved:
        for directory in (spool.outbox, *sorted({path.parent for path in moved})):
            sync_directory(directory)
    return len(moved)


def set_aside_late(spool: Spool, exam_id: str, closed: Closed) -> list[Finding]:
    """Move what appeared after the exam's end to its device's unassigned objects; one finding for each."""
    listed = {instance.file_name for instance in closed.instances}
    findings = []
    for device, path, name in list_captured(spool, exam_id):
        if path.name in listed:
            continue
        make_directory(spool.captured(device, None))
        move_file(path, spool.captured(device, None) / path.name)
        findings.append(
            Finding(
                "late-object",
                f"The device {device} delivered an image after its exam {exam_id} had been closed.",
                f"It is safe on this box as unassigned (object {name.sop_instance_uid}); it was sent nowhere.",
                name.sop_instance_uid,
            )
        )
    return findings


def unassigned_finding_from(device: str, count: int) -> Finding:
    """What is said while `count` objects of `device` belong to no exam."""
    subject = "1 image belongs" if count == 1 else f"{count} images belong"
    return Finding(
        UNASSIGNED_CODE,
        f"{subject} to no exam (device {device}).",
        "They are safe on this box and were sent nowhere. Assign or discard them on the panel (Unassigned).",
        device,
    )
