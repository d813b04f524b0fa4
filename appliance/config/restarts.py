"""Which services read which section: they start anew when it changes, and no other."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.config.changes import settings_in
from appliance.config.effective import tree_from
from appliance.config.schema import Configuration

FORWARD, CONSOLE, ACQUIRE = "appliance-forward", "appliance-console", "appliance-acquire@"

_SERVICES: dict[str, tuple[str, ...]] = {
    "box": (FORWARD, CONSOLE, ACQUIRE),
    "retention": (FORWARD, CONSOLE),
    "listener": (FORWARD,),
    "tls": (FORWARD,),
    "audit": (FORWARD,),
    "metrics": (FORWARD,),
    "panel": (CONSOLE,),
    "unscheduled": (CONSOLE,),
    "operators": (CONSOLE,),
    "worklist": (FORWARD, CONSOLE),
    "performed_step": (FORWARD, CONSOLE),
    "destinations": (FORWARD, CONSOLE),
    "test_patient": (FORWARD,),
    # How much room a capture needs is reckoned by all of them, of all devices.
    "devices": (FORWARD, CONSOLE, ACQUIRE),
}
"""A test holds that every section of the schema stands here. `appliance-acquire@` stands for each device's."""


def restarts_between(before: Configuration, after: Configuration) -> tuple[str, ...]:
    """The units that start anew, senders first, so that the panel finds them when it is there again."""
    old, new = tree_from(before), tree_from(after)
    changed = {name for name in _SERVICES if settings_in(old.get(name)) != settings_in(new.get(name))}
    services = {service for section in changed for service in _SERVICES[section]}
    # A device that is taken out ends; one that is put in is started by udev's rule, or by this.
    devices = {f"{ACQUIRE}{_escaped(name)}" for name in _names(before, after)} if ACQUIRE in services else set()
    return tuple(f"{one}.service" for one in (*sorted(devices), FORWARD, CONSOLE) if one in services | devices)


def _names(*configurations: Configuration) -> Iterable[str]:
    return {device.name for one in configurations for device in one.devices}


def _escaped(name: str) -> str:
    """As systemd writes it in an instance's name (systemd-escape(1)): a hyphen would stand for a slash."""
    return name.replace("-", r"\x2d")
