"""`appliance conformance integration`, `mds2` and `documents`: what else is told of the box beside its statement."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from appliance.base.durable import make_directory, replace_file
from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.base.paths import Paths
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.conformance.box import statement_of
from appliance.conformance.comparison import compare_box
from appliance.conformance.document import Document
from appliance.conformance.ihe import integration_document, integration_json, integration_statement_of
from appliance.conformance.mds2 import form_document, form_json, form_of
from appliance.conformance.printing import Format, print_document
from appliance.conformance.profile import OWN_PROFILES, PROFILES, own_profile
from appliance.conformance.report import report_from, report_json
from appliance.conformance.template import document_from


def print_integration(configuration: Path | None, form: str) -> int:
    """IHE's integration statement; 0. ApplianceError when the configuration cannot be loaded."""
    stated = integration_statement_of(_known(configuration), _today())
    return _print(integration_document(stated), integration_json(stated), form)


def print_mds2(configuration: Path | None, form: str) -> int:
    """The MDS2 answers; 0. Errors as above."""
    answers = form_of(_known(configuration))
    return _print(form_document(answers), form_json(answers), form)


def write_documents(directory: Path, configuration: Path | None) -> int:
    """Every paper of the box as HTML and JSON into `directory`; 0. Errors as above, and when it cannot be written."""
    try:
        make_directory(directory)
        for name, text in _papers(_known(configuration)):
            replace_file(directory / name, text.encode("utf-8"))
    except OSError as error:
        raise ApplianceError(f"{directory} cannot be written: {reason_of(error)}.") from error
    return 0


def _papers(configuration: Configuration) -> Iterator[tuple[str, str]]:
    statement = statement_of(configuration)
    yield "conformance-statement.html", print_document(document_from(statement), Format.HTML)
    yield "conformance-statement.json", statement.model_dump_json(indent=2, exclude_defaults=True)
    stated = integration_statement_of(configuration, _today())
    yield "integration-statement.html", print_document(integration_document(stated), Format.HTML)
    answers = form_of(configuration)
    yield "mds2.html", print_document(form_document(answers), Format.HTML)
    yield "mds2.json", _json(form_json(answers))
    for name in OWN_PROFILES:
        comparison = compare_box(own_profile(name), configuration)
        yield f"profile-{name}.html", print_document(report_from(comparison), Format.HTML)
        yield f"profile-{name}.json", _json(report_json(comparison))
    yield "profile-example.toml", (PROFILES / "example.toml").read_text(encoding="utf-8")


def _today() -> date:
    return datetime.now().astimezone().date()


def _known(configuration: Path | None) -> Configuration:
    return load_configuration(configuration or Paths.from_environment().configuration)


def _print(document: Document, facts: dict[str, Any], form: str) -> int:
    print(
        _json(facts) if form == "json" else print_document(document, Format(form)), end="\n" if form == "json" else ""
    )
    return 0


def _json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, indent=1, ensure_ascii=False)
