"""Every row of the tables that the box runs is in the statement: without it, or changed, the statement is another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from appliance.base.pins import kept_pin_from
from appliance.compose.attributes import OBJECT
from appliance.compose.charset import CHARACTER_SET
from appliance.compose.document import DOCUMENT, ENCAPSULATED
from appliance.compose.note import NOTE
from appliance.compose.pixels import PIXEL_DATA
from appliance.compose.rows import Origin, Presence, Row, Rows, Source
from appliance.compose.steps import CREATION, FINAL
from appliance.config.devices import Device
from appliance.config.schema import (
    Configuration,
    Destination,
    Operator,
    PerformedStepManager,
    TestPatient,
    WorklistSource,
)
from appliance.conformance import objects, services, statuses, worklist_keys
from appliance.conformance.objects import kinds_for_test, messages_of, object_kinds
from appliance.conformance.services import services_of
from appliance.dimse.status import (
    ACTION_STATUS,
    COMMITMENT_FAILURE,
    CREATE_STATUS,
    FIND_STATUS,
    SET_STATUS,
    STORE_STATUS,
)
from appliance.dimse.worklist_query import RETURN_KEYS, STEP_RETURN_KEYS
from tests.compose.world import BOX
from tests.conformance.test_objects_as_stated import DEVICES, TEXT

NAMED = dict.fromkeys(("manufacturer", "model", "serial_number", "station_name", "series_description"), "named")
CONFIGURATION = Configuration(
    box=BOX.model_copy(update={"corrections": True}),
    # What is configured as nothing is stated by nobody.
    devices=tuple(one.model_copy(update=NAMED) for one in DEVICES),
    worklist=(WorklistSource(name="ris", ae_title="RIS", host="ris", port=104),),
    performed_step=PerformedStepManager(ae_title="RIS", host="ris", port=104),
    destinations=(Destination(name="archive", ae_title="PACS", host="pacs", port=104),),
    test_patient=TestPatient(patient_id="T"),
    operators=(Operator(name="Doe^Jane", pin=kept_pin_from("4711")),),
)


def variants_of(row: Row) -> Iterator[tuple[str, Row | None]]:
    """The row without itself, and with each part of it otherwise."""
    yield "gone", None
    yield "type", replace(row, type="3" if row.type != "3" else "1")
    for number, origin in enumerate(row.origins):
        others = [one for place, one in enumerate(row.origins) if place != number]
        yield f"without {origin.source}", replace(row, origins=tuple(others))
        if origin.source is Source.FIXED:
            another = origin.key + 1 if isinstance(origin.key, int) else "something else"
            changed = Origin(Source.FIXED, another, origin.gather)
            yield "other value", replace(row, origins=(*row.origins[:number], changed, *row.origins[number + 1 :]))
    if row.when is not None:
        yield "when", replace(row, when="discontinued" if row.when != "discontinued" else "color")


def places_of(rows: Rows, rebuild: Callable[[Rows], Rows]) -> Iterator[tuple[Row, Callable[[Row | None], Rows]]]:
    """Each row, nested ones too, and what gives the whole table with it replaced or gone."""
    for number, row in enumerate(rows):

        def put(other: Row | None, number: int = number) -> Rows:
            return rebuild((*rows[:number], *((other,) if other else ()), *rows[number + 1 :]))

        yield row, put
        for part in ("item", "holds"):

            def put_into(inner: Rows, row: Row = row, part: str = part, put: Any = put) -> Rows:
                return put(replace(row, **{part: inner}))  # type: ignore[no-any-return]

            yield from places_of(getattr(row, part), put_into)


def of_devices(*devices: Device) -> Configuration:
    return CONFIGURATION.model_copy(update={"devices": devices})


# One device after the other, since the first one's objects show nearly all; at last what is of the test patient.
DEVICE_BY_DEVICE = [
    *(partial(object_kinds, of_devices(one)) for one in CONFIGURATION.devices),
    partial(kinds_for_test, of_devices()),
]


@pytest.mark.parametrize(
    ("name", "table", "states"),
    [
        ("OBJECT", OBJECT, DEVICE_BY_DEVICE),
        (
            "DOCUMENT",
            DOCUMENT,
            [partial(object_kinds, of_devices(*(one for one in CONFIGURATION.devices if one.name == TEXT.name)))],
        ),
        ("NOTE", NOTE, [partial(object_kinds, of_devices())]),
        ("CHARACTER_SET", CHARACTER_SET, DEVICE_BY_DEVICE),
        ("PIXEL_DATA", PIXEL_DATA, DEVICE_BY_DEVICE),
        (
            "ENCAPSULATED",
            ENCAPSULATED,
            [partial(object_kinds, of_devices(*(one for one in CONFIGURATION.devices if one.name == TEXT.name)))],
        ),
        ("CREATION", CREATION, [partial(messages_of, CONFIGURATION)]),
        ("FINAL", FINAL, [partial(messages_of, CONFIGURATION)]),
    ],
)
def test_ok__every_row_of_the_attribute_tables(
    name: str, table: Rows, states: Sequence[Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = [state() for state in states]
    unseen = []
    for row, put in places_of(table, lambda rows: rows):
        for what, other in variants_of(row):
            monkeypatch.setattr(objects, name, put(other))
            if all(state() == known for state, known in zip(states, right, strict=True)):
                unseen.append((row.keyword, row.when, what))
    assert unseen == []


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("STORE_STATUS", STORE_STATUS),
        ("ACTION_STATUS", ACTION_STATUS),
        ("COMMITMENT_FAILURE", COMMITMENT_FAILURE),
        ("CREATE_STATUS", CREATE_STATUS),
        ("SET_STATUS", SET_STATUS),
        ("FIND_STATUS", FIND_STATUS),
    ],
)
def test_ok__every_status(name: str, table: Sequence[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    right = services_of(CONFIGURATION)
    verdicts = list(dict.fromkeys(verdict for _, verdict, _ in table))
    for number, (codes, verdict, words) in enumerate(table):
        other = next(one for one in verdicts if one is not verdict)
        for changed in (
            (),
            (((codes[0] + 1, codes[1] + 1), verdict, words),),
            ((codes, other, words),),
            ((codes, verdict, f"not {words}"),),
        ):
            monkeypatch.setattr(statuses, name, (*table[:number], *changed, *table[number + 1 :]))
            assert services_of(CONFIGURATION) != right, (name, codes, changed)


@pytest.mark.parametrize(("name", "table"), [("RETURN_KEYS", RETURN_KEYS), ("STEP_RETURN_KEYS", STEP_RETURN_KEYS)])
def test_ok__every_key_of_the_query(name: str, table: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    made = (object_kinds(CONFIGURATION), messages_of(CONFIGURATION))
    right = worklist_keys.worklist_keys(CONFIGURATION, *made)
    for number in range(len(table)):
        monkeypatch.setattr(worklist_keys, name, (*table[:number], *table[number + 1 :]))
        assert worklist_keys.worklist_keys(CONFIGURATION, *made) != right, table[number]


@pytest.mark.parametrize(
    "name",
    ["VERIFICATION_CONTEXT", "WORKLIST_CONTEXT", "STEP_CONTEXT", "COMMITMENT_CONTEXT", "LISTENER_CONTEXTS"],
)
def test_ok__every_context(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = services_of(CONFIGURATION)
    known = getattr(services, name)
    first = known[0] if isinstance(known, tuple) else known
    other = replace(first, transfer_syntaxes=first.transfer_syntaxes[:1])
    monkeypatch.setattr(services, name, (other, *known[1:]) if isinstance(known, tuple) else other)
    if name == "LISTENER_CONTEXTS":
        # What is verified is found by being the same as what the box itself proposes.
        with pytest.raises(IndexError):
            services_of(CONFIGURATION)
        return
    if name == "VERIFICATION_CONTEXT":
        monkeypatch.setattr(services, "LISTENER_CONTEXTS", (other,))
    assert services_of(CONFIGURATION) != right


def test_ok__presence_is_what_a_row_says_where_nothing_is_configured() -> None:
    assert {Presence.ALWAYS, Presence.VNAP, Presence.ANAP, Presence.EMPTY} == {
        one.presence for kind in object_kinds(CONFIGURATION) for one in kind.attributes
    }
