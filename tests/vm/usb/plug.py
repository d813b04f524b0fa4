"""A model of a USB device, plugged into a running guest and pulled out of it."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator

from tests.vm.machine import Machine
from tests.vm.qmp import MonitorError
from tests.vm.usb.device import UsbDevice
from tests.vm.usb.redirection import Cable

_GONE_SECONDS = 600.0
_numbers = itertools.count()


class Plug:
    """One device in one of the guest's sockets; `port` 0 is any that is free."""

    def __init__(self, machine: Machine, device: UsbDevice, port: int = 0) -> None:
        self._monitor = machine.monitor
        self._name = f"usb{next(_numbers)}"
        self._path = machine.hardware.directory / self._name
        address = {"type": "unix", "data": {"path": str(self._path)}}
        backend = {"type": "socket", "data": {"addr": address, "server": True, "wait": False}}
        self._monitor.execute("chardev-add", id=f"{self._name}-line", backend=backend)
        place = {"port": str(port)} if port else {}
        self._monitor.execute(
            "device_add", driver="usb-redir", id=self._name, bus="usb.0", chardev=f"{self._name}-line", **place
        )
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.connect(str(self._path))
        self._cable = Cable(device, line)

    def pull(self) -> None:
        """Out, whatever is on its way. The line's end in QEMU goes with the device."""
        self._cable.pull()
        self._monitor.execute("device_del", id=self._name)
        self._monitor.wait_event("DEVICE_DELETED", _GONE_SECONDS)
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def plugged_in(machine: Machine, device: UsbDevice, port: int = 0) -> Iterator[Plug]:
    """For the block; pulled out at its end unless that was done in it."""
    plug = Plug(machine, device, port)
    try:
        yield plug
    finally:
        with contextlib.suppress(MonitorError):
            plug.pull()
