"""A small box with real processes: its configuration, its old machines, a hospital, and what a person does with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from appliance.base.asking import Asker
from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.base.sockets import bind_unix
from appliance.devices.video.stream import FRAME_HEADER, FRAME_MARK
from appliance.simulator.machines.film import write_sane_configuration
from appliance.simulator.machines.xmodem_sender import Protocol, XmodemSender
from tests.acquire.world import picture
from tests.crash.pixels import SIGN, SIZE
from tests.peers import is_listening, wait_until
from tests.ports import pick_free_port

REPOSITORY = Path(__file__).parents[2]
DEVICES = ("ultrasound", "endoscope", "film", "plates")
FRAMES_PER_SECOND = 12
START_SECONDS = 60.0
CONFIGURATION = """
[box]
name = "bridge"
ae_title = "BRIDGE"
institution = "Klinik"
reserve_bytes = 1000000
[listener]
port = {listener}
[[worklist]]
name = "ris"
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = {hospital}
every_seconds = 600
[performed_step]
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = {hospital}
[[destinations]]
name = "archive"
ae_title = "HOSPITAL"
host = "127.0.0.1"
port = {hospital}
commitment_seconds = 60
retry_first_seconds = 0.5
retry_longest_seconds = 5
[[devices]]
name = "ultrasound"
driver = "xmodem"
title = "Ultrasound"
modality = "US"
line = "ultrasound.tty"
gap_seconds = 5
[[devices]]
name = "endoscope"
driver = "grabber"
title = "Endoscope"
modality = "ES"
source = "endoscope.sock"
frames_per_second = 12
[[devices]]
name = "film"
driver = "sane"
title = "Film digitizer"
modality = "RG"
sane_device = "test:0"
sane_config_directory = "sane"
resolution_dpi = 50
width_mm = 20
height_mm = 25
stall_seconds = 5
[[devices]]
name = "plates"
driver = "sane"
title = "Plate digitizer"
modality = "RG"
sane_device = "test:0"
sane_config_directory = "sane"
resolution_dpi = 50
width_mm = 25
height_mm = 20
stall_seconds = 5
compression = "jpeg-ls"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """`state` is what a power cut hits; `run` is lost with every boot, `hospital` has its own power supply."""

    directory: Path
    listener: int
    port: int

    @classmethod
    def below(cls, directory: Path) -> Place:
        return cls(directory, pick_free_port(), pick_free_port())

    @property
    def paths(self) -> Paths:
        return Paths(self.directory / "state", self.directory / "run")

    @property
    def hospital(self) -> Path:
        return self.directory / "hospital"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def make(self) -> None:
        """The directories and the configuration, as an installation leaves them."""
        for directory in (self.paths.state, self.paths.run, self.hospital, self.log):
            directory.mkdir(parents=True, exist_ok=True)
        self.paths.configuration.parent.mkdir(exist_ok=True)
        self.paths.configuration.write_text(CONFIGURATION.format(listener=self.listener, hospital=self.port))

    def hospital_arguments(self) -> list[str]:
        own = [f"--directory={self.hospital}", f"--port={self.port}", f"--box-port={self.listener}"]
        return [*own, "--commitment-delay=0.2", "--commitment-pause=0.5"]


def transferred_image() -> bytes:
    """The ultrasound's image."""
    return picture(1, (64, 48))


class Machines:
    """The old machines: threads of the test, since nobody pulls their plug."""

    def __init__(self, run: Path, size: tuple[int, int] = SIZE) -> None:
        """`size` of the endoscope's picture: no picture of one size is like one of another."""
        self._size = size
        self._sign = run / SIGN
        self._stop = threading.Event()
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        link = run / "ultrasound.tty"
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._near))
        write_sane_configuration(run / "sane")
        self._listener = bind_unix(run / "endoscope.sock")
        self._listener.settimeout(0.1)
        self._thread = threading.Thread(target=self._show, name="endoscope", daemon=True)

    def __enter__(self) -> Machines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()
        os.close(self._far)
        os.close(self._near)

    def show_pixels(self, are_pixels: bool) -> None:
        """The endoscope's grabber gives pixels from now on, or JPEG; what it gave before has come."""
        if are_pixels:
            self._sign.touch()
        else:
            self._sign.unlink(missing_ok=True)
        self._stop.wait(3 / FRAMES_PER_SECOND)

    def print_image(self) -> bool:
        """Press Print at the ultrasound; true when the box acknowledged."""
        sender = XmodemSender(self._far, SystemClock(), self._stop)
        return sender.send_file(transferred_image(), Protocol.ONE_K).acknowledged

    def _show(self) -> None:
        sequence, connection = 0, None
        while not self._stop.is_set():
            if connection is None:
                with contextlib.suppress(TimeoutError):
                    connection, _ = self._listener.accept()
                    connection.settimeout(1.0)
                continue
            sequence += 1
            data = picture(sequence, self._size)
            header = FRAME_HEADER.pack(FRAME_MARK, len(data), sequence, time.monotonic_ns())
            try:
                connection.sendall(header + data)
            except OSError:
                connection.close()
                connection = None
            self._stop.wait(1.0 / FRAMES_PER_SECOND)
        if connection is not None:
            connection.close()


class Processes:
    """The box's services and the hospital, started as children of one launcher, which strace can follow."""

    def __init__(self, place: Place, prefix: Sequence[str] = ()) -> None:
        """`prefix` is a command that runs the launcher, such as strace with its options."""
        self.place = place
        self.roles: dict[int, str] = {}
        """What each process was, by its pid."""
        launcher = [sys.executable, str(Path(__file__).with_name("launcher.py")), str(place.log)]
        environment = {**os.environ, **place.paths.environment(), "PYTHONPATH": str(REPOSITORY)}
        self._launcher = subprocess.Popen(
            [*prefix, *launcher],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,
        )
        self.console = Asker(place.paths.console_socket, "The console")
        self._forward = Asker(place.paths.forward_socket, "The sender")
        self._acquires = {name: Asker(place.paths.acquire_socket(name), name) for name in DEVICES}

    def _tell(self, **what: Any) -> Any:
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        self._launcher.stdin.write(json.dumps(what) + "\n")
        self._launcher.stdin.flush()
        answer = self._launcher.stdout.readline()
        assert answer, f"the launcher ended\n{self.logs()[-2000:]}"
        return json.loads(answer)

    def _start(self, name: str, service: str, *arguments: str) -> None:
        pid = self._tell(act="start", name=name, service=service, arguments=list(arguments))
        self.roles[pid] = " ".join([service, *arguments]).partition(" --")[0]

    def start_hospital(self) -> None:
        self._start("hospital", "hospital", *self.place.hospital_arguments())
        wait_until(lambda: is_listening(self.place.port), "the hospital listens", START_SECONDS)

    def recover(self) -> None:
        """What runs at boot, before anything else."""
        self._start("recover", "recover")
        assert self._tell(act="wait", name="recover") == 0, self.logs()[-2000:]

    def start_box(self) -> None:
        """Every service, and wait until each answers."""
        for name in DEVICES:
            self._start(f"acquire-{name}", "acquire", name)
        for name in ("forward", "console"):
            self._start(name, name)
        for asker in (self.console, self._forward, *self._acquires.values()):
            path = "/api/alive" if asker is self.console else "/status"
            wait_until(partial(answers, asker, path), "a service answers", START_SECONDS)

    def state_of(self, device: str) -> str:
        return str(self._acquires[device].ask("GET", "/status", seconds=20.0)["state"])

    def kill_box(self) -> None:
        """SIGKILL to every service at once; the hospital lives on."""
        names = [f"acquire-{name}" for name in DEVICES] + ["forward", "console"]
        self._tell(act="kill", names=names)

    def died(self) -> list[str]:
        """Services that ended by themselves."""
        return list(self._tell(act="died"))

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.place.log.glob("*.log")))

    def end(self) -> None:
        """Stop everything, and the launcher; what strace wrote is then complete."""
        for asker in (self.console, self._forward, *self._acquires.values()):
            asker.close()
        if self._launcher.poll() is None:
            assert self._launcher.stdin is not None
            self._launcher.stdin.close()
            try:
                self._launcher.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self._launcher.pid, signal.SIGKILL)
                self._launcher.wait()


def answers(asker: Asker, path: str) -> bool:
    with contextlib.suppress(ApplianceError):
        asker.ask("GET", path, seconds=5.0)
        return True
    return False


@contextlib.contextmanager
def running(place: Place, prefix: Sequence[str] = ()) -> Iterator[Processes]:
    """A launcher for the block; everything that it started has ended behind it."""
    processes = Processes(place, prefix)
    try:
        yield processes
    finally:
        processes.end()


class Technologist:
    """What a person does at the panel."""

    def __init__(self, console: Asker) -> None:
        self._console = console

    def open_exam(self, number: int) -> str:
        """Choose the `number`-th patient of the day."""
        self.refresh()
        items = self._console.ask("GET", "/api/worklist")["items"]
        key = [item["key"] for item in items if not item["missing"]][number]
        return str(self._console.ask("POST", "/api/exams", {"key": key}, seconds=30)["exam_id"])

    def refresh(self) -> None:
        self._console.ask("POST", "/api/worklist/refresh", {}, seconds=30)

    def tap(self, device: str, action: str, exam_id: str) -> dict[str, Any]:
        return self._console.ask("POST", f"/api/devices/{device}/{action}", {"exam_id": exam_id}, seconds=60)

    def open_exam_id(self) -> str | None:
        exam = self._console.ask("GET", "/api/exam", seconds=30)["exam"]
        return str(exam["exam_id"]) if exam else None

    def close_exam(self, exam_id: str) -> dict[str, Any]:
        body = {"exam_id": exam_id, "outcome": "COMPLETED"}
        return self._console.ask("POST", "/api/exam/close", body, seconds=130)


def is_settled(state: Path) -> bool:
    """True when every exam has ended, and everything of it is done."""
    exams = [path for path in (state / "exams").iterdir() if (path / "exam.json").exists()]
    return all((state / "settled" / f"{path.name}.json").exists() for path in exams)
