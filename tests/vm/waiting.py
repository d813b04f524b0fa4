"""Services of ours that are loaded and wait for their state: what is found on a disk is seen within seconds.

Kept once, thawed for every disk (`thawed(..., state=DISK)`). Each service stands in its own unit, as its user and
behind its walls; only that it begins is up to `begin`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.vm import data_disk
from tests.vm.box import PYTHON, STATE, Box
from tests.vm.frozen import Frozen, to_be_frozen
from tests.vm.machine import Machine

_LATE = Path(__file__).with_name("inside") / "late.py"
_SERVICES = ("recover", "console", "forward")
# Before any of them, as at a boot: what nobody confirmed goes back, what is in force is rendered.
_RESTORE = "appliance-restore.service"
# A state that a cut left is of a boot that is over; this one began in the same.
_ANOTHER_BOOT = "BindReadOnlyPaths=/run/another-boot:/proc/sys/kernel/random/boot_id\n"
_SECONDS = 1800.0


def freeze_waiting(frozen: Frozen, directory: Path, empty: Path) -> Frozen:
    """The box with a second disk, `empty` by now, that is not mounted, and the services waiting for it."""
    with to_be_frozen(frozen, directory) as (made, guest):
        Box(guest)  # its words for asking
        disk = directory / "state"
        shutil.copyfile(empty, disk)
        stop_services(guest)
        guest.shell.write_file("/run/late.py", _LATE.read_bytes())
        guest.shell.run("cat /proc/sys/kernel/random/uuid > /run/another-boot")
        programs = dict(zip(_units(), _SERVICES, strict=True)) | {_RESTORE: "restore"}
        for unit, program in programs.items():
            place = f"/run/systemd/system/{unit}.d"
            guest.shell.run(f"mkdir -p {place}")
            start = f"[Service]\nExecStart=\nExecStart={PYTHON} -I /run/late.py {program}\n{_ANOTHER_BOOT}"
            guest.shell.write_file(f"{place}/late.conf", start.encode())
        guest.shell.run("systemctl daemon-reload && systemctl reset-failed", _SECONDS)
        # One after the other: while it is being started they would not be.
        for count, units in ((len(_SERVICES), _units()), (len(programs), [_RESTORE])):
            guest.shell.run(f"systemctl start --no-block {' '.join(units)}", _SECONDS)
            said = "journalctl --no-pager --boot --output cat --unit 'appliance-*'"
            guest.shell.wait_until(f"test $({said} | grep -cx 'It waits.') = {count}", _SECONDS)
        data_disk.plug(guest, disk)
        guest.shell.wait_until(f"test -b {data_disk.NODE} && udevadm settle", _SECONDS)
    return made


def stop_services(guest: Machine) -> None:
    guest.shell.run("systemctl stop 'appliance-*.service' 'appliance-*.socket'", _SECONDS)
    guest.shell.run("systemctl start appliance-console.socket", _SECONDS)


def mount_state(guest: Machine) -> None:
    """The disk as the box's state, as the box mounts its own: what is there belongs to whom the units say."""
    options = "nosuid,nodev,noexec,noatime,errors=remount-ro"
    guest.shell.run(
        f"mount -o {options} {data_disk.NODE} {STATE} && systemd-tmpfiles --create --prefix={STATE}", _SECONDS
    )


def begin(guest: Machine) -> None:
    """Do with the configuration what a boot does; then let the services find what there is, all at once, and wait until
    each of them has come up.
    """
    guest.shell.run("mkdir -p /run/go && touch /run/go/restore")
    guest.shell.wait_until(f"systemctl is-active {_RESTORE}", _SECONDS)
    guest.shell.run("systemctl reload nftables.service", _SECONDS)
    guest.shell.run("cd /run/go && touch " + " ".join(_SERVICES))
    units = " ".join(_units())
    guest.shell.wait_until(f"test $(systemctl is-active {units} | grep -cx active) = {len(_SERVICES)}", _SECONDS)


def _units() -> list[str]:
    return [f"appliance-{name}.service" for name in _SERVICES]
