"""The demo's configuration: the commented example with free ports, written once; what a person changes in it stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tomlkit

from appliance.base.durable import replace_file
from appliance.base.errors import ApplianceError
from appliance.base.sockets import is_loopback_port_free, pick_free_port
from appliance.config.example import EXAMPLE
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration

_ORTHANC_AE = "ORTHANC"


@dataclass(frozen=True, slots=True)
class Site:
    """The configuration, and where the world around the box must listen to fit it."""

    file: Path
    configuration: Configuration
    hospital_port: int
    hospital_ae: str
    orthanc_port: int | None
    orthanc_ae: str


def make_site(file: Path, archive: str) -> Site:
    """The site in `file`, written first if it is not there. ConfigurationError with everything that is wrong in it."""
    if not file.exists():
        replace_file(file, example_with_free_ports(archive).encode())
    configuration = load_configuration(file)
    manager = configuration.performed_step
    if manager is None or not configuration.worklist:
        raise ApplianceError(
            f"{file} names no worklist or no performed-step manager, which the demo needs.",
            f"Add them, or remove {file} to have it written anew.",
        )
    orthanc = configuration.worklist[0] if archive == "orthanc" else None
    site = Site(
        file=file,
        configuration=configuration,
        hospital_port=manager.port,
        hospital_ae=manager.ae_title,
        orthanc_port=orthanc.port if orthanc else None,
        orthanc_ae=orthanc.ae_title if orthanc else _ORTHANC_AE,
    )
    for port in (site.hospital_port, site.orthanc_port, configuration.listener.port):
        if port is not None and not is_loopback_port_free(port):
            raise ApplianceError(
                f"Port {port}, which {file} names, is used by another program.",
                f"Stop that program, or change the port in {file}.",
            )
    return site


def example_with_free_ports(archive: str) -> str:
    """The commented example as the demo writes it, its ports replaced where another program has them."""
    document = tomlkit.parse(EXAMPLE.read_text(encoding="utf-8"))
    taken: set[int] = set()

    def free(wanted: int) -> int:
        port = wanted
        while port in taken or not is_loopback_port_free(port):
            port = pick_free_port()
        taken.add(port)
        return port

    hospital = free(int(document["performed_step"]["port"]))
    listener = free(int(document["listener"]["port"]))
    document["listener"]["port"] = listener
    document["performed_step"]["port"] = hospital
    archive_port = free(4242) if archive == "orthanc" else hospital
    for peer in (document["worklist"][0], document["destinations"][0]):
        peer["port"] = archive_port
        if archive == "orthanc":
            peer["ae_title"] = _ORTHANC_AE
    return tomlkit.dumps(document)
