"""A USB device as its host sees it: descriptors and requests (USB 2.0, chapter 9), however it is attached."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

Token = tuple[int, int, int]
"""What the transport knows a question by."""


class Transfer(IntEnum):
    """An endpoint's type (9.6.6)."""

    CONTROL = 0
    BULK = 2
    INTERRUPT = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One that the device sends on: an address with bit 7."""

    address: int
    transfer: Transfer
    interface: int
    packet_bytes: int
    interval: int = 0

    def descriptor(self) -> bytes:
        return struct.pack("<BBBBHB", 7, 5, self.address, self.transfer, self.packet_bytes, self.interval)


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface's number and what it is: class, subclass, protocol."""

    number: int
    function: tuple[int, int, int]
    endpoints: int

    def descriptor(self) -> bytes:
        return struct.pack("<BBBBBBBBB", 9, 4, self.number, 0, self.endpoints, *self.function, 0)


@dataclass(frozen=True, slots=True)
class Setup:
    """The eight bytes that begin a control transfer (9.3)."""

    request_type: int
    request: int
    value: int
    index: int
    length: int


class UsbDevice(ABC):
    """What every device answers. A model gives its interfaces and endpoints, and answers its class's requests."""

    high_speed = 2
    """As usbredir numbers speeds."""

    def __init__(
        self,
        identity: tuple[int, int],
        names: tuple[str, str, str],
        function: tuple[int, int, int],
        interfaces: tuple[Interface, ...],
        endpoints: tuple[Endpoint, ...],
    ) -> None:
        """`identity` is vendor and product, `names` manufacturer, product and serial number."""
        self.vendor, self.product = identity
        self.function = function
        self.interfaces = interfaces
        self.endpoints = endpoints
        self._names = names
        self._asked: deque[tuple[Token, int]] = deque()

    @abstractmethod
    def body(self) -> bytes:
        """What stands behind the configuration's header."""

    @abstractmethod
    def answer(self, setup: Setup, data: bytes) -> bytes | None:
        """A request of the device's class; None refuses it."""

    @abstractmethod
    def stop(self) -> None:
        """The host ends what an endpoint is at, or resets the device."""

    @abstractmethod
    def take(self, now: float, most: int) -> bytes | None:
        """The next at most `most` bytes that the device sends, if it has any by the moment `now`."""

    @abstractmethod
    def seconds_until_next(self, now: float) -> float | None:
        """When `take` may have something again; None: only after the host or the case has done something."""

    def ask(self, token: Token, most: int) -> None:
        """The host waits for bytes."""
        self._asked.append((token, most))

    def cancel(self, token: Token) -> bool:
        """The host waits no more; whether it did."""
        found = [one for one in self._asked if one[0] == token]
        for one in found:
            self._asked.remove(one)
        return bool(found)

    def answers(self, now: float) -> list[tuple[Token, bytes]]:
        """What was waited for and is there by now."""
        told = []
        while self._asked and (data := self.take(now, self._asked[0][1])) is not None:
            told.append((self._asked.popleft()[0], data))
        return told

    @property
    def is_asked(self) -> bool:
        return bool(self._asked)

    def control(self, setup: Setup, data: bytes = b"") -> bytes | None:
        """A control transfer's answer, at most as long as was asked for; None is a stall."""
        match setup:
            case Setup(0x80, 6, value, _, length):
                found = self._descriptor(value >> 8, value & 0xFF)
                return found if found is None else found[:length]
            case Setup(0x80 | 0x81 | 0x82, 0):
                return b"\0\0"
            case Setup(0x80, 8):
                return b"\1"
            case Setup(0x81, 10):
                return b"\0"
            case Setup(0x02, 1):
                self.stop()
                return b""
            case Setup(0x00, 9) | Setup(0x01, 11) | Setup(0x00 | 0x01, 1 | 3):
                return b""
        return self.answer(setup, data)

    def _descriptor(self, kind: int, number: int) -> bytes | None:
        match kind:
            case 1:
                head = struct.pack("<BBHBBBB", 18, 1, 0x0200, *self.function, 64)
                return head + struct.pack("<HHHBBBB", self.vendor, self.product, 0x0100, 1, 2, 3, 1)
            case 2:
                body = self.body()
                return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), len(self.interfaces), 1, 0, 0x80, 250) + body
            case 3 if number == 0:
                return struct.pack("<BBH", 4, 3, 0x0409)
            case 3 if number <= len(self._names):
                text = self._names[number - 1].encode("utf-16-le")
                return bytes([len(text) + 2, 3]) + text
            case 6:
                return struct.pack("<BBHBBBBBB", 10, 6, 0x0200, *self.function, 64, 1, 0)
        return None
