"""The devices of the configuration as far as a plug is about them, read without what checks the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.base.paths import Paths
from appliance.config.glance import read_tree
from appliance.devices.plugging.attached import Kind

# Driver → as what it is plugged in, and the key that says where; every other driver's machine is on a serial line.
_PLACES: Final[Mapping[str, tuple[Kind, str]]] = {
    "grabber": (Kind.VIDEO, "source"),
    "sane": (Kind.SCANNER, "sane_device"),
}
_LINE: Final = (Kind.SERIAL, "line")


@dataclass(frozen=True, slots=True)
class Configured:
    """One device. `place` is its node as it is written, or SANE's name of it; `trigger_nodes` what triggers it."""

    name: str
    title: str
    kind: Kind
    place: str
    trigger_nodes: tuple[str, ...] = ()

    def path(self, run: Path) -> str:
        """What the configuration calls its node, or SANE's name; `run` is where relative paths begin."""
        return self.place if self.kind is Kind.SCANNER else str(run / self.place)

    @property
    def has_plug(self) -> bool:
        """Whether udev would know of it: not of a simulated machine's socket, nor of a digitizer in the network."""
        if self.kind is Kind.SCANNER:
            return ":libusb:" in self.place or ":/dev/" in self.place
        return self.place.startswith("/dev/")


def configured_from(device: Mapping[str, Any]) -> Configured:
    """Of a device as `effective.tree_from` says it. A pin of the box is not plugged in."""
    kind, key = _PLACES.get(device["driver"], _LINE)
    triggers = tuple(str(one["node"]) for one in device.get("triggers", ()) if one["kind"] != "gpio")
    return Configured(device["name"], device["title"], kind, str(device[key]), triggers)


def read_configured(paths: Paths) -> list[Configured]:
    """The box's, or none where there is no configuration yet: devices are adopted before a site is written."""
    try:
        paths.configuration.stat()
    except FileNotFoundError:
        return []
    except OSError:
        pass  # whoever loads it says why it cannot be read
    return [configured_from(one) for one in read_tree(paths)["devices"]]
