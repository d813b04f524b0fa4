"""Each row's presence must be what its type allows (PS3.5 7.4, PS3.2 N.8.1)."""

from __future__ import annotations

import itertools

import pytest
from pydicom.datadict import dictionary_VR

from appliance.compose.attributes import OBJECT
from appliance.compose.rows import Gather, Presence, Row, Rows
from appliance.compose.steps import CREATION, FINAL, PERFORMED_SERIES

ALLOWED = {
    "1": {Presence.ALWAYS},
    "1C": {Presence.ALWAYS, Presence.ANAP},
    "2": {Presence.ALWAYS, Presence.VNAP, Presence.EMPTY},
    "2C": {Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY},
    "3": {Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY},
}

# Type 1 under a condition: the multi-frame modules', in the objects that have them (Burned In Annotation is type 3 in
# all others, PS3.3 C.7.6.1 and C.8.6.3); the study's UID, of which one of two conditions always holds.
ONLY_WHEN = {"BurnedInAnnotation", "NumberOfFrames", "StudyInstanceUID"}


def every_row(rows: Rows) -> list[Row]:
    return list(itertools.chain.from_iterable([row, *every_row(row.item)] for row in rows))


ROWS = every_row((*OBJECT, *CREATION, *FINAL, *PERFORMED_SERIES))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.keyword)
def test_ok__presence_is_what_the_type_allows(row: Row) -> None:
    assert row.presence in ALLOWED[row.type]
    if row.type == "1" and row.when is not None:
        assert row.keyword in ONLY_WHEN


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.keyword)
def test_ok__a_row_that_can_have_a_value_says_where_from(row: Row) -> None:
    assert (row.presence is Presence.EMPTY) == (not row.origins and not row.item)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.keyword)
def test_ok__only_sequences_have_items(row: Row) -> None:
    is_sequence = dictionary_VR(row.keyword) == "SQ"
    assert is_sequence or not row.item
    assert row.item or not row.is_each
    assert is_sequence or all(origin.gather is not Gather.ALL for origin in row.origins)


@pytest.mark.parametrize("rows", [OBJECT, CREATION, *(row.item for row in ROWS if row.item)])
def test_ok__what_stands_beside_another_stands_behind_it(rows: Rows) -> None:
    for number, row in enumerate(rows):
        assert row.beside is None or row.beside in {before.keyword for before in rows[:number]}
