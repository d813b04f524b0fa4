"""What the API answers about exams, from facts and files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.console.current import CurrentExam
from appliance.console.kinds import Kinds
from appliance.exam.exam import Exam
from appliance.exam.facts import DamagedFactError, ExamFacts
from appliance.spool.names import ObjectName
from appliance.spool.tree import Spool, list_captured

_MOST_REMEMBERED = 2000


def exam_view_from(exam: Exam, state: str) -> dict[str, Any]:
    """Whose exam it is, as every screen shows it; of several chosen entries, the procedures and numbers of all."""
    return {
        "exam_id": exam.exam_id,
        "opened_at": exam.opened_at.isoformat(),
        "names": list(exam.item.patient_name.groups()),
        "patient_id": exam.item.patient_id,
        "birth_date": exam.item.birth_date,
        "sex": exam.item.sex,
        "procedure": " + ".join(_each_once(item.procedure for item in exam.items)),
        "accession_number": ", ".join(_each_once(item.accession_number for item in exam.items)),
        "modalities": _each_once(item.modality for item in exam.items),
        "stations": _each_once(name for item in exam.items for name in item.station_names),
        "is_scheduled": exam.is_scheduled,
        "state": state,
    }


def _each_once(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def current_view_from(current: CurrentExam | None) -> dict[str, Any] | None:
    """The exam that occupies the box, and which devices its end is waiting for."""
    if current is None:
        return None
    return {
        **exam_view_from(current.exam, "closing" if current.is_closing else "open"),
        "waiting_for": list(current.waiting_for),
        "is_interrupted": current.is_interrupted,
        "series": {one.device: one.series_description for one in current.exam.series},
    }


def list_undecided(spool: Spool, facts: ExamFacts, exam_id: str) -> list[tuple[str, Path, ObjectName]]:
    """The exam's objects that are saved and still here, oldest first: device, path and name.

    What was discarded or moved elsewhere is not among them, also while its file lies there still.
    """
    decided = facts.decided(exam_id)
    return [found for found in list_captured(spool, exam_id) if found[2].sop_instance_uid not in decided]


def object_view_from(device: str, path: Path, name: ObjectName, kinds: Kinds) -> dict[str, Any] | None:
    """A saved object as its file tells of it; None when it was handed over in this moment."""
    try:
        status, kind = path.stat(), kinds.kind_in(device, path)
    except FileNotFoundError:
        return None
    return {
        "sop_instance_uid": name.sop_instance_uid,
        "device": device,
        "kind": kind,
        "file_name": path.name,
        "bytes": status.st_size,
        "saved_at": datetime.fromtimestamp(status.st_mtime, UTC).astimezone().isoformat(timespec="seconds"),
    }


class NamedExams:
    """Whose exam it is, and how it ended, by identifier; what is closed never changes and is read once."""

    def __init__(self, facts: ExamFacts) -> None:
        self._facts = facts
        self._closed: dict[str, dict[str, Any]] = {}

    def read(self, exam_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The views of those exams that exist. One whose facts are damaged is left out: the keeper reports it."""
        known = set(self._facts.exam_ids())
        if len(self._closed) > _MOST_REMEMBERED:
            self._closed.clear()
        views = {}
        for exam_id in sorted(known.intersection(exam_ids)):
            view = self._closed.get(exam_id) or self._read_one(exam_id)
            if view is not None:
                views[exam_id] = view
        return views

    def _read_one(self, exam_id: str) -> dict[str, Any] | None:
        try:
            exam, closed = self._facts.exam(exam_id), self._facts.closed(exam_id)
        except DamagedFactError:
            return None
        if exam is None:
            return None
        view = {
            **exam_view_from(exam, "closed" if closed else "open"),
            "closed_at": closed.closed_at.isoformat() if closed else None,
            "outcome": closed.outcome if closed else None,
            "findings": list(closed.findings) if closed else [],
        }
        if closed is not None:
            self._closed[exam_id] = view
        return view
