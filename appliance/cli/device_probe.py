"""`appliance device probe`: whether a device works, what comes from it, and what to write into the configuration."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.base.errors import ApplianceError
from appliance.base.lock import ProcessLock
from appliance.base.paths import Paths
from appliance.cli.device_configured import configured_from
from appliance.cli.device_table import Seen, read_seen
from appliance.cli.table import printable_text, table_lines
from appliance.config.devices import Device, FilmDevice
from appliance.config.effective import tree_from
from appliance.config.in_force import read_in_force
from appliance.config.schema import Configuration
from appliance.devices.plugging.attached import Attached, Kind
from appliance.devices.plugging.udev import list_attached


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: a device of the configuration, something that is plugged in, or both."""

    kind: Kind
    node: str
    device: Device | None
    seen: Seen | None

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self.device.name if self.device else self.node.rpartition("/")[2]

    @property
    def words(self) -> str:
        what = f", {self.seen.words}" if self.seen else ""
        return f"{self.device.title or self.device.name}: {self.node}{what}" if self.device else f"{self.node}{what}"


@dataclass(frozen=True, slots=True)
class Probed:
    """What is told: rows of a table, lines behind it, what to set, and all of it for programs."""

    is_good: bool
    rows: list[tuple[str, str]]
    notes: list[str]
    settings: list[str]
    document: dict[str, Any]


def probe_device(given: argparse.Namespace) -> int:
    """Print what came; 0 when something usable did. ApplianceError: no such device, or its acquire process has it."""
    paths = Paths.from_environment()
    target = find_target(given.target, list_attached(), paths)
    with device_for_us(target, paths):
        match target.kind:
            case Kind.VIDEO:
                from appliance.cli.device_probe_video import probe
            case Kind.SERIAL:
                from appliance.cli.device_probe_serial import probe
            case Kind.SCANNER:
                from appliance.cli.device_probe_scanner import probe
            case Kind.INPUT:
                raise ApplianceError(
                    f"{target.node} has keys, and nothing to be measured.", "Adopt it, and name it as what presses."
                )
        probed = probe(target, paths, given)
    if given.json:
        print(json.dumps({"probed": target.words, **probed.document}, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines_of(target, probed)))
    return 0 if probed.is_good else 1


def lines_of(target: Target, probed: Probed) -> list[str]:
    """What was found, for people."""
    lines = [printable_text(target.words), *table_lines(probed.rows)]
    known = target.seen.known if target.seen else None
    lines += [*probed.notes, *(known.notes if known else ())]
    if probed.settings:
        lines += ["What the configuration could have for it:", *(f"    {line}" for line in probed.settings)]
    return lines


def find_target(said: str, found: list[Attached], paths: Paths) -> Target:
    """Who is meant by a device's name or a node. ApplianceError when nobody is."""
    configuration = _read_configuration(paths)
    plugs = [configured_from(one) for one in tree_from(configuration)["devices"]]
    seen = read_seen(found, paths, plugs)
    for device, plug in zip(configuration.devices, plugs, strict=True):
        if device.name == said:
            one = next((one for one in seen if one.device == said), None)
            node = one.attached.node if one and isinstance(device, FilmDevice) else plug.path(paths.run)
            return Target(plug.kind, node, device, one)
    for one in seen:
        if said in (one.attached.node, *one.attached.links, one.adopted) and said:
            by_name = {device.name: device for device in configuration.devices}
            return Target(one.attached.kind, one.attached.node, by_name.get(one.device), one)
    names = ", ".join([*(device.name for device in configuration.devices), *(one.node for one in found)])
    raise ApplianceError(f"{said} is no device of the configuration, and not plugged in.", f"There are: {names}.")


def _read_configuration(paths: Paths) -> Configuration:
    """The box's, or an empty one where there is none yet: devices are probed before a site is written."""
    try:
        paths.configuration.stat()
    except FileNotFoundError:
        return Configuration()
    except OSError:
        pass  # whoever loads it says why it cannot be read
    return read_in_force(paths.configuration).configuration


@contextlib.contextmanager
def device_for_us(target: Target, paths: Paths) -> Iterator[None]:
    """Nobody else's while this lasts: an acquire process that has it is not disturbed. ApplianceError says so."""
    lock = paths.acquire_lock(target.device.name) if target.device else None
    unit = f"appliance-acquire@{target.name}"
    try:
        # Where there is none no acquire process ran; one that we made would be ours, and in its way.
        held = ProcessLock(lock, f"The acquire process of {target.name}") if lock and lock.exists() else None
    except PermissionError as error:
        raise ApplianceError(
            f"Whether the acquire process of {target.name} has it may not be asked.", "Run the command as root."
        ) from error
    except ApplianceError as error:
        raise ApplianceError(
            f"The acquire process of {target.name} has it.",
            f"Between two exams: systemctl stop {unit}, probe, systemctl start {unit}.",
        ) from error
    try:
        yield
    finally:
        if held is not None:
            held.release()


def write_picture(path: Path, data: bytes) -> None:
    """Put a picture where it was asked for, readable by whoever asked alone: it may show a patient."""
    from appliance.base.durable import replace_file
    from appliance.base.flash import reason_of

    try:
        replace_file(path.absolute(), data, 0o600)
    except OSError as error:
        raise ApplianceError(f"{path} cannot be written: {reason_of(error)}.") from error
