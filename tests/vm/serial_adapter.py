"""QEMU's USB serial adapter (FTDI's chip), plugged in and out while the guest runs; the line's other end is here."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator

from tests.vm.machine import Machine
from tests.vm.qmp import MonitorError

_GONE_SECONDS = 600.0
_numbers = itertools.count()


class SerialAdapter:
    """One adapter; `port` 0 is any socket that is free. `line` carries the bytes while it is plugged in."""

    def __init__(self, machine: Machine, serial: str, port: int = 0) -> None:
        self._machine = machine
        self._serial = serial
        self._place = {"port": str(port)} if port else {}
        self._name = f"adapter{next(_numbers)}"
        self._path = machine.hardware.directory / self._name
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
        monitor.execute("chardev-add", id=f"{self._name}-line", backend=backend)
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.line.connect(str(self._path))
        monitor.execute(
            "device_add",
            driver="usb-serial",
            id=self._name,
            bus="usb.0",
            chardev=f"{self._name}-line",
            serial=self._serial,
            **self._place,
        )

    def unplug(self) -> None:
        """Pulled out, whatever is on its way."""
        monitor = self._machine.monitor
        monitor.execute("device_del", id=self._name)
        monitor.wait_event("DEVICE_DELETED", _GONE_SECONDS)
        self.line.close()
        monitor.execute("chardev-remove", id=f"{self._name}-line")
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def plugged(machine: Machine, serial: str, port: int = 0) -> Iterator[SerialAdapter]:
    """An adapter for the block; pulled out at its end unless that was done in it."""
    adapter = SerialAdapter(machine, serial, port)
    adapter.plug()
    try:
        yield adapter
    finally:
        with contextlib.suppress(MonitorError):
            adapter.unplug()
