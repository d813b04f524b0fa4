"""What a product does on a hospital's network, as data: the form in which statements are compared.

This box's is made from its own tables (`box`); another product's may be written by hand in the same JSON, so that a
purchaser can hold bids against one profile. What a statement does not say is not known, and counts as not done.

The words are those of PS3.2 Annex N: presence ALWAYS, VNAP, ANAP, EMPTY; sources FIXED, GENERATED, CONFIGURATION, MWL,
USER, DEVICE. Paths are keywords of PS3.6, the outermost sequence first. Times are seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.base.errors import ApplianceError
from appliance.compose.rows import Presence, Source

_MOST_BYTES = 16 * 1024 * 1024

Uid = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)+$", max_length=64)]
KeywordPath = Annotated[tuple[str, ...], Field(min_length=1, max_length=8)]


class Part(BaseModel):
    """A part of a statement: frozen, and a key that nobody knows is an error."""

    # A bound that is no number would hold whatever it is compared with.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Role(StrEnum):
    """Of a service (PS3.4 5)."""

    SCU = "SCU"
    SCP = "SCP"


class Product(Part):
    """What the statement is about."""

    name: str
    version: str
    manufacturer: str
    implementation_class_uid: Uid | None = None
    implementation_version_name: str | None = None


class Status(Part):
    """What is done about an answer. `first` and `last` are status codes or Failure Reasons, both included."""

    operation: str
    first: int = Field(ge=0, le=0xFFFF)
    last: int = Field(ge=0, le=0xFFFF)
    meaning: str
    behaviour: str


class PresentationContext(Part):
    """One proposed or accepted context. `peers` are those it is for; none: every peer of its service."""

    abstract_syntax: Uid
    transfer_syntaxes: tuple[Uid, ...] = Field(min_length=1)
    role: Role
    peers: tuple[str, ...] = ()


class Service(Part):
    """One service in one role, with everyone it is used with (`peers` are configured names, empty for an SCP)."""

    sop_class_uid: Uid
    name: str
    role: Role
    operations: tuple[str, ...]
    activity: str
    peers: tuple[str, ...] = ()
    contexts: tuple[PresentationContext, ...] = ()
    statuses: tuple[Status, ...] = ()


class Attribute(Part):
    """One attribute of an object or message. `when` says in which objects, where it is not in all of them.

    `worklist_paths` are the worklist's attributes that it may be a copy of. `is_extension`: no module of the object has
    it, which makes the class a Standard Extended one.
    """

    path: KeywordPath
    vr: str
    type: str
    presence: Presence
    sources: tuple[Source, ...] = ()
    value: str = ""
    when: str = ""
    worklist_paths: tuple[tuple[str, ...], ...] = ()
    is_extension: bool = False


class ObjectKind(Part):
    """One kind of object that is made, and its attributes."""

    form: str
    sop_class_uid: Uid
    transfer_syntax_uid: Uid
    devices: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...]


class Message(Part):
    """The data set of one DIMSE message, such as the N-CREATE of a performed step."""

    name: str
    attributes: tuple[Attribute, ...]


class Matching(StrEnum):
    """In which query a key may have a value (IHE RAD-5): the broad one by day, or the one for a patient."""

    BROAD = "broad"
    PATIENT = "patient"


class WorklistKey(Part):
    """One key of the worklist query (PS3.4 K.6): how it is used.

    `broad_of` are the sources in whose broad query it has a value, where not in every one's.
    """

    path: KeywordPath
    matching: tuple[Matching, ...] = ()
    broad_of: tuple[str, ...] = ()
    is_returned: bool = True
    is_shown: bool = False
    is_copied_to_objects: bool = False
    is_copied_to_steps: bool = False
    is_editable: bool = False


class CharacterSets(Part):
    """Defined terms of Specific Character Set (0008,0005)."""

    read: tuple[str, ...] = ()
    written: tuple[str, ...] = ()


class Connection(Part):
    """The box and one application entity of the hospital. `deadlines` name each wait."""

    name: str
    role: Literal["worklist", "performed-step", "destination", "listener", "audit"]
    is_encrypted: bool
    is_authenticated_mutually: bool = False
    simultaneous: int = Field(ge=0)
    deadlines: dict[str, float] = {}


class Security(Part):
    """Security profiles (PS3.15), as this configuration uses them."""

    profiles: tuple[str, ...] = ()
    audit_events: tuple[str, ...] = ()
    audit_collector: bool = False


class EndOfStudy(Part):
    """How the end of an examination is told."""

    is_notified: bool
    by: Literal["performed-step", "none"] = "none"
    states: tuple[str, ...] = ()
    is_told_what_was_made: bool = False
    reasons: tuple[str, ...] = ()
    is_told_after_failure: bool = False


class Commitment(Part):
    """What one destination is asked before its objects may go."""

    destination: str
    is_requested: bool
    report_on_same_association: bool = False
    report_on_new_association: bool = False
    report_seconds: float | None = None
    is_verified_by_find: bool = False


class Retention(Part):
    """What stays, how long, and what alone may end it. Days."""

    is_kept_until_committed: bool
    committed_days: float = Field(ge=0)
    unproven_days: float = Field(ge=0)
    is_saved_before_shown: bool = False


class Parameter(Part):
    """One key of the configuration."""

    key: str
    value: Any = None
    default: Any = None
    range: str = ""


class Statement(Part):
    """Everything that is stated. `test_objects` are of no examination: what is stored under a test patient."""

    format: Literal["modality-bridge/conformance-statement/1"] = "modality-bridge/conformance-statement/1"
    product: Product
    services: tuple[Service, ...] = ()
    objects: tuple[ObjectKind, ...] = ()
    test_objects: tuple[ObjectKind, ...] = ()
    messages: tuple[Message, ...] = ()
    worklist_keys: tuple[WorklistKey, ...] = ()
    character_sets: CharacterSets = CharacterSets()
    max_pdu_bytes: int | None = None
    connections: tuple[Connection, ...] = ()
    security: Security = Security()
    end_of_study: EndOfStudy = EndOfStudy(is_notified=False)
    commitment: tuple[Commitment, ...] = ()
    retention: Retention | None = None
    parameters: tuple[Parameter, ...] = ()
    private_attributes: tuple[str, ...] = ()

    def services_of(self, sop_class_uid: str, role: Role) -> Iterator[Service]:
        """Every statement about one service in one role."""
        return (one for one in self.services if (one.sop_class_uid, one.role) == (sop_class_uid, role))


class UnreadableStatement(ApplianceError):
    """The file is no statement in this form."""


def read_statement(file: Path) -> Statement:
    """The statement in a JSON file of at most 16 MiB. UnreadableStatement, which names each place that is wrong."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise UnreadableStatement(f"{file} has more than 16 MiB, which no statement has.")
        return Statement.model_validate(json.loads(data.decode("utf-8-sig")))
    except OSError as error:
        raise UnreadableStatement(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise UnreadableStatement(f"{file} is no JSON: {error}.") from error
        places = "; ".join(
            ": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in error.errors()[:20]
        )
        raise UnreadableStatement(
            f"{file} is no conformance statement in this form: {places}.",
            "`appliance conformance statement --format json` shows the form.",
        ) from error
