"""What an exam was opened on, as the attribute tables take it: the worklist's entries, or what a person typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydicom import Dataset

from appliance.exam.exam import Exam

# What a person types of an unscheduled patient, as the rows' USER origins call it.
_TYPED: Final = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "issuer_of_patient_id": "IssuerOfPatientID",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Facts of the exam for `rows.Facts`. Conditions: `exam`, `step told`, `scheduled`, and whose study it is."""

    entries: tuple[Dataset, ...]
    user: Mapping[str, Any]
    conditions: frozenset[str]


def chosen_from(exam: Exam | None) -> Chosen:
    """Of `exam`; of none for an object that belongs to no exam."""
    if exam is None:
        return Chosen((), {"operators_name": "", **dict.fromkeys(_TYPED)}, frozenset({"own study"}))
    given = tuple(Dataset.from_json(item.elements) for item in exam.items)
    typed = Dataset() if exam.is_scheduled else given[0]
    named = given[0].get_item("StudyInstanceUID")
    is_worklists = (
        exam.is_scheduled and named is not None and named.VR == "UI" and named.value == exam.study_instance_uid
    )
    conditions = {"exam", "worklist's study" if is_worklists else "own study"}
    conditions |= {"step told"} if exam.has_told_steps else set()
    return Chosen(
        entries=given if exam.is_scheduled else (),
        user={
            "operators_name": exam.operators_name,
            **{name: typed.get(keyword) for name, keyword in _TYPED.items()},
        },
        conditions=frozenset(conditions | ({"scheduled"} if exam.is_scheduled else set())),
    )
