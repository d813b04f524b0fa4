"""Which film digitizers SANE's scanimage(1) finds. What one of them can be set to is `film.offered`'s."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.base.clock import Clock, Deadline
from appliance.devices.errors import DeviceError, DeviceTimeout
from appliance.devices.film.child import ScanChild
from appliance.devices.film.options import FilmOptions

# Backends look at networks and wake lamps.
_SECONDS = 60.0
_SLICE_SECONDS = 1.0
_MOST_BYTES = 64 * 1024
_LIST = "--formatted-device-list=%d|%v %m|%t%n"


@dataclass(frozen=True, slots=True)
class FoundScanner:
    """A digitizer by SANE's name for it."""

    name: str
    words: str
    kind: str


def list_scanners(options: FilmOptions, clock: Clock) -> list[FoundScanner]:
    """Every digitizer that SANE finds; of `options` only where its files are.

    Raises DeviceGone without scanimage, DeviceTimeout when a backend hangs.
    """
    child = ScanChild([*options.command, _LIST], options.environment(), clock, options.name)
    deadline = Deadline.after(clock, _SECONDS)
    said = b""
    try:
        while (piece := child.read(min(_SLICE_SECONDS, deadline.remaining()))) is not None:
            said += piece
            if deadline.is_over():
                raise DeviceTimeout("SANE has not answered for a minute.", "Switch the digitizer off and on.")
            if len(said) > _MOST_BYTES:
                raise DeviceError("SANE says more than it can mean.", "Call support.")
    finally:
        child.close(gently=True)
    return scanners_from(said.decode("utf-8", "replace"))


def scanners_from(text: str) -> list[FoundScanner]:
    """The digitizers in that list, one a line; a line of another form is none."""
    rows = (line.split("|", 2) for line in text.splitlines() if line.count("|") >= 2)
    return [FoundScanner(name.strip(), words.strip(), kind.strip()) for name, words, kind in rows]
