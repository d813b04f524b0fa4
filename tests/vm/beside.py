"""Our grabber's process beside Debian's ustreamer, on the same device in the same run: processor time for each frame.

What each does with a frame is not the same. Ours checks it for signal, black and freeze and writes it as it came into a
clip; ustreamer codes it as JPEG and gives it to one who looks.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.vm import data_disk
from tests.vm.box import PYTHON, Box
from tests.vm.case_grabber import WEBCAM
from tests.vm.frozen import REPOSITORY, Frozen, thawed
from tests.vm.grabber import UNIT, Grabber
from tests.vm.machine import Machine
from tests.vm.measure import used_seconds
from tests.vm.vivid import RULE, Vivid

THEIRS = "beside.service"
_SECONDS = 1800.0
_CACHE = REPOSITORY / ".cache" / "vm" / "beside"
_HERE = "/run/beside"
_PORT = 8099
_COUNT = Path(__file__).with_name("inside") / "frames.py"
_FRAMES_OF = "import sys, pydicom; print(pydicom.dcmread(sys.argv[1], stop_before_pixels=True).NumberOfFrames)"


@dataclass(frozen=True, slots=True)
class Cost:
    """`seconds` of processor time for `frames` that were delivered."""

    frames: int
    seconds: float

    @property
    def milliseconds(self) -> float:
        """For each frame."""
        return 1000 * self.seconds / self.frames


def measure_beside(frozen: Frozen, seconds: float = 60.0) -> tuple[Cost, Cost]:
    """(ours, ustreamer's): each for that long, one after the other."""
    with thawed(frozen) as guest:
        box = Box(guest)
        box.configure(WEBCAM, RULE)
        vivid = Vivid(guest)
        grabber = Grabber(box)
        grabber.wait_up()
        before = used_seconds(guest, UNIT)
        grabber.start_clip(seconds)
        name = grabber.stop_clip()
        used = used_seconds(guest, UNIT) - before
        place = f"$(find /var/lib/appliance/captured -name '{name}')"
        ours = Cost(int(guest.shell.run(f"{PYTHON} -c '{_FRAMES_OF}' {place}", _SECONDS)), used)
        guest.shell.run(f"systemctl stop {UNIT}", _SECONDS)
        with _brought(guest):
            return ours, _measure_theirs(guest, vivid.node, ours.frames)


def _measure_theirs(guest: Machine, node: str, frames: int) -> Cost:
    """The same number of frames in the same mode (WEBCAM)."""
    mode = "--input=0 --format=YUYV --resolution=320x180 --desired-fps=5 --workers=1"
    guest.shell.write_file("/run/frames.py", _COUNT.read_bytes())
    guest.shell.run(
        f"systemd-run --unit={THEIRS} --setenv=LD_LIBRARY_PATH={_HERE}/usr/lib/x86_64-linux-gnu"
        f" {_HERE}/usr/bin/ustreamer --device={node} {mode} --host=127.0.0.1 --port={_PORT}",
        _SECONDS,
    )
    count = f"{PYTHON} -I -S /run/frames.py {_PORT}"
    guest.shell.wait_until(f"{count} 3", _SECONDS)
    before = used_seconds(guest, THEIRS)
    guest.shell.run(f"{count} {frames}", _SECONDS)
    used = used_seconds(guest, THEIRS) - before
    guest.shell.run(f"systemctl stop {THEIRS}", _SECONDS)
    return Cost(frames, used)


@contextlib.contextmanager
def _brought(guest: Machine) -> Iterator[None]:
    """Debian's package and what it needs, on a disk that is plugged in."""
    disk = guest.hardware.directory / "beside"
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", _packages(), disk, "256M"], check=True)
    data_disk.plug(guest, disk, "beside", 2)
    guest.shell.wait_until("test -b /dev/disk/by-id/virtio-beside")
    guest.shell.run(f"mkdir -p {_HERE} && mount -o ro /dev/disk/by-id/virtio-beside {_HERE}")
    yield
    guest.shell.run(f"umount {_HERE}")
    data_disk.unplug(guest, "beside")


def _packages() -> Path:
    if not _CACHE.exists():
        unfinished = _CACHE.with_name("unfinished-beside")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=extract", "--include=ustreamer", "trixie", unfinished], check=True
        )
        unfinished.rename(_CACHE)
    return _CACHE
