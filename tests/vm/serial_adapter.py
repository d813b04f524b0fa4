"""QEMU's USB serial adapter (FTDI's chip), plugged in and out while the guest runs; the line's other end is here."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from tests.vm.machine import Machine
from tests.vm.qmp import MonitorError

_GONE_SECONDS = 120.0


class SerialAdapter:
    """One adapter, named by its serial number. `line` carries the bytes while it is plugged in."""

    def __init__(self, machine: Machine, serial: str) -> None:
        self._machine = machine
        self._serial = serial
        self._path = machine.hardware.directory / f"usb-{serial}"
        self.line: socket.socket

    @property
    def by_id(self) -> str:
        """The link that udev makes of its descriptors."""
        return f"/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_{self._serial}-if00-port0"

    def plug(self) -> None:
        """The device is there once somebody holds the line's other end, so that comes first."""
        address = {"type": "unix", "data": {"path": str(self._path)}}
        backend = {"type": "socket", "data": {"addr": address, "server": True, "wait": False}}
        monitor = self._machine.monitor
        monitor.execute("chardev-add", id=f"line-{self._serial}", backend=backend)
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.line.connect(str(self._path))
        monitor.execute(
            "device_add",
            driver="usb-serial",
            id=f"adapter-{self._serial}",
            bus="usb.0",
            chardev=f"line-{self._serial}",
            serial=self._serial,
        )

    def unplug(self) -> None:
        """Pulled out, whatever is on its way."""
        monitor = self._machine.monitor
        monitor.execute("device_del", id=f"adapter-{self._serial}")
        monitor.wait_event("DEVICE_DELETED", _GONE_SECONDS)
        self.line.close()
        monitor.execute("chardev-remove", id=f"line-{self._serial}")
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def plugged(machine: Machine, serial: str) -> Iterator[SerialAdapter]:
    """An adapter for the block; pulled out at its end unless that was done in it."""
    adapter = SerialAdapter(machine, serial)
    adapter.plug()
    try:
        yield adapter
    finally:
        with contextlib.suppress(MonitorError):
            adapter.unplug()
