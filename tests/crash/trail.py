"""No act without its record: what the audit trail must say after any power cut, before anything runs again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from appliance.exam.audit import Act
from appliance.exam.audit_reading import list_trails, read_trail
from appliance.exam.facts import ExamFacts

_ENDS = (Act.EXAM_CLOSED, Act.EXAM_DISCONTINUED)


def wrong_in_the_trail(state: Path, hospital: Mapping[str, bytes | None]) -> Iterator[str]:
    """`hospital` is what the archive had on its own disk at the moment of the cut, by path."""
    records = []
    for trail in list_trails(state / "audit"):
        reading = read_trail(trail)
        yield from (f"the audit trail of {reading.process} is not whole: {fault}" for fault in reading.faults)
        records += [line.record for line in reading.lines]
    told = {(record.act, record.subject.exam_id if record.subject else "") for record in records}
    facts = ExamFacts(state / "exams")
    for exam_id in facts.exam_ids():
        directory = facts.directory / exam_id
        if (directory / "exam.json").exists() and (Act.EXAM_OPENED, exam_id) not in told:
            yield f"exam {exam_id} was opened and the audit trail does not say so"
        if (directory / "closed.json").exists() and not any((act, exam_id) in told for act in _ENDS):
            yield f"exam {exam_id} was ended and the audit trail does not say so"
    begun = {uid for record in records if record.act is Act.TRANSFER_BEGUN for uid in record.objects}
    for path in hospital:
        top, _, name = path.partition("/")
        uid = name.removesuffix(".dcm")
        if top == "objects" and uid != name and not name.startswith(".") and uid not in begun:
            yield f"object {uid} left the box and the audit trail does not say so"
