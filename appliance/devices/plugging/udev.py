"""udev asked and listened to (pyudev): what is plugged in now, and what comes and goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyudev

from appliance.base.clock import Deadline
from appliance.devices.plugging.attached import Attached, attached_from

_SUBSYSTEMS = ("video4linux", "tty", "usb", "input")
# How long one wait is at most, so that a key of the keyboard ends it.
_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """Something came (`is_here`) or went."""

    attached: Attached
    is_here: bool


def list_attached() -> list[Attached]:
    """Everything that is plugged in now and that a machine can be attached by, by kind and node."""
    context = pyudev.Context()
    devices = (device for name in _SUBSYSTEMS for device in context.list_devices(subsystem=name))
    found = [one for one in map(_attached_of, devices) if one is not None]
    return sorted(found, key=lambda one: (one.kind, _numbered(one.node)))


class Watch:
    """What comes and goes from the moment on at which this is made."""

    def __init__(self) -> None:
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        for name in _SUBSYSTEMS:
            self._monitor.filter_by(name)
        self._monitor.start()

    def changes(self, deadline: Deadline) -> Iterator[Change]:
        """Until `deadline`. What udev tells again of a device that is here already is told again."""
        while not deadline.is_over():
            device = self._monitor.poll(min(_WAIT_SECONDS, deadline.remaining()))
            if device is None or device.action not in ("add", "remove", "change"):
                continue
            attached = _attached_of(device)
            if attached is not None:
                yield Change(attached, device.action != "remove")


def _attached_of(device: Any) -> Attached | None:
    properties = dict(device.properties)
    attributes = {}
    for key in ("index", "type"):
        attributes[key] = _attribute(device, key)
    owner = device.find_parent("usb-serial")
    attributes["port_number"] = _attribute(owner, "port_number") if owner is not None else ""
    attributes["driver"] = _driver_of(device)
    return attached_from(properties, attributes)


def _attribute(device: Any, key: str) -> str:
    value = device.attributes.get(key)
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else ""


def _driver_of(device: Any) -> str:
    """Of the nearest that has one: a node has none of its own."""
    while device is not None:
        if device.driver:
            return str(device.driver)
        device = device.parent
    return ""


def _numbered(node: str) -> tuple[str, int]:
    """`/dev/video10` behind `/dev/video9`."""
    name = node.rstrip("0123456789")
    return name, int(node[len(name) :] or -1)
