"""What is publicly known of grabbers, adapters and digitizers (known_devices.toml): their ids, their quirks, and what
to set for them. A device of the configuration that names one as its `hardware` need not say these settings itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from appliance.config.texts import Section, shape

KNOWN_DEVICES = Path(__file__).parent / "known_devices.toml"

HardwareName = Annotated[
    str, shape(r"^[a-z][a-z0-9-]{0,39}$", "must be a name of known_devices.toml: small letters, digits and hyphens")
]
UsbId = Annotated[str, shape(r"^[0-9a-f]{4}:[0-9a-f]{4}$", "must be a USB id such as 0403:6001, in small letters")]
Source = Annotated[str, shape(r"^https?://\S+$", "must be the address of what was read")]
# A note is shown to people as it stands.
Note = Annotated[str, shape(r"^[A-Z][^\n]{1,200}\.$", "must be a sentence of at most 200 letters")]

# The drivers of the configuration that a kind can be used by.
DRIVERS: dict[str, tuple[str, ...]] = {
    "video": ("grabber",),
    "serial": ("xmodem", "printer", "text"),
    "scanner": ("sane",),
}


class KnownDevice(Section):
    """One product, or one chip that many products are made of.

    `kernel` is the driver that serves it, of Linux or of SANE. `is_sure` is false where the settings follow from a
    driver's text and nobody is known to have tried them. `repeats_serial`: pieces without a serial number, or all with
    the same, are known, so that a rule must not go by it. `max_baud` is the fastest that the chip does.
    """

    hardware: HardwareName
    name: str = Field(min_length=1, max_length=60)
    kind: Literal["video", "serial", "scanner"]
    usb: tuple[UsbId, ...] = Field(min_length=1)
    kernel: str = Field(min_length=1, max_length=20)
    sources: tuple[Source, ...] = Field(min_length=1)
    is_sure: bool = True
    repeats_serial: bool = False
    max_baud: int | None = Field(default=None, ge=9600, le=12_000_000)
    notes: tuple[Note, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_settings(self) -> KnownDevice:
        if {"name", "driver", "hardware", "modality"} & self.settings.keys():
            raise ValueError("settings are of the attached device, not of the machine behind it")
        if self.max_baud is not None and self.kind != "serial":
            raise ValueError("max_baud is a serial adapter's")
        return self


class KnownDevices(Section):
    """The whole file."""

    devices: tuple[KnownDevice, ...]

    @model_validator(mode="after")
    def _check_once(self) -> KnownDevices:
        names = [one.hardware for one in self.devices]
        ids = [(one.kind, usb) for one in self.devices for usb in one.usb]
        if len(set(names)) < len(names) or len(set(ids)) < len(ids):
            raise ValueError("a name or a USB id stands twice")
        return self


@cache
def known_devices() -> tuple[KnownDevice, ...]:
    """Everything that is known, in the order of the file, which is part of the software."""
    return KnownDevices.model_validate(tomllib.loads(KNOWN_DEVICES.read_text(encoding="utf-8"))).devices


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
