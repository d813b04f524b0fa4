"""A comparison for people and programs: what a purchasing department files."""

from __future__ import annotations

from datetime import date
from typing import Any

from appliance.conformance.comparison import Comparison, Finding, Verdict
from appliance.conformance.document import Block, Document, Paragraph, Section, table
from appliance.conformance.profile import Strength

_TITLES = {
    Strength.SHALL: "What the interface shall do",
    Strength.SHOULD: "What the interface should do",
    Strength.MAY: "What the interface may do",
}


def report_from(comparison: Comparison, issued: date | None = None) -> Document:
    """The whole report as a document of the day `issued`."""
    product, profile = comparison.statement.product, comparison.profile
    return Document(
        title=f"{profile.title}: {product.name} {product.version}",
        cover=(
            ("Profile", profile.title),
            ("Purchaser", profile.purchaser),
            ("Product", f"{product.name} {product.version}, {product.manufacturer}"),
            *((("Date", issued.isoformat()),) if issued else ()),
            ("Result", conclusion_of(comparison)),
        ),
        sections=(Section("1", "Result", _summary(comparison)), *_chapters(comparison)),
    )


def conclusion_of(comparison: Comparison) -> str:
    """One sentence."""
    match comparison.status:
        case 0:
            return "Every requirement that shall be met is met."
        case 3:
            return "No requirement that shall be met is unmet; some a person must look at."
        case _:
            return "Not every requirement that shall be met is met."


def _summary(comparison: Comparison) -> tuple[Block, ...]:
    return (
        Paragraph(conclusion_of(comparison)),
        table(
            "Requirements by strength and verdict",
            ("Strength", *Verdict),
            ((strength, *(comparison.count(strength, verdict) for verdict in Verdict)) for strength in Strength),
        ),
    )


def _chapters(comparison: Comparison) -> tuple[Section, ...]:
    chapters: list[Section] = []
    for strength in Strength:
        findings = [one for one in comparison.findings if one.requirement.strength is strength]
        if findings:
            chapters.append(Section(str(len(chapters) + 2), _TITLES[strength], (_table_of(findings),)))
    return tuple(chapters)


def _table_of(findings: list[Finding]) -> Block:
    return table(
        "Requirements",
        ("Id", "Requirement", "Verdict", "Evidence", "Source"),
        (
            (one.requirement.id, one.requirement.text, one.verdict, "\n".join(_evidence(one)), one.requirement.source)
            for one in findings
        ),
    )


def _evidence(finding: Finding) -> list[str]:
    configure = [f"Configure {'; '.join(finding.keys)}."] if finding.keys else []
    return [*finding.evidence, *configure, *(f"Just now: {one}" for one in finding.live)]


def report_json(comparison: Comparison) -> dict[str, Any]:
    """The same for programs."""
    product, profile = comparison.statement.product, comparison.profile
    return {
        "profile": {"title": profile.title, "purchaser": profile.purchaser},
        "product": product.model_dump(),
        "status": comparison.status,
        "conclusion": conclusion_of(comparison),
        "requirements": [
            {
                "id": one.requirement.id,
                "strength": one.requirement.strength,
                "text": one.requirement.text,
                "source": one.requirement.source,
                "verdict": one.verdict,
                "evidence": list(one.evidence),
                "configure": list(one.keys),
                "live": list(one.live),
            }
            for one in comparison.findings
        ],
    }


def report_lines(comparison: Comparison) -> list[str]:
    """For a terminal: each requirement, what is wrong with it below, and the conclusion."""
    lines = [f"{comparison.profile.title}, held against {comparison.statement.product.name}", ""]
    for one in comparison.findings:
        lines.append(f"{one.requirement.id} ({one.requirement.strength}): {one.verdict}")
        lines.append(f"    {one.requirement.text}")
        if one.verdict is not Verdict.MET or one.live:
            lines += [f"    - {said}" for said in _evidence(one)]
    return [*lines, "", conclusion_of(comparison)]
