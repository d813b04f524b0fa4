"""`appliance conformance statement`: prints it."""

from __future__ import annotations

from pathlib import Path

from appliance.base.paths import Paths
from appliance.config.load import load_configuration
from appliance.conformance.box import statement_of
from appliance.conformance.printing import Format, print_document
from appliance.conformance.template import document_from


def print_statement(configuration: Path | None, form: str) -> int:
    """Of the box's own configuration where none is given; 0. ApplianceError when it cannot be loaded."""
    statement = statement_of(load_configuration(configuration or Paths.from_environment().configuration))
    if form == "json":
        print(statement.model_dump_json(indent=2, exclude_defaults=True))
    else:
        print(print_document(document_from(statement), Format(form)), end="")
    return 0
