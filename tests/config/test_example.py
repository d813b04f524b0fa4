"""The commented example is the reference of every key, and a configuration that works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from appliance.config.devices import FilmDevice, GrabberDevice, SerialDevice
from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration

_README = Path(__file__).parents[2] / "README.md"
_LINES = EXAMPLE.read_text().splitlines()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The name of each section as one writes it, and its model."""
    for name, field in Configuration.model_fields.items():
        for model in _models_in(field.annotation):
            yield name, model


def _written_in(section: str, driver: str | None) -> set[str]:
    """The keys that the example has in its sections of that name (and driver), those in comments too."""
    keys: set[str] = set()
    for block in re.split(r"(?m)^(?=(?:# )?\[)", EXAMPLE.read_text()):
        if not re.match(rf"(?:# )?\[+{section}\]", block):
            continue
        if driver is None or f'driver = "{driver}"' in block:
            keys |= set(re.findall(r"(?m)^(?:# )?([a-z_]+) = ", block))
    return keys


def test_ok__the_example_loads() -> None:
    configuration = load_configuration(EXAMPLE)
    assert [type(device) for device in configuration.devices] == [SerialDevice, GrabberDevice, FilmDevice]
    assert configuration.worklist and configuration.destinations and configuration.performed_step


@pytest.mark.parametrize(("section", "model"), list(_sections()), ids=lambda one: getattr(one, "__name__", one))
def test_ok__the_example_names_every_key_and_no_other(section: str, model: type[BaseModel]) -> None:
    driver = None
    if "driver" in model.model_fields:
        (driver,) = get_args(model.model_fields["driver"].annotation)
    assert _written_in(section, driver) == set(model.model_fields)


def test_ok__what_stands_in_a_comment_has_a_default() -> None:
    """A key that is commented out must be one that may be left out."""
    commented = set()
    is_section_written = True
    for line in _LINES:
        if re.match(r"(?:# )?\[", line):
            is_section_written = line.startswith("[")  # a section that is left out may demand what it likes
        elif is_section_written and (match := re.match(r"# ([a-z_]+) = ", line)):
            commented.add(match[1])
    optional = {
        name for _, model in _sections() for name, field in model.model_fields.items() if not field.is_required()
    }
    assert commented <= optional


def test_ok__the_readmes_reference_is_the_example() -> None:
    blocks = re.findall(r"(?ms)^```toml\n(.*?)^```$", _README.read_text())
    assert EXAMPLE.read_text() in blocks, "copy appliance/config/example.toml into README.md, in a ```toml block"


def test_ok__every_line_of_the_example_is_at_most_as_wide_as_a_page() -> None:
    assert not [line for line in _LINES if len(line) > 120]
