"""What a row of the attribute table is, and how a data set is made from rows.

The tables are data (attributes.py, steps.py); this is the only code that executes them. Presence and source carry the
words of PS3.2 Annex N, so that a conformance statement can be generated from the very rows that ran.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

_log = logging.getLogger(__name__)

# VRs whose values are character strings one by one: pydicom writes any of them as another.
_PLAIN = frozenset({"AE", "AS", "CS", "DA", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UT"})
# Of these, the ones that hold no other characters than ASCII's, whatever the Specific Character Set is.
_DEFAULT_REPERTOIRE = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI"})
_UID = re.compile(r"\A[0-9.]{1,64}\Z")


class Presence(StrEnum):
    """PS3.2 N.8.1: whether an attribute is there, and whether it has a value."""

    ALWAYS = "ALWAYS"  # always there with a value
    VNAP = "VNAP"  # always there, value not always present
    ANAP = "ANAP"  # attribute not always present
    EMPTY = "EMPTY"  # always there, never with a value


# The attribute's type in its module (PS3.5 7.4), independent of what this box does with it.
AttributeType = Literal["1", "1C", "2", "2C", "3"]


class Source(StrEnum):
    """PS3.2 N.8.1: where a value comes from. No attribute is invented: each has one of these."""

    FIXED = "FIXED"
    GENERATED = "GENERATED"
    CONFIGURATION = "CONFIGURATION"
    MWL = "MWL"
    USER = "USER"
    DEVICE = "DEVICE"


class Gather(StrEnum):
    """How the entries that were chosen for one exam give one value together (PS3.17 J.4.1)."""

    FIRST = "first"  # of the first entry that has one: the same in all, as the patient is
    COMMON = "common"  # the value that stands in every entry; none where they differ
    ALL = "all"  # the items of all, each once


@dataclass(frozen=True, slots=True)
class Origin:
    """One place to take a value from: for MWL a path of keywords, for FIXED the value itself, else a fact's name."""

    source: Source
    key: Any
    gather: Gather = Gather.FIRST


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute: the first origin that has a value gives it. `when` names a condition of this object.

    `item` makes it a sequence of one item composed from these rows; with `is_each`, of one item for each chosen entry,
    composed of that entry's values alone, and of one item without any entry. `beside` names an attribute in front of
    it in the same table without whose value it says nothing: the issuer of a number that is not there. `holds` are the
    rows by which the items of a generated sequence were composed, each before: nothing is made of them here, and the
    conformance statement reads them. `beyond_iod`: no module of the object has it, at this place.
    """

    keyword: str
    type: AttributeType
    presence: Presence
    origins: tuple[Origin, ...] = ()
    when: str | None = None
    item: tuple[Row, ...] = ()
    is_each: bool = False
    beside: str | None = None
    holds: tuple[Row, ...] = ()
    beyond_iod: bool = False


Rows = tuple[Row, ...]


def fixed(value: Any) -> Origin:
    return Origin(Source.FIXED, value)


def generated(name: str) -> Origin:
    return Origin(Source.GENERATED, name)


def configured(name: str) -> Origin:
    return Origin(Source.CONFIGURATION, name)


def mwl(*path: str, gather: Gather = Gather.FIRST) -> Origin:
    return Origin(Source.MWL, path, gather)


def user(name: str) -> Origin:
    return Origin(Source.USER, name)


def device(name: str) -> Origin:
    return Origin(Source.DEVICE, name)


@dataclass(frozen=True)
class Facts:
    """What the rows' origins look their values up in. `conditions` are the names that `when` may use.

    `entries` are the data sets of the worklist entries that were chosen, none for an unscheduled or unassigned object.
    """

    entries: tuple[Dataset, ...]
    generated: Mapping[str, Any]
    configuration: Mapping[str, Any]
    device: Mapping[str, Any]
    user: Mapping[str, Any]
    conditions: frozenset[str]


def dataset_from(rows: Rows, facts: Facts) -> Dataset:
    """Execute `rows`. ValueError when an attribute that must have a value has none: a defect, never sent silently."""
    dataset = Dataset()
    for row in rows:
        if row.when is not None and row.when not in facts.conditions:
            continue
        if row.beside is not None and _is_absent(dataset.get(row.beside)):
            continue
        value = _value_of(row, facts)
        if _is_absent(value):
            if row.presence is Presence.ANAP:
                continue
            if row.presence is Presence.ALWAYS:
                raise ValueError(f"{row.keyword} has no value from {[str(origin.source) for origin in row.origins]}")
            value = None
        _put(dataset, row.keyword, value)
    return dataset


def _value_of(row: Row, facts: Facts) -> Any:
    if row.item:
        each = [replace(facts, entries=(entry,)) for entry in facts.entries] if row.is_each else []
        items = [dataset_from(row.item, given) for given in each or [facts]]
        return Sequence([item for item in items if len(item)])
    for origin in row.origins:
        value = _look_up(origin, facts)
        if not _is_absent(value):
            return value
    return None


def _look_up(origin: Origin, facts: Facts) -> Any:
    match origin.source:
        case Source.FIXED:
            return list(origin.key) if isinstance(origin.key, tuple) else origin.key
        case Source.MWL:
            return _gathered_value([_scheduled_value(entry, origin.key) for entry in facts.entries], origin.gather)
        case Source.GENERATED:
            return facts.generated[origin.key]
        case Source.CONFIGURATION:
            return facts.configuration[origin.key]
        case Source.DEVICE:
            return facts.device[origin.key]
        case Source.USER:
            return facts.user[origin.key]


def _gathered_value(values: list[Any], gather: Gather) -> Any:
    there = [value for value in values if not _is_absent(value)]
    if not there:
        return None
    match gather:
        case Gather.FIRST:
            return there[0]
        case Gather.COMMON:
            return there[0] if len(there) == len(values) and all(one == there[0] for one in there) else None
        case Gather.ALL:
            once: list[Dataset] = []
            for item in (item for value in there for item in value):
                if item not in once:
                    once.append(item)
            return Sequence(once)


def _scheduled_value(scheduled: Dataset, path: tuple[str, ...]) -> Any:
    here = scheduled
    for keyword in path[:-1]:
        items = here.get(keyword)
        if not isinstance(items, Sequence) or not items:
            return None
        here = items[0]
    keyword = path[-1]
    if keyword not in here:
        return None
    element, expected = here[keyword], _vr_of(keyword)
    if expected == "SQ":
        return _filled_items(element) if element.VR == "SQ" else None
    if _is_absent(element.value):
        return None
    # A source in explicit VR may call a text a number: what cannot be written must not cost the frame.
    if expected != element.VR and not (element.VR in _PLAIN and expected in _PLAIN):
        _log.warning("the worklist's %s has VR %s instead of %s and is left out", keyword, element.VR, expected)
        return None
    if not _may_be_written(element.value, expected):
        _log.warning("the worklist's %s is no %s and is left out", keyword, expected)
        return None
    return element.value


def _filled_items(element: DataElement) -> Sequence:
    """A copy of the sequence without what is empty: some sources send all keys of a code that they do not have."""
    filled = Sequence()
    for item in element.value:
        copy = Dataset()
        for inner in item:
            value = _filled_items(inner) if inner.VR == "SQ" else deepcopy(inner.value)
            if not _is_absent(value) and _may_be_written(value, inner.VR):
                copy.add(DataElement(inner.tag, inner.VR, value))
        if len(copy):
            filled.append(copy)
    return filled


def _may_be_written(value: Any, vr: str) -> bool:
    """False where `vr` takes the default repertoire only (PS3.5 6.1.1; a UID digits and dots) and `value` has more."""
    if vr not in _DEFAULT_REPERTOIRE:
        return True
    texts = [str(one) for one in value] if isinstance(value, MultiValue | list) else [str(value)]
    return all(_UID.match(text) if vr == "UI" else text.isascii() for text in texts)


def _is_absent(value: Any) -> bool:
    if isinstance(value, Sequence):
        return len(value) == 0
    if isinstance(value, MultiValue | list | tuple):
        return all(_is_absent(one) for one in value)
    return value is None or value == ""


def _put(dataset: Dataset, keyword: str, value: Any) -> None:
    tag = Tag(keyword)
    dataset.add(DataElement(tag, _vr_of(keyword), value))


# Of what the dictionary gives a choice of: samples are unsigned, and a table may be longer than 64 KiB.
_CHOSEN_VRS = {"LUTDescriptor": "US", "LUTData": "OW"}


def _vr_of(keyword: str) -> str:
    # dictionary_VR raises KeyError for a misspelt keyword.
    return _CHOSEN_VRS.get(keyword) or dictionary_VR(Tag(keyword))
