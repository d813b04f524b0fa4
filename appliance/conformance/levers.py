"""What could be configured otherwise: the changes that may make a need true which the configuration as it is does not.

Each is one thing that a site can do, with the keys that do it. A need that is met with all of them is met with a
smallest set, which is what people are told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.config.devices import FilmDevice, GrabberDevice, PrinterDevice, SerialDevice
from appliance.config.render import is_loopback
from appliance.config.schema import (
    AuditCollector,
    Configuration,
    Destination,
    Listener,
    PerformedStepManager,
    Tls,
    WorklistSource,
)

_SOMEBODY: Final[dict[str, Any]] = {"ae_title": "TO-BE-NAMED", "host": "to-be-named", "port": 104}
_MACHINE: Final[dict[str, Any]] = {"modality": "OT"}


@dataclass(frozen=True, slots=True)
class Lever:
    """One change. `keys` are what a person writes."""

    keys: str
    pull: Callable[[Configuration], Configuration]


def smallest(
    configuration: Configuration, is_met: Callable[[Configuration], bool], levers: Sequence[Lever] | None = None
) -> tuple[Lever, ...] | None:
    """The levers of which none can be spared to make `is_met` true; None when not even all of them do."""
    chosen = list(LEVERS if levers is None else levers)
    if not is_met(_pulled(configuration, chosen)):
        return None
    # Mostly those that none can spare are enough, or one of several that would do. These trials are the same for every
    # need, so that whoever keeps what he was told asks for few statements.
    needed = [one for one in chosen if not is_met(_pulled(configuration, [each for each in chosen if each is not one]))]
    if is_met(_pulled(configuration, needed)):
        chosen = needed
    else:
        chosen = next(([one] for one in chosen if is_met(_pulled(configuration, [one]))), chosen)
    before: list[Lever] = []
    # One may be needed only while another one is there: so until a round spares nothing more.
    while before != chosen:
        before = chosen
        for lever in before:
            without = [one for one in chosen if one is not lever]
            if is_met(_pulled(configuration, without)):
                chosen = without
    return tuple(chosen)


def _pulled(configuration: Configuration, levers: Sequence[Lever]) -> Configuration:
    for lever in levers:
        configuration = lever.pull(configuration)
    return configuration


def _change(configuration: Configuration, **changes: Any) -> Configuration:
    return configuration.model_copy(update=changes)


def _worklist(configuration: Configuration) -> Configuration:
    if configuration.worklist:
        return configuration
    return _change(configuration, worklist=(WorklistSource(name="worklist", **_SOMEBODY),))


def _performed_step(configuration: Configuration) -> Configuration:
    return _change(configuration, performed_step=configuration.performed_step or PerformedStepManager(**_SOMEBODY))


def _destination(configuration: Configuration) -> Configuration:
    if configuration.destinations:
        return configuration
    return _change(configuration, destinations=(Destination(name="archive", **_SOMEBODY),))


def _each_destination(**changes: Any) -> Callable[[Configuration], Configuration]:
    def pull(configuration: Configuration) -> Configuration:
        changed = tuple(one.model_copy(update=changes) for one in configuration.destinations)
        return _change(configuration, destinations=changed)

    return pull


def _each_source(**changes: Any) -> Callable[[Configuration], Configuration]:
    def pull(configuration: Configuration) -> Configuration:
        return _change(configuration, worklist=tuple(one.model_copy(update=changes) for one in configuration.worklist))

    return pull


def _identity(configuration: Configuration) -> Configuration:
    given = configuration.tls or Tls(certificate=Path("box.pem"), key=Path("box.key"), authorities=Path("ca.pem"))
    return _change(configuration, tls=given)


def _encrypt(configuration: Configuration) -> Configuration:
    step = configuration.performed_step
    return _change(
        configuration,
        listener=Listener(
            host=configuration.listener.host, port=None, tls_port=configuration.listener.tls_port or 2762
        ),
        worklist=tuple(one.model_copy(update={"tls": True}) for one in configuration.worklist),
        destinations=tuple(one.model_copy(update={"tls": True}) for one in configuration.destinations),
        performed_step=step.model_copy(update={"tls": True}) if step else None,
    )


def _listen(configuration: Configuration) -> Configuration:
    """Where the hospital reaches it, if it is on the loopback."""
    listener = configuration.listener
    return _change(
        configuration,
        listener=listener.model_copy(update={"host": "0.0.0.0"}) if is_loopback(listener.host) else listener,
    )


def _audit(configuration: Configuration) -> Configuration:
    return _change(configuration, audit=configuration.audit or AuditCollector(host="to-be-named"))


def _add(device: Any) -> Callable[[Configuration], Configuration]:
    def pull(configuration: Configuration) -> Configuration:
        if any(one.driver == device.driver for one in configuration.devices):
            return configuration
        return _change(configuration, devices=(*configuration.devices, device))

    return pull


def _name_machines(configuration: Configuration) -> Configuration:
    """What is empty gets a value; its own is the site's to say."""
    keys = ("manufacturer", "model", "serial_number", "station_name", "series_description")
    return _change(
        configuration,
        devices=tuple(
            one.model_copy(update={key: getattr(one, key) or "to be named" for key in keys})
            for one in configuration.devices
        ),
    )


def _name_institution(configuration: Configuration) -> Configuration:
    box = configuration.box
    return _change(configuration, box=box.model_copy(update={"institution": box.institution or "to be named"}))


def _keep(configuration: Configuration) -> Configuration:
    longest = 3650.0
    retention = configuration.retention.model_copy(update={"committed_days": longest, "unproven_days": longest})
    return _change(configuration, retention=retention)


# Peers before what is said of peers.
LEVERS: Final[tuple[Lever, ...]] = (
    Lever("[[worklist]]", _worklist),
    Lever("[performed_step]", _performed_step),
    Lever("[[destinations]]", _destination),
    Lever(
        '[[devices]] with driver = "xmodem"',
        _add(SerialDevice(name="serial", driver="xmodem", line=Path("line"), **_MACHINE)),
    ),
    Lever(
        '[[devices]] with driver = "printer"',
        _add(PrinterDevice(name="printer", driver="printer", line=Path("line"), language="pcl", **_MACHINE)),
    ),
    Lever(
        '[[devices]] with driver = "grabber"',
        _add(GrabberDevice(name="grabber", driver="grabber", source=Path("/dev/video0"), **_MACHINE)),
    ),
    Lever(
        '[[devices]] with driver = "sane"', _add(FilmDevice(name="film", driver="sane", sane_device="film", **_MACHINE))
    ),
    Lever("destinations: commitment = true", _each_destination(commitment=True)),
    Lever("destinations: verify_by_find = true", _each_destination(verify_by_find=True)),
    Lever(
        "destinations: transfer_syntaxes",
        _each_destination(transfer_syntaxes=Destination.model_fields["transfer_syntaxes"].default),
    ),
    Lever("worklist: modalities", _each_source(modalities=("OT",))),
    Lever("worklist: scheduled_station_ae_title", _each_source(scheduled_station_ae_title="TO-BE-NAMED")),
    Lever("[tls]", _identity),
    Lever("listener.tls_port and tls = true of each peer", _encrypt),
    Lever("listener.host", _listen),
    Lever("[audit]", _audit),
    Lever("devices: manufacturer, model, serial_number, station_name, series_description", _name_machines),
    Lever("box.institution", _name_institution),
    Lever("retention.committed_days", _keep),
)
