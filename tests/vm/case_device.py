"""What is plugged in keeps its name, by udev itself: two adapters that are the same, told apart by their ports."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from tests.vm.box import STATE
from tests.vm.machine import Machine
from tests.vm.qmp import MonitorError
from tests.vm.serial_adapter import SerialAdapter

_COMMAND = "/usr/lib/appliance/venv/bin/appliance device"
_SECONDS = 1800.0
# The same number in both: what a factory gives to every piece.
_SERIAL = "0001"
_CONFIGURATION = """
[[devices]]
name = "left"
driver = "xmodem"
modality = "US"
line = "/dev/appliance/left"
"""


@contextlib.contextmanager
def twins(guest: Machine) -> Iterator[tuple[SerialAdapter, SerialAdapter]]:
    """Two, neither of them plugged in yet; none is at the end."""
    both = SerialAdapter(guest, _SERIAL, 2), SerialAdapter(guest, _SERIAL, 3)
    try:
        yield both
    finally:
        for one in both:
            with contextlib.suppress(MonitorError):
                one.unplug()


def _port_of(guest: Machine, link: str) -> str:
    """Where what `link` names is plugged in."""
    return guest.shell.run(f"udevadm info --query=property --property=ID_PATH --value {link}", _SECONDS).strip()


def test_ok__two_identical_adapters_keep_their_names_by_their_ports(guest: Machine) -> None:
    shell = guest.shell
    with twins(guest) as (left, right):
        left.plug()
        shell.wait_until("test -c /dev/ttyUSB0", _SECONDS)
        right.plug()
        shell.wait_until("test -c /dev/ttyUSB1", _SECONDS)
        shell.run("udevadm settle", _SECONDS)
        assert shell.run("stat --format %a-%U-%G /dev/ttyUSB0 /dev/ttyUSB1").split() == ["600-root-root"] * 2
        listed = json.loads(shell.run(f"{_COMMAND} list --json", _SECONDS))
        found = {one["node"]: one for one in listed["attached"] if one["usb_id"] == "0403:6001"}
        assert {one["serial"] for one in found.values()} == {_SERIAL} and len(found) == 2

        for node, name in (("/dev/ttyUSB0", "left"), ("/dev/ttyUSB1", "right")):
            said = shell.run(f"{_COMMAND} adopt {node} {name} 2>&1", _SECONDS)
            assert f"{name} from now on, by its port {found[node]['port']}." in said
            assert "udev does not read" not in said and "could not be told" not in said
            # At once, without its being plugged in anew.
            assert shell.run(f"readlink --canonicalize /dev/appliance/{name}", _SECONDS).strip() == node
        shell.run("udevadm verify /var/lib/appliance/config/rules/*.rules", _SECONDS)
        assert shell.run("stat --format %a-%U /dev/ttyUSB0").strip() == "600-appliance-acquire"
        ports = {name: _port_of(guest, f"/dev/appliance/{name}") for name in ("left", "right")}
        assert len(set(ports.values())) == 2

        left.unplug()
        right.unplug()
        shell.wait_until("test ! -e /dev/appliance/left && test ! -e /dev/appliance/right", _SECONDS)
        right.plug()  # now the right one is /dev/ttyUSB0
        shell.wait_until("test -c /dev/appliance/right", _SECONDS)
        left.plug()
        shell.wait_until("test -c /dev/appliance/left", _SECONDS)
        assert shell.run("readlink --canonicalize /dev/appliance/right", _SECONDS).strip() == "/dev/ttyUSB0"
        assert {name: _port_of(guest, f"/dev/appliance/{name}") for name in ports} == ports

        shell.run(f"{_COMMAND} forget left", _SECONDS)
        shell.wait_until("test ! -e /dev/appliance/left", _SECONDS)
        assert shell.run("test -c /dev/appliance/right && echo still").strip() == "still"


def test_ok__what_was_attached_before_the_state_was_there_is_named_at_boot(guest: Machine) -> None:
    """The rules lie on the data partition: udev hears of them late, and looks again."""
    shell = guest.shell
    with twins(guest) as (left, _):
        left.plug()
        shell.wait_until("test -c /dev/ttyUSB0", _SECONDS)
        shell.run(f"{_COMMAND} adopt /dev/ttyUSB0 left", _SECONDS)
        # As it is when udev saw the adapter before it could read the rule.
        shell.run("mv /var/lib/appliance/config/rules/69-appliance-left.rules /run/aside", _SECONDS)
        shell.run("udevadm control --reload; udevadm trigger --action=add --settle --name-match=/dev/ttyUSB0", _SECONDS)
        assert shell.try_run("test -e /dev/appliance/left").status == 1
        shell.run("mv /run/aside /var/lib/appliance/config/rules/69-appliance-left.rules", _SECONDS)
        shell.run("systemctl restart appliance-names.service", _SECONDS)
        shell.wait_until("test -c /dev/appliance/left", _SECONDS)


def test_ok__adopting_starts_the_acquire_process_and_unplugging_ends_it(guest: Machine) -> None:
    shell = guest.shell
    shell.write_file(f"{STATE}/config/active.toml", _CONFIGURATION.encode())
    shell.run(f"chmod 0644 {STATE}/config/active.toml")
    unit = "appliance-acquire@left.service"
    with twins(guest) as (left, right):
        left.plug()
        shell.wait_until("test -c /dev/ttyUSB0", _SECONDS)
        shell.run(f"{_COMMAND} adopt /dev/ttyUSB0 left", _SECONDS)
        shell.wait_until(f"systemctl is-active {unit}", _SECONDS)
        assert json.loads(shell.run(f"{_COMMAND} list --json", _SECONDS))["missing"] == []
        refused = shell.try_run(f"{_COMMAND} probe left", _SECONDS)
        assert refused.status == 1 and "The acquire process of left has it." in refused.output

        right.plug()  # a line that only triggers is opened by that process alone, and starts none
        shell.wait_until("test -c /dev/ttyUSB1", _SECONDS)
        shell.run(f"{_COMMAND} adopt /dev/ttyUSB1 left-trigger", _SECONDS)
        shell.wait_until("test -c /dev/appliance/left-trigger", _SECONDS)
        assert shell.run("systemctl list-units --plain --no-legend 'appliance-acquire@*'").count("\n") == 1

        left.unplug()
        shell.wait_until(f"! systemctl is-active {unit}", _SECONDS)
        left.plug()  # while it may be ending still
        shell.wait_until(f"systemctl is-active {unit}", _SECONDS)
