"""What says *now* to a device: pedals and keys, pins, a serial line's wires, byte patterns."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from appliance.config.texts import LongString, Section, shape


class _Trigger(Section):
    """What says *now*, and what it makes: a still, a clip (its beginning or its end), a film, or a word of the end."""

    action: Literal["still", "clip", "film", "end"] = "still"
    title: LongString = ""
    debounce_seconds: float = Field(default=0.3, ge=0, le=10)


class KeyTrigger(_Trigger):
    """A footswitch, a remote or a key: an input device; of `codes` each counts, and with none every key does."""

    kind: Literal["key"]
    node: Path
    codes: tuple[Annotated[int, Field(ge=1, le=767)], ...] = Field(default=(), max_length=32)


class GpioTrigger(_Trigger):
    """A contact on a pin of the box: a line of a GPIO chip."""

    kind: Literal["gpio"]
    node: Path = Path("/dev/gpiochip0")
    pin: int = Field(ge=0, le=1023)
    is_active_low: bool = False
    bias: Literal["as-is", "pull-up", "pull-down", "none"] = "as-is"


class WireTrigger(_Trigger):
    """A contact on a serial line's CTS, DSR, DCD or RI."""

    kind: Literal["wire"]
    node: Path
    wire: Literal["cts", "dsr", "dcd", "ri"]
    is_released: bool = False


class BytesTrigger(_Trigger):
    """A byte pattern in what goes over a serial line: a laser imager's *acquire* or *print*."""

    kind: Literal["bytes"]
    node: Path
    pattern: Annotated[
        str,
        shape(
            r"^ *[0-9A-Fa-f]{2}( *([0-9A-Fa-f]{2}|[?]{2})){0,62}( *[0-9A-Fa-f]{2})? *$",
            "must be at most 64 bytes in hexadecimal, ?? for any byte between two known ones: 02 41 ?? 03",
        ),
    ]
    baud: int = Field(default=9600, ge=300, le=4_000_000)
    data_bits: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        if self.pattern.rstrip().endswith("?"):
            raise ValueError("a byte pattern begins and ends with a known byte")
        return self


Trigger = Annotated[KeyTrigger | GpioTrigger | WireTrigger | BytesTrigger, Field(discriminator="kind")]


def check_nodes(triggers: Iterable[Trigger]) -> None:
    """ValueError for triggers that cannot share their node."""
    nodes: dict[Path, set[str]] = {}
    for one in triggers:
        nodes.setdefault(one.node, set()).add(one.kind)
    if any(len(kinds) > 1 for kinds in nodes.values()):
        raise ValueError("a node can be one kind of trigger only")
    settings = {(one.node, one.baud, one.data_bits, one.parity) for one in triggers if one.kind == "bytes"}
    if len({node for node, *_ in settings}) != len(settings):
        raise ValueError("byte patterns on one line need the same baud, data_bits and parity")
