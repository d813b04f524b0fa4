"""The data partition damaged, mended, missing: the box comes up in any case, and says what it found."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.vm import data_disk
from tests.vm.box import STATE, Box
from tests.vm.case_power import booted
from tests.vm.frozen import Frozen, thawed
from tests.vm.machine import Machine
from tests.vm.write_log import SECTOR

_SECONDS = 1800.0
_KEPT = "lib/appliance/config/active.toml"


def test_ok__each_state_of_it_is_mounted_and_told(guest: Machine, tmp_path: Path) -> None:
    """By the program that mounts it, on disks that are plugged in."""
    new, used = tmp_path / "new", tmp_path / "used"
    data_disk.make_file_system(new)
    content = tmp_path / "content"
    (content / _KEPT).parent.mkdir(parents=True)
    (content / _KEPT).write_text("kept")
    data_disk.make_file_system(used, content)
    whole = used.read_bytes()
    used.write_bytes(whole)
    assert _mounted(guest, used) == ("ext4", "", "kept")
    # The firmware knows a slot of this box: it was in use before.
    assert _mounted(guest, new) == ("ext4", "lost", "")
    used.write_bytes(bytes(4096) + whole[4096:])
    assert _mounted(guest, used) == ("ext4", "mended", "kept")
    used.write_bytes(bytes(len(whole)))
    assert _mounted(guest, used) == ("tmpfs", "damaged", "")
    # Marked as in error, on a medium that takes nothing any more: what support needs is still read.
    used.write_bytes(whole)
    subprocess.run(["/sbin/debugfs", "-w", "-R", "set_super_value state 2", used], check=True, capture_output=True)
    assert _mounted(guest, used, is_writable=False) == ("tmpfs", "damaged", "kept")


def _mounted(guest: Machine, disk: Path, is_writable: bool = True) -> tuple[str, str, str]:
    """(file system, word for the panel, what was kept there)."""
    shell = guest.shell
    data_disk.plug(guest, disk)
    shell.wait_until(f"test -b {data_disk.NODE}", _SECONDS)
    mode = "rw" if is_writable else "ro"
    shell.run(f"udevadm settle; rm -f /run/appliance/data; mkdir -p /run/try; blockdev --set{mode} {data_disk.NODE}")
    shell.run(f"mount -t appliance -o noatime,errors=remount-ro {data_disk.NODE} /run/try", _SECONDS)
    found = (
        shell.run("findmnt --noheadings --output FSTYPE --mountpoint /run/try").strip(),
        shell.run("cat /run/appliance/data 2>/dev/null || true").strip(),
        shell.run(f"cat /run/try/{_KEPT} 2>/dev/null || true").strip(),
    )
    shell.run("umount /run/try; rm -f /run/appliance/data")
    data_disk.unplug(guest)
    return found


def test_fail__a_box_whose_data_partition_cannot_be_used_comes_up_and_says_so(frozen: Frozen, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    subprocess.run(["qemu-img", "convert", "-O", "raw", frozen.disk, disk], check=True)
    with thawed(frozen) as guest:
        part = "/sys/class/block/$(basename $(readlink -f /dev/disk/by-partlabel/data))"
        start, size = (int(one) * SECTOR for one in guest.shell.run(f"cat {part}/start {part}/size").split())
    # All that a file system is found by, its copies included.
    subprocess.run(
        ["fallocate", "--punch-hole", "--offset", str(start), "--length", str(size), disk],
        check=True,
    )
    with booted(disk, {}, frozen) as guest:
        box = Box(guest)
        said = box.wait_finding("data-damaged")
        assert said.startswith("The data partition cannot be used")
        # Support is told the same, and that it is bad.
        status = guest.shell.try_run("appliance status", _SECONDS)
        assert status.status == 2 and said in status.output.replace("\n", " "), status.output
        assert "no image is taken" in status.output
        assert guest.shell.run(f"findmnt --noheadings --output FSTYPE --target {STATE}").strip() == "tmpfs"
