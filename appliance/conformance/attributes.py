"""What the attribute tables mean under one configuration: presence and sources of each attribute (PS3.2 Annex N).

The tables say what may be; a configuration decides part of it. A value that is configured makes an attribute certain, a
source that there is none of (no worklist, nothing configured) gives nothing, and a condition that cannot hold takes its
rows away. Nothing is said here that the tables do not say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag

from appliance.compose.attributes import ALTERNATIVES, CONDITIONS
from appliance.compose.rows import Gather, Origin, Presence, Row, Rows, Source
from appliance.conformance.statement import Attribute

_GATHERED = {
    Gather.FIRST: "",
    Gather.COMMON: ", if it is the same in every chosen entry",
    Gather.ALL: ", the items of every chosen entry",
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Under which a table is read.

    `always` are the conditions that hold in every data set, `perhaps` those that hold in some; all others hold in none.
    `configured` has the value of each configured fact, None where the configuration leaves it open. `sources` can give
    values at all; of them, those in `lacking`, by the key of their origin, give none. What is configured is in every
    data set but for the facts that are `uncertain`.
    """

    always: frozenset[str]
    perhaps: frozenset[str]
    configured: Mapping[str, Any]
    sources: frozenset[Source]
    lacking: frozenset[tuple[Source, str]] = frozenset()
    uncertain: Set[str] = frozenset()


def attributes_from(rows: Rows, circumstances: Circumstances) -> tuple[Attribute, ...]:
    """The attributes of a data set that is made of `rows`, in their order; nested ones behind their sequence."""
    found: dict[tuple[str, ...], list[_Stated]] = {}
    for stated in _walk(rows, circumstances, ()):
        found.setdefault(stated.attribute.path, []).append(stated)
    return tuple(_merged(group) for group in found.values())


@dataclass(frozen=True, slots=True)
class _Stated:
    """One row's contribution: the attribute as if the row stood alone, and the condition it stands under."""

    attribute: Attribute
    condition: str


def _walk(rows: Rows, circumstances: Circumstances, above: tuple[str, ...]) -> Iterator[_Stated]:
    for row in rows:
        if row.when is not None and row.when not in circumstances.always | circumstances.perhaps:
            continue
        stated = _attribute_of(row, circumstances, above)
        if stated is None:
            continue
        condition = row.when if row.when in circumstances.perhaps else ""
        yield _Stated(stated, condition or "")
        yield from _walk((*row.item, *row.holds), circumstances, stated.path)


def _attribute_of(row: Row, circumstances: Circumstances, above: tuple[str, ...]) -> Attribute | None:
    """None where no value can ever be there and the attribute is left out then."""
    origins = [one for one in row.origins if _may_give(one, circumstances)]
    presence = row.presence
    if (row.origins and not origins) or (row.item and not _has_any(row.item, circumstances)):
        if presence is Presence.ANAP:
            return None
        presence = Presence.EMPTY
    elif any(_is_certain(one, circumstances) for one in origins):
        presence = Presence.ALWAYS
    if row.beside is not None:
        presence = Presence.ANAP
    return Attribute(
        path=(*above, row.keyword),
        vr=dictionary_VR(row.keyword),
        type=row.type,
        presence=presence,
        sources=tuple(dict.fromkeys(one.source for one in origins)),
        value="; ".join(_value_words(one, dictionary_VR(row.keyword), circumstances) for one in origins),
        when=f"beside a value of {row.beside}" if row.beside else "",
        worklist_paths=tuple(one.key for one in origins if one.source is Source.MWL),
        is_extension=row.beyond_iod,
    )


def _has_any(rows: Rows, circumstances: Circumstances) -> bool:
    return any(_walk(rows, circumstances, ()))


def _may_give(origin: Origin, circumstances: Circumstances) -> bool:
    if origin.source not in circumstances.sources or (origin.source, origin.key) in circumstances.lacking:
        return False
    return origin.source is not Source.CONFIGURATION or circumstances.configured[origin.key] != ""


def _is_certain(origin: Origin, circumstances: Circumstances) -> bool:
    if origin.source is Source.FIXED:
        return True
    if origin.source is not Source.CONFIGURATION or origin.key in circumstances.uncertain:
        return False
    return circumstances.configured[origin.key] is not None


def _value_words(origin: Origin, vr: str, circumstances: Circumstances) -> str:
    match origin.source:
        case Source.FIXED:
            values = origin.key if isinstance(origin.key, tuple) else (origin.key,)
            return "\\".join(str(Tag(one) if vr == "AT" else one) for one in values)
        case Source.CONFIGURATION:
            value = circumstances.configured[origin.key]
            return str(origin.key).replace("_", " ") if value is None else str(value)
        case Source.MWL:
            return " > ".join(origin.key) + _GATHERED[origin.gather]
        case _:
            return str(origin.key).replace("_", " ")


def _merged(group: Iterable[_Stated]) -> Attribute:
    """Rows of one keyword: each gives its values under its condition."""
    group = tuple(group)
    first = group[0].attribute
    conditions = [one.condition for one in group]
    is_whole = "" in conditions or any(pair <= frozenset(conditions) for pair in ALTERNATIVES)
    presences = {one.attribute.presence for one in group}
    presence = presences.pop() if len(presences) == 1 else Presence.ANAP
    words = "; ".join(dict.fromkeys(CONDITIONS[one] for one in conditions if one))
    return first.model_copy(
        update={
            "type": "/".join(dict.fromkeys(one.attribute.type for one in group)),
            "presence": presence if is_whole else Presence.ANAP,
            "sources": tuple(dict.fromkeys(source for one in group for source in one.attribute.sources)),
            "worklist_paths": tuple(path for one in group for path in one.attribute.worklist_paths),
            "value": "; ".join(dict.fromkeys(one.attribute.value for one in group if one.attribute.value)),
            "when": "; ".join(part for part in ("" if is_whole else words, first.when) if part),
        }
    )
