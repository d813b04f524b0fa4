"""How UIDs, tags, codes and lists stand in a document."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.tag import Tag

from appliance.conformance.statement import Service, Statement, Status
from appliance.dimse.uid_names import uid_name_of


def uid_text(uid: str, *, with_uid: bool = True) -> str:
    """The name that PS3.6 gives it, and itself."""
    name = uid_name_of(uid)
    return f"{name} ({uid})" if with_uid and name != uid else name


def tag_text(keyword: str) -> str:
    """`(0010,0020)`."""
    number = tag_for_keyword(keyword)
    tag = Tag(number or 0)
    return f"({tag.group:04X},{tag.element:04X})"


def attribute_text(keyword: str) -> str:
    """Its name in PS3.6."""
    return dictionary_description(keyword)


def nested_text(path: Iterable[str]) -> str:
    """The attribute's name with a `>` for each sequence that it stands in, as PS3.3 prints it."""
    *above, last = path
    return ">" * len(above) + attribute_text(last)


def status_text(status: Status) -> str:
    """`A700-A7FF`, or `any other`."""
    if (status.first, status.last) == (0, 0xFFFF):
        return "any other"
    return codes_text(status.first, status.last)


def codes_text(first: int, last: int) -> str:
    """`A700-A7FF`, or `0110`."""
    return f"{first:04X}" if first == last else f"{first:04X}-{last:04X}"


def services_named(statement: Statement, operation: str) -> list[Service]:
    """The services that use `operation`."""
    return [one for one in statement.services if operation in one.operations]


def seconds_text(seconds: float) -> str:
    """`3600 s`."""
    return f"{seconds:g} s"


def bytes_text(count: int) -> str:
    """`64 MiB`."""
    return f"{count / (1024 * 1024):g} MiB"
