"""What a performed-step provider must refuse (PS3.4 F.7.2, Table F.7.2-1): pure functions over datasets.

The table says for each attribute its type at N-CREATE and whether N-SET may touch it; the types inside the items of a
sequence hold for both. Attributes that are not in the table are type 3 at N-CREATE and forbidden at N-SET.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import validate_value

NO_SUCH_ATTRIBUTE = 0x0105
INVALID_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_INSTANCE = 0x0112
INVALID_INSTANCE = 0x0117
MISSING_ATTRIBUTE = 0x0120
MISSING_VALUE = 0x0121
NO_LONGER_UPDATED = 0xA710  # Error ID (0000,0903), PS3.4 F.7.2.2.4

IN_PROGRESS = "IN PROGRESS"
FINAL_STATES = ("COMPLETED", "DISCONTINUED")
_CHARACTER_SET = Tag("SpecificCharacterSet")
_UNICODE = "ISO_IR 192"
_TEXT_CLASSES = ("PN", "DS", "IS", "DA", "TM", "DT")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request fails: a status of PS3.7 Annex C and what goes with it. The comment holds no patient data."""

    status: int
    comment: str
    attributes: tuple[BaseTag, ...] = ()
    error_id: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of Table F.7.2-1."""

    keyword: str
    creation: int  # type 1, 2 or 3
    is_settable: bool = False
    items: tuple[Rule, ...] = ()

    @property
    def tag(self) -> BaseTag:
        return Tag(self.keyword)


_CODE = (Rule("CodeMeaning", 1),)  # the value is CodeValue, LongCodeValue or URNCodeValue (PS3.3 8.8)
_REFERENCE = (Rule("ReferencedSOPClassUID", 1), Rule("ReferencedSOPInstanceUID", 1))

_SCHEDULED_STEP = (
    Rule("StudyInstanceUID", 1),
    Rule("ReferencedStudySequence", 2, items=_REFERENCE),
    Rule("AccessionNumber", 2),
    Rule("RequestedProcedureID", 2),
    Rule("RequestedProcedureDescription", 2),
    Rule("ScheduledProcedureStepID", 2),
    Rule("ScheduledProcedureStepDescription", 2),
    Rule("ScheduledProtocolCodeSequence", 2, items=_CODE),
)

_SERIES = (
    Rule("PerformingPhysicianName", 2),
    Rule("ProtocolName", 1),
    Rule("OperatorsName", 2),
    Rule("SeriesInstanceUID", 1),
    Rule("SeriesDescription", 2),
    Rule("RetrieveAETitle", 2),
    Rule("ReferencedImageSequence", 2, items=_REFERENCE),
    Rule("ReferencedNonImageCompositeSOPInstanceSequence", 2, items=_REFERENCE),
)

TABLE: tuple[Rule, ...] = (
    Rule("SpecificCharacterSet", 3, is_settable=True),
    Rule("ScheduledStepAttributesSequence", 1, items=_SCHEDULED_STEP),
    Rule("PatientName", 2),
    Rule("PatientID", 2),
    Rule("PatientBirthDate", 2),
    Rule("PatientSex", 2),
    Rule("ReferencedPatientSequence", 2, items=_REFERENCE),
    Rule("PerformedProcedureStepID", 1),
    Rule("PerformedStationAETitle", 1),
    Rule("PerformedStationName", 2),
    Rule("PerformedLocation", 2),
    Rule("PerformedProcedureStepStartDate", 1),
    Rule("PerformedProcedureStepStartTime", 1),
    Rule("PerformedProcedureStepStatus", 1, is_settable=True),
    Rule("PerformedProcedureStepDescription", 2, is_settable=True),
    Rule("PerformedProcedureTypeDescription", 2, is_settable=True),
    Rule("ProcedureCodeSequence", 2, is_settable=True, items=_CODE),
    Rule("ReasonForPerformedProcedureCodeSequence", 3, is_settable=True, items=_CODE),
    Rule("PerformedProcedureStepEndDate", 2, is_settable=True),
    Rule("PerformedProcedureStepEndTime", 2, is_settable=True),
    Rule("CommentsOnThePerformedProcedureStep", 3, is_settable=True),
    Rule("PerformedProcedureStepDiscontinuationReasonCodeSequence", 3, is_settable=True, items=_CODE),
    Rule("Modality", 1),
    Rule("StudyID", 2),
    Rule("PerformedProtocolCodeSequence", 2, is_settable=True, items=_CODE),
    Rule("PerformedSeriesSequence", 2, is_settable=True, items=_SERIES),
)

_SETTABLE = frozenset(rule.tag for rule in TABLE if rule.is_settable)
# The radiation dose and the billing modules may be set too (PS3.4 Table F.7.2-1, all type 3).
_SETTABLE_MODULES = frozenset(
    Tag(keyword)
    for keyword in (
        "AnatomicStructureSpaceOrRegionSequence",
        "TotalTimeOfFluoroscopy",
        "TotalNumberOfExposures",
        "DistanceSourceToDetector",
        "EntranceDose",
        "EntranceDoseInmGy",
        "ExposedArea",
        "ImageAndFluoroscopyAreaDoseProduct",
        "ExposureDoseSequence",
        "FilmConsumptionSequence",
        "BillingProcedureStepSequence",
        "BillingSuppliesAndDevicesSequence",
    )
)
# Empty when the step begins, needed when it ends (the column "Requirement Type Final State").
_FINAL = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedSeriesSequence")


def refusal_of_creation(attributes: Dataset) -> Refusal | None:
    """May this N-CREATE make a step? None when it may."""
    return (
        _refusal_of_types(attributes, TABLE)
        or _refusal_of_values(attributes)
        or _refusal_of_status(attributes, (IN_PROGRESS,))
    )


def refusal_of_update(step: Dataset, changes: Dataset) -> Refusal | None:
    """May this N-SET change `step`? None when it may."""
    if step.PerformedProcedureStepStatus != IN_PROGRESS:
        comment = "Performed Procedure Step Object may no longer be updated"
        return Refusal(PROCESSING_FAILURE, comment, error_id=NO_LONGER_UPDATED)
    forbidden = [element.tag for element in changes if not _may_be_set(element.tag, step)]
    if forbidden:
        return Refusal(NO_SUCH_ATTRIBUTE, "Not allowed in N-SET, or not created before", tuple(forbidden))
    present = [rule for rule in TABLE if rule.tag in changes]
    return (
        _refusal_of_types(changes, present)
        or _refusal_of_values(changes)
        or _refusal_of_status(changes, (IN_PROGRESS, *FINAL_STATES))
        or _refusal_of_final_state(step_from_update(step, changes))
    )


def step_from_update(step: Dataset, changes: Dataset) -> Dataset:
    """`step` with `changes` applied; both stay as they are.

    The character set of an N-SET does not replace the former one (PS3.4 F.7.2.2.3): what is kept is Unicode.
    """
    updated = deepcopy(step)
    for element in changes:
        if element.tag != _CHARACTER_SET:
            updated[element.tag] = deepcopy(element)
    if _CHARACTER_SET in changes and step.get(_CHARACTER_SET) != changes[_CHARACTER_SET]:
        updated.SpecificCharacterSet = _UNICODE
    return updated


def _may_be_set(tag: BaseTag, step: Dataset) -> bool:
    if tag == _CHARACTER_SET or tag.is_private:
        return True
    return tag in step and (tag in _SETTABLE or tag in _SETTABLE_MODULES)


def _refusal_of_types(attributes: Dataset, rules: Iterable[Rule]) -> Refusal | None:
    """Type 1 is there with a value, type 2 is there, inside the items as well (PS3.5 7.4)."""
    for rule in rules:
        element = attributes.get(rule.tag)
        if element is None:
            if rule.creation <= 2:
                return Refusal(MISSING_ATTRIBUTE, f"Missing: {rule.keyword}"[:64], (rule.tag,))
            continue
        if rule.creation == 1 and _is_empty(element):
            return Refusal(MISSING_VALUE, f"Without value: {rule.keyword}"[:64], (rule.tag,))
        if rule.items:
            if element.VR != "SQ":
                return Refusal(INVALID_VALUE, f"Not a sequence: {rule.keyword}"[:64], (rule.tag,))
            for item in element.value:
                refusal = _refusal_of_types(item, rule.items)
                if refusal is not None:
                    return refusal
    return None


def _refusal_of_values(attributes: Dataset) -> Refusal | None:
    for element in attributes:
        if element.VR == "SQ":
            for item in element.value:
                refusal = _refusal_of_values(item)
                if refusal is not None:
                    return refusal
        elif not _is_valid(element):
            return Refusal(INVALID_VALUE, f"Invalid value: {element.keyword}"[:64], (element.tag,))
    return None


def _is_empty(element: DataElement) -> bool:
    return not element.value if element.VR == "SQ" else element.is_empty


def _is_valid(element: DataElement) -> bool:
    if element.tag.is_private or _is_empty(element) or element.tag == _CHARACTER_SET:
        return True
    values = element.value if isinstance(element.value, (MultiValue, list)) else [element.value]
    for value in values:
        # pydicom has classes of its own for these, which its validators do not take.
        plain = str(value) if element.VR in _TEXT_CLASSES else value
        try:
            validate_value(str(element.VR), plain, config.RAISE)
        except ValueError:
            return False
        # pydicom lets ranges pass, since queries hold them; a step has none.
        if element.VR in ("DA", "TM") and "-" in str(value):
            return False
    return True


def _refusal_of_status(attributes: Dataset, allowed: tuple[str, ...]) -> Refusal | None:
    status = attributes.get("PerformedProcedureStepStatus")
    if status is None or status in allowed:
        return None
    return Refusal(INVALID_VALUE, "Performed Procedure Step Status", (Tag("PerformedProcedureStepStatus"),))


def _refusal_of_final_state(step: Dataset) -> Refusal | None:
    if step.PerformedProcedureStepStatus not in FINAL_STATES:
        return None
    empty = tuple(Tag(keyword) for keyword in _FINAL if _is_empty(step[keyword]))
    if empty:
        return Refusal(MISSING_VALUE, "Needed in a final state", empty)
    return None
