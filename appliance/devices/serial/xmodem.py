"""The words of XMODEM and YMODEM: codes, checks, the bounds of a transfer, and what a receiver does and tells.

XMODEM with checksum (Christensen 1977), with CRC and with blocks of 1024 bytes, and YMODEM batch (Forsberg,
"XMODEM/YMODEM Protocol Reference", 1988). `decoder.py` has the receiver's rules, `receiver.py` its loop, `ymodem.py`
what a file's header says.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import StrEnum

from appliance.devices.errors import BadTransfer

SOH, STX, EOT, ACK, NAK, CAN = 0x01, 0x02, 0x04, 0x06, 0x15, 0x18
CANCEL = bytes((CAN, CAN))
BLOCK_SIZES = {SOH: 128, STX: 1024}


class Check(StrEnum):
    """How a block proves itself; what the receiver invites with decides it."""

    CRC = "crc"
    CHECKSUM = "checksum"

    @property
    def invitation(self) -> bytes:
        return b"C" if self is Check.CRC else bytes((NAK,))

    @property
    def size(self) -> int:
        return 2 if self is Check.CRC else 1

    def bytes_for(self, data: bytes | bytearray) -> bytes:
        """CRC-16 (polynomial 1021H, from 0, high byte first), or the sum of all bytes modulo 256."""
        if self is Check.CRC:
            return binascii.crc_hqx(data, 0).to_bytes(2, "big")
        return bytes((sum(data) & 0xFF,))


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Bounds of one transfer; all times in seconds. max_bytes is of one file, max_files of one batch.

    poll: between two invitations; polls: what they invite to, over and over. byte_gap: silence that ends a block.
    quiet: silence after which a line counts as still. answer: until an answer that brought nothing is given again.
    silence: until a sender that says nothing has broken off. block, total: for one block and for all of it.
    repeat_window: how long after our last ACK an EOT is that transfer's, its ACK having been lost.
    """

    max_bytes: int = 32 * 1024 * 1024
    max_files: int = 1000
    max_retries: int = 10
    max_garbage: int = 4096
    poll: float = 3.0
    polls: tuple[Check, ...] = (Check.CRC, Check.CRC, Check.CRC, Check.CHECKSUM)
    byte_gap: float = 1.0
    quiet: float = 0.3
    answer: float = 5.0
    silence: float = 15.0
    block: float = 30.0
    total: float = 1800.0
    repeat_window: float = 120.0


@dataclass(frozen=True, slots=True)
class Invite:
    """Send this if the line takes it now; it is not worth waiting for."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send this."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Began:
    """A transfer began; `at` is the moment of its first byte. `is_next`: it is not the first file of its batch."""

    at: float
    is_next: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """So many bytes of the payload have been accepted."""

    received: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The payload is whole. The sender waits for `acknowledge` or `refuse`.

    With `is_batch` it is a file of a YMODEM batch: it may be empty, and is as long as its header said, if that said it.
    """

    payload: bytes
    is_batch: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """The transfer is over and nothing of it counts. Purge the line, then send CANCEL."""

    error: BadTransfer


Event = Invite | Send | Began | Progress | Ended | Broken
