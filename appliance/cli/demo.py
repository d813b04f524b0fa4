"""`appliance demo`: the box's own processes, and around them a hospital and three old machines."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from appliance.base.clock_trust import ClockTrust
from appliance.base.durable import replace_file
from appliance.base.errors import ApplianceError
from appliance.base.lock import ProcessLock
from appliance.base.paths import Paths
from appliance.base.sockets import bind_loopback, is_loopback_port_free, pick_free_port
from appliance.base.tokens import Role, address_from, read_token
from appliance.cli.demo_site import Site, make_site
from appliance.cli.job import Job, JobOptions
from appliance.cli.report import print_report
from appliance.cli.supervisor import Part, Supervisor, stop_on_signals
from appliance.config.effective import keep_effective

_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The command line of the demo. `deadline` in seconds."""

    archive: str
    directory: Path
    once: bool
    json: bool
    deadline: float
    panel_port: int
    machines_port: int
    faults: tuple[str, ...]


def run_demo(options: DemoOptions) -> int:
    """Run until Ctrl-C, or with `once` until the job is done; 0 when all is well."""
    paths = Paths.below(options.directory)
    try:
        options.directory.mkdir(parents=True, exist_ok=True)
        paths.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths.clock.mkdir(exist_ok=True)
    except OSError as error:
        raise ApplianceError(
            f"{options.directory} cannot be the demo's directory: {error.strerror}.", "Choose another --directory."
        ) from error
    lock = ProcessLock(paths.run / "demo.lock", f"A demo in {options.directory}")
    site = make_site(options.directory / "site.toml", options.archive)
    (paths.state / "config").mkdir(exist_ok=True)
    text = site.file.read_bytes()
    replace_file(paths.configuration, text)
    keep_effective(paths.effective, text, site.configuration)

    panel_port = _port_near(options.panel_port)
    machines_port = _port_near(options.machines_port)
    supervisor = Supervisor(
        parts_of(options, paths, site, panel_port, machines_port),
        paths.environment(),
        paths.run,
        options.directory / "log",
    )
    # The demo takes this machine's clock to be right, as a person who set it would say of a box's.
    ClockTrust(paths.clock).take_word()
    stop = threading.Event()
    stop_on_signals(stop)
    job = Job(paths, site.configuration, JobOptions(options.deadline, _hospital_directory(options.directory)))
    try:
        # The job's clock runs from here: what it promises includes the start.
        supervisor.start(min(_START_SECONDS, options.deadline) if options.once else _START_SECONDS, stop)
        if options.once:
            return _run_once(job, supervisor, stop, options)
        token = read_token(paths.console_socket.parent, Role.PANEL)
        panel = address_from(f"http://127.0.0.1:{panel_port}", token)
        _print_welcome(options.directory, panel, machines_port)
        supervisor.run_until(stop)
        print("\nStopping ...", flush=True)
        return 0
    finally:
        supervisor.stop()
        lock.release()


def parts_of(options: DemoOptions, paths: Paths, site: Site, panel_port: int, machines_port: int) -> list[Part]:
    """Every process of the demo: first the world around the box, then the box."""
    directory, box = options.directory, site.configuration.box
    hospital = [
        f"--directory={_hospital_directory(directory)}",
        f"--port={site.hospital_port}",
        f"--ae-title={site.hospital_ae}",
        f"--box-ae={box.ae_title}",
        f"--box-port={site.configuration.listener.port}",
        *(f"--fault={fault}" for fault in options.faults),
    ]
    machines = [
        f"--run-directory={paths.run}",
        f"--state-directory={directory / 'machines'}",
        f"--control-port={machines_port}",
    ]
    parts = [
        Part("hospital", "appliance.services.hospital", tuple(hospital)),
        Part("machines", "appliance.services.machines", tuple(machines)),
    ]
    if site.orthanc_port is not None:
        orthanc = [
            f"--directory={directory / 'orthanc'}",
            f"--port={site.orthanc_port}",
            f"--ae-title={site.orthanc_ae}",
            f"--box-ae={box.ae_title}",
            f"--box-port={site.configuration.listener.port}",
        ]
        parts.append(Part("orthanc", "appliance.services.orthanc", tuple(orthanc)))
    # What the plug cut off is saved first, also of a device that is no longer configured.
    parts.append(Part("recover", "appliance.services.recover", is_oneshot=True))
    for device in site.configuration.devices:
        parts.append(Part(f"acquire-{device.name}", "appliance.services.acquire", (device.name,)))
    parts.append(Part("forward", "appliance.services.forward"))
    parts.append(Part("console", "appliance.services.console", listener=bind_loopback(panel_port)))
    return parts


def _run_once(job: Job, supervisor: Supervisor, stop: threading.Event, options: DemoOptions) -> int:
    done = threading.Event()

    def work() -> None:
        try:
            job.run(stop)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="job")
    thread.start()
    supervisor.run_until(done)
    thread.join()
    print_report(job.report(), as_json=options.json)
    if not job.report().is_complete:
        print(f"appliance: {job.report().missing}", file=sys.stderr)
    return 0 if job.report().is_complete else 1


def _hospital_directory(directory: Path) -> Path:
    return directory / "hospital"


def _port_near(port: int) -> int:
    return port if is_loopback_port_free(port) else pick_free_port()


def _print_welcome(directory: Path, panel: str, machines_port: int) -> None:
    print(
        f"""
The panel:        {panel}
The old machines: http://127.0.0.1:{machines_port}/    (their own keys, in another tab)
State and logs:   {directory}

Try this:
  1. Choose a patient in the panel, confirm, and press Capture, Record, or Scan film.
  2. Press Print at the ultrasound in the other tab: its image arrives over the serial line.
  3. End the exam and watch each object go from saved to stored to committed.

Ctrl-C stops everything; started again it goes on where it was.
""",
        flush=True,
    )
