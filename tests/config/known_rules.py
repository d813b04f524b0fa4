"""What an entry of known_devices.toml may say. The file is part of the software: tests hold it, no command does."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from appliance.config.texts import HardwareName, Section, shape

UsbId = Annotated[str, shape(r"^[0-9a-f]{4}:[0-9a-f]{4}$", "must be a USB id such as 0403:6001, in small letters")]
Source = Annotated[str, shape(r"^https?://\S+$", "must be the address of what was read")]
# A note is shown to people as it stands.
Note = Annotated[str, shape(r"^[A-Z][^\n]{1,200}\.$", "must be a sentence of at most 200 letters")]


class Entry(Section):
    """The keys of `appliance.config.known.KnownDevice`."""

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
    def _check_settings(self) -> Self:
        if {"name", "driver", "hardware", "modality"} & self.settings.keys():
            raise ValueError("settings are of the attached device, not of the machine behind it")
        if self.max_baud is not None and self.kind != "serial":
            raise ValueError("max_baud is a serial adapter's")
        return self


class Entries(Section):
    """The whole file."""

    devices: tuple[Entry, ...]

    @model_validator(mode="after")
    def _check_once(self) -> Self:
        names = [one.hardware for one in self.devices]
        ids = [(one.kind, usb) for one in self.devices for usb in one.usb]
        if len(set(names)) < len(names) or len(set(ids)) < len(ids):
            raise ValueError("a name or a USB id stands twice")
        return self
