"""One booted machine, kept: every case goes on from there, in a QEMU and on a disk of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.vm import hardware, machine
from tests.vm.hardware import Hardware
from tests.vm.machine import Machine, make_disk, running

REPOSITORY = Path(__file__).resolve().parents[2]
_BUILD = REPOSITORY / "image" / "build.py"
_STATES = REPOSITORY / ".cache" / "vm"


@dataclass(frozen=True, slots=True)
class Frozen:
    """A disk that nobody writes any more, and the memory that goes with it."""

    directory: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def memory(self) -> Path:
        return self.directory / "memory"

    @property
    def state(self) -> str:
        """How its boot ended: `running`, or `degraded`."""
        return (self.directory / "state").read_text()


def build_image() -> Path:
    """The image's directory, built when it is missing. CalledProcessError when it cannot be built."""
    done = subprocess.run([sys.executable, _BUILD, "amd64"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def alone(image: Path) -> Iterator[None]:
    """For the block no other process of this machine is in one of these for that image."""
    _STATES.mkdir(parents=True, exist_ok=True)
    with (_STATES / f"{_key_of(image)}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def freeze(image: Path, is_fresh: bool = False, run: str = "") -> Frozen:
    """Boot the image and keep it as it then is; the state of an earlier run unless `is_fresh`, and of this `run`."""
    frozen = Frozen(_STATES / _key_of(image))
    is_known = frozen.directory.exists()
    if is_known and (not is_fresh or (run and (frozen.directory / "run").read_text() == run)):
        return frozen
    shutil.rmtree(frozen.directory, ignore_errors=True)
    unfinished = _STATES / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    make_disk(image / "appliance.raw", "raw", unfinished / "disk.qcow2")
    with _short_directory() as directory:
        with running(Machine(Hardware(directory, unfinished / "disk.qcow2"))) as booted:
            try:
                state = booted.wait_booted()
            except BaseException:
                print(booted.describe(), file=sys.stderr)
                raise
            # What systemd and udev still have in hand would go on, in each case anew.
            booted.shell.run("udevadm settle --timeout=60; sync")
            booted.save(unfinished / "memory")
        shutil.copy(directory / "console.log", unfinished / "console.log")
    (unfinished / "state").write_text(state)
    (unfinished / "run").write_text(run)
    unfinished.rename(frozen.directory)
    return frozen


@contextlib.contextmanager
def thawed(
    frozen: Frozen, forwards: Mapping[int, int] | None = None, state: Path | None = None, log: Path | None = None
) -> Iterator[Machine]:
    """The machine as it was frozen, running, in a directory that goes with it; `state` and `log` as in Hardware."""
    with _short_directory() as directory:
        disk = directory / "disk.qcow2"
        make_disk(frozen.disk, "qcow2", disk)
        with running(Machine(Hardware(directory, disk, dict(forwards or {}), state, log), frozen.memory)) as thawing:
            thawing.resume()
            yield thawing


@contextlib.contextmanager
def to_be_frozen(frozen: Frozen, directory: Path) -> Iterator[tuple[Frozen, Machine]]:
    """Another state that begins from `frozen`: the machine in which it is made, kept in `directory` at the end."""
    made = Frozen(directory)
    directory.mkdir(parents=True)
    make_disk(frozen.disk, "qcow2", made.disk)
    with _short_directory() as short, running(Machine(Hardware(short, made.disk), frozen.memory)) as machine:
        machine.resume()
        yield made, machine
        machine.save(made.memory)


@contextlib.contextmanager
def _short_directory() -> Iterator[Path]:
    # A socket's path holds 108 bytes (unix(7)).
    with tempfile.TemporaryDirectory(prefix="vm-") as name:
        yield Path(name)


def _key_of(image: Path) -> str:
    """The image and the machine: another QEMU or other parts cannot go on from a saved state."""
    version = subprocess.run(["qemu-system-x86_64", "--version"], check=True, stdout=subprocess.PIPE).stdout
    parts = b"".join(Path(module.__file__ or "").read_bytes() for module in (hardware, machine))
    return f"{image.name}-{hashlib.sha256(version + parts).hexdigest()[:16]}"
