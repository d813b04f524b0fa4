"""The IHE integration statement: which profiles, actors and options this configuration may be said to implement.

In the form of the shared appendix F of IHE's General Introduction. A claim is no sentence of ours: an actor is claimed
when every *shall* of its profile file is met by the statement, an option when its own requirements are. What a person
must confirm is named beside the claim; what is not claimed stands behind, with what is lacking.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from appliance.config.schema import Configuration
from appliance.conformance.box import statement_of
from appliance.conformance.comparison import Comparison, Finding, Verdict, compare_statement
from appliance.conformance.document import Document, Paragraph, Section, table
from appliance.conformance.needs import SecurityNeed
from appliance.conformance.profile import Profile, Requirement, Strength, own_profile
from appliance.conformance.statement import Product, Statement

_SENTENCE: Final = (
    "This product implements all transactions required in the IHE Technical Framework to support the IHE Integration "
    "Profiles, Actors and Options listed below."
)
_FILLED: Final = "(to be filled in by whoever places the product on the market)"


@dataclass(frozen=True, slots=True)
class Actor:
    """An actor of a profile; `requirements` is the name of the product's own file, `options` are its requirements."""

    profile: str
    name: str
    requirements: str
    options: tuple[tuple[str, str], ...]


ACTORS: Final = (
    Actor(
        "Scheduled Workflow (SWF.b)",
        "Acquisition Modality",
        "ihe-swf-acquisition-modality",
        (
            ("Patient Based Worklist Query", "SWF-RAD-5-PATIENT"),
            ("Broad Worklist Query", "SWF-RAD-5-BROAD"),
            ("PPS Exception Management", "SWF-RAD-7-EXCEPTION"),
            ("Modality Group Case", "SWF-GROUP"),
        ),
    ),
    Actor(
        "Import Reconciliation Workflow (IRWF.b)",
        "Importer",
        "ihe-irwf-importer",
        (("Scheduled Import", "IRWF-RAD-5"), ("PPS Exception Management", "IRWF-RAD-60")),
    ),
)
_AUDITED: Final = "Audit Trail and Node Authentication (ATNA)"
_CONSISTENT_TIME: Final = "SWF-CT"


@dataclass(frozen=True, slots=True)
class Claim:
    """One actor. `lacking` says what is not met, empty where it is claimed; `to_confirm` what a person must look at."""

    profile: str
    actor: str
    options: tuple[str, ...]
    lacking: tuple[str, ...]
    to_confirm: tuple[str, ...]

    @property
    def is_made(self) -> bool:
        return not self.lacking


@dataclass(frozen=True, slots=True)
class IntegrationStatement:
    """What is claimed, and what was looked at and is not."""

    product: Product
    issued: date
    claims: tuple[Claim, ...]


def integration_statement_of(configuration: Configuration, issued: date) -> IntegrationStatement:
    """What may be claimed of the box, configured so."""
    statement = statement_of(configuration)
    claims = [_claim_of(actor, compare_statement(own_profile(actor.requirements), statement)) for actor in ACTORS]
    return IntegrationStatement(statement.product, issued, (*claims, _secure_application(statement)))


def _claim_of(actor: Actor, comparison: Comparison) -> Claim:
    options = dict(actor.options)
    by_id = {one.requirement.id: one for one in comparison.findings}
    # An option that is not met is not claimed; the actor is then claimed without it.
    asked = [
        one
        for one in comparison.findings
        if one.requirement.strength is Strength.SHALL and one.requirement.id not in options.values()
    ]
    claimed = [name for name, requirement in options.items() if by_id[requirement].verdict in _BORNE_OUT]
    looked_at = [*asked, *(by_id[options[name]] for name in claimed)]
    return Claim(
        actor.profile,
        actor.name,
        tuple(claimed),
        tuple(f"{one.requirement.id}: {one.evidence[0]}" for one in asked if one.verdict not in _BORNE_OUT),
        tuple(_confirmed_by_person(one) for one in looked_at if one.verdict is Verdict.BY_PERSON),
    )


_BORNE_OUT: Final = frozenset({Verdict.MET, Verdict.BY_PERSON})


def _confirmed_by_person(finding: Finding) -> str:
    looks = [one for one in finding.evidence if one.startswith("Look at: ")]
    return f"{finding.requirement.id}: {' '.join(looks).removeprefix('Look at: ')}"


def _secure_application(statement: Statement) -> Claim:
    """ATNA's Secure Application: everything that names patients is encrypted, and the audit trail is collected.

    Like the Acquisition Modality it is a client of Consistent Time (ITI TF-1 9), which a person confirms in its words.
    """
    roles = tuple(dict.fromkeys(one.role for one in statement.connections if one.role != "audit"))
    need = SecurityNeed(about="security", encrypted=roles, audit_collector=True)
    requirement = Requirement("ATNA", Strength.SHALL, "", "", (need,))
    (clock,) = (one for one in own_profile(ACTORS[0].requirements).requirements if one.id == _CONSISTENT_TIME)
    finding, to_confirm = compare_statement(Profile("", "", (requirement, clock)), statement).findings
    lacking = () if finding.verdict is Verdict.MET else tuple(finding.evidence)
    return Claim(_AUDITED, "Secure Application", (), lacking, (_confirmed_by_person(to_confirm),))


def integration_document(stated: IntegrationStatement) -> Document:
    """As IHE's appendix F lays it out, and behind it what is not claimed."""
    product = stated.product
    made = [one for one in stated.claims if one.is_made]
    not_made = [one for one in stated.claims if not one.is_made]
    confirmations = [(one.profile, said) for one in made for said in one.to_confirm]
    links = (
        ("Internet address for vendor's IHE information", _FILLED),
        ("DICOM conformance statement", "appliance conformance statement; " + _FILLED),
        ("General information about IHE", "https://www.ihe.net"),
    )
    return Document(
        title="IHE Integration Statement",
        cover=(
            ("Vendor", product.manufacturer),
            ("Product", product.name),
            ("Version", product.version),
            ("Date", stated.issued.isoformat()),
        ),
        sections=(
            Section(
                "1",
                "Integration Profiles, Actors and Options",
                (
                    Paragraph(_SENTENCE if made else "With this configuration no profile is claimed."),
                    table(
                        "Profiles implemented",
                        ("Profile", "Actor", "Options"),
                        ((one.profile, one.actor, ", ".join(one.options) or "None") for one in made),
                    ),
                    table("To be confirmed by a person before it is published", ("Profile", "What"), confirmations),
                ),
            ),
            Section("2", "Links", (table("Links", ("What", "Where"), links),)),
            Section(
                "3",
                "Not Claimed With This Configuration",
                (
                    table(
                        "What is lacking",
                        ("Profile", "Actor", "Lacking"),
                        ((one.profile, one.actor, " ".join(one.lacking)) for one in not_made),
                    ),
                ),
            ),
        ),
    )


def integration_json(stated: IntegrationStatement) -> dict[str, Any]:
    """The same for programs."""
    return {
        "product": stated.product.model_dump(),
        "date": stated.issued.isoformat(),
        "claims": [
            {
                "profile": one.profile,
                "actor": one.actor,
                "is_claimed": one.is_made,
                "options": list(one.options) if one.is_made else [],
                "lacking": list(one.lacking),
                "to_confirm": list(one.to_confirm) if one.is_made else [],
            }
            for one in stated.claims
        ],
    }
