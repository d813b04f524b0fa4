"""The sending half of XMODEM as an old machine has it: patient at the start, then bounded, and faulty on demand."""

from __future__ import annotations

import binascii
import os
import random
import select
import threading
from dataclasses import dataclass
from enum import StrEnum

from appliance.base.clock import Clock, Deadline

_SOH, _STX, _EOT, _ACK, _NAK, _CAN = b"\x01", b"\x02", b"\x04", b"\x06", b"\x15", b"\x18"
_INVITE_CRC = b"C"
_PAD = b"\x1a"
_START_SECONDS = 60.0
_ANSWER_SECONDS = 10.0
_END_SECONDS = 60.0
_WRITE_SECONDS = 60.0
_TRIES = 10
_SLICE = 0.2
_NOISY_BLOCKS = 6


class Protocol(StrEnum):
    """Which XMODEM: 128-byte blocks with a sum or a CRC, or blocks of 1024 with a CRC."""

    CHECKSUM = "checksum"
    CRC = "crc"
    ONE_K = "1k"


class LineFault(StrEnum):
    """What goes wrong on the way."""

    TRUNCATED = "truncated"  # stops in the middle of a block and says no more
    ABORT = "abort"  # cancels halfway
    NOISE = "noise"  # a few blocks come with a flipped bit, which the receiver must have sent again


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a transfer ended: bytes of the file that were accepted, whether the receiver has it, and a sentence."""

    sent: int
    acknowledged: bool
    sentence: str


class _Ended(Exception):
    """The transfer is over without success; the sentence says why."""


class XmodemSender:
    """Sends one file over the terminal `descriptor` (non-blocking, raw), as one thread; `stop` ends it early."""

    def __init__(self, descriptor: int, clock: Clock, stop: threading.Event) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._stop = stop
        self._sent = 0

    def send_file(self, data: bytes, protocol: Protocol, fault: LineFault | None = None) -> Outcome:
        """Wait for an invitation, send all blocks, and repeat EOT until it is acknowledged."""
        self._sent = 0
        try:
            self._discard_input()  # a real line keeps nothing for a machine that did not listen
            self._await_invitation(protocol)
            self._send_blocks(data, protocol, fault)
            self._send_end()
        except _Ended as end:
            return Outcome(self._sent, False, str(end))
        return Outcome(self._sent, True, f"{self._sent:,} bytes were sent and acknowledged.")

    def _await_invitation(self, protocol: Protocol) -> None:
        wanted = _NAK if protocol is Protocol.CHECKSUM else _INVITE_CRC
        deadline = Deadline.after(self._clock, _START_SECONDS)
        while not deadline.is_over():
            if self._read_byte(deadline) == wanted:
                return
        raise _Ended(f"Nobody asked for the image within {_START_SECONDS:g} s.")

    def _send_blocks(self, data: bytes, protocol: Protocol, fault: LineFault | None) -> None:
        size = 1024 if protocol is Protocol.ONE_K else 128
        starts = range(0, len(data), size)
        chance = random.Random(len(data))
        noisy = {chance.randrange(len(starts)) for _ in range(_NOISY_BLOCKS)}
        for index, start in enumerate(starts):
            block = data[start : start + size]
            coded = _coded_block(index + 1, block.ljust(size, _PAD), protocol)
            if index == len(starts) // 2:
                if fault is LineFault.ABORT:
                    self._write(_CAN * 2)
                    raise _Ended("The machine cancelled its transfer.")
                if fault is LineFault.TRUNCATED:
                    self._write(coded[: len(coded) // 2])
                    raise _Ended("The machine stopped in the middle of its transfer.")
            is_noisy = fault is LineFault.NOISE and index in noisy
            self._send_block(coded, _damaged(coded, chance) if is_noisy else coded)
            self._sent += len(block)

    def _send_block(self, block: bytes, first_try: bytes) -> None:
        """Send `first_try`, and then `block` until it is acknowledged."""
        trial = first_try
        for _ in range(_TRIES):
            self._discard_input()
            self._write(trial)
            trial = block
            answer = self._read_answer(_ANSWER_SECONDS)
            if answer == _ACK:
                return
        raise _Ended(f"The receiver refused a block {_TRIES} times.")

    def _send_end(self) -> None:
        deadline = Deadline.after(self._clock, _END_SECONDS)
        for _ in range(_TRIES):
            if deadline.is_over():
                break
            self._write(_EOT)
            if self._read_answer(_ANSWER_SECONDS) == _ACK:
                return
        raise _Ended("The receiver did not acknowledge the end of the transfer.")

    def _read_answer(self, seconds: float) -> bytes:
        """ACK, NAK, another code that means "again", or nothing in time; ends the transfer on CAN CAN."""
        deadline = Deadline.after(self._clock, seconds)
        answer = self._read_byte(deadline)
        if answer == _CAN and self._read_byte(deadline.sooner(1.0)) == _CAN:
            raise _Ended("The receiver cancelled the transfer.")
        return answer

    def _read_byte(self, deadline: Deadline) -> bytes:
        while True:
            if self._stop.is_set():
                raise _Ended("The machine is being switched off.")
            if select.select([self._descriptor], [], [], min(_SLICE, deadline.remaining()))[0]:
                return os.read(self._descriptor, 1)
            if deadline.is_over():
                return b""

    def _discard_input(self) -> None:
        while select.select([self._descriptor], [], [], 0)[0]:
            os.read(self._descriptor, 4096)

    def _write(self, data: bytes) -> None:
        deadline = Deadline.after(self._clock, _WRITE_SECONDS)
        rest = memoryview(data)
        while rest:
            if self._stop.is_set() or deadline.is_over():
                raise _Ended("The line takes no more bytes.")
            if select.select([], [self._descriptor], [], _SLICE)[1]:
                rest = rest[os.write(self._descriptor, rest) :]


def _coded_block(number: int, data: bytes, protocol: Protocol) -> bytes:
    """Mark, number, complement, data, check."""
    number &= 0xFF
    mark = _STX if len(data) == 1024 else _SOH
    crc = binascii.crc_hqx(data, 0).to_bytes(2, "big")
    check = bytes((sum(data) & 0xFF,)) if protocol is Protocol.CHECKSUM else crc
    return mark + bytes((number, 0xFF - number)) + data + check


def _damaged(block: bytes, chance: random.Random) -> bytes:
    """The block with one bit wrong in its data."""
    position = chance.randrange(3, len(block) - 2)
    return block[:position] + bytes((block[position] ^ (1 << chance.randrange(8)),)) + block[position + 1 :]
