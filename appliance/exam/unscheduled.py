"""A patient whom nobody scheduled: what a person typed, held to the standard's forms before anything is opened on it.

Only demographics are typed (IHE RAD TF-1 4.4, unscheduled patient): no accession number, no procedure, no step, which
stay empty until the hospital's systems reconcile the study.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import date
from typing import Final

from appliance.base.errors import ApplianceError
from appliance.exam.item import (
    ISSUER_OF_PATIENT_ID,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    PATIENT_SEX,
    WorklistItem,
)

_LONGEST_TEXT = 64  # LO, and each component group of a PN (PS3.5 Table 6.2-1)
_MOST_COMPONENTS = 5
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_SEXES: Final = ("M", "F", "O")
_FIRST_YEAR = 1850
_DATE = re.compile(r"\A[0-9]{8}\Z")
_EXAM_ID = re.compile(r"\A(E[0-9]{6})-[0-9]{2}([0-9]{6})-([0-9]{6})\Z")


def unscheduled_item_from(name: str, patient_id: str, birth_date: str, sex: str, today: date) -> WorklistItem:
    """The entry that a worklist would have had, with an empty source. ApplianceError in a sentence when a value is not
    one.

    `name` is a PN (`Family^Given^Middle`, groups behind `=`), which is needed; `patient_id` is an LO, empty where the
    box gives one (`with_patient_id`); `birth_date` a DA and `sex` M, F or O, both empty where they are not known
    (PS3.3 C.7.1.1).
    """
    elements: dict[str, object] = {
        PATIENT_NAME: {"vr": "PN", "Value": [_name_groups_from(name)]},
    }
    if patient_id.strip():
        elements[PATIENT_ID] = {"vr": "LO", "Value": [_text_from("Patient ID", patient_id)]}
    if birth_date:
        elements[PATIENT_BIRTH_DATE] = {"vr": "DA", "Value": [_date_from(birth_date, today)]}
    if sex:
        if sex not in _SEXES:
            raise ApplianceError("The sex is M, F or O.", "Leave it empty where it is not known.")
        elements[PATIENT_SEX] = {"vr": "CS", "Value": [sex]}
    return WorklistItem(source="", elements=elements)


def emergency_item_from(name: str, today: date) -> WorklistItem:
    """The entry of somebody of whom nothing is known yet: `name` is what the configuration calls such a patient."""
    return replace(unscheduled_item_from(name, "", "", "", today), given=(PATIENT_NAME,))


def with_patient_id(item: WorklistItem, exam_id: str, prefix: str, issuer: str) -> WorklistItem:
    """`item` with a Patient ID of the box and its issuer, where it was typed without one; else as it is.

    `BRIDGE-E000123-261122-093015`: of the exam's number, which the box never gives twice, and of its moment, for a day
    on which a box is given a new, empty flash and begins to count anew.
    """
    if item.source or item.patient_id:
        return item
    match = _EXAM_ID.match(exam_id)
    assert match is not None, exam_id
    elements = {
        **item.elements,
        PATIENT_ID: {"vr": "LO", "Value": ["-".join((prefix, *match.groups()))]},
        ISSUER_OF_PATIENT_ID: {"vr": "LO", "Value": [issuer]},
    }
    given = (*item.given, PATIENT_ID, ISSUER_OF_PATIENT_ID)
    return replace(item, elements=dict(sorted(elements.items())), given=given)


def _name_groups_from(name: str) -> dict[str, str]:
    groups = [_trimmed_group_from(group) for group in name.split("=")]
    while groups and not groups[-1]:
        groups.pop()
    if not groups:
        raise ApplianceError("The patient's name is missing.", "Type what your hospital calls an unknown patient.")
    if len(groups) > len(_GROUPS):
        raise ApplianceError("The patient's name has too many parts (=).")
    for group in groups:
        if len(group.split("^")) > _MOST_COMPONENTS:
            raise ApplianceError("The patient's name has too many parts (^).")
        if group:
            _text_from("patient's name", group)
    return {kind: group for kind, group in zip(_GROUPS, groups, strict=False) if group}


def _trimmed_group_from(group: str) -> str:
    return "^".join(part.strip() for part in group.split("^")).rstrip("^")


def _text_from(what: str, text: str) -> str:
    """`text` without the spaces around it, as LO and PN allow it (PS3.5 6.2)."""
    trimmed = text.strip()
    if not trimmed:
        raise ApplianceError(f"The {what} is missing.", "Type what your hospital gives an unknown patient.")
    if len(trimmed) > _LONGEST_TEXT:
        raise ApplianceError(f"The {what} is longer than {_LONGEST_TEXT} characters.")
    # Control characters would be escape sequences or line ends on the wire; a lone surrogate cannot be written at all.
    if "\\" in trimmed or any(unicodedata.category(one) in {"Cc", "Cs", "Cn", "Zl", "Zp"} for one in trimmed):
        raise ApplianceError(f"The {what} holds a character that DICOM does not allow there.")
    return trimmed


def _date_from(text: str, today: date) -> str:
    if not _DATE.match(text):
        raise ApplianceError("The birth date is no date (year, month, day).")
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise ApplianceError("The birth date is no date (year, month, day).") from None
    if day.year < _FIRST_YEAR or day > today:
        raise ApplianceError("The birth date cannot be true.", "Look at it again.")
    return text
