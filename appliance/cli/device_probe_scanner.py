"""`appliance device probe` of a film digitizer: what SANE calls it, and what it can be set to. It scans nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from appliance.acquire.drivers import film_options_from
from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.cli.device_probe import Probed, Target
from appliance.cli.device_table import NODES
from appliance.config.devices import FilmDevice
from appliance.devices.errors import DeviceError
from appliance.devices.film.offered import Offered, check_offered, read_offered
from appliance.devices.film.options import FilmOptions
from appliance.devices.plugging.probe_scanner import FoundScanner, list_scanners

# What a film needs; the rest is listed by name.
_WANTED = ("mode", "depth", "resolution", "source", "film-type", "l", "t", "x", "y")


def probe(target: Target, paths: Paths, given: argparse.Namespace) -> Probed:  # noqa: ARG001
    """Ask SANE for it. ApplianceError when SANE does not know it, or cannot open it."""
    clock = SystemClock()
    if isinstance(target.device, FilmDevice):
        options = film_options_from(target.device, paths.run)
    else:
        options = FilmOptions("", 0, 0, 0)
        name = scanner_at(list_scanners(options, clock), target.seen.attached.bus_address if target.seen else "").name
        options = FilmOptions(name, 0, 0, 0)
    offered = read_offered(options, clock)
    if not offered:
        raise ApplianceError(
            f"SANE cannot open {options.device}.", "Check that it is on and plugged in; `scanimage -L` shows it."
        )
    trouble = _trouble_of(options, offered) if target.device else ""
    return probed_from(options.device, offered, target, trouble)


def scanner_at(found: list[FoundScanner], bus_address: str) -> FoundScanner:
    """The one at that place of the bus. ApplianceError with those that there are."""
    for one in found:
        if bus_address and one.name.endswith(f":libusb:{bus_address}"):
            return one
    known = "; ".join(f"{one.name}, {one.words}" for one in found) or "none"
    raise ApplianceError("SANE does not find this digitizer.", f"It finds: {known}.")


def _trouble_of(options: FilmOptions, offered: Mapping[str, Offered]) -> str:
    """What the configuration wants and the digitizer does not have."""
    try:
        check_offered(options, offered)
    except DeviceError as error:
        return str(error)
    return ""


def probed_from(name: str, offered: Mapping[str, Offered], target: Target, trouble: str) -> Probed:
    """What is told of it."""
    rows = [("SANE's name", name)]
    rows += [
        (one.name, one.words if one.is_active else f"{one.words}; not with the present settings")
        for one in offered.values()
        if one.name in _WANTED
    ]
    others = [one.name for one in offered.values() if one.name not in _WANTED and one.is_active]
    notes = [f"! {trouble}"] if trouble else []
    notes += [f"Further options: {', '.join(others)}."] if others else []
    mode, depth = offered.get("mode"), offered.get("depth")
    has_gray = mode is not None and mode.may_be("Gray")
    if not has_gray:
        notes.append("! It has no mode Gray, in which films are scanned.")
    if depth is not None and not depth.may_be("16"):
        notes.append(f"It gives no 16 bits a sample: set depth to one of {depth.words}.")
    known = target.seen.known if target.seen else None
    settings = [f'hardware = "{known.hardware}"'] if known else []
    adopted = target.seen.adopted if target.seen else ""
    lasting = f"{name.partition(':')[0]}:{NODES / adopted}" if adopted else name
    settings.append(f'sane_device = "{lasting}"')
    for key, option in (("width_mm", offered.get("x")), ("height_mm", offered.get("y"))):
        if option is not None and option.most:
            settings.append(f"{key} = {option.most}   # at most")
    document = {
        "sane_device": name,
        "trouble": trouble,
        "options": {one.name: {"has": one.words, "is_active": one.is_active} for one in offered.values()},
        "settings": settings,
    }
    return Probed(has_gray and not trouble, rows, notes, settings, document)
