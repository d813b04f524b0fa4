"""A worklist item as it was received, and what people are shown of it.

Elements are kept in the DICOM JSON model (PS3.18 Annex F): tag in eight hexadecimal digits → {"vr", "Value"}, text
already decoded. The bytes that came over the wire are kept beside them, so that nothing that was sent is lost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Elements = Mapping[str, Any]

SPECIFIC_CHARACTER_SET = "00080005"
ACCESSION_NUMBER = "00080050"
MODALITY = "00080060"
PATIENT_NAME = "00100010"
PATIENT_ID = "00100020"
ISSUER_OF_PATIENT_ID = "00100021"
PATIENT_BIRTH_DATE = "00100030"
PATIENT_SEX = "00100040"
MEDICAL_ALERTS = "00102000"
ALLERGIES = "00102110"
STUDY_INSTANCE_UID = "0020000D"
REQUESTED_PROCEDURE_DESCRIPTION = "00321060"
SCHEDULED_STEPS = "00400100"
STEP_START_DATE = "00400002"
STEP_START_TIME = "00400003"
STEP_DESCRIPTION = "00400007"
STEP_ID = "00400009"
STEP_STATION_NAME = "00400010"
REQUESTED_PROCEDURE_ID = "00401001"

# What an examination needs of its entry, in the words of the standard; an entry that lacks one is shown and says so.
_NEEDED = {
    PATIENT_NAME: "Patient's Name",
    PATIENT_ID: "Patient ID",
    STUDY_INSTANCE_UID: "Study Instance UID",
    REQUESTED_PROCEDURE_ID: "Requested Procedure ID",
    SCHEDULED_STEPS: "Scheduled Procedure Step",
}

SHOWN = (
    (PATIENT_NAME,),
    (PATIENT_ID,),
    (PATIENT_BIRTH_DATE,),
    (PATIENT_SEX,),
    (MEDICAL_ALERTS,),
    (ALLERGIES,),
    (ACCESSION_NUMBER,),
    (SCHEDULED_STEPS, MODALITY),
    (REQUESTED_PROCEDURE_DESCRIPTION,),
    (SCHEDULED_STEPS, STEP_DESCRIPTION),
    (SCHEDULED_STEPS, STEP_START_DATE),
    (SCHEDULED_STEPS, STEP_START_TIME),
)
"""The paths of the values that `WorklistItem.view` has for people; a test holds the two equal."""

# PS3.5 9.1. An object with another Study Instance UID is refused by every archive that reads it.
_UID = re.compile(r"\A(?=.{1,64}\Z)(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+\Z")


def values_at(elements: Elements, *path: str) -> list[Any]:
    """All values at `path` (tags; every one but the last is a sequence of which the first item is taken)."""
    return list(_find_values(elements, path))


def _find_values(elements: Elements, path: tuple[str, ...]) -> Sequence[Any]:
    here: Any = elements
    values: Sequence[Any] = ()
    for tag in path:
        # A peer may give any element any VR: then there is no item in it.
        element = here.get(tag) if isinstance(here, Mapping) else None
        values = (element.get("Value") or ()) if element else ()
        if not values:
            return ()
        here = values[0]
    return values


def text_at(elements: Elements, *path: str) -> str:
    """The first value at `path` as text; empty when there is none."""
    values = _find_values(elements, path)
    return "" if not values or values[0] is None else str(values[0])


def _texts_at(elements: Elements, tag: str) -> str:
    return ", ".join(dict.fromkeys(str(value).strip() for value in values_at(elements, tag) if _has_text(value)))


@dataclass(frozen=True, slots=True)
class PersonName:
    """The component groups of a PN (PS3.5 6.2.1), each as it was sent."""

    alphabetic: str = ""
    ideographic: str = ""
    phonetic: str = ""

    def groups(self) -> tuple[str, ...]:
        """The groups that are there, as people read them: `Yamada Tarou`, `山田 太郎`."""
        return tuple(
            " ".join(part for part in group.split("^") if part)
            for group in (self.alphabetic, self.ideographic, self.phonetic)
            if group.strip("^ ")
        )


def name_at(elements: Elements, *path: str) -> PersonName:
    """The person's name at `path`; empty when there is none."""
    values = values_at(elements, *path)
    if not values or not isinstance(values[0], Mapping):
        return PersonName()
    first = values[0]
    return PersonName(
        str(first.get("Alphabetic", "")), str(first.get("Ideographic", "")), str(first.get("Phonetic", ""))
    )


def _has_text(value: Any) -> bool:
    """True when something stands in `value`; of a name or an item, when something stands in any part of it."""
    if isinstance(value, str):
        return bool(value.strip(" ^="))
    if isinstance(value, Mapping):
        parts = value.get("Value", ()) if "vr" in value else value.values()
        return any(_has_text(part) for part in parts)
    return value is not None and bool(str(value).strip(" ^="))


@dataclass(frozen=True)
class WorklistItem:
    """One scheduled procedure step of one requested procedure, as `source` answered it.

    `received` is the identifier's data set as it came (base64), in `transfer_syntax_uid`. `findings` say what of it
    could not be read. `given` are the tags of values that neither a worklist had nor a person typed: of an unscheduled
    patient, whom the box or its configuration names.
    """

    source: str
    elements: dict[str, Any]
    received: str = ""
    transfer_syntax_uid: str = ""
    findings: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What stays the same when the list is asked for again: source, study, procedure and step.

        An entry without its step, or without both of the others, is told from the next one by all of its bytes: two of
        a patient's appointments must never become one.
        """
        study = text_at(self.elements, STUDY_INSTANCE_UID)
        procedure = text_at(self.elements, REQUESTED_PROCEDURE_ID)
        step = text_at(self.elements, SCHEDULED_STEPS, STEP_ID)
        parts = [self.source, study, procedure, step, text_at(self.elements, PATIENT_ID)]
        if not step or not (study or procedure):
            parts.append(self.received)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def patient_name(self) -> PersonName:
        return name_at(self.elements, PATIENT_NAME)

    @property
    def patient_id(self) -> str:
        return text_at(self.elements, PATIENT_ID)

    @property
    def birth_date(self) -> str:
        """YYYYMMDD, or empty."""
        return text_at(self.elements, PATIENT_BIRTH_DATE)

    @property
    def sex(self) -> str:
        return text_at(self.elements, PATIENT_SEX)

    @property
    def accession_number(self) -> str:
        return text_at(self.elements, ACCESSION_NUMBER)

    @property
    def allergies(self) -> str:
        """As the hospital wrote them; empty where it says nothing, which does not mean that there are none."""
        return _texts_at(self.elements, ALLERGIES)

    @property
    def alerts(self) -> str:
        """Medical Alerts, the same."""
        return _texts_at(self.elements, MEDICAL_ALERTS)

    @property
    def study_instance_uid(self) -> str:
        """Empty also when what was sent is no UID: then the exam generates one, as where there is none."""
        uid = text_at(self.elements, STUDY_INSTANCE_UID)
        return uid if _UID.match(uid) else ""

    @property
    def modality(self) -> str:
        return text_at(self.elements, SCHEDULED_STEPS, MODALITY)

    @property
    def station_names(self) -> list[str]:
        """Of the machines that the step is scheduled for, Scheduled Station Name (0040,0010); mostly none or one."""
        return [str(name) for name in values_at(self.elements, SCHEDULED_STEPS, STEP_STATION_NAME) if _has_text(name)]

    @property
    def procedure(self) -> str:
        return text_at(self.elements, REQUESTED_PROCEDURE_DESCRIPTION) or text_at(
            self.elements, SCHEDULED_STEPS, STEP_DESCRIPTION
        )

    @property
    def step(self) -> str:
        """What is done in this step, where the name of the procedure does not say it already."""
        described = text_at(self.elements, SCHEDULED_STEPS, STEP_DESCRIPTION)
        return "" if described == self.procedure else described

    @property
    def scheduled_date(self) -> str:
        return text_at(self.elements, SCHEDULED_STEPS, STEP_START_DATE)

    @property
    def scheduled_time(self) -> str:
        return text_at(self.elements, SCHEDULED_STEPS, STEP_START_TIME)

    def missing(self) -> Iterator[str]:
        """The standard's names of what an examination needs and this entry lacks."""
        for tag, name in _NEEDED.items():
            if not any(_has_text(value) for value in values_at(self.elements, tag)):
                yield name

    def wrong(self) -> Iterator[str]:
        """What is there and cannot be used as it is, in a few words each."""
        yield from self.findings
        if text_at(self.elements, STUDY_INSTANCE_UID) and not self.study_instance_uid:
            yield "Study Instance UID is malformed"

    def view(self) -> dict[str, Any]:
        """What a person is shown of this entry, on any screen."""
        return {
            "key": self.key,
            "source": self.source,
            "names": list(self.patient_name.groups()),
            "patient_id": self.patient_id,
            "birth_date": self.birth_date,
            "sex": self.sex,
            "allergies": self.allergies,
            "alerts": self.alerts,
            "accession_number": self.accession_number,
            "modality": self.modality,
            "procedure": self.procedure,
            "procedure_id": text_at(self.elements, REQUESTED_PROCEDURE_ID),
            "step": self.step,
            "scheduled_date": self.scheduled_date,
            "scheduled_time": self.scheduled_time,
            "missing": list(self.missing()),
            "findings": list(self.wrong()),
        }


def order_of(view: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where a view stands in a list: by its appointment, then by name."""
    return (view["scheduled_date"], view["scheduled_time"], view["names"], view["key"])
