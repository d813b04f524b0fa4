"""`appliance device list`: what is plugged in, and which device of the configuration it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from appliance.base.paths import Paths
from appliance.cli.device_configured import Configured, read_configured
from appliance.cli.device_table import Seen, known_as, missing_from, missing_triggers_from, read_seen, twins_of, way_of
from appliance.cli.table import printable_text, table_lines
from appliance.devices.plugging.udev import list_attached

_HEAD = ("kind", "node", "device", "what it is", "known by")


def show_attached(*, as_json: bool) -> int:
    """Print what is here; 0 when each configured device and trigger is, else 1. ApplianceError: no configuration."""
    paths = Paths.from_environment()
    devices = read_configured(paths)
    seen = read_seen(list_attached(), paths, devices)
    missing = missing_from(seen, devices)
    silent = missing_triggers_from(seen, devices)
    if as_json:
        document = {
            "attached": [one.as_json() for one in seen],
            "missing": [device.name for device in missing],
            "missing_triggers": [{"node": node, "device": name} for node, name in silent],
        }
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines_of(seen, missing, silent)))
    return 1 if missing or silent else 0


def lines_of(seen: Sequence[Seen], missing: Iterable[Configured], silent: Iterable[tuple[str, str]] = ()) -> list[str]:
    """The list for people."""
    rows = [(one.attached.kind.value, one.attached.node, _name_of(one), _what(one), _known_by(one)) for one in seen]
    lines = table_lines([_HEAD, *rows]) if rows else ["Nothing is plugged in by which a machine could be attached."]
    lines += [f"! {device.title or device.name} ({device.name}) is not plugged in." for device in missing]
    lines += [f"! {node}, which triggers {name}, is not plugged in." for node, name in silent]
    for one in seen:
        if twins := twins_of(one, seen):
            nodes = ", ".join(twin.attached.node for twin in twins)
            lines.append(
                f"! {one.attached.node} is {one.adopted}, and so is {nodes}: they carry the same serial number. "
                f"Forget {one.adopted}, and adopt each of them by its port."
            )
        lines += [printable_text(f"  {one.attached.node}: {note}") for note in (one.known.notes if one.known else ())]
    unnamed = [one for one in seen if not one.device and not one.triggers and not one.adopted]
    if unnamed:
        others = [one.attached for one in seen]
        node, way = unnamed[0].attached.node, known_as(unnamed[0].attached, way_of(unnamed[0], others))
        lines.append(printable_text(f"To name {node} by {way}: appliance device adopt {node} NAME"))
    return lines


def _name_of(one: Seen) -> str:
    if one.device or one.triggers:
        return one.device or f"triggers {one.triggers}"
    return f"{one.adopted} (not configured)" if one.adopted else "-"


def _what(one: Seen) -> str:
    usb = f" ({one.attached.usb_id})" if one.attached.usb_id else ""
    hardware = f", hardware {one.known.hardware}" if one.known else ""
    return f"{one.words}{usb}{hardware}"


def _known_by(one: Seen) -> str:
    if one.by is not None:
        return known_as(one.attached, one.by)
    return "a rule of the site" if one.attached.name else "its node alone" if one.device or one.triggers else "-"
