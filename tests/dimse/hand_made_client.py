"""A client of the listener made by hand of bytes, and what of the process must not have grown when it has gone."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.dimse.hand_made_peer import RELEASE_RQ, p_data
from tests.peers import SECONDARY_CAPTURE, wait_until

VERIFICATION, COMMITMENT = "1.2.840.10008.1.1", "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"


def associate_rq(
    abstract_syntax: str = COMMITMENT,
    *syntaxes: str,
    as_scp: bool = True,
    contexts: int = 1,
    called: bytes = b"BRIDGE",
    version: int = 1,
) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2), from ARCHIVE to BRIDGE, as SCP of the commitment by role selection."""
    proposed = b""
    for number in range(contexts):
        syntax_items = b"".join(_item(0x40, syntax.encode()) for syntax in syntaxes or (IMPLICIT,))
        content = bytes([2 * number + 1, 0, 0, 0]) + _item(0x30, abstract_syntax.encode()) + syntax_items
        proposed += _item(0x20, content)
    user = _item(0x51, struct.pack(">I", 16_384)) + _item(0x52, b"1.2.3")
    if as_scp:
        uid = abstract_syntax.encode()
        user += _item(0x54, struct.pack(">H", len(uid)) + uid + bytes([0, 1]))  # SCU 0, SCP 1 (PS3.7 D.3.3.4)
    body = struct.pack(">HH16s16s32x", version, 0, called.ljust(16), b"ARCHIVE".ljust(16))
    body += _item(0x10, b"1.2.840.10008.3.1.1.1") + proposed + _item(0x50, user)
    return struct.pack(">BxI", 1, len(body)) + body


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def command(*elements: tuple[int, bytes]) -> bytes:
    """A command set (PS3.7 6.3.1) of elements (0000,eeee) and their values."""
    body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def us(value: int) -> bytes:
    return struct.pack("<H", value)


def echo_command(message_id: int = 1) -> bytes:
    return command((0x0002, even(VERIFICATION)), (0x0100, us(0x0030)), (0x0110, us(message_id)), (0x0800, us(0x0101)))


def report_command(event_type: int | None = 1, message_id: int = 1) -> bytes:
    """N-EVENT-REPORT-RQ (PS3.7 10.3.1), also without its Event Type ID (0000,1002), which some leave out."""
    event = [(0x1002, us(event_type))] if event_type is not None else []
    return command(
        (0x0002, even(COMMITMENT)),
        (0x0100, us(0x0100)),
        (0x0110, us(message_id)),
        (0x0800, us(0x0001)),
        (0x1000, even(COMMITMENT_INSTANCE)),
        *event,
    )


def element(group: int, number: int, value: bytes) -> bytes:
    """In Implicit VR Little Endian (PS3.5 7.1.3)."""
    return struct.pack("<HHI", group, number, len(value)) + value


def information(transaction: str, good: list[str], failed: dict[str, int] | None = None) -> bytes:
    """A report's data set (PS3.4 J.3.3.1.2) in Implicit VR Little Endian."""

    def reference(uid: str, reason: int | None = None) -> bytes:
        item = element(0x0008, 0x1150, even(SECONDARY_CAPTURE)) + element(0x0008, 0x1155, even(uid))
        item += element(0x0008, 0x1197, us(reason)) if reason is not None else b""
        return element(0xFFFE, 0xE000, item)

    failures = b"".join(reference(uid, reason) for uid, reason in (failed or {}).items())
    return (
        element(0x0008, 0x1195, even(transaction))
        + (element(0x0008, 0x1198, failures) if failed else b"")
        + element(0x0008, 0x1199, b"".join(reference(uid) for uid in good))
    )


def in_pdus(data: bytes, control: int, context_id: int = 1, size: int = 16_000) -> bytes:
    """`data` as P-DATA-TF PDUs; `control` is 1 for a command, 0 for a data set."""
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    last = len(parts) - 1
    return b"".join(p_data(context_id, control | (2 if at == last else 0), part) for at, part in enumerate(parts))


def report(event_type: int | None = 1, data: bytes = b"", message_id: int = 1) -> bytes:
    """A whole report."""
    return in_pdus(report_command(event_type, message_id), 1) + in_pdus(data, 0)


class Client:
    """A connection to the listener."""

    def __init__(self, port: int, receive_buffer: int = 0) -> None:
        self.connection = socket.socket()
        self.connection.settimeout(20)
        if receive_buffer:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.connection.connect(("127.0.0.1", port))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)

    def read_pdu(self) -> tuple[int, bytes]:
        """Type and content; type 0 when the connection is over, however."""
        try:
            header = self._read(6)
            if len(header) < 6:
                return 0, b""
            return header[0], self._read(int.from_bytes(header[2:6], "big"))
        except ConnectionError:
            return 0, b""

    def associate(self, request: bytes = b"") -> int:
        """Ask for an association; the type of the answer: 2 accepted, 3 rejected."""
        self.write(request or associate_rq())
        return self.read_pdu()[0]

    def status(self) -> int:
        """The status (0000,0900) of the response that comes."""
        kind, body = self.read_pdu()
        assert kind == 4, f"a PDU of type {kind}"
        at = body.index(struct.pack("<HHI", 0, 0x0900, 2))
        return int.from_bytes(body[at + 8 : at + 10], "little")

    def release(self) -> None:
        self.write(RELEASE_RQ)
        assert self.read_pdu()[0] == 6

    def is_ended(self) -> bool:
        """Whether the listener ends the connection, whatever it says before."""
        while self.read_pdu()[0]:
            pass
        return True

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.connection.recv(size - len(data))
            if not part:
                break
            data += part
        return data


def verify(port: int) -> None:
    """C-ECHO by bytes: the listener answers, and is quick about it."""
    with Client(port) as client:
        assert client.associate(associate_rq(VERIFICATION, as_scp=False)) == 2
        client.write(in_pdus(echo_command(), 1))
        assert client.status() == 0
        client.release()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def nothing_left(most_bytes: int = 64 * 1024 * 1024) -> Iterator[None]:
    """What the block does leaves no thread and no descriptor, and not more than `most_bytes` of memory."""
    threads, descriptors, memory = threading.active_count(), count_descriptors(), resident_bytes()
    yield
    wait_until(lambda: threading.active_count() <= threads, "its threads have ended")
    wait_until(lambda: count_descriptors() <= descriptors, "its descriptors are closed")
    grown = resident_bytes() - memory
    assert grown < most_bytes, f"{grown >> 20} MiB more than before"
