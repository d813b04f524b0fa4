"""OpenMetrics text format 1.0 (RFC-to-be of the Prometheus project): families of samples, as one text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Kind(StrEnum):
    """What a family counts."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


_SUFFIX = {Kind.GAUGE: "", Kind.COUNTER: "_total", Kind.INFO: "_info"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A value, and what it is of."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """`name` without the suffix that its kind brings; `unit` is its last word, where it has one."""

    name: str
    kind: Kind
    text: str
    samples: tuple[Sample, ...]
    unit: str = ""


def text_from(families: Iterable[Family]) -> str:
    """The whole exposition. A family without samples is left out: nothing is known of it now."""
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += [f"# UNIT {family.name} {family.unit}"] if family.unit else []
        lines.append(f"# HELP {family.name} {_escaped(family.text)}")
        lines += [_line_of(family, sample) for sample in family.samples]
    return "\n".join([*lines, "# EOF", ""])


def _line_of(family: Family, sample: Sample) -> str:
    labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels.items())
    value = repr(float(sample.value)) if sample.value % 1 else str(int(sample.value))
    return f"{family.name}{_SUFFIX[family.kind]}{f'{{{labels}}}' if labels else ''} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
