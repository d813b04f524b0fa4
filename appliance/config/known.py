"""What is publicly known of grabbers, adapters and digitizers (known_devices.toml): their ids, their quirks, and what
to set for them. A device of the configuration that names one as its `hardware` need not say these settings itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

KNOWN_DEVICES = Path(__file__).parent / "known_devices.toml"

# The drivers of the configuration that a kind can be used by.
DRIVERS: dict[str, tuple[str, ...]] = {
    "video": ("grabber",),
    "serial": ("xmodem", "printer", "text"),
    "scanner": ("sane",),
}


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """One product, or one chip that many products are made of.

    `kind` is video, serial or scanner; `kernel` is the driver that serves it, of Linux or of SANE. `is_sure` is false
    where the settings follow from a driver's text and nobody is known to have tried them. `repeats_serial`: pieces
    without a serial number, or all with the same, are known, so that a rule must not go by it. `max_baud` is the
    fastest that the chip does.
    """

    hardware: str
    name: str
    kind: str
    usb: tuple[str, ...]
    kernel: str
    sources: tuple[str, ...]
    is_sure: bool = True
    repeats_serial: bool = False
    max_baud: int | None = None
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@cache
def known_devices() -> tuple[KnownDevice, ...]:
    """Everything that is known, in the order of the file, which is part of the software."""
    entries = tomllib.loads(KNOWN_DEVICES.read_text(encoding="utf-8"))["devices"]
    lists = ("usb", "sources", "notes")
    return tuple(KnownDevice(**{**entry, **{key: tuple(entry.get(key, ())) for key in lists}}) for entry in entries)


def known_by_usb(usb_id: str, kind: str) -> KnownDevice | None:
    """Who `0403:6001` is; None when nobody wrote it down."""
    return next((one for one in known_devices() if one.kind == kind and usb_id in one.usb), None)


def known_by_name(hardware: str) -> KnownDevice | None:
    """The entry that a device of the configuration names."""
    return next((one for one in known_devices() if one.hardware == hardware), None)


def settings_by_hardware(device: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """What the hardware sets that `device` names, as it stands in a file; and what is wrong with it, or nothing."""
    hardware = device.get("hardware")
    if not isinstance(hardware, str) or not hardware:
        return {}, ""
    known = known_by_name(hardware)
    if known is None:
        return {}, f"is not known; known are {', '.join(one.hardware for one in known_devices())}"
    if device.get("driver") not in DRIVERS[known.kind]:
        return {}, f"is of a {known.kind} device, which this driver does not drive"
    baud = device.get("baud")
    if known.max_baud is not None and isinstance(baud, int) and baud > known.max_baud:
        return {}, f"does at most {known.max_baud} baud"
    return known.settings, ""
