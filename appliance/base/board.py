"""The board that the box runs on: how warm it is."""

from __future__ import annotations

from pathlib import Path

_ZONES = Path("/sys/class/thermal")
# Raspberry Pis slow down at 80 °C; x86 boards of this class at about 95.
HOT_CELSIUS = 80.0
_SANE = (-40.0, 150.0)


def read_temperature(zones: Path = _ZONES) -> float | None:
    """The warmest of the kernel's thermal zones in °C; None where the board tells none."""
    found = []
    for file in zones.glob("thermal_zone*/temp"):
        try:
            celsius = int(file.read_text(encoding="ascii")[:16]) / 1000
        except (OSError, ValueError):  # a sensor that is off answers with an error
            continue
        if _SANE[0] < celsius < _SANE[1]:
            found.append(celsius)
    return max(found, default=None)
