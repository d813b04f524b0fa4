"""How the hospital is started: the command line as a frozen record."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.simulator.hospital.commitment_reporter import ReportTiming
from appliance.simulator.hospital.faults import menu_text
from appliance.simulator.hospital.report_association import Box
from appliance.simulator.hospital.tls import Papers


@dataclass(frozen=True, slots=True)
class HospitalOptions:
    """Everything that a hospital needs to know at its start."""

    directory: Path
    ae_title: str
    address: str
    port: int | None
    tls_port: int | None
    papers: Papers | None
    box: Box
    is_box_encrypted: bool
    timing: ReportTiming
    faults: tuple[str, ...]


def options_from_arguments(arguments: Sequence[str]) -> HospitalOptions:
    """Read the command line; ends the process with its usage when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="appliance.services.hospital",
        description="A hospital to try the box on: worklist, performed steps, storage, commitment, verification.",
        epilog="faults, each NAME[:PARAMETER][=TIMES], also one a line in DIRECTORY/faults while it runs\n"
        f"(TIMES ends it after so many strikes):\n{menu_text()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    timing = ReportTiming()
    parser.add_argument("--directory", type=Path, required=True, help="where everything received is kept")
    parser.add_argument("--port", type=int, help="TCP port of all its services")
    parser.add_argument("--tls-port", type=int, help="the same services, encrypted")
    for name, text in (
        ("certificate", "the hospital's own, PEM"),
        ("key", "its key, PEM"),
        ("authorities", "who may have signed the box's certificate, PEM"),
    ):
        parser.add_argument(f"--tls-{name}", type=Path, metavar="FILE", help=text)
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--ae-title", default="HOSPITAL")
    parser.add_argument("--box-ae", default="BRIDGE", help="AE title of the box, also that of its scheduled steps")
    parser.add_argument("--box-host", default="127.0.0.1")
    parser.add_argument("--box-port", type=int, default=11119, help="where the box listens for commitment reports")
    parser.add_argument("--box-tls", action="store_true", help="report to the box over TLS")
    parser.add_argument("--commitment-delay", type=float, default=timing.delay, metavar="SECONDS")
    parser.add_argument("--commitment-pause", type=float, default=timing.first_pause, metavar="SECONDS")
    parser.add_argument("--commitment-attempts", type=int, default=timing.attempts)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[:PARAMETER][=TIMES]")
    given = parser.parse_args(arguments)
    papers = None
    if given.tls_certificate and given.tls_key and given.tls_authorities:
        papers = Papers(given.tls_certificate, given.tls_key, given.tls_authorities)
    if given.port is None and given.tls_port is None:
        parser.error("give --port, --tls-port, or both")
    if papers is None and (given.tls_port is not None or given.box_tls):
        parser.error("TLS needs --tls-certificate, --tls-key and --tls-authorities")
    return HospitalOptions(
        directory=given.directory,
        ae_title=given.ae_title,
        address=given.address,
        port=given.port,
        tls_port=given.tls_port,
        papers=papers,
        box=Box(given.box_ae, given.box_host, given.box_port),
        is_box_encrypted=given.box_tls,
        timing=ReportTiming(
            delay=given.commitment_delay, first_pause=given.commitment_pause, attempts=given.commitment_attempts
        ),
        faults=tuple(given.fault),
    )
