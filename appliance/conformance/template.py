"""The DICOM conformance statement as a document: every section of the template, said or told why it does not apply."""

from __future__ import annotations

from datetime import date
from typing import Final

from appliance.conformance.annex_n import OUTLINE
from appliance.conformance.chapters import annexes, communication, front, services
from appliance.conformance.document import Document, Paragraph, Section
from appliance.conformance.statement import Statement

CHAPTERS: Final = {**front.SECTIONS, **services.SECTIONS, **communication.SECTIONS, **annexes.SECTIONS}


def document_from(statement: Statement, issued: date | None = None) -> Document:
    """The statement in the organization of PS3.2 Annex N, of the day `issued`."""
    product = statement.product
    return Document(
        title="DICOM Conformance Statement",
        cover=(
            ("Product", product.name),
            ("Version", product.version),
            ("Manufacturer", product.manufacturer),
            *((("Date", issued.isoformat()),) if issued else ()),
        ),
        sections=tuple(_section(number, title, reason, statement) for number, title, reason in OUTLINE),
    )


def _section(number: str, title: str, reason: str, statement: Statement) -> Section:
    said = CHAPTERS[number](statement) if number in CHAPTERS else reason
    if isinstance(said, str):
        return Section(number, f"{title} - N/A", (Paragraph(f"N/A. {said}"),))
    return Section(number, title, said)
