"""What an exam was opened on, as the attribute tables take it: the worklist's entries, or what a person typed, and what
the box or its configuration gave such a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydicom import Dataset

from appliance.exam.exam import Exam
from appliance.exam.item import ISSUER_OF_PATIENT_ID, PATIENT_BIRTH_DATE, PATIENT_ID, PATIENT_NAME, PATIENT_SEX

# What a person types of an unscheduled patient, as the rows' USER origins call it.
_TYPED: Final = {
    "patient_name": PATIENT_NAME,
    "patient_id": PATIENT_ID,
    "patient_birth_date": PATIENT_BIRTH_DATE,
    "patient_sex": PATIENT_SEX,
}
# What stands there otherwise, as the rows' CONFIGURATION and GENERATED origins call it. The issuer is never typed.
_CONFIGURED: Final = {"emergency_name": PATIENT_NAME, "issuer_of_own_ids": ISSUER_OF_PATIENT_ID}
_GENERATED: Final = {"own_patient_id": PATIENT_ID}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Facts of the exam for `rows.Facts`. Conditions: `exam`, `step told`, `scheduled`, and whose study it is."""

    entries: tuple[Dataset, ...]
    user: Mapping[str, Any]
    configuration: Mapping[str, Any]
    generated: Mapping[str, Any]
    conditions: frozenset[str]


def chosen_from(exam: Exam | None) -> Chosen:
    """Of `exam`; of none for an object that belongs to no exam."""
    if exam is None:
        nobody = {"operators_name": "", **dict.fromkeys(_TYPED)}
        return Chosen((), nobody, dict.fromkeys(_CONFIGURED), dict.fromkeys(_GENERATED), frozenset({"own study"}))
    entries = tuple(Dataset.from_json(item.elements) for item in exam.items)
    typed, given = Dataset(), Dataset()
    for element in () if exam.is_scheduled else entries[0]:
        is_given = f"{element.tag:08X}" in (*exam.item.given, ISSUER_OF_PATIENT_ID)
        (given if is_given else typed).add(element)
    named = entries[0].get_item("StudyInstanceUID")
    is_worklists = (
        exam.is_scheduled and named is not None and named.VR == "UI" and named.value == exam.study_instance_uid
    )
    conditions = {"exam", "worklist's study" if is_worklists else "own study"}
    conditions |= {"step told"} if exam.has_told_steps else set()
    return Chosen(
        entries=entries if exam.is_scheduled else (),
        user={"operators_name": exam.operators_name, **_values_of(_TYPED, typed)},
        configuration=_values_of(_CONFIGURED, given),
        generated=_values_of(_GENERATED, given),
        conditions=frozenset(conditions | ({"scheduled"} if exam.is_scheduled else set())),
    )


def _values_of(names: Mapping[str, str], dataset: Dataset) -> dict[str, Any]:
    return {name: dataset[tag].value if tag in dataset else None for name, tag in names.items()}
