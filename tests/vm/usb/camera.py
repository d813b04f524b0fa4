"""A UVC camera that sends MJPEG over one bulk endpoint (USB Device Class Definition for Video Devices 1.1).

Each frame goes out in payloads of at most 16 KiB, each behind a header of two bytes: its length, and bits for the
frame's parity, its end and an error (2.4.3.3).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.vm.usb.device import Endpoint, Interface, Setup, Transfer, UsbDevice

_VIDEO, _CONTROL, _STREAMING, _COLLECTION = 14, 1, 2, 3
_CLASS_DESCRIPTOR = 0x24
_CAMERA_TERMINAL, _OUTPUT_TERMINAL = 1, 3
_PAYLOAD_BYTES = 16384
_PARITY, _END_OF_FRAME, _ERROR, _END_OF_HEADER = 0x01, 0x02, 0x40, 0x80
# Intervals between frames, in units of 100 ns.
_INTERVALS = (333_333, 500_000, 1_000_000, 2_000_000, 5_000_000)
_GET = 0x81
_PROBE, _COMMIT = 1, 2
_INVALID_CONTROL = 6


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame as it goes out; with `is_faulty` the camera itself says that something is wrong with it."""

    data: bytes
    is_faulty: bool = False


class Camera(UsbDevice):
    """`picture` gives the n-th frame. `sent` holds every frame whose last byte went out, in order."""

    def __init__(self, serial: str, picture: Callable[[int], Shot], size: tuple[int, int] = (640, 480)) -> None:
        self._endpoint = Endpoint(0x81, Transfer.BULK, 1, 512)
        super().__init__(
            (0x534D, 0x2109),
            ("MACROSILICON", "USB Video", serial),
            (0xEF, 2, 1),
            (Interface(0, (_VIDEO, _CONTROL, 0), 0), Interface(1, (_VIDEO, _STREAMING, 0), 1)),
            (self._endpoint,),
        )
        self._picture = picture
        self._size = size
        self._interval = _INTERVALS[2]
        self._is_streaming = False
        self._due = 0.0
        self._shot: Shot | None = None
        self._place = 0
        self._number = 0
        self._lock = threading.Lock()
        self._sent: list[Shot] = []

    @property
    def sent(self) -> list[Shot]:
        with self._lock:
            return list(self._sent)

    def body(self) -> bytes:
        width, height = self._size
        rates = struct.pack(f"<{len(_INTERVALS)}I", *_INTERVALS)
        frame = struct.pack(
            *("<BBBBBHHIIIIB", 26 + len(rates), _CLASS_DESCRIPTOR, 7, 1, 0, width, height, width * height * 16),
            *(width * height * 480, width * height * 2, self._interval, len(_INTERVALS)),
        )
        formats = (
            struct.pack("<BBBBBBBBBBB", 11, _CLASS_DESCRIPTOR, 6, 1, 1, 1, 1, 0, 0, 0, 0)
            + (frame + rates)
            + struct.pack("<BBBBBB", 6, _CLASS_DESCRIPTOR, 13, 1, 1, 4)
        )
        streaming = struct.pack(
            *("<BBBBHBBBBBBBB", 14, _CLASS_DESCRIPTOR, 1, 1, 14 + len(formats), self._endpoint.address, 0),
            *(_OUTPUT_TERMINAL, 0, 0, 0, 1, 0),
        )
        terminals = struct.pack(
            *("<BBBBHBBHHHB3s", 18, _CLASS_DESCRIPTOR, 2, _CAMERA_TERMINAL, 0x0201, 0, 0, 0, 0, 0, 3, bytes(3))
        ) + struct.pack("<BBBBHBBB", 9, _CLASS_DESCRIPTOR, 3, _OUTPUT_TERMINAL, 0x0101, 0, _CAMERA_TERMINAL, 0)
        control = struct.pack("<BBBHHIBB", 13, _CLASS_DESCRIPTOR, 1, 0x0110, 13 + len(terminals), 48_000_000, 1, 1)
        first, second = self.interfaces
        return (
            struct.pack("<BBBBBBBB", 8, 11, 0, 2, _VIDEO, _COLLECTION, 0, 0)
            + (first.descriptor() + control + terminals)
            + (second.descriptor() + streaming + formats)
            + self._endpoint.descriptor()
        )

    def answer(self, setup: Setup, data: bytes) -> bytes | None:
        interface, selector = setup.index & 0xFF, setup.value >> 8
        if interface == 1 and selector in (_PROBE, _COMMIT):
            return self._negotiate(setup, selector, data)
        if interface == 0 and setup.index >> 8 == 0 and setup.request == _GET:
            return bytes([_INVALID_CONTROL])
        return None

    def _negotiate(self, setup: Setup, selector: int, data: bytes) -> bytes | None:
        match setup.request:
            case 0x01:
                (wish,) = struct.unpack_from("<I", data, 4)
                self._interval = min(_INTERVALS, key=lambda one: abs(one - wish))
                self._is_streaming = selector == _COMMIT
                self._shot, self._due = None, 0.0
                return b""
            case 0x81 | 0x82 | 0x83 | 0x87:
                return self._terms()[: setup.length]
            case 0x85:
                return struct.pack("<H", len(self._terms()))
            case 0x86:
                return b"\3"
        return None

    def _terms(self) -> bytes:
        """The probe and commit control (4.3.1.1)."""
        width, height = self._size
        return struct.pack(
            *("<HBBIHHHHHIIIBBBB", 1, 1, 1, self._interval, 0, 0, 0, 0, 0, width * height * 2, _PAYLOAD_BYTES),
            *(48_000_000, 3, 0, 0, 0),
        )

    def stop(self) -> None:
        self._is_streaming, self._shot = False, None

    def take(self, now: float, most: int) -> bytes | None:
        if not self._is_streaming:
            return None
        if self._shot is None:
            if now < self._due:
                return None
            # Who cannot keep up gets fewer frames, and not the same ones later.
            self._due = max(self._due + self._interval / 1e7, now)
            self._shot, self._place = self._picture(self._number), 0
            self._number += 1
        shot = self._shot
        piece = shot.data[self._place : self._place + most - 2]
        self._place += len(piece)
        flags = _END_OF_HEADER | self._number & _PARITY | (_ERROR if shot.is_faulty else 0)
        if self._place >= len(shot.data):
            flags |= _END_OF_FRAME
            self._shot = None
            with self._lock:
                self._sent.append(shot)
        return bytes([2, flags]) + piece

    def seconds_until_next(self, now: float) -> float | None:
        if not self._is_streaming or not self.is_asked:
            return None
        return 0.0 if self._shot is not None else max(0.0, self._due - now)
