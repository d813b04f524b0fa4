"""What a digitizer can be set to, read from the device: scanimage's list of all options (`--all-options`).

The list is made for people, one line for each option: `    --resolution 75|150|300dpi [75]`. It is read before a film
is fed, so that a setting that the device does not have is a sentence with what it has, and no film that came out
otherwise. Where a line is not understood, nothing is said of its option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import DeviceError
from appliance.devices.film.child import ScanChild
from appliance.devices.film.options import FilmOptions

_SECONDS = 30.0
_SLICE_SECONDS = 0.2
_MOST_BYTES = 256 * 1024
_LINE = re.compile(
    r"^    (?:--?)([A-Za-z0-9-]+)(?:\[=\((yes\|no)\)\])?(?: (.*?))?(?: \(in steps of ([\d.]+)\))? \[([^\]]*)\]"
)
_RANGE = re.compile(r"^(-?[\d.]+)\.\.(-?[\d.]+?)[a-z%]*$")
_NUMBER = re.compile(r"^(-?\d{1,12}(?:\.\d{1,12})?)[a-z%]*$")
# By how much a length may be beyond its range: it is printed with few digits.
_ROUNDING = 0.01


@dataclass(frozen=True, slots=True)
class Offered:
    """One option: one of `choices`, or from `least` to `most`; neither where anything may be tried.

    `is_active` is false where another option's setting rules it out.
    """

    name: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    step: float | None = None
    is_active: bool = True

    def may_be(self, value: str) -> bool:
        """Whether `value` is among what there is; a number equals another way to write it."""
        if self.choices:
            return value in self.choices or any(_is_same_number(value, one) for one in self.choices)
        if self.least is None or self.most is None:
            return True
        number = _number_from(value)
        if number is None or not self.least - _ROUNDING <= number <= self.most + _ROUNDING:
            return False
        steps = (number - self.least) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < _ROUNDING

    @property
    def words(self) -> str:
        """What there is, for a sentence."""
        if self.choices:
            return ", ".join(self.choices)
        if self.least is None:
            return "its own"
        return f"{self.least:g} to {self.most:g}" + (f" in steps of {self.step:g}" if self.step else "")


def read_offered(options: FilmOptions, clock: Clock) -> dict[str, Offered]:
    """The device's options by name; none when it does not answer, of which the scan will say why.

    DeviceGone when there is no program to ask.
    """
    argv = [*options.command, f"--device-name={options.device}", "--all-options"]
    child = ScanChild(argv, options.environment(), clock, options.name)
    deadline = Deadline.after(clock, _SECONDS)
    text = b""
    try:
        while len(text) < _MOST_BYTES:
            piece = child.read(min(_SLICE_SECONDS, deadline.remaining()))
            if piece is None:
                return offered_from(text.decode("utf-8", "replace"))
            if deadline.is_over():
                break
            text += piece
        return {}
    finally:
        child.close(gently=True)


def offered_from(text: str) -> dict[str, Offered]:
    """The options of scanimage's list by name; `l`, `t`, `x` and `y` are the area in mm."""
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, flag, values, step, current = match.groups()
        found[name] = _option_from(name, flag or values or "", step, is_active=current != "inactive")
    return found


def check_offered(options: FilmOptions, offered: Mapping[str, Offered]) -> None:
    """DeviceError when the device says that it does not have what is wanted, with what it has."""
    for name, value in _wanted(options):
        option = offered.get(name)
        if option is None:
            if offered and name in options.extra:
                raise DeviceError(f"The {options.name} has no option {name!r}.", f"It has: {', '.join(offered)}.")
            continue
        if name in _NAMES:
            option = replace(option, step=None)  # an area is rounded, and the film's size is looked at
        if option.is_active and not option.may_be(value):
            raise DeviceError(
                f"The {options.name} cannot be set to {_NAMES.get(name, name)} {value}.",
                f"It has {option.words}. Correct the configuration.",
            )


_NAMES = {"l": "left", "t": "top", "x": "width", "y": "height"}


def _wanted(options: FilmOptions) -> list[tuple[str, str]]:
    """By the list's names; what is left out stays as the device has it."""
    area = (("l", options.left_mm), ("t", options.top_mm), ("x", options.width_mm), ("y", options.height_mm))
    wanted = [("mode", options.mode), ("depth", str(options.depth)), ("resolution", str(options.resolution_dpi))]
    wanted += [("source", options.source)] if options.source else []
    return [*wanted, *((name, f"{value:g}") for name, value in area if value), *options.extra.items()]


def _option_from(name: str, values: str, step: str | None, *, is_active: bool) -> Offered:
    limits = _RANGE.match(values)
    if limits is not None:
        least, most = _number_from(limits[1]), _number_from(limits[2])
        if least is not None and most is not None:
            return Offered(name, (), least, most, _number_from(step or ""), is_active)
    if "|" in values or _NUMBER.match(values):
        return Offered(name, tuple(values.split("|")), is_active=is_active)
    return Offered(name, is_active=is_active)


def _number_from(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[1]) if match else None


def _is_same_number(value: str, choice: str) -> bool:
    one = _number_from(value)
    return one is not None and one == _number_from(choice)
