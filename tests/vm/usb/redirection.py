"""The cable: QEMU's `usb-redir` asks, a device's model answers (usbredir's docs/usb-redirection-protocol.md).

Packets of a header (type, length, number) and a body, little-endian. Both sides say hello first; from then on numbers
have eight bytes where both have said that theirs do.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from enum import IntEnum

from tests.vm.usb.device import Setup, UsbDevice

_POLL_SECONDS = 0.2
_LONGEST_PACKET = 1 << 20


class Packet(IntEnum):
    """Those that are spoken here."""

    HELLO = 0
    DEVICE_CONNECT = 1
    DEVICE_DISCONNECT = 2
    RESET = 3
    INTERFACE_INFO = 4
    ENDPOINT_INFO = 5
    SET_CONFIGURATION = 6
    GET_CONFIGURATION = 7
    CONFIGURATION_STATUS = 8
    SET_ALTERNATE = 9
    GET_ALTERNATE = 10
    ALTERNATE_STATUS = 11
    START_INTERRUPT = 15
    STOP_INTERRUPT = 16
    INTERRUPT_STATUS = 17
    CANCEL = 21
    CONTROL = 100
    BULK = 101
    INTERRUPT = 103


class Capability(IntEnum):
    """Bits of the hello's mask."""

    DEVICE_VERSION = 1
    DISCONNECT_ACKNOWLEDGED = 3
    PACKET_SIZES = 4
    LONG_NUMBERS = 5
    LONG_BULK = 6


_SUCCESS, _CANCELLED, _STALL = 0, 1, 4
_OURS = sum(1 << capability for capability in Capability)
_ENDPOINTS = 32


class Wire:
    """The bytes of one connection, in both directions, without any input or output. ValueError: it is no usbredir."""

    def __init__(self, device: UsbDevice) -> None:
        self._device = device
        self._received = bytearray()
        self._number_format = "<I"
        self._is_polled = False
        self._polls = 0
        self.is_connected = False
        self.sent = bytearray()
        self._send(Packet.HELLO, 0, b"test bench".ljust(64, b"\0") + struct.pack("<I", _OURS))

    def feed(self, data: bytes) -> None:
        """What came from QEMU; what is answered lies in `sent`."""
        self._received += data
        while True:
            header = 8 + struct.calcsize(self._number_format)
            if len(self._received) < header:
                return
            kind, length = struct.unpack_from("<II", self._received)
            if length > _LONGEST_PACKET:
                raise ValueError(f"a packet of {length} bytes")
            if len(self._received) < header + length:
                return
            (number,) = struct.unpack_from(self._number_format, self._received, 8)
            body = bytes(self._received[header : header + length])
            del self._received[: header + length]
            self._take(kind, number, body)

    def pump(self, now: float) -> None:
        """What the device has to send by now."""
        if self._is_polled:
            while not self._device.is_asked and (data := self._device.take(now, 64)) is not None:
                address = self._device.endpoints[0].address
                self._send(Packet.INTERRUPT, self._polls, struct.pack("<BBH", address, _SUCCESS, len(data)) + data)
                self._polls += 1
        for (number, address, stream), data in self._device.answers(now):
            self._send_bulk(number, address, stream, _SUCCESS, data)

    def _take(self, kind: int, number: int, body: bytes) -> None:
        device = self._device
        match kind:
            case Packet.HELLO:
                theirs = struct.unpack_from("<I", body, 64)[0] if len(body) >= 68 else 0
                if theirs & 1 << Capability.LONG_NUMBERS:
                    self._number_format = "<Q"
                self._describe()
                who = struct.pack("<HHH", device.vendor, device.product, 0x0100)
                self._send(Packet.DEVICE_CONNECT, 0, bytes([device.high_speed, *device.function]) + who)
                self.is_connected = True
            case Packet.RESET:
                device.stop()
            case Packet.SET_CONFIGURATION:
                self._describe()
                self._send(Packet.CONFIGURATION_STATUS, number, bytes([_SUCCESS, body[0]]))
            case Packet.GET_CONFIGURATION:
                self._send(Packet.CONFIGURATION_STATUS, number, bytes([_SUCCESS, 1]))
            case Packet.SET_ALTERNATE:
                self._send(Packet.ALTERNATE_STATUS, number, bytes([_SUCCESS, body[0], body[1]]))
            case Packet.GET_ALTERNATE:
                self._send(Packet.ALTERNATE_STATUS, number, bytes([_SUCCESS, body[0], 0]))
            case Packet.START_INTERRUPT | Packet.STOP_INTERRUPT:
                self._is_polled = kind == Packet.START_INTERRUPT
                self._send(Packet.INTERRUPT_STATUS, number, bytes([_SUCCESS, body[0]]))
            case Packet.CONTROL:
                self._control(number, body)
            case Packet.BULK:
                address, _, low, stream, high = struct.unpack_from("<BBHIH", body)
                device.ask((number, address, stream), low | high << 16)
            case Packet.CANCEL:
                self._cancel(number)

    def _control(self, number: int, body: bytes) -> None:
        endpoint, request, request_type, _, value, index, length = struct.unpack_from("<BBBBHHH", body)
        answer = self._device.control(Setup(request_type, request, value, index, length), body[10:])
        status = _STALL if answer is None else _SUCCESS
        data = answer if answer is not None and request_type & 0x80 else b""
        counted = len(data) if request_type & 0x80 or answer is None else length
        head = struct.pack("<BBBBHHH", endpoint, request, request_type, status, value, index, counted)
        self._send(Packet.CONTROL, number, head + data)

    def _cancel(self, number: int) -> None:
        for address in (endpoint.address for endpoint in self._device.endpoints):
            if self._device.cancel((number, address, 0)):
                self._send_bulk(number, address, 0, _CANCELLED, b"")

    def _describe(self) -> None:
        interfaces = self._device.interfaces
        columns = ([one.number for one in interfaces], *([one.function[at] for one in interfaces] for at in range(3)))
        table = b"".join(bytes(column).ljust(32, b"\0") for column in columns)
        self._send(Packet.INTERFACE_INFO, 0, struct.pack("<I", len(interfaces)) + table)
        # Endpoints from the host are 0 to 15, to the host 16 to 31; 255 is one that there is not.
        kinds, intervals, of, sizes = [255] * _ENDPOINTS, [0] * _ENDPOINTS, [0] * _ENDPOINTS, [0] * _ENDPOINTS
        kinds[0] = kinds[16] = 0
        for one in self._device.endpoints:
            place = (one.address & 0x80) >> 3 | one.address & 15
            kinds[place], intervals[place] = one.transfer, one.interval
            of[place], sizes[place] = one.interface, one.packet_bytes
        body = bytes(kinds) + bytes(intervals) + bytes(of) + struct.pack(f"<{_ENDPOINTS}H", *sizes)
        self._send(Packet.ENDPOINT_INFO, 0, body)

    def _send_bulk(self, number: int, address: int, stream: int, status: int, data: bytes) -> None:
        head = struct.pack("<BBHIH", address, status, len(data) & 0xFFFF, stream, len(data) >> 16)
        self._send(Packet.BULK, number, head + data)

    def _send(self, kind: Packet, number: int, body: bytes) -> None:
        self.sent += struct.pack("<II", kind, len(body)) + struct.pack(self._number_format, number) + body


class Cable:
    """A model on a connected socket, served by a thread of its own until it is pulled out."""

    def __init__(self, device: UsbDevice, connection: socket.socket) -> None:
        self._device = device
        self._connection = connection
        self._pulled = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="usb", daemon=True)
        self._thread.start()

    def pull(self) -> None:
        """Out, whatever is on its way: QEMU's side sees the end of the connection."""
        self._pulled.set()
        self._thread.join(60)
        self._connection.close()

    def _serve(self) -> None:
        wire = Wire(self._device)
        self._connection.setblocking(False)
        while not self._pulled.is_set():
            until = self._device.seconds_until_next(time.monotonic())
            wait = _POLL_SECONDS if until is None else min(until, _POLL_SECONDS)
            readable, _, _ = select.select([self._connection], [self._connection] if wire.sent else [], [], wait)
            try:
                if readable:
                    data = self._connection.recv(1 << 20)
                    if not data:
                        return
                    wire.feed(data)
                if wire.is_connected:
                    wire.pump(time.monotonic())
                if wire.sent:
                    del wire.sent[: self._connection.send(wire.sent[: 1 << 20])]
            except BlockingIOError:
                continue
            except ConnectionError:
                return  # the machine was ended
