"""The forward process between an archive and a RIS (two simulated hospitals) and an archive without commitment.

The two hospitals are apart, so that each can have its own faults while the other one shows that all else goes on.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.base.asking import Asker
from appliance.base.errors import ApplianceError
from appliance.base.paths import Paths
from appliance.base.sockets import pick_free_port
from appliance.config.load import load_configuration
from appliance.config.schema import Configuration
from appliance.exam.exam import Outcome
from appliance.spool.tree import Spool
from tests.forward.hospital_job import PATIENT_ID, PATIENT_NAME, Job
from tests.peers import Peer, running, start_storescp, wait_until
from tests.simulator.hospitals import Hospital

REPOSITORY = Path(__file__).parents[2]
ANSWER_SECONDS = 1.5
COMMITMENT_SECONDS = 2
_PEER = f'host = "127.0.0.1"\nconnect_seconds = 1\nanswer_seconds = {ANSWER_SECONDS}\n'
_RETRY = "retry_first_seconds = 0.2\nretry_longest_seconds = 0.4\n"


@dataclass
class World:
    """`exams` are all that there have been, by their number."""

    directory: Path
    archive: Hospital
    ris: Hospital
    plain: Peer
    forward: Peer
    configuration: Configuration
    exams: list[Job] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    quiet: tuple[int, int] = (0, 0)

    @property
    def paths(self) -> Paths:
        return Paths.below(self.directory / "box")

    def __post_init__(self) -> None:
        self._asker = Asker(self.paths.forward_socket, "The forward process")

    def ask(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._asker.ask(method, path, body, seconds=30)

    def end_exam(self, *sizes: int, outcome: Outcome = Outcome.COMPLETED) -> Job:
        """An exam with an object of each size, for both archives, ended and handed over."""
        exam_id = f"20261122-093000-{next(self.numbers):04}"
        job = Job(Spool(self.paths.state), self.configuration, ("archive", "plain"), exam_id)
        for size in sizes or (8,):
            job.capture("ultrasound", size)
        job.close(outcome)
        job.hand_over()
        self.exams.append(job)
        self.ask("/hint", "POST")
        return job

    def queue(self, job: Job) -> dict[str, Any]:
        return self.ask(f"/queue?exam_id={job.exam_id}")

    def states(self, job: Job, destination: str = "archive") -> set[str]:
        return {str(one["destinations"][destination]["state"]) for one in self.queue(job)["objects"]}

    def said(self, job: Job) -> str:
        """What the archive's words were, of every object, one line each."""
        return "\n".join(str(one["destinations"]["archive"]["said"]) for one in self.queue(job)["objects"])

    def step(self, job: Job) -> str:
        return " ".join(one["state"] for one in self.queue(job)["steps"])

    def findings(self) -> dict[str, str]:
        """Code → sentence and suggestion."""
        told = self.ask("/status")["findings"]
        return {one["code"]: f"{one['sentence']} {one['suggestion']}".strip() for one in told}

    def is_done(self, job: Job) -> bool:
        """Committed at one archive, stored at the other, told to the RIS, and settled."""
        return (
            job.settled.exists() and self.states(job) == {"committed"} and self.states(job, "plain") == {"stored_only"}
        )

    def times_stored(self, job: Job) -> list[int]:
        """How often the box took each object as stored at the archive."""
        log = self.forward.log.read_text(encoding="utf-8")
        return [log.count(f"object {uid} is stored at archive") for uid in sorted(job.uids)]

    def use(self) -> tuple[int, int]:
        """Descriptors and threads of the forward process."""
        assert self.forward.process is not None
        process = Path(f"/proc/{self.forward.process.pid}")
        return len(os.listdir(process / "fd")), len(os.listdir(process / "task"))

    def calm_down(self) -> None:
        """Lift all faults; wait until everything is done and nothing of what it took is left."""
        self.archive.set_faults()
        self.ris.set_faults()
        for job in self.exams:
            wait_until(lambda job=job: self.is_done(job), f"exam {job.exam_id} is done: {self.queue(job)}")
            assert job.uids <= set(self.archive.objects())
            assert not any(self.archive.conflicts(uid) for uid in job.uids)
        self.exams.clear()
        if "worklist-trouble" in self.findings():
            self.ask("/worklist/refresh", "POST")
        # What a stranger said is told for an hour.
        wait_until(lambda: set(self.findings()) <= {"stranger-report"}, "no finding is left")
        if self.quiet != (0, 0):
            wait_until(self._is_quiet, "descriptors and threads as before")

    def _is_quiet(self) -> bool:
        descriptors, threads = self.use()
        return descriptors <= self.quiet[0] and threads <= self.quiet[1]

    def ris_steps(self) -> dict[str, str]:
        """SOP Instance UID → status, as the RIS keeps them."""
        files = (self.ris.state / "steps").glob("*.json")
        return {file.stem: json.loads(file.read_bytes())["00400252"]["Value"][0] for file in files}


@contextlib.contextmanager
def running_world(directory: Path) -> Iterator[World]:
    """Everything started and tried once; the log holds no patient at the end."""
    listener = pick_free_port()
    archive = Hospital.in_directory(
        directory / "archive",
        listener,
        "--ae-title",
        "ARCHIVE",
        "--commitment-delay",
        "0.1",
        "--commitment-pause",
        "0.2",
    )
    ris = Hospital.in_directory(directory / "ris", listener, "--ae-title", "RIS")
    plain = start_storescp(directory / "plain")
    with running(archive), running(ris), running(plain):
        paths = Paths.below(directory / "box")
        Spool(paths.state).make()
        paths.configuration.parent.mkdir(parents=True, exist_ok=True)
        paths.configuration.write_text(_configuration(listener, archive.port, ris.port, plain.port))
        forward = Peer(
            "forward",
            [sys.executable, "-m", "appliance.services.forward"],
            listener,
            directory / "forward.log",
            {"PYTHONPATH": str(REPOSITORY), **paths.environment()},
        )
        world = World(directory, archive, ris, plain, forward, load_configuration(paths.configuration))
        forward.start(lambda: _is_answering(world))
        try:
            yield world
        finally:
            forward.stop()
    log = forward.log.read_text(encoding="utf-8")
    for secret in (PATIENT_ID, *PATIENT_NAME.split("^")):
        assert secret not in log
    assert "Traceback" not in log


def _is_answering(world: World) -> bool:
    with contextlib.suppress(ApplianceError):
        return bool(world.ask("/status"))
    return False


def _configuration(listener: int, archive: int, ris: int, plain: int) -> str:
    return (
        f"[listener]\nport = {listener}\n"
        f'[[worklist]]\nname = "ris"\nae_title = "RIS"\nport = {ris}\n{_PEER}every_seconds = 3600\n'
        f'[performed_step]\nae_title = "RIS"\nport = {ris}\n{_PEER}'
        f'[[destinations]]\nname = "archive"\nae_title = "ARCHIVE"\nport = {archive}\n{_PEER}{_RETRY}'
        f"commitment_seconds = {COMMITMENT_SECONDS}\n"
        f'[[destinations]]\nname = "plain"\nae_title = "PLAIN"\nport = {plain}\n{_PEER}{_RETRY}commitment = false\n'
        '[[devices]]\nname = "ultrasound"\ndriver = "xmodem"\nmodality = "US"\nline = "us.tty"\n'
        '[test_patient]\npatient_id = "TEST-0001"\n'
    )


def run_appliance(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command `appliance` beside the box, to its end."""
    command, environment = _command(world, *arguments)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@contextlib.contextmanager
def running_appliance(world: World, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The same, while the block does something else."""
    command, environment = _command(world, *arguments)
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _command(world: World, *arguments: str) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **world.paths.environment()}
    return [sys.executable, "-m", "appliance", *arguments], environment
