"""What a requirement may ask of a statement: each kind of need as a model, its names held against the standard's.

Names of classes, transfer syntaxes and attributes are keywords of PS3.6, UIDs or tags; whatever is none of them, or has
no sense together, is a fault of the requirement that says it.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, model_validator
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.uid import UID

from appliance.compose.rows import Presence, Source
from appliance.conformance.statement import Matching, Part, Role
from appliance.dimse.text import READ_TERMS
from appliance.dimse.uid_names import KEYWORD_UIDS, is_known_uid

_TAG: Final = re.compile(r"\(?([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)?")


def _uid_from(text: str) -> str:
    if is_known_uid(text):
        return text
    if text in KEYWORD_UIDS:
        return KEYWORD_UIDS[text]
    raise ValueError(f"{text!r} is no UID and no keyword of PS3.6{_nearest(text, KEYWORD_UIDS)}")


def _class_from(text: str) -> str:
    uid = _uid_from(text)
    if not UID(uid).type.endswith("SOP Class"):
        raise ValueError(f"{text!r} is a {UID(uid).type}, and no SOP class")
    return uid


def _syntax_from(text: str) -> str:
    uid = _uid_from(text)
    if UID(uid).type != "Transfer Syntax":
        raise ValueError(f"{text!r} is a {UID(uid).type}, and no transfer syntax")
    return uid


def _term_from(text: str) -> str:
    if text not in READ_TERMS:
        raise ValueError(f"{text!r} is no defined term of PS3.3 C.12.1.1.2{_nearest(text, READ_TERMS)}")
    return text


def _path_from(text: str) -> str:
    """`RequestAttributesSequence > AccessionNumber`: keywords or tags of PS3.6, the outermost sequence first."""
    *above, last = keywords_of(text)
    for keyword in (*above, last):
        tag = tag_for_keyword(keyword) if keyword else None
        if tag is None or not dictionary_has_tag(tag):
            raise ValueError(f"{keyword!r} is no {'tag' if _TAG.fullmatch(keyword) else 'keyword'} of PS3.6")
    for keyword in above:
        if dictionary_VR(keyword) != "SQ":
            raise ValueError(f"{keyword!r} is no sequence: nothing stands in it")
    return text


def keywords_of(path: str) -> tuple[str, ...]:
    """The keywords of a written path; what is in no dictionary as it is written."""
    return tuple(_keyword_of(part.strip()) for part in path.split(">"))


def _keyword_of(part: str) -> str:
    tag = _TAG.fullmatch(part)
    return (keyword_for_tag(int(tag[1] + tag[2], 16)) if tag else "") or part


def _nearest(text: str, known: Any) -> str:
    close = difflib.get_close_matches(text, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


SopClass = Annotated[str, AfterValidator(_class_from)]
Syntax = Annotated[str, AfterValidator(_syntax_from)]
CharacterSetTerm = Annotated[str, AfterValidator(_term_from)]
AttributePath = Annotated[str, AfterValidator(_path_from)]
Peers = Literal["worklist", "performed-step", "destination", "listener", "audit"]


class AskingNeed(Part):
    """A need whose keys may all be left out, but not together: everything would meet it."""

    @model_validator(mode="after")
    def _check_asks(self) -> Self:
        if not self.model_dump(exclude_defaults=True, exclude={"about"}):
            raise ValueError("it asks for nothing")
        return self


class ServiceNeed(Part):
    """A service is used or offered in this role."""

    about: Literal["service"]
    sop_class: SopClass
    role: Role
    transfer_syntax: Syntax | None = None


class ObjectNeed(Part):
    """Objects of this class are made, and can be sent in this transfer syntax where one is named."""

    about: Literal["object"]
    sop_class: SopClass
    transfer_syntax: Syntax | None = None


class AttributeNeed(Part):
    """In every object or image (of this class), or in a message, it is there as often and from where it must be.

    `presence` are those that will do. `from_worklist` is the worklist's attribute that it must be a copy of. With
    `is_absent` it must never be there.
    """

    about: Literal["attribute"]
    path: AttributePath
    within: Literal["objects", "images", "N-CREATE", "N-SET"] = "objects"
    sop_class: SopClass | None = None
    presence: tuple[Presence, ...] = Field(default=(Presence.ALWAYS,), min_length=1)
    sources: tuple[Source, ...] = ()
    from_worklist: AttributePath | None = None
    value: str | None = None
    is_absent: bool = False

    @model_validator(mode="after")
    def _check_sense(self) -> AttributeNeed:
        if self.is_absent and (self.sources or self.from_worklist or self.value is not None):
            raise ValueError("what must be absent has neither value nor source")
        if self.sop_class and self.within not in ("objects", "images"):
            raise ValueError("sop_class is of objects, and of no message")
        return self


class WorklistKeyNeed(Part):
    """A key of the worklist query is asked for, used for matching, or shown."""

    about: Literal["worklist key"]
    path: AttributePath
    matching: Matching | None = None
    is_shown: bool = False


class CharacterSetNeed(Part):
    """A defined term of Specific Character Set is read or written."""

    about: Literal["character set"]
    term: CharacterSetTerm
    direction: Literal["read", "written"]


class SecurityNeed(AskingNeed):
    """Connections are encrypted and both sides authenticated; the audit trail goes to a collector."""

    about: Literal["security"]
    encrypted: tuple[Peers, ...] = ()
    audit_collector: bool = False


class TimerNeed(Part):
    """A wait has a bound between these, in seconds, on every connection of the role that has it."""

    about: Literal["timer"]
    connection: Peers
    name: str = Field(min_length=1)
    at_least: float = 0
    at_most: float | None = None

    @model_validator(mode="after")
    def _check_sense(self) -> TimerNeed:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError("at_most is below at_least")
        return self


class LimitNeed(Part):
    """PDUs of at least so many bytes are taken."""

    about: Literal["pdu"]
    at_least: int = Field(ge=128)


class EndOfStudyNeed(Part):
    """The end of an examination is told, in these states, with what was made, and after every failure again."""

    about: Literal["end of study"]
    states: tuple[Literal["COMPLETED", "DISCONTINUED"], ...] = ()
    lists_objects: bool = False
    reasons: tuple[str, ...] = ()
    is_told_after_failure: bool = False


class CommitmentNeed(Part):
    """Commitment is asked of every destination, and its report taken on these associations."""

    about: Literal["commitment"]
    same_association: bool = False
    new_association: bool = False


class RetentionNeed(AskingNeed):
    """Nothing is deleted before it is committed, and then for so many days not."""

    about: Literal["retention"]
    until_committed: bool = False
    committed_days: float = 0
    saved_before_shown: bool = False


class ExtensionNeed(Part):
    """Nothing private is in objects and messages."""

    about: Literal["no private attributes"]


class PersonNeed(Part):
    """No machine can decide it: what a person must look at."""

    about: Literal["person"]
    look_at: str = Field(min_length=1)


AnyNeed = (
    ServiceNeed
    | ObjectNeed
    | AttributeNeed
    | WorklistKeyNeed
    | CharacterSetNeed
    | SecurityNeed
    | TimerNeed
    | LimitNeed
    | EndOfStudyNeed
    | CommitmentNeed
    | RetentionNeed
    | ExtensionNeed
    | PersonNeed
)
Need = Annotated[AnyNeed, Field(discriminator="about")]
NEED: Final[TypeAdapter[AnyNeed]] = TypeAdapter(Need)
