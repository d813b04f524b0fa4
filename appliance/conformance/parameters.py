"""The configuration's keys with their values, defaults and ranges, from the models that load it.

Keys and certificates are named by their files. What is kept of a PIN is left out, and so are the names of operators and
of support's people with their keys: a statement is filed, and given to others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from appliance.config.schema import Configuration
from appliance.config.texts import SHAPES
from appliance.conformance.statement import Parameter

PERSONAL = frozenset({"operators", "support_keys"})
_WORDS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "of length {} at least",
    "max_length": "of length {} at most",
}
_FORMATS = {"ip": "an IP address", "ipinterface": "an IP address with the length of its network: 10.0.0.5/24"}


def parameters_of(configuration: Configuration) -> tuple[Parameter, ...]:
    """Every key, in the order of the models; of a list of tables those of each entry.

    A table that may be left out and is has a row of its own, and one without value for each of its keys.
    """
    return tuple(_walk(configuration, ""))


def _walk(section: BaseModel, above: str) -> Iterator[Parameter]:
    for name, field in type(section).model_fields.items():
        if not above and name in PERSONAL:
            continue
        value = getattr(section, name)
        key = f"{above}{name}"
        if isinstance(value, BaseModel):
            yield from _walk(value, f"{key}.")
        elif isinstance(value, tuple) and value and all(isinstance(one, BaseModel) for one in value):
            for number, one in enumerate(value):
                yield from _walk(one, f"{key}[{number}].")
        else:
            yield Parameter(key=key, value=_plain(value), default=_plain(_default_of(field)), range=_range_of(field))
            if value is None and (table := _table_in(field.annotation)) is not None:
                yield from _unset(table, f"{key}.")


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a table that may be left out."""
    models = [one for one in get_args(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return models[0] if models else None


def _unset(table: type[BaseModel], above: str) -> Iterator[Parameter]:
    for name, field in table.model_fields.items():
        yield Parameter(key=f"{above}{name}", default=_plain(_default_of(field)), range=_range_of(field))


def _default_of(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True)
    return "(must be given)" if default is PydanticUndefined else default


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _range_of(field: FieldInfo) -> str:
    """The bounds of a number, the words that are allowed, or what a text must be."""
    return ", ".join(dict.fromkeys((*_bounds(field.metadata), *_ranges(field.annotation))))


def _ranges(annotation: Any) -> Iterator[str]:
    """Of whatever may stand there: each of several, but nothing of what may be left out."""
    if get_origin(annotation) is Annotated:
        kind, *metadata = get_args(annotation)
        yield from _bounds(metadata)
        yield from _ranges(kind)
    elif get_origin(annotation) is Literal:
        if any(words := [str(one) for one in get_args(annotation)]):
            yield " | ".join(words)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield " | ".join(str(one.value) for one in annotation)
    elif get_origin(annotation) is not dict:
        for one in get_args(annotation):
            yield from _ranges(one)


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    for bound in metadata:
        if isinstance(bound, FieldInfo):
            yield from _bounds(bound.metadata)
        for name, words in _WORDS.items():
            if getattr(bound, name, None) is not None:
                yield words.format(getattr(bound, name))
        if isinstance(bound, WithJsonSchema) and bound.json_schema:
            yield _FORMATS[bound.json_schema["format"]]
        pattern = getattr(bound, "pattern", None)
        if isinstance(pattern, str):
            yield SHAPES.get(pattern, pattern).removeprefix("must be ").removeprefix("must have ")
