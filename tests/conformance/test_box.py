"""The statement of the box: that it is what the box makes, and that every key and row that matters changes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.base.pins import kept_pin_from
from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.conformance.annex_n import OUTLINE
from appliance.conformance.box import statement_of
from appliance.conformance.printing import Format, print_document
from appliance.conformance.statement import Role, Statement, UnreadableStatement, read_statement
from appliance.conformance.template import CHAPTERS, document_from


@pytest.fixture(scope="module")
def example() -> Configuration:
    return load_configuration(EXAMPLE)


@pytest.fixture(scope="module")
def statement(example: Configuration) -> Statement:
    return statement_of(example)


def changed(configuration: Configuration, path: str, value: Any) -> Configuration:
    """The configuration with one key changed; a number in the path is a place in a list."""
    tree = configuration.model_dump(mode="json", exclude_unset=True)
    here: Any = tree
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in above:
        here = here[part] if isinstance(part, int) else here.setdefault(part, {})
    here[last] = value
    return Configuration.model_validate_json(json.dumps(tree))


def test_ok__it_is_read_back_from_its_json(statement: Statement, tmp_path: Path) -> None:
    file = tmp_path / "statement.json"
    file.write_text(statement.model_dump_json(exclude_defaults=True))
    assert read_statement(file) == statement


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no conformance statement"),
        ('{"product": {"name": "x", "version": "1", "manufacturer": "y"}, "colour": 1}', "colour: Extra inputs"),
        ('{"product": {"name": "x"}}', "product.version: Field required"),
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
