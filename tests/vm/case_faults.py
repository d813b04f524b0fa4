"""What kills or starves a service: systemd brings it back, and no unit stays failed."""

from __future__ import annotations

import pytest

from tests.vm.box import Box
from tests.vm.machine import Machine

_SERVICES = ("appliance-console.service", "appliance-forward.service")
_SECONDS = 600.0


@pytest.mark.parametrize("service", _SERVICES)
def test_ok__a_killed_service_comes_back(guest: Machine, service: str) -> None:
    for _ in range(3):
        _end_and_wait(guest, service, "KILL")
    _no_unit_failed(guest)


@pytest.mark.parametrize("service", _SERVICES)
def test_ok__a_frozen_loop_is_started_anew(guest: Machine, service: str) -> None:
    """It is there and does nothing: the watchdog, fed by the loop that works, ends it."""
    _end_and_wait(guest, service, "STOP")
    assert "watchdog" in guest.shell.run(f"journalctl --no-pager --boot --unit {service}").lower()
    _no_unit_failed(guest)


@pytest.mark.parametrize("service", _SERVICES)
def test_ok__a_service_that_takes_too_much_memory_is_started_anew(guest: Machine, service: str) -> None:
    """It, or a child of it: all of the unit is bounded by its MemoryMax=."""
    pid = _main_process(guest, service)
    group = f"/sys/fs/cgroup/system.slice/{service}/cgroup.procs"
    # A buffer of a gibibyte, filled at once.
    guest.shell.run(f"(echo $BASHPID > {group}; exec dd if=/dev/zero of=/dev/null bs=1G) >/dev/null 2>&1 & true")
    _wait_other_process(guest, service, pid)
    assert "oom" in guest.shell.run(f"journalctl --no-pager --boot --unit {service}").lower()
    _no_unit_failed(guest)


def test_ok__a_full_disk_stops_nobody(guest: Machine) -> None:
    box = Box(guest)
    guest.shell.try_run("fallocate --length 100G /var/full; dd if=/dev/zero of=/var/full bs=1M", _SECONDS)
    assert guest.shell.run("df --output=avail /var | tail -n 1").strip() == "0"
    guest.shell.run(f"systemctl restart {' '.join(_SERVICES)}", _SECONDS)
    box.wait_active(*_SERVICES)
    box.wait_finding("flash-full")
    guest.shell.run("rm /var/full")
    _no_unit_failed(guest)


def test_ok__a_flash_that_becomes_read_only_is_told_of(guest: Machine) -> None:
    """As ext4 does after an error of the medium; whoever reads goes on."""
    box = Box(guest)
    device = guest.shell.run("basename $(findmnt --noheadings --output SOURCE --mountpoint /var)").strip()
    guest.shell.run(f"echo broken > /sys/fs/ext4/{device}/trigger_fs_error")
    assert guest.shell.try_run("touch /var/lib/appliance/new").status != 0
    assert box.wait_finding("flash-unwritable").startswith("Nothing can be saved: ")
    for service in _SERVICES:
        assert guest.shell.run(f"systemctl is-active {service}") == "active\n"


def test_ok__the_boards_watchdog_starts_a_dead_box_anew(guest: Machine) -> None:
    """The kernel stands still, and nobody tells the watchdog any more that all is well."""
    guest.monitor.execute("watchdog-set-action", action="none")
    guest.monitor.execute("device_add", driver="i6300esb", id="watchdog", bus="slot2")
    guest.shell.wait_until("test -c /dev/watchdog0")
    # At a boot it is there before systemd is.
    guest.shell.run("systemctl daemon-reexec", _SECONDS)
    guest.shell.wait_until('test "$(cat /sys/class/watchdog/watchdog0/state)" = active')
    assert guest.shell.run("systemctl show --property RuntimeWatchdogUSec --value") == "1min\n"
    guest.shell.try_run("echo 0 > /proc/sys/kernel/panic; (sleep 1; echo c > /proc/sysrq-trigger) >/dev/null & true")
    guest.monitor.wait_event("WATCHDOG", _SECONDS)


def _end_and_wait(guest: Machine, service: str, signal: str) -> None:
    pid = _main_process(guest, service)
    guest.shell.run(f"kill -{signal} {pid}")
    _wait_other_process(guest, service, pid)


def _main_process(guest: Machine, service: str) -> str:
    pid = guest.shell.run(f"systemctl show --property MainPID --value {service}").strip()
    assert pid != "0"
    return pid


def _wait_other_process(guest: Machine, service: str, pid: str) -> None:
    is_another = f'pid=$(systemctl show --property MainPID --value {service}); test "$pid" != {pid}'
    guest.shell.wait_until(f'{is_another} && test "$pid" != 0 && systemctl is-active {service}', _SECONDS)


def _no_unit_failed(guest: Machine) -> None:
    assert guest.shell.run("systemctl list-units --failed --plain --no-legend") == ""
