"""Every paper of the box with one configuration: what is written into a directory, and shown on the panel."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from appliance.config.schema import Configuration
from appliance.conformance.box import statement_of
from appliance.conformance.comparison import Comparison, compare_box
from appliance.conformance.document import Document
from appliance.conformance.ihe import IntegrationStatement, integration_document, integration_json
from appliance.conformance.ihe import integration_statement_of as integration_of
from appliance.conformance.mds2 import Form, form_document, form_json, form_of
from appliance.conformance.profile import OWN_PROFILES, own_profile
from appliance.conformance.report import report_from, report_json
from appliance.conformance.statement import Statement
from appliance.conformance.template import document_from

Facts = Statement | IntegrationStatement | Form | Comparison


@dataclass(frozen=True, slots=True)
class Paper:
    """One of them, by its name as a file without ending. `look` makes what it says, which takes a moment."""

    name: str
    title: str
    look: Callable[[], Facts]


def papers_of(configuration: Configuration, issued: date) -> tuple[Paper, ...]:
    """All of them: the statements, the form, and the reports on the product's own profiles."""
    reports = [
        Paper(f"profile-{name}", f"Held against: {own_profile(name).title}", partial(_compared, name, configuration))
        for name in OWN_PROFILES
    ]
    return (
        Paper("conformance-statement", "DICOM Conformance Statement", partial(statement_of, configuration)),
        Paper("integration-statement", "IHE Integration Statement", partial(integration_of, configuration, issued)),
        Paper("mds2", "MDS2 (ANSI/NEMA HN 1-2019)", partial(form_of, configuration)),
        *reports,
    )


def paper_document(facts: Facts, issued: date) -> Document:
    """For people, of the day `issued`."""
    match facts:
        case Statement():
            return document_from(facts, issued)
        case IntegrationStatement():
            return integration_document(facts)
        case Form():
            return form_document(facts, issued)
        case Comparison():
            return report_from(facts, issued)


def paper_json(facts: Facts) -> str:
    """For programs."""
    told: dict[str, Any]
    match facts:
        case Statement():
            # Its form's name is a default, too, but what tells a reader which form it is.
            form = {"format": facts.format}
            return json.dumps(
                {**form, **facts.model_dump(mode="json", exclude_defaults=True)}, indent=2, ensure_ascii=False
            )
        case IntegrationStatement():
            told = integration_json(facts)
        case Form():
            told = form_json(facts)
        case Comparison():
            told = report_json(facts)
    return json.dumps(told, indent=1, ensure_ascii=False)


def _compared(name: str, configuration: Configuration) -> Comparison:
    return compare_box(own_profile(name), configuration)
