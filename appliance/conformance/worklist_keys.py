"""The keys of the worklist query (PS3.4 K.6), and what becomes of what is returned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.datadict import keyword_for_tag

from appliance.compose.attributes import OBJECT
from appliance.compose.charset import CHARACTER_SET
from appliance.compose.rows import Rows, Source
from appliance.compose.steps import CREATION, FINAL
from appliance.config.schema import Configuration
from appliance.conformance.statement import Matching, WorklistKey
from appliance.dimse.worklist_query import MATCHING_KEYWORDS, RETURN_KEYS, STEP_RETURN_KEYS
from appliance.exam.item import SHOWN

_STEPS: Final = "ScheduledProcedureStepSequence"
_SHOWN: Final = frozenset(tuple(keyword_for_tag(tag) for tag in path) for path in SHOWN)


def worklist_keys(configuration: Configuration) -> tuple[WorklistKey, ...]:
    """Every key that is sent, in the query's order; those of the scheduled step behind their sequence."""
    if not configuration.worklist:
        return ()
    paths = [(keyword,) for keyword in RETURN_KEYS] + [(_STEPS, keyword) for keyword in STEP_RETURN_KEYS]
    objects, steps = frozenset(_taken((*CHARACTER_SET, *OBJECT))), frozenset(_taken((*CREATION, *FINAL)))
    return tuple(
        WorklistKey(
            path=path,
            matching=tuple(_matching(path, configuration)),
            is_shown=path in _SHOWN,
            is_copied_to_objects=path in objects,
            is_copied_to_steps=path in steps,
        )
        for path in paths
    )


def _matching(path: tuple[str, ...], configuration: Configuration) -> Iterator[Matching]:
    sources = configuration.worklist
    is_broad: dict[tuple[str, ...], bool] = {
        (_STEPS, "ScheduledProcedureStepStartDate"): True,
        (_STEPS, "Modality"): any(one.modalities for one in sources),
        (_STEPS, "ScheduledStationAETitle"): any(one.scheduled_station_ae_title for one in sources),
    }
    if is_broad.get(path, False):
        yield Matching.BROAD
    if path[0] in MATCHING_KEYWORDS.values():
        yield Matching.PATIENT


def _taken(rows: Rows) -> Iterator[tuple[str, ...]]:
    """The worklist's paths that rows take values from."""
    for row in rows:
        for origin in row.origins:
            if origin.source is Source.MWL:
                yield origin.key
        yield from _taken((*row.item, *row.holds))
