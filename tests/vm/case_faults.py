"""What kills or starves a service: systemd brings it back, and no unit stays failed."""

from __future__ import annotations

from tests.vm.box import Box
from tests.vm.machine import Machine

_SERVICES = ("appliance-console.service", "appliance-forward.service")
_SECONDS = 1800.0


def test_ok__killed_services_come_back(guest: Machine) -> None:
    for _ in range(3):
        _end_and_wait(guest, "KILL")
    _no_unit_failed(guest)


def test_ok__frozen_loops_are_started_anew(guest: Machine) -> None:
    """They are there and do nothing: the watchdog, fed by the loop that works, ends them."""
    _end_and_wait(guest, "STOP")
    for service in _SERVICES:
        assert "watchdog" in guest.shell.run(f"journalctl --no-pager --boot --unit {service}").lower()
    _no_unit_failed(guest)


def test_ok__services_that_take_too_much_memory_are_started_anew(guest: Machine) -> None:
    """They, or a child of theirs: all of a unit is bounded by its MemoryMax=."""
    processes = _main_processes(guest)
    for service in _SERVICES:
        group = f"/sys/fs/cgroup/system.slice/{service}/cgroup.procs"
        # A buffer of a gibibyte, filled at once.
        guest.shell.run(f"(echo $BASHPID > {group}; exec dd if=/dev/zero of=/dev/null bs=1G) >/dev/null 2>&1 & true")
    _wait_other_processes(guest, processes)
    for service in _SERVICES:
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
    watchdog = "/sys/class/watchdog/watchdog0"
    assert guest.shell.run(f"cat {watchdog}/identity {watchdog}/state {watchdog}/timeout") == "iTCO_wdt\nactive\n60\n"
    guest.monitor.execute("watchdog-set-action", action="reset")
    # Without panic=, as a kernel that hangs.
    guest.shell.try_run("echo 0 > /proc/sys/kernel/panic; (sleep 1; echo c > /proc/sysrq-trigger) >/dev/null & true")
    guest.monitor.wait_event("WATCHDOG", _SECONDS)
    guest.monitor.wait_event("RESET", _SECONDS)


def _end_and_wait(guest: Machine, signal: str) -> None:
    """All of them at once."""
    processes = _main_processes(guest)
    guest.shell.run(f"kill -{signal} {' '.join(processes.values())}")
    _wait_other_processes(guest, processes)


def _main_processes(guest: Machine) -> dict[str, str]:
    found = {one: guest.shell.run(f"systemctl show --property MainPID --value {one}").strip() for one in _SERVICES}
    assert "0" not in found.values()
    return found


def _wait_other_processes(guest: Machine, processes: dict[str, str]) -> None:
    for service, pid in processes.items():
        is_another = f'pid=$(systemctl show --property MainPID --value {service}); test "$pid" != {pid}'
        guest.shell.wait_until(f'{is_another} && test "$pid" != 0 && systemctl is-active {service}', _SECONDS)


def _no_unit_failed(guest: Machine) -> None:
    assert guest.shell.run("systemctl list-units --failed --plain --no-legend") == ""
