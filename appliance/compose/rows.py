"""What a row of the attribute table is, and how a data set is made from rows.

The tables are data (attributes.py, steps.py); this is the only code that executes them. Presence and source carry the
words of PS3.2 Annex N, so that a conformance statement can be generated from the very rows that ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag


class Presence(StrEnum):
    """PS3.2 N.8.1: whether an attribute is there, and whether it has a value."""

    ALWAYS = "ALWAYS"  # always there with a value
    VNAP = "VNAP"  # always there, value not always present
    ANAP = "ANAP"  # attribute not always present
    EMPTY = "EMPTY"  # always there, never with a value


class Source(StrEnum):
    """PS3.2 N.8.1: where a value comes from. No attribute is invented: each has one of these."""

    FIXED = "FIXED"
    GENERATED = "GENERATED"
    CONFIGURATION = "CONFIGURATION"
    MWL = "MWL"
    USER = "USER"
    DEVICE = "DEVICE"


@dataclass(frozen=True, slots=True)
class Origin:
    """One place to take a value from: for MWL a path of keywords, for FIXED the value itself, else a fact's name."""

    source: Source
    key: Any


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute: the first origin that has a value gives it. `when` names a condition of this object.

    `item` makes it a sequence of exactly one item, composed from these rows.
    """

    keyword: str
    presence: Presence
    origins: tuple[Origin, ...] = ()
    when: str | None = None
    item: tuple[Row, ...] = ()


Rows = tuple[Row, ...]


def fixed(value: Any) -> Origin:
    return Origin(Source.FIXED, value)


def generated(name: str) -> Origin:
    return Origin(Source.GENERATED, name)


def configured(name: str) -> Origin:
    return Origin(Source.CONFIGURATION, name)


def mwl(*path: str) -> Origin:
    return Origin(Source.MWL, path)


def user(name: str) -> Origin:
    return Origin(Source.USER, name)


def device(name: str) -> Origin:
    return Origin(Source.DEVICE, name)


@dataclass(frozen=True)
class Facts:
    """What the rows' origins look their values up in. `conditions` are the names that `when` may use.

    `scheduled` is the worklist item's data set, empty for an unscheduled or unassigned object.
    """

    scheduled: Dataset
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
        item = dataset_from(row.item, facts)
        return Sequence([item]) if len(item) else None
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
            return _scheduled_value(facts.scheduled, origin.key)
        case Source.GENERATED:
            return facts.generated[origin.key]
        case Source.CONFIGURATION:
            return facts.configuration[origin.key]
        case Source.DEVICE:
            return facts.device[origin.key]
        case Source.USER:
            return facts.user[origin.key]


def _scheduled_value(scheduled: Dataset, path: tuple[str, ...]) -> Any:
    here = scheduled
    for keyword in path[:-1]:
        items = here.get(keyword)
        if not items:
            return None
        here = items[0]
    value = here.get(path[-1])
    return deepcopy(value) if isinstance(value, Sequence) else value


def _is_absent(value: Any) -> bool:
    if isinstance(value, Sequence | list | tuple):
        return len(value) == 0
    return value is None or value == ""


def _put(dataset: Dataset, keyword: str, value: Any) -> None:
    tag = Tag(keyword)
    dataset.add(DataElement(tag, _vr_of(keyword), value))


def _vr_of(keyword: str) -> str:
    # "US or SS" and the like never occur among our rows; dictionary_VR raises KeyError for a misspelt keyword.
    return dictionary_VR(Tag(keyword))
