"""An exam as its files have it, and what the forward process or its `settled/` record says became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.cli.exam_standing import Wait, count_standings
from appliance.exam.exam import Closed, Closing, Exam
from appliance.exam.facts import DamagedFactError, ExamFacts, day_of
from appliance.exam.item import REQUESTED_PROCEDURE_ID, SCHEDULED_STEPS, STEP_ID, WorklistItem, text_at
from appliance.exam.reasons import reason_from
from appliance.forward.settled_record import RefusedSteps
from appliance.spool.cut_short import cut_short_sentence
from appliance.spool.known_states import End, read_states
from appliance.spool.settled import early_path, settled_path
from appliance.spool.tree import Spool, list_captured


@dataclass(frozen=True, slots=True)
class ExamFiles:
    """The facts of one exam; `exam` is None where its record is damaged, and `trouble` says so."""

    exam_id: str
    exam: Exam | None
    closing: Closing | None = None
    closed: Closed | None = None
    is_settled: bool = False
    trouble: str = ""

    @property
    def state(self) -> str:
        """open, closing, completed, discontinued or damaged."""
        if self.exam is None:
            return "damaged"
        if self.closed is not None:
            return self.closed.outcome.lower()
        return "closing" if self.closing is not None else "open"

    @property
    def reason(self) -> dict[str, str] | None:
        """Why it was discontinued: the code that the performed step says, and its meaning."""
        if self.closed is None or self.state != "discontinued":
            return None
        reason = reason_from(self.closed.reason)
        return {"code": reason.code, "meaning": reason.meaning, "said": self.closed.reason}


def read_exams(spool: Spool, first_day: str, last_day: str) -> Iterator[ExamFiles]:
    """The exams opened from `first_day` to `last_day` (YYYYMMDD), oldest first."""
    for exam_id in ExamFacts(spool.exams).exam_ids():
        if first_day <= day_of(exam_id) <= last_day:
            yield read_exam(spool, exam_id)


def read_exam(spool: Spool, exam_id: str) -> ExamFiles:
    """The exam's facts. OSError when flash does not give them."""
    facts = ExamFacts(spool.exams)
    is_settled = settled_path(spool, exam_id).exists()
    try:
        exam, closing, closed = facts.exam(exam_id), facts.closing(exam_id), facts.closed(exam_id)
    except DamagedFactError as error:
        return ExamFiles(exam_id, None, is_settled=is_settled, trouble=error.sentence)
    trouble = "" if exam else f"The record of the exam {exam_id} is missing."
    return ExamFiles(exam_id, exam, closing, closed, is_settled, trouble)


def summary_of(
    spool: Spool, files: ExamFiles, objects: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What `exam list` says of an exam. `objects` and `steps` are those of `Listing.exams`; none where nobody says."""
    exam, closed = files.exam, files.closed
    standings = count_standings(objects)
    count = len(closed.instances) if closed else len(list_captured(spool, files.exam_id))
    return {
        "exam_id": files.exam_id,
        "state": files.state,
        "reason": files.reason,
        "opened_at": exam.opened_at.isoformat() if exam else "",
        "closed_at": closed.closed_at.isoformat() if closed else "",
        "is_clock_trusted": exam.is_clock_trusted if exam else None,
        "names": list(exam.item.patient_name.groups()) if exam else [],
        "patient_id": exam.item.patient_id if exam else "",
        "procedures": [item.procedure for item in exam.items] if exam else [],
        "accession_numbers": [item.accession_number for item in exam.items] if exam else [],
        "is_scheduled": exam.is_scheduled if exam else None,
        "objects": count,
        "is_settled": files.is_settled,
        "waits": {one: standings[one] for one in Wait if one in standings},
        "ends": {one: standings[one] for one in End if one in standings},
        "step_states": {str(one["modality"]): str(one["state"]) for one in steps},
        "trouble": files.trouble,
    }


def summary_from(spool: Spool, files: ExamFiles, told: Mapping[str, Any] | None) -> dict[str, Any]:
    """`summary_of`, with what forward says of an exam that is not settled, or with what its records say."""
    if told is not None and not files.is_settled:
        return summary_of(spool, files, told["objects"], told["steps"])
    known = read_told(spool, files)
    return summary_of(spool, files, _alike_settled(spool, files.exam_id), known.get("steps", ()))


def _alike_from(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of forward's queue in the form of `Listing.exams`."""
    return [
        {
            "place": one.get("place", ""),
            "is_decided": bool(one.get("decision")),
            "states": [delivery["state"] for delivery in one["destinations"].values()],
            "count": 1,
        }
        for one in told.get("objects", ())
    ]


def _alike_settled(spool: Spool, exam_id: str) -> list[dict[str, Any]]:
    """The objects of an exam that is settled, in the form of `Listing.exams`; none where its record does not tell."""
    return [
        {"place": "", "is_decided": True, "states": list(states.values()), "count": 1}
        for states in read_states(spool, exam_id).values()
    ]


def read_told(spool: Spool, files: ExamFiles) -> dict[str, Any]:
    """What the records in `settled/` say of objects and steps, in the form of forward's queue.

    All of an exam that is settled; of another what had to go before, and what somebody else ended.
    """
    if files.is_settled:
        return _read_json(settled_path(spool, files.exam_id))
    early = _read_json(early_path(spool, files.exam_id))
    objects = [{**one, "has_expired": True} for one in early.get("objects", ())]
    steps = []
    for step in files.exam.steps if files.exam else ():
        if ended := RefusedSteps(spool).read(files.exam_id, step.modality):
            steps.append({"modality": step.modality, "sop_instance_uid": step.sop_instance_uid, **asdict(ended)})
    return {"objects": objects, "steps": steps}


def _read_json(path: Path) -> dict[str, Any]:
    """The record; nothing when there is none or it cannot be read."""
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def record_of(spool: Spool, files: ExamFiles, told: Mapping[str, Any], forward: str) -> dict[str, Any]:
    """What `exam show` says: `told` are the `objects` and `steps` of forward's queue, or of `read_told`.

    `forward` is why the forward process says nothing, in a sentence; empty when it did.
    """
    exam, closed = files.exam, files.closed
    assert exam is not None
    decisions, troubles = _read_decisions(spool, files.exam_id)
    deliveries = {one["sop_instance_uid"]: one for one in told.get("objects", ())}
    saved = [asdict(one) for one in closed.instances] if closed else _read_captured(spool, files.exam_id)
    if not closed:  # the exam's end says it otherwise
        cut_short = [one for one in saved if one["is_cut_short"]]
        troubles += [cut_short_sentence(one["frames"], one["device"], one["left_out"]) for one in cut_short]
    steps = {one["sop_instance_uid"]: one for one in told.get("steps", ())}
    started = ExamFacts(spool.exams).started(files.exam_id)
    alike = _alike_settled(spool, files.exam_id) if files.is_settled or forward else _alike_from(told)
    return {
        **summary_of(spool, files, alike, told.get("steps", ())),
        "study_instance_uid": exam.study_instance_uid,
        "study_began_at": exam.study_began_at.isoformat(),
        "entries": [_entry_of(item) for item in exam.items],
        "findings": [*(closed.findings if closed else ()), *troubles],
        "decisions": decisions,
        "destinations": list(closed.destinations) if closed else [],
        "steps": [
            {
                "modality": step.modality,
                "sop_instance_uid": step.sop_instance_uid,
                "performed_procedure_step_id": step.performed_procedure_step_id,
                "started_at": started[step.modality].started_at.isoformat(),
                "state": steps.get(step.sop_instance_uid, {}).get("state", ""),
                "said": steps.get(step.sop_instance_uid, {}).get("said", ""),
                "trouble": steps.get(step.sop_instance_uid, {}).get("trouble", ""),
            }
            for step in exam.steps
            if step.modality in started
        ],
        "objects": [
            _object_of(one, deliveries.get(one["sop_instance_uid"], {}), _place_of(spool, files.exam_id, one))
            for one in saved
        ],
        "forward": forward,
    }


def _read_captured(spool: Spool, exam_id: str) -> list[dict[str, Any]]:
    """What is saved of an exam as its end will list it, oldest first; of a damaged one no more than its name tells."""
    # pydicom takes a quarter of a second to load: who asks for the list of exams does not pay for it.
    from appliance.spool.summary import DamagedObjectError, read_summary

    found = []
    for device, path, name in list_captured(spool, exam_id):
        try:
            status = path.stat()
            summary = read_summary(path)
            told = {
                "modality": summary.modality,
                "frames": summary.frames,
                "seconds": round(summary.seconds, 3),
                "is_cut_short": summary.is_cut_short,
                "left_out": summary.left_out,
            }
        except DamagedObjectError:
            told = {"modality": "", "frames": 0, "seconds": 0.0, "is_cut_short": False, "left_out": 0}
        except FileNotFoundError:  # handed over in this moment
            continue
        found.append(
            {
                "sop_instance_uid": name.sop_instance_uid,
                "device": device,
                **told,
                "file_name": path.name,
                "bytes": status.st_size,
                "saved_at": datetime.fromtimestamp(status.st_mtime).astimezone(),
            }
        )
    return found


def _read_decisions(spool: Spool, exam_id: str) -> tuple[list[dict[str, Any]], list[str]]:
    """What people decided about single objects, in the order of time; or why that cannot be read, in a sentence."""
    try:
        found = ExamFacts(spool.exams).decisions(exam_id)
    except DamagedFactError as error:
        return [], [error.sentence]
    return [{**asdict(one), "decided_at": one.decided_at.isoformat()} for one in found], []


def _object_of(one: Mapping[str, Any], told: Mapping[str, Any], place: str) -> dict[str, Any]:
    """`one` as the exam's end or its file has it, with what is told of it. `has_expired`: the box deleted its copy."""
    return {
        **one,
        "saved_at": one["saved_at"].isoformat() if one["saved_at"] else told.get("saved_at", ""),
        "place": place,
        "is_here": place != "",
        "expired_at": told.get("expired_at", ""),
        "has_expired": not place and bool(told.get("expired_at") or told.get("has_expired")),
        "destinations": told.get("destinations", {}),
    }


def _place_of(spool: Spool, exam_id: str, one: Mapping[str, Any]) -> str:
    """Where the object's file lies; empty when it lies nowhere.

    Looked for in the order in which it moves: none is missed on its way.
    """
    captured = spool.captured(one["device"], exam_id)
    places = {"captured": captured, "outbox": spool.outbox, "kept": spool.kept, "quarantine": spool.quarantine}
    return next((name for name, place in places.items() if (place / one["file_name"]).exists()), "")


def _entry_of(item: WorklistItem) -> dict[str, Any]:
    return {
        "source": item.source,
        "names": list(item.patient_name.groups()),
        "patient_id": item.patient_id,
        "birth_date": item.birth_date,
        "sex": item.sex,
        "accession_number": item.accession_number,
        "study_instance_uid": item.study_instance_uid,
        "requested_procedure_id": text_at(item.elements, REQUESTED_PROCEDURE_ID),
        "scheduled_procedure_step_id": text_at(item.elements, SCHEDULED_STEPS, STEP_ID),
        "modality": item.modality,
        "procedure": item.procedure,
    }
