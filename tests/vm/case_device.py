"""What is plugged in keeps its name, by udev itself: two adapters that are the same, told apart by their ports."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

from tests.vm.machine import Machine
from tests.vm.qmp import MonitorError

_COMMAND = "/usr/lib/appliance/venv/bin/appliance device"
_GONE_SECONDS = 120.0
_SECONDS = 600.0
# The same number in both: what a factory gives to every piece.
_SERIAL = "0001"


class Twin:
    """One of several adapters that say the same of themselves, at a port of the box."""

    def __init__(self, guest: Machine, port: int) -> None:
        self._guest, self._port = guest, port
        self._line: socket.socket

    def plug(self) -> None:
        path = self._guest.hardware.directory / f"twin-{self._port}"
        address = {"type": "unix", "data": {"path": str(path)}}
        backend = {"type": "socket", "data": {"addr": address, "server": True, "wait": False}}
        self._guest.monitor.execute("chardev-add", id=f"twin-line-{self._port}", backend=backend)
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._line.connect(str(path))
        self._guest.monitor.execute(
            "device_add",
            driver="usb-serial",
            id=f"twin-{self._port}",
            bus="usb.0",
            port=str(self._port),
            chardev=f"twin-line-{self._port}",
            serial=_SERIAL,
        )

    def unplug(self) -> None:
        self._guest.monitor.execute("device_del", id=f"twin-{self._port}")
        self._guest.monitor.wait_event("DEVICE_DELETED", _GONE_SECONDS)
        self._line.close()
        self._guest.monitor.execute("chardev-remove", id=f"twin-line-{self._port}")
        (self._guest.hardware.directory / f"twin-{self._port}").unlink(missing_ok=True)


@contextlib.contextmanager
def twins(guest: Machine) -> Iterator[tuple[Twin, Twin]]:
    """Two, neither of them plugged in yet; none is at the end."""
    both = Twin(guest, 2), Twin(guest, 3)
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
