"""A HID boot keyboard: what a footswitch, a remote or a barcode scanner calls itself (HID 1.11, Appendix B)."""

from __future__ import annotations

import struct
import threading
from collections import deque

from tests.vm.usb.device import Endpoint, Interface, Setup, Transfer, UsbDevice

_HID, _BOOT, _KEYBOARD = 3, 1, 1
# Eight modifiers, a byte that is constant, five lights, six codes of keys (Appendix B.1).
_REPORT_DESCRIPTOR = bytes.fromhex(
    "05010906a101 050719e029e71500250175019508 8102 95017508 8101 950575010508 19012905 9102"
    " 95017503 9101 95067508 150025650507 19002965 8100 c0"
)


class Keyboard(UsbDevice):
    """`press` is one key, down and up, by its usage of HID's keyboard page: 4 is `a`."""

    def __init__(self, serial: str) -> None:
        self._endpoint = Endpoint(0x81, Transfer.INTERRUPT, 0, 8, interval=4)
        super().__init__(
            (0x0C45, 0x7403),
            ("PCsensor", "FootSwitch", serial),
            (0, 0, 0),
            (Interface(0, (_HID, _BOOT, _KEYBOARD), 1),),
            (self._endpoint,),
        )
        self._reports: deque[bytes] = deque()
        self._lock = threading.Lock()

    def press(self, usage: int) -> None:
        with self._lock:
            self._reports.extend((bytes([0, 0, usage, 0, 0, 0, 0, 0]), bytes(8)))

    def body(self) -> bytes:
        description = struct.pack("<BBHBBBH", 9, 0x21, 0x0111, 0, 1, 0x22, len(_REPORT_DESCRIPTOR))
        return self.interfaces[0].descriptor() + description + self._endpoint.descriptor()

    def answer(self, setup: Setup, data: bytes) -> bytes | None:
        match setup:
            case Setup(0x81, 6, 0x2200, _, length):
                return _REPORT_DESCRIPTOR[:length]
            case Setup(0x21):  # lights, idle rate, protocol
                return b""
            case Setup(0xA1, _, _, _, length):
                return bytes(length)
        return None

    def stop(self) -> None:
        """Keys that were pressed stay to be told."""

    def take(self, now: float, most: int) -> bytes | None:
        with self._lock:
            return self._reports.popleft() if self._reports else None

    def seconds_until_next(self, now: float) -> float | None:
        return None
