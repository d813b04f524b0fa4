"""Which services read which section: they start anew when it changes, and no other."""

from __future__ import annotations

from appliance.config.changes import settings_in
from appliance.config.effective import tree_from
from appliance.config.schema import Configuration

FORWARD, CONSOLE, ACQUIRE = "appliance-forward", "appliance-console", "appliance-acquire@"

_SERVICES: dict[str, tuple[str, ...]] = {
    "box": (FORWARD, CONSOLE, ACQUIRE),
    # These are loaded by the system's own programs.
    "network": (),
    "firewall": (),
    "time": (),
    "support_keys": (),
    "retention": (FORWARD, CONSOLE),
    "listener": (FORWARD,),
    "tls": (FORWARD,),
    "audit": (FORWARD,),
    "logs": (),
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
    devices = sorted(units_of(before) | units_of(after)) if ACQUIRE in services else []
    return (*devices, *(f"{one}.service" for one in (FORWARD, CONSOLE) if one in services))


def units_of(configuration: Configuration) -> frozenset[str]:
    """The unit of each device's process."""
    return frozenset(f"{ACQUIRE}{_escaped(device.name)}.service" for device in configuration.devices)


def _escaped(name: str) -> str:
    """As systemd writes it in an instance's name (systemd-escape(1)): a hyphen would stand for a slash."""
    return name.replace("-", r"\x2d")
