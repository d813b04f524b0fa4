"""The purchaser's profile: what a modality interface must do, as a file (F. W. Prior, Radiographics 1993;13(6):1381-8).

A requirement has an identifier, a strength, a sentence for people, and one or more conditions for the machine, all of
which must hold. `example.toml` beside the profiles is the reference. A requirement that cannot be understood is kept
with what is wrong with it: it is reported, and never counted as met.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from appliance.base.errors import ApplianceError
from appliance.base.flash import reason_of
from appliance.conformance.needs import NEED, AnyNeed, AttributeNeed, Need, TimerNeed, keywords_of
from appliance.conformance.statement import Part

_MOST_BYTES: Final = 1024 * 1024
_MOST_REQUIREMENTS: Final = 1000
EQUIPMENT: Final = "modality interface"
PROFILES: Final = Path(__file__).parent / "profiles"
OWN_PROFILES: Final = ("prior-1993", "ihe-swf-acquisition-modality", "ihe-irwf-importer")
"""The profiles that come with the product: files of these names in PROFILES, beside the commented example."""


class Strength(StrEnum):
    """How much a requirement weighs (RFC 2119's words)."""

    SHALL = "shall"
    SHOULD = "should"
    MAY = "may"


class WrittenRequirement(Part):
    """A requirement as it is written."""

    id: str = Field(min_length=1)
    strength: Strength
    text: str = Field(min_length=1)
    source: str = ""
    needs: tuple[Need, ...] = Field(min_length=1)


class WrittenProfile(Part):
    """A profile as it is written: for the schema that editors use, since reading forgives one requirement at a time."""

    equipment: Literal["modality interface"]
    title: str = ""
    purchaser: str = ""
    requirements: tuple[WrittenRequirement, ...] = Field(min_length=1, max_length=_MOST_REQUIREMENTS)


def schema() -> dict[str, Any]:
    """The JSON Schema of a profile."""
    return {"$schema": GenerateJsonSchema.schema_dialect, **WrittenProfile.model_json_schema()}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement. `fault` says why it cannot be understood; then `needs` is what could be."""

    id: str
    strength: Strength
    text: str
    source: str
    needs: tuple[AnyNeed, ...]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A purchaser's profile."""

    title: str
    purchaser: str
    requirements: tuple[Requirement, ...]


class UnreadableProfile(ApplianceError):
    """The file is no profile at all, or one for another kind of equipment."""


def own_profile(name: str) -> Profile:
    """One of the product's own."""
    return read_profile(PROFILES / f"{name}.toml")


def read_profile(file: Path) -> Profile:
    """The profile in `file`. UnreadableProfile; what is wrong with one requirement stands in that requirement."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableProfile(f"{file} cannot be read: {reason_of(error)}.") from error
    if len(data) > _MOST_BYTES:
        raise UnreadableProfile(f"{file} has more than 1 MiB, which no profile has.")
    try:
        tree = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UnreadableProfile(f"{file} is no TOML: {error}.") from error
    return _profile_from(tree, file)


def _profile_from(tree: dict[str, Any], file: Path) -> Profile:
    equipment = tree.get("equipment")
    if equipment != EQUIPMENT:
        raise UnreadableProfile(
            f"{file} is for {equipment!r}, and this is a {EQUIPMENT}."
            if equipment
            else f"{file} does not say what equipment it is for.",
            f'A profile for this kind of equipment says equipment = "{EQUIPMENT}".',
        )
    unknown = sorted(tree.keys() - WrittenProfile.model_fields.keys())
    if unknown:
        raise UnreadableProfile(f"{file} has {unknown[0]!r} at its top, which no profile has.")
    given = tree.get("requirements")
    if not isinstance(given, list) or not given:
        raise UnreadableProfile(f"{file} has no [[requirements]].")
    if len(given) > _MOST_REQUIREMENTS:
        raise UnreadableProfile(f"{file} has {len(given)} requirements; {_MOST_REQUIREMENTS} are read at most.")
    requirements = [_requirement_from(one, number) for number, one in enumerate(given, start=1)]
    return Profile(
        title=str(tree.get("title", file.stem)),
        purchaser=str(tree.get("purchaser", "")),
        requirements=tuple(_with_contradictions(requirements)),
    )


def _requirement_from(given: object, number: int) -> Requirement:
    table = given if isinstance(given, dict) else {}
    faults = [
        f"{key!r} is no key of a requirement"
        for key in sorted(map(str, table.keys() - WrittenRequirement.model_fields.keys()))
    ]
    strength, text = table.get("strength"), table.get("text")
    known = {one.value: one for one in Strength}
    weight = known.get(strength) if isinstance(strength, str) else None
    if weight is None:
        faults.append(f"its strength is {strength!r}: it must be shall, should or may")
    if not isinstance(text, str) or not text.strip():
        faults.append("it has no text")
    written = table.get("needs")
    needs: list[AnyNeed] = []
    if not isinstance(written, list) or not written:
        faults.append("it has no needs")
    else:
        for place, one in enumerate(written, start=1):
            try:
                needs.append(NEED.validate_json(_json_from(one)))
            except ValidationError as error:
                faults += [f"need {place}{_place_of(found)}: {_words_of(found)}" for found in error.errors()]
    return Requirement(
        id=str(table.get("id") or f"requirement {number}"),
        # What nobody understands weighs as much as can be.
        strength=weight or Strength.SHALL,
        text=str(text or ""),
        source=str(table.get("source", "")),
        needs=tuple(needs),
        fault="; ".join(faults) if table.get("id") else "; ".join(["it has no id", *faults]),
    )


def _json_from(tree: object) -> str:
    # In JSON's way, since TOML has no tuples; a date becomes a text that no key takes.
    return json.dumps(tree, default=str)


def _place_of(found: Any) -> str:
    location = [str(part) for part in found["loc"][1:]]
    return f", {'.'.join(location)}" if location else ""


def _words_of(found: Any) -> str:
    if found["type"] == "extra_forbidden":
        return "is not known here"
    if found["type"].startswith("union_tag"):
        return f"about must be one of {found.get('ctx', {}).get('expected_tags', 'those of the example')}"
    return str(found["msg"]).removeprefix("Value error, ")


def _with_contradictions(requirements: Sequence[Requirement]) -> Iterator[Requirement]:
    """Each requirement, told with which other one it cannot be met together."""
    faults: dict[int, list[str]] = {}
    for (here, one), (there, other) in combinations(enumerate(requirements), 2):
        if one.id == other.id:
            faults.setdefault(there, []).append(f"its id is that of another requirement: {one.id}")
        elif any(_contradict(first, second) for first in one.needs for second in other.needs):
            faults.setdefault(here, []).append(f"it contradicts {other.id}")
            faults.setdefault(there, []).append(f"it contradicts {one.id}")
    for number, one in enumerate(requirements):
        if any(_contradict(first, second) for first, second in combinations(one.needs, 2)):
            faults.setdefault(number, []).append("it contradicts itself")
        said = [part for part in (one.fault, *faults.get(number, ())) if part]
        yield replace(one, fault="; ".join(said))


def _contradict(one: object, other: object) -> bool:
    match one, other:
        case AttributeNeed(), AttributeNeed():
            return _attributes_contradict(one, other)
        case TimerNeed(), TimerNeed() if (one.connection, one.name) == (other.connection, other.name):
            low = max(one.at_least, other.at_least)
            return any(bound is not None and bound < low for bound in (one.at_most, other.at_most))
    return False


def _attributes_contradict(one: AttributeNeed, other: AttributeNeed) -> bool:
    is_same_place = (keywords_of(one.path), one.within) == (keywords_of(other.path), other.within)
    if not is_same_place or (one.sop_class and other.sop_class and one.sop_class != other.sop_class):
        return False
    if one.is_absent or other.is_absent:
        return one.is_absent != other.is_absent
    is_other_value = one.value is not None and other.value is not None and one.value != other.value
    return is_other_value or not set(one.presence) & set(other.presence)
