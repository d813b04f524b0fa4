"""Each row's presence must be what its type allows (PS3.5 7.4, PS3.2 N.8.1)."""

from __future__ import annotations

import itertools

import pytest

from appliance.compose.attributes import OBJECT
from appliance.compose.rows import Presence, Row, Rows
from appliance.compose.steps import CREATION, FINAL, PERFORMED_SERIES

ALLOWED = {
    "1": {Presence.ALWAYS},
    "1C": {Presence.ALWAYS, Presence.ANAP},
    "2": {Presence.ALWAYS, Presence.VNAP, Presence.EMPTY},
    "2C": {Presence.ALWAYS, Presence.VNAP, Presence.EMPTY},
    "3": {Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY},
}

# Type 1, and yet not in every object: present whenever the object has the module at all.
ONLY_WHEN = {"NumberOfFrames"}


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
