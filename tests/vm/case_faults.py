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


def test_ok__a_full_disk_stops_nobody(guest: Machine) -> None:
    box = Box(guest)
    guest.shell.try_run("fallocate --length 100G /var/full; dd if=/dev/zero of=/var/full bs=1M", _SECONDS)
    assert guest.shell.run("df --output=avail /var | tail -n 1").strip() == "0"
    guest.shell.run(f"systemctl restart {' '.join(_SERVICES)}", _SECONDS)
    box.wait_active(*_SERVICES)
    findings = box.ask("console", "GET", "/api/status")["findings"]
    assert "flash-full" in [finding["code"] for finding in findings]
    guest.shell.run("rm /var/full")
    _no_unit_failed(guest)


def _end_and_wait(guest: Machine, service: str, signal: str) -> None:
    pid = guest.shell.run(f"systemctl show --property MainPID --value {service}").strip()
    assert pid != "0"
    guest.shell.run(f"kill -{signal} {pid}")
    is_another = f'pid=$(systemctl show --property MainPID --value {service}); test "$pid" != {pid}'
    guest.shell.wait_until(f'{is_another} && test "$pid" != 0 && systemctl is-active {service}', _SECONDS)


def _no_unit_failed(guest: Machine) -> None:
    assert guest.shell.run("systemctl list-units --failed --plain --no-legend") == ""
