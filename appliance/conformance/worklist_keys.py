"""The keys of the worklist query (PS3.4 K.6), and what becomes of what is returned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from pydicom.datadict import keyword_for_tag

from appliance.config.schema import Configuration, WorklistSource
from appliance.conformance.statement import Attribute, Matching, Message, ObjectKind, WorklistKey
from appliance.dimse.worklist_query import MATCHING_KEYWORDS, RETURN_KEYS, STEP_RETURN_KEYS
from appliance.exam.item import SHOWN

_STEPS: Final = "ScheduledProcedureStepSequence"
_SHOWN: Final = frozenset(tuple(keyword_for_tag(tag) for tag in path) for path in SHOWN)


def worklist_keys(
    configuration: Configuration, kinds: Sequence[ObjectKind], messages: Sequence[Message]
) -> tuple[WorklistKey, ...]:
    """Every key that is sent, in the query's order; those of the scheduled step behind their sequence.

    `kinds` and `messages` are what is made under this configuration.
    """
    if not configuration.worklist:
        return ()
    paths = [(keyword,) for keyword in RETURN_KEYS] + [(_STEPS, keyword) for keyword in STEP_RETURN_KEYS]
    objects = _taken(one for kind in kinds for one in kind.attributes)
    steps = _taken(one for message in messages for one in message.attributes)
    return tuple(
        WorklistKey(
            path=path,
            matching=tuple(_matching(path, configuration)),
            broad_of=() if len(filling := _filling(path, configuration)) == len(configuration.worklist) else filling,
            is_shown=path in _SHOWN,
            is_copied_to_objects=path in objects,
            is_copied_to_steps=path in steps,
        )
        for path in paths
    )


def _matching(path: tuple[str, ...], configuration: Configuration) -> Iterator[Matching]:
    if _filling(path, configuration):
        yield Matching.BROAD
    if path[0] in MATCHING_KEYWORDS.values():
        yield Matching.PATIENT


def _filling(path: tuple[str, ...], configuration: Configuration) -> tuple[str, ...]:
    """The sources whose broad query has a value there."""
    values: dict[tuple[str, ...], Callable[[WorklistSource], object]] = {
        (_STEPS, "ScheduledProcedureStepStartDate"): lambda _source: True,
        (_STEPS, "Modality"): lambda source: source.modalities,
        (_STEPS, "ScheduledStationAETitle"): lambda source: source.scheduled_station_ae_title,
    }
    return tuple(one.name for one in configuration.worklist if path in values and values[path](one))


def _taken(attributes: Iterable[Attribute]) -> frozenset[tuple[str, ...]]:
    """The worklist's paths that attributes may be copies of."""
    return frozenset(path for one in attributes for path in one.worklist_paths)
