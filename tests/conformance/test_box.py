"""The statement of the box: that it is what the box makes, and that every key and row that matters changes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.base.pins import kept_pin_from
from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.conformance.annex_n import OUTLINE
from appliance.conformance.box import statement_of
from appliance.conformance.printing import Format, print_document
from appliance.conformance.statement import Parameter, Role, Statement, UnreadableStatement, read_statement
from appliance.conformance.template import CHAPTERS, document_from
from tests.conformance.golden import changed


@pytest.fixture(scope="module")
def example() -> Configuration:
    return load_configuration(EXAMPLE)


@pytest.fixture(scope="module")
def statement(example: Configuration) -> Statement:
    return statement_of(example)


def test_ok__it_is_read_back_from_its_json(statement: Statement, tmp_path: Path) -> None:
    file = tmp_path / "statement.json"
    file.write_text(statement.model_dump_json(exclude_defaults=True))
    assert read_statement(file) == statement


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no conformance statement in this form: Input should be"),
        ('{"product": {"name": "x", "version": "1", "manufacturer": "y"}, "colour": 1}', "colour: Extra inputs"),
        ('{"product": {"name": "x"}}', "product.version: Field required"),
        (
            '{"product": {"name": "x", "version": "1", "manufacturer": "y"}, "connections": [{"name": "a", '
            '"role": "destination", "is_encrypted": false, "simultaneous": 1, "deadlines": {"answer_seconds": NaN}}]}',
            "answer_seconds: Input should be a finite number",
        ),
    ],
)
def test_fail__what_is_no_statement_is_refused_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "statement.json"
    file.write_text(text)
    with pytest.raises(UnreadableStatement, match=said.replace("[", r"\[")):
        read_statement(file)


def test_ok__an_empty_configuration_states_what_is_left() -> None:
    bare = statement_of(Configuration())
    assert [(one.name, one.role) for one in bare.services] == [("Verification", Role.SCP)]
    assert (bare.objects, bare.messages, bare.worklist_keys, bare.commitment) == ((), (), (), ())
    # An entry's own set needs an entry.
    assert (bare.character_sets.read, bare.character_sets.written) == ((), ("ISO_IR 192",))
    assert not bare.end_of_study.is_notified
    document = document_from(bare)
    assert [one.number for one in document.sections] == [number for number, _, _ in OUTLINE]
    for form in Format:
        assert print_document(document, form)


def test_ok__every_section_says_something_or_why_not(statement: Statement) -> None:
    numbers = [number for number, _, _ in OUTLINE]
    assert len(set(numbers)) == len(numbers)
    for number, _title, reason in OUTLINE:
        assert (number in CHAPTERS) != bool(reason), number
    assert CHAPTERS.keys() <= set(numbers)
    for section in document_from(statement).sections:
        assert section.blocks, section.heading


# A key, another value of it, and what must be different in the statement then.
KEYS: list[tuple[str, Any, str]] = [
    ("box.ae_title", "OTHER", "messages"),
    ("box.institution", "", "objects"),
    ("box.name", "other", "objects"),
    ("listener.port", 11120, "connections"),
    ("worklist.0.modalities", ["US"], "worklist_keys"),
    ("worklist.0.scheduled_station_ae_title", "US1", "worklist_keys"),
    ("worklist.0.answer_seconds", 7, "connections"),
    ("destinations.0.transfer_syntaxes", ["explicit-little-endian"], "services"),
    ("destinations.0.commitment", False, "commitment"),
    ("destinations.0.verify_by_find", True, "services"),
    ("destinations.0.commitment_seconds", 77, "commitment"),
    ("destinations.0.concurrency", 3, "connections"),
    ("retention.committed_days", 3, "retention"),
    ("devices.0.modality", "OT", "objects"),
    ("devices.0.manufacturer", "", "objects"),
    ("devices.0.series_description", "", "objects"),
    ("devices.0.burned_in_annotation", "NO", "objects"),
    ("devices", [], "services"),
    ("worklist", [], "objects"),
    ("performed_step", None, "end_of_study"),
]
# What no part of the statement but its list of parameters (section 6) says, since nothing of it is seen by a peer or in
# an object, or no more than how an ID begins. Whatever else is configured changes another part too.
UNSEEN = re.compile(
    r"(network|firewall|time|logs|metrics)\.|box\.reserve_bytes|retention\.facts_days|panel\.|unscheduled\.id_prefix|listener\.host"
    r"|(worklist\[\d\]|performed_step|audit)\.(ae_title|host|port|tls_name|tls_pin)"
    r"|destinations\[\d\]\.(ae_title|port|tls_name|tls_pin)"
    r"|worklist\[\d\]\.(days_back|days_ahead|character_set|max_items)"
    r"|destinations\[\d\]\.(commitment_rounds|report_ae_titles|report_tls_pins)"
    r"|devices\[\d\]\.(?!name|modality|manufacturer|model|serial_number|station_name|series_description|protocol_name"
    r"|conversion_type|burned_in_annotation|depth|photometric|compression|density_steps|driver)"
)


# Values of devices' keys that have a form of their own.
SHAPED: dict[str, list[Any]] = {
    "triggers": [[{"kind": "gpio", "pin": 17, "action": action}] for action in ("still", "film")],
    "size": [[640, 480]],
    "crop": [[0, 0, 320, 240]],
    "masks": [[[0, 0, 16, 16]]],
    "controls": [{"brightness": 7}],
    "options": [{"contrast": "7"}],
    "density_steps": [[[0, 3.0], [30000, 1.5], [65000, 0.1]]],
    "depth": [8],
}


def other_value(parameter: Parameter) -> Iterator[Any]:
    """What the key might be instead; the first that the configuration accepts is tried."""
    value, choices = parameter.value, parameter.range.split(" | ") if " | " in parameter.range else []
    yield from (one for one in choices if one != str(value))
    if parameter.key.startswith("devices") and parameter.key.endswith(tuple(SHAPED)):
        yield from SHAPED[parameter.key.rpartition(".")[2]]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1, value / 2)
    elif isinstance(value, list):
        yield from ([], ["OTHER"], ["US"], ["192.0.2.0/24"], value[:1], value[:-1], [[0, 4.0], [65000, 0.0]])
    elif isinstance(value, str) or value is None:
        yield from ("OTHER", "other", "", "de", 11113, "ISO_IR 192", "1.2.3.4", "21:00-06:00")


def test_ok__every_key_changes_the_statement(example: Configuration, statement: Statement) -> None:
    """Each value that the statement lists is the configuration's: changed, the statement is another; and what of it a
    peer or an object sees changes another part than the list, too.
    """
    untried, unseen = [], []
    absent = {one.key for one in statement.parameters if "." not in one.key and one.value is None}
    for parameter in statement.parameters:
        if "." not in parameter.key or parameter.key.split(".")[0] in absent:
            continue  # a table that is not there: its keys are tried where it is
        path = parameter.key.replace("[", ".").replace("]", "")
        for value in other_value(parameter):
            try:
                other = statement_of(changed(example, path, value))
            except (ValidationError, KeyError, IndexError):
                continue
            if other.parameters != statement.parameters:
                break
        else:
            untried.append(parameter.key)
            continue
        is_seen = other.model_copy(update={"parameters": statement.parameters}) != statement
        if is_seen == bool(UNSEEN.match(parameter.key)):
            unseen.append(parameter.key)
    assert untried == TIED
    assert unseen == []


# Keys that have no other value by themselves: TLS hangs together (test_papers changes all of it at once), a driver is
# what a device is, deinterlacing needs a video node, and what a serial line or a film gives is converted in one way.
PEERS = ("worklist[0]", "performed_step", "destinations[0]")
TIED = [
    "listener.tls_port",
    *(
        f"{peer}.{key}"
        for peer in ("worklist[0]", "performed_step", "destinations[0]")
        for key in ("tls", "tls_name", "tls_pin")
    ),
    *("destinations[0].report_tls_pins", "devices[0].driver", "devices[0].conversion_type", "devices[1].driver"),
    *("devices[1].deinterlace", "devices[2].driver", "devices[2].conversion_type"),
]


@pytest.mark.parametrize(("key", "value", "part"), KEYS)
def test_ok__a_key_that_matters_changes_it(
    key: str, value: Any, part: str, example: Configuration, statement: Statement
) -> None:
    other = changed(example, key, value)
    if other == example:
        pytest.fail(f"{key} has this value already")
    assert getattr(statement_of(other), part) != getattr(statement, part)


def test_ok__nobody_who_works_there_stands_in_it(example: Configuration) -> None:
    pin = kept_pin_from("4711")
    operators = [{"name": "Doe^Jane", "pin": pin}]
    said = statement_of(changed(example, "operators", operators)).model_dump_json()
    assert pin not in said and "Doe" not in said


def test_ok__nobody_of_support_stands_in_it(example: Configuration) -> None:
    """Neither with his name nor with his key."""
    assert "support_keys" in type(example).model_fields
    stated = {one.key.partition(".")[0].partition("[")[0] for one in statement_of(example).parameters}
    assert not {"support_keys", "operators"} & stated
