"""The rule of udev that names a device: by the number that it carries, or by the socket that it is plugged into. Pure.

A rule is text that root's udev believes, and most of what stands in it was said by the device. So nothing is escaped:
a value goes in only if every letter of it is one that means nothing in udev's language (udev(7): quotes, backslashes,
line ends, and in a pattern * ? [ ] and |), and a device that says anything else is named by its socket, which the
kernel tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from appliance.base.errors import ApplianceError
from appliance.devices.plugging.attached import Attached, Kind

_PLAIN = re.compile(r"[A-Za-z0-9_.:=+@-]{1,128}")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")
_SUBSYSTEMS = {Kind.VIDEO: "video4linux", Kind.SERIAL: "tty", Kind.SCANNER: "usb", Kind.INPUT: "input"}
# A shorter number, or one of fewer different letters, is a factory's that numbers nothing: 0001, 00000000.
_LEAST_LENGTH, _LEAST_DIFFERENT = 6, 3


class NamedBy(StrEnum):
    """What a rule goes by."""

    SERIAL = "serial"
    PORT = "port"


def rule_from(attached: Attached, by: NamedBy, name: str) -> str:
    """One line, with its end. ApplianceError when the device has nothing that it could safely be known by."""
    if not _NAME.fullmatch(name):
        raise ApplianceError(
            f"{name!r} is no name for a device.", "Take 1 to 24 of small letters, digits and hyphens, a letter first."
        )
    return ", ".join((*keys_of(attached, by), f'ENV{{APPLIANCE_NAME}}="{name}"')) + "\n"


def keys_of(attached: Attached, by: NamedBy) -> tuple[str, ...]:
    """What a device must be to be this one. ApplianceError as above."""
    keys = [f'SUBSYSTEM=="{_SUBSYSTEMS[attached.kind]}"']
    if attached.kind is Kind.SCANNER:
        keys.append('ENV{DEVTYPE}=="usb_device"')
    if attached.kind is Kind.INPUT:
        keys.append('KERNEL=="event*"')
    if attached.usb_id:
        vendor, _, model = attached.usb_id.partition(":")
        keys += [_matched("ENV{ID_VENDOR_ID}", vendor), _matched("ENV{ID_MODEL_ID}", model)]
    if by is NamedBy.SERIAL:
        if not attached.serial:
            raise ApplianceError(f"{attached.node} carries no serial number.", "Name it by its port.")
        keys.append(_matched("ENV{ID_SERIAL_SHORT}", attached.serial))
        if attached.interface:
            keys.append(_matched("ENV{ID_USB_INTERFACE_NUM}", attached.interface))
    elif attached.port:
        keys.append(_matched("ENV{ID_PATH}", attached.port))
    elif not attached.usb_id:  # soldered to the board: the kernel always calls it the same
        keys.append(_matched("KERNEL", attached.node.rpartition("/")[2]))
    else:
        raise ApplianceError(f"udev does not know the port of {attached.node}.", "Name it by its serial number.")
    if attached.part:
        keys.append(_matched("ATTR{index}" if attached.kind is Kind.VIDEO else "ATTRS{port_number}", attached.part))
    return tuple(keys)


def _matched(key: str, value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise ApplianceError(
            "The device says something of itself that must not stand in a rule.",
            "Name it by its port, or choose another one.",
        )
    return f'{key}=="{value}"'


def has_own_number(attached: Attached, others: Iterable[Attached]) -> bool:
    """Whether the number that it carries tells it from everything else, as far as one can see.

    Factories may give every piece the same: such numbers are mostly short, and two of them side by side show it.
    """
    is_number = len(attached.serial) >= _LEAST_LENGTH and len(set(attached.serial)) >= _LEAST_DIFFERENT
    if not is_number or not _PLAIN.fullmatch(attached.serial):
        return False
    return not any(
        _same_without_place(attached) == _same_without_place(other) for other in others if other.node != attached.node
    )


def choose_way(attached: Attached, others: Iterable[Attached], *, is_number_doubtful: bool = False) -> NamedBy:
    """By its number where that is its own, else by its port. `is_number_doubtful`: many of its kind carry the same."""
    is_own = not is_number_doubtful and has_own_number(attached, others)
    return NamedBy.SERIAL if is_own else NamedBy.PORT


def has_name_by(rule: str, attached: Attached) -> NamedBy | None:
    """By what `rule`, one of ours, names this device; None when it is not this device that it names."""
    named = rule.strip().rpartition(", ")[0]
    for by in NamedBy:
        try:
            if named == ", ".join(keys_of(attached, by)):
                return by
        except ApplianceError:
            continue
    return None


def _same_without_place(attached: Attached) -> Attached:
    return replace(attached, node="", links=(), port="", bus_address="", name="", driver="", vendor="", model="")
