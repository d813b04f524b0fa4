"""The five ways in which a video node is spoken to. Everything above takes them as one object, which tests replace."""

from __future__ import annotations

import ctypes
import fcntl
import math
import mmap
import os
import select
from pathlib import Path
from typing import Any, Protocol

# Structures and plain numbers alike: whatever an ioctl's number says that it takes.
Argument = ctypes.Structure | ctypes.c_int32 | ctypes.c_uint64

# usb_device's attribute, Documentation/ABI/stable/sysfs-bus-usb: "480", "5000".
_CLASS = Path("/sys/class/video4linux")


class Mapped(Protocol):
    """A driver's buffer in our memory."""

    def __getitem__(self, key: slice, /) -> bytes: ...

    def close(self) -> None: ...


class Kernel(Protocol):
    """Each raises OSError as the system call does; none waits but `poll` (a control transfer on USB, a few seconds)."""

    def open(self, path: str) -> int: ...

    def close(self, descriptor: int) -> None: ...

    def ioctl(self, descriptor: int, request: int, argument: Argument) -> None: ...

    def map(self, descriptor: int, length: int, offset: int) -> Mapped: ...

    def poll(self, descriptor: int, seconds: float) -> int:
        """POLLIN, POLLPRI, POLLERR, POLLHUP as they are; 0 when nothing happened for so long."""
        ...

    def link_speed(self, path: str) -> float | None:
        """Of the USB connection behind the node, in Mbit/s; None where there is none, or nobody knows. No OSError."""
        ...


class LinuxKernel:
    """The kernel of this machine."""

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def ioctl(self, descriptor: int, request: int, argument: Argument) -> None:
        buffer: Any = argument
        fcntl.ioctl(descriptor, request, buffer, True)

    def map(self, descriptor: int, length: int, offset: int) -> Mapped:
        return mmap.mmap(descriptor, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)

    def poll(self, descriptor: int, seconds: float) -> int:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN | select.POLLPRI)
        found = poller.poll(math.ceil(max(0.0, seconds) * 1000))
        return found[0][1] if found else 0

    def link_speed(self, path: str) -> float | None:
        node = Path(path).resolve().name
        place = (_CLASS / node / "device").resolve()
        for above in (place, place.parent):  # a video node belongs to an interface of a USB device
            try:
                return float((above / "speed").read_text())
            except (OSError, ValueError):
                continue
        return None
