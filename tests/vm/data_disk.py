"""A disk of the state's own, plugged into a running guest: recorded request by request, or as a power cut left it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.vm.machine import Machine

BYTES = 96 << 20
NODE = "/dev/disk/by-id/virtio-state"
_GONE_SECONDS = 300.0


def make_file_system(path: Path, content: Path | None = None) -> None:
    """An ext4 as first boot makes it, empty or with what `content` holds. The journal is small: it comes round."""
    with path.open("wb") as file:
        file.truncate(BYTES)
    given = ["-d", str(content)] if content else []
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-J", "size=8", "-E", "nodiscard", *given, path], check=True)


def plug_recorded(machine: Machine, disk: Path, log: Path) -> None:
    """Plug `disk` in; each write and flush of the guest is written down in `log` in its order."""
    with log.open("wb") as file:
        file.truncate(1 << 20)
    monitor = machine.monitor
    for name, path in (("state-file", disk), ("state-log", log)):
        monitor.execute("blockdev-add", driver="file", filename=str(path), node_name=name)
    monitor.execute(
        "blockdev-add",
        **{"driver": "blklogwrites", "node-name": "state-node", "file": "state-file", "log": "state-log"},
        **{"log-sector-size": 512, "log-super-update-interval": 1},
    )
    _plug_node(machine)


def plug(machine: Machine, disk: Path, name: str = "state", slot: int = 1) -> None:
    """`/dev/disk/by-id/virtio-NAME` in the guest."""
    monitor = machine.monitor
    monitor.execute("blockdev-add", driver="file", filename=str(disk), node_name=f"{name}-file")
    monitor.execute("blockdev-add", driver="raw", file=f"{name}-file", node_name=f"{name}-node")
    _plug_node(machine, name, slot)


def unplug(machine: Machine, name: str = "state") -> None:
    """Pulled out of a slot that can be: the guest is asked to let go, and nothing is written any more."""
    monitor = machine.monitor
    monitor.execute("device_del", id=name)
    # The parts of a device go before it.
    while monitor.wait_event("DEVICE_DELETED", _GONE_SECONDS)["data"].get("device") != name:
        pass
    for node in (f"{name}-node", f"{name}-file"):
        monitor.execute("blockdev-del", node_name=node)


def check_file_system(path: Path) -> None:
    """What the next boot does first. CalledProcessError when something is left that it cannot mend by itself."""
    done = subprocess.run(["/sbin/e2fsck", "-f", "-y", path], check=False, capture_output=True, text=True)
    # 1: mended (e2fsck(8)).
    if done.returncode not in (0, 1):
        raise subprocess.CalledProcessError(done.returncode, "e2fsck", done.stdout, done.stderr)


def _plug_node(machine: Machine, name: str = "state", slot: int = 1) -> None:
    machine.monitor.execute(
        "device_add", driver="virtio-blk-pci", drive=f"{name}-node", id=name, bus=f"slot{slot}", serial=name
    )
