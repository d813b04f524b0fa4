"""What udev knows of something that is plugged in, as far as a machine can be attached by it. Pure.

Names and numbers come from the device's own descriptors: they are shown, and never believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_LONGEST_TEXT = 80
_HUNDREDS = re.compile(r"\\x([0-9a-fA-F]{2})")
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")
# Touchscreens and touchpads are the panel's own; what is left can be a pedal or a remote control.
_INPUTS = ("ID_INPUT_KEYBOARD", "ID_INPUT_KEY", "ID_INPUT_MOUSE", "ID_INPUT_JOYSTICK")
_TOUCH = ("ID_INPUT_TOUCHSCREEN", "ID_INPUT_TOUCHPAD", "ID_INPUT_TABLET")
_NO_UART = ("", "0")


class Kind(StrEnum):
    """By what a machine can be attached."""

    VIDEO = "video"
    SERIAL = "serial"
    SCANNER = "scanner"
    INPUT = "input"


@dataclass(frozen=True, slots=True)
class Attached:
    """One node of the kernel's. What udev does not know is empty.

    `usb_id` is `0403:6001`; `serial` the number that the device carries; `port` the socket that it is plugged into;
    `interface` and `part` tell the nodes of one device apart; `name` is what a rule of the site calls it, and `links`
    are its other names.
    """

    kind: Kind
    node: str
    links: tuple[str, ...] = ()
    usb_id: str = ""
    vendor: str = ""
    model: str = ""
    serial: str = ""
    port: str = ""
    interface: str = ""
    part: str = ""
    driver: str = ""
    bus_address: str = ""
    name: str = ""

    @property
    def words(self) -> str:
        """Who it says that it is."""
        if self.kind is Kind.SERIAL and not self.usb_id and not self.model:
            return "a serial port of the board"
        told = self.model if self.model.startswith(self.vendor) else f"{self.vendor} {self.model}"
        return told.strip() or "of no name"


def attached_from(properties: Mapping[str, str], attributes: Mapping[str, str]) -> Attached | None:
    """What a machine can be attached by; None for all else, the further nodes of a camera among them.

    `attributes` are the kernel's (sysfs): `index` of a video node, `port_number` of a serial adapter's port, `type` of
    a serial port of the board (0: there is none), `driver` of whatever it is.
    """
    kind = _kind_of(properties, attributes)
    node = properties.get("DEVNAME", "")
    if kind is None or not node.startswith("/dev/"):
        return None
    vendor_id, model_id = properties.get("ID_VENDOR_ID", ""), properties.get("ID_MODEL_ID", "")
    is_usb = bool(_HEX4.fullmatch(vendor_id) and _HEX4.fullmatch(model_id)) and properties.get("ID_BUS", "usb") == "usb"
    return Attached(
        kind=kind,
        node=node,
        links=tuple(sorted(properties.get("DEVLINKS", "").split())),
        usb_id=f"{vendor_id}:{model_id}".lower() if is_usb else "",
        vendor=_first(properties, "ID_VENDOR_FROM_DATABASE", "ID_VENDOR_ENC", "ID_VENDOR"),
        model=_first(properties, "ID_MODEL_FROM_DATABASE", "ID_V4L_PRODUCT", "ID_MODEL_ENC", "ID_MODEL", "NAME"),
        serial=properties.get("ID_SERIAL_SHORT", ""),
        port=properties.get("ID_PATH", ""),
        interface=properties.get("ID_USB_INTERFACE_NUM", ""),
        part=attributes.get({Kind.VIDEO: "index", Kind.SERIAL: "port_number"}.get(kind, ""), ""),
        driver=attributes.get("driver", ""),
        bus_address=_bus_address_from(properties),
        name=properties.get("APPLIANCE_NAME", ""),
    )


def _kind_of(properties: Mapping[str, str], attributes: Mapping[str, str]) -> Kind | None:
    node = properties.get("DEVNAME", "")
    match properties.get("SUBSYSTEM", ""):
        case "video4linux":
            is_capture = ":capture:" in properties.get("ID_V4L_CAPABILITIES", "")
            return Kind.VIDEO if is_capture and node.startswith("/dev/video") else None
        case "tty":
            is_port = properties.get("ID_BUS", "") == "usb" or attributes.get("type", "") not in _NO_UART
            return Kind.SERIAL if is_port else None
        case "usb":
            is_scanner = properties.get("libsane_matched", "") == "yes"
            return Kind.SCANNER if is_scanner and properties.get("DEVTYPE", "") == "usb_device" else None
        case "input":
            is_pluggable = properties.get("ID_BUS", "") in ("usb", "bluetooth")
            is_touch = any(properties.get(key, "") == "1" for key in _TOUCH)
            has_keys = any(properties.get(key, "") == "1" for key in _INPUTS)
            is_wanted = is_pluggable and has_keys and not is_touch and node.startswith("/dev/input/event")
            return Kind.INPUT if is_wanted else None
    return None


def _bus_address_from(properties: Mapping[str, str]) -> str:
    """`001:004`, as SANE's names have it."""
    bus, address = properties.get("BUSNUM", ""), properties.get("DEVNUM", "")
    return f"{bus}:{address}" if bus and address else ""


def _first(properties: Mapping[str, str], *keys: str) -> str:
    for key in keys:
        text = properties.get(key, "").strip().strip('"')
        if key.endswith("_ENC"):  # udev's own writing of what it does not take: \x20
            text = _HUNDREDS.sub(lambda found: chr(int(found[1], 16)), text).strip()
        if text:
            return text[:_LONGEST_TEXT]
    return ""
