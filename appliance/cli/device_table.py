"""What is said of something that is plugged in: which device of the configuration it is, what is known of its kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from appliance.base.paths import Paths
from appliance.cli.device_configured import Configured
from appliance.config.known import KnownDevice, known_by_usb
from appliance.config.node_names import TRIGGER_SUFFIX
from appliance.devices.plugging.adopted import AdoptedDevices
from appliance.devices.plugging.attached import Attached, Kind
from appliance.devices.plugging.rules import NamedBy, choose_way, has_name_by

NODES = Path("/dev/appliance")
_KEYS = {Kind.VIDEO: "source", Kind.SERIAL: "line", Kind.SCANNER: "sane_device"}
_DRIVERS = {Kind.VIDEO: "grabber", Kind.SERIAL: "xmodem", Kind.SCANNER: "sane"}


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that is plugged in.

    `device` is what the configuration calls it, `triggers` the device that it says *now* to, `adopted` its rule's name
    for it.
    """

    attached: Attached
    known: KnownDevice | None
    device: str
    adopted: str
    by: NamedBy | None
    triggers: str = ""

    @property
    def words(self) -> str:
        return self.known.name if self.known else self.attached.words

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self.attached),
            "words": self.words,
            "hardware": self.known.hardware if self.known else "",
            "notes": list(self.known.notes) if self.known else [],
            "device": self.device,
            "triggers": self.triggers,
            "adopted": self.adopted,
            "known_by": self.by.value if self.by else "",
        }


def seen_from(found: Sequence[Attached], rules: dict[str, str], devices: Iterable[Configured], run: Path) -> list[Seen]:
    """Each of `found` with its names; `run` is where relative paths of the configuration begin."""
    listed = list(devices)
    seen = []
    for attached in found:
        adopted, by = _adopted_as(attached, rules)
        device = next((one.name for one in listed if _is_it(attached, adopted, one.name, one.path(run))), "")
        nodes = (attached.node, *attached.links, str(NODES / adopted) if adopted else "")
        triggers = next((one.name for one in listed if any(node in nodes for node in one.trigger_nodes)), "")
        known = known_by_usb(attached.usb_id, attached.kind.value)
        seen.append(Seen(attached, known, device, adopted, by, triggers))
    return seen


def read_seen(found: Sequence[Attached], paths: Paths, devices: Iterable[Configured]) -> list[Seen]:
    """`found`, as the rules and the configuration of this box, whose `devices` they are, call it."""
    return seen_from(found, AdoptedDevices(paths.rules).read(), devices, paths.run)


def missing_from(seen: Iterable[Seen], devices: Iterable[Configured]) -> list[Configured]:
    """The configured devices that a plug decides about, and that are not here: a simulated one has no plug."""
    here = {one.device for one in seen}
    return [device for device in devices if device.name not in here and device.has_plug]


def missing_triggers_from(seen: Iterable[Seen], devices: Iterable[Configured]) -> list[tuple[str, str]]:
    """What should trigger a device and is not here: node and the device's name."""
    here = set()
    for one in seen:
        here |= {one.attached.node, *one.attached.links, str(NODES / one.adopted)}
    return [(node, device.name) for device in devices for node in device.trigger_nodes if node not in here]


def twins_of(one: Seen, seen: Iterable[Seen]) -> list[Seen]:
    """What else has its name, by the one rule that was written for it: they carry the same number."""
    node, name = one.attached.node, one.adopted
    return [other for other in seen if other.by and other.adopted == name and other.attached.node != node]


def way_of(seen: Seen, others: Iterable[Attached]) -> NamedBy:
    """By what a rule would name it."""
    return choose_way(seen.attached, others, is_number_doubtful=seen.known is not None and seen.known.repeats_serial)


def known_as(attached: Attached, by: NamedBy) -> str:
    """By what it is known, in words."""
    if by is NamedBy.SERIAL:
        return f"its serial number {attached.serial}"
    return f"its port {attached.port or attached.node.rpartition('/')[2]}"


def snippet_lines(seen: Seen, name: str) -> list[str]:
    """What the configuration needs, to be completed by what only the site knows."""
    kind = seen.attached.kind
    if kind is Kind.INPUT or name.endswith(TRIGGER_SUFFIX):
        return ["# in the device that it takes pictures of:", *_trigger_lines(kind, name)]
    lines = ["[[devices]]", f'name = "{name}"', f'driver = "{_DRIVERS[kind]}"']
    if kind is Kind.SERIAL:
        lines[-1] += '   # or "printer", as the machine sends'
    if seen.known:
        doubt = "" if seen.known.is_sure else "   # nobody is known to have tried its settings: probe it"
        lines.append(f'hardware = "{seen.known.hardware}"{doubt}')
    lines.append('modality = ""   # the machine\'s own: US, ES, XA, …')
    lines.append(key_line(seen, name))
    return lines


def key_line(seen: Seen, name: str) -> str:
    """The key by which the configuration names what is adopted as `name`."""
    if seen.attached.kind is Kind.SCANNER:
        backend = seen.known.kernel if seen.known else "BACKEND"
        return f'sane_device = "{backend}:{NODES / name}"   # with the backend as `scanimage -L` names it'
    return f'{_KEYS[seen.attached.kind]} = "{NODES / name}"'


def bytes_trigger(node: str, pattern: str, baud: int) -> str:
    """A trigger by what goes over a line, as a line of the configuration."""
    return f'{{ kind = "bytes", node = "{node}", pattern = "{pattern}", baud = {baud} }}'


def _trigger_lines(kind: Kind, name: str) -> list[str]:
    if kind is Kind.SERIAL:
        return [
            f"triggers = [{bytes_trigger(str(NODES / name), '', 9600)}]   # appliance device learn finds the pattern"
        ]
    return [f'triggers = [{{ kind = "key", node = "{NODES / name}", action = "still" }}]']


def _adopted_as(attached: Attached, rules: dict[str, str]) -> tuple[str, NamedBy | None]:
    for name, rule in rules.items():
        by = has_name_by(rule, attached)
        if by is not None:
            return name, by
    return attached.name, None


def _is_it(attached: Attached, adopted: str, name: str, path: str) -> bool:
    if name == adopted:
        return True
    if attached.kind is Kind.SCANNER:
        nodes = (f":libusb:{attached.bus_address}", *(f":{node}" for node in (attached.node, *attached.links)))
        return bool(attached.bus_address) and path.endswith(nodes)
    return path in (attached.node, *attached.links) and bool(path)
