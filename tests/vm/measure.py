"""What the box takes while nothing happens: `python -m tests.vm bench`. It is emulated: compare, never quote.

Memory is proportional (PSS: what processes share counts once), of our services without the kiosk, with one video device
attached. Bytes to flash are what the disk was given, and what each service's own files had of it is not told.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.vm.box import Box
from tests.vm.case_grabber import WEBCAM
from tests.vm.frozen import REPOSITORY, Frozen, thawed
from tests.vm.grabber import UNIT, Grabber
from tests.vm.hardware import Hardware
from tests.vm.machine import Machine, make_disk, running
from tests.vm.vivid import RULE, Vivid

_OURS = "/sys/fs/cgroup/system.slice"
_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Idle:
    """`mebibytes` and `cpu` (of one processor, a share) by unit; `flash_bytes` in an hour, scaled."""

    mebibytes: dict[str, float]
    cpu: dict[str, float]
    flash_bytes: float


def measure_idle(frozen: Frozen, seconds: float = 300.0) -> Idle:
    """The box with one video device, for `seconds` after it has come to rest."""
    with thawed(frozen) as guest:
        box = Box(guest)
        box.configure(WEBCAM, RULE)
        Vivid(guest)
        Grabber(box).wait_up()
        units = ("appliance-console.service", "appliance-forward.service", UNIT)
        time.sleep(30.0)  # what came up writes its first records
        guest.shell.run("sync")
        before, written, begun = {unit: used_seconds(guest, unit) for unit in units}, _written(guest), _uptime(guest)
        time.sleep(seconds)
        guest.shell.run("sync")
        after, flash, ended = {unit: used_seconds(guest, unit) for unit in units}, _written(guest), _uptime(guest)
        passed = ended - begun
        return Idle(
            {unit: _memory(guest, unit) for unit in units},
            {unit: (after[unit] - before[unit]) / passed for unit in units},
            (flash - written) * 512 / passed * 3600,
        )


@dataclass(frozen=True, slots=True)
class Boot:
    """Seconds from the kernel's first moment. `ready`: images could be taken; `plain`: the same image reaches its
    multi-user.target without any unit of ours.
    """

    ready: float
    plain: float


def measure_boot(image: Path) -> Boot:
    """Two boots of the image, one after the other."""
    names = sorted(path.name for path in (REPOSITORY / "systemd" / "units").iterdir() if "@" not in path.name)
    masks = " ".join(f"systemd.mask={name}" for name in [*names, "appliance-keep.service"])
    with _booted(image, masks) as guest:
        plain = _active_seconds(guest, "multi-user.target")
    with _booted(image) as guest:
        ready = max(_active_seconds(guest, f"appliance-{name}.service") for name in ("recover", "console", "forward"))
    return Boot(ready, plain)


@contextlib.contextmanager
def _booted(image: Path, kernel: str = "") -> Iterator[Machine]:
    # A socket's path is short.
    with tempfile.TemporaryDirectory(prefix="vm-") as name:
        disk = Path(name, "disk.qcow2")
        make_disk(image / "appliance.raw", "raw", disk)
        with running(Machine(Hardware(Path(name), disk, kernel=kernel))) as guest:
            guest.wait_booted()
            yield guest


def _active_seconds(guest: Machine, unit: str) -> float:
    return int(guest.shell.run(f"systemctl show --property ActiveEnterTimestampMonotonic --value {unit}")) / 1e6


def used_seconds(guest: Machine, unit: str) -> float:
    """Seconds of processor time that a unit has taken."""
    words = guest.shell.run(f"grep usage_usec $(find {_OURS} -path '*/{unit}/cpu.stat')").split()
    return int(words[1]) / 1e6


def _memory(guest: Machine, unit: str) -> float:
    processes = f"$(cat $(find {_OURS} -path '*/{unit}/cgroup.procs'))"
    command = f"for one in {processes}; do grep ^Pss: /proc/$one/smaps_rollup; done"
    return sum(int(line.split()[1]) for line in guest.shell.run(command, _SECONDS).splitlines()) / 1024


def _written(guest: Machine) -> int:
    """Sectors that the system's disk was given."""
    return int(guest.shell.run("cat /sys/block/vda/stat").split()[6])


def _uptime(guest: Machine) -> float:
    return float(guest.shell.run("cat /proc/uptime").split()[0])
