"""What the box takes while nothing happens: `python -m tests.vm bench`. It is emulated: compare, never quote.

Memory is proportional (PSS: what processes share counts once), of our services without the kiosk, with one video device
attached. Bytes to flash are what the disk was given, and what each service's own files had of it is not told.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.vm.box import Box
from tests.vm.case_grabber import WEBCAM
from tests.vm.frozen import Frozen, thawed
from tests.vm.grabber import UNIT, Grabber
from tests.vm.machine import Machine
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


def boot_seconds(guest: Machine) -> dict[str, float]:
    """From the kernel's first moment: systemd has nothing more to start; the panel and the sender are ready."""
    found = {"all": "systemctl show --property FinishTimestampMonotonic --value"}
    for name in ("console", "forward"):
        show = "systemctl show --property ActiveEnterTimestampMonotonic --value"
        found[name] = f"{show} appliance-{name}.service"
    return {name: int(guest.shell.run(command)) / 1e6 for name, command in found.items()}


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
