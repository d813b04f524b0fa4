"""An archive made by hand of PDUs: it accepts every context, and then does what no decent archive does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from appliance.dimse.transmit import Assembler, Message

EXPLICIT = b"1.2.840.10008.1.2.1"
RELEASE_RQ = bytes.fromhex("0500 00000004 00000000")
RELEASE_RP = bytes.fromhex("0600 00000004 00000000")
ABORT = bytes.fromhex("0700 00000004 0000 0000")
P_DATA, RELEASE, ABORTED = 4, 5, 7


class Conversation:
    """The peer's end of one association, which is established."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._reader = connection.makefile("rb")
        self._assembler = Assembler()

    def read_pdu(self) -> tuple[int, bytes]:
        """Type and content; type 0 at the end of the connection."""
        header = self._reader.read(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", header)
        return kind, self._reader.read(length)

    def read_message(self) -> Message:
        """The next message that is said to us."""
        while True:
            kind, body = self.read_pdu()
            assert kind == P_DATA, f"a PDU of type {kind}"
            for message in self._assembler.add(body):
                return message

    def say(self, command: bytes, context_id: int = 1) -> None:
        self.write(p_data(context_id, 3, command))

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)


def p_data(context_id: int, control: int, fragment: bytes) -> bytes:
    """A P-DATA-TF PDU with one value (PS3.8 9.3.5)."""
    value = struct.pack(">IBB", len(fragment) + 2, context_id, control) + fragment
    return struct.pack(">BxI", P_DATA, len(value)) + value


def response(field: int, message_id: int, status: int) -> bytes:
    """The command set of a response without a data set (PS3.7 E.2)."""
    elements = ((0x0100, field), (0x0120, message_id), (0x0800, 0x0101), (0x0900, status))
    body = b"".join(struct.pack("<HHIH", 0, element, 2, value) for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _acceptance(request: bytes, longest_pdu: int) -> bytes:
    """A-ASSOCIATE-AC that accepts every context in Explicit VR Little Endian (PS3.8 9.3.3)."""
    items, at = [], 68
    while at < len(request):
        kind, length = struct.unpack_from(">BxH", request, at)
        if kind == 0x20:
            syntax = struct.pack(">BxH", 0x40, len(EXPLICIT)) + EXPLICIT
            items.append(struct.pack(">BxHBxBx", 0x21, 4 + len(syntax), request[at + 4], 0) + syntax)
        elif kind == 0x10:
            items.append(request[at : at + 4 + length])
        at += 4 + length
    user = struct.pack(">BxHI", 0x51, 4, longest_pdu) + struct.pack(">BxH", 0x52, 3) + b"1.2"
    body = request[:68] + b"".join(items) + struct.pack(">BxH", 0x50, len(user)) + user
    return struct.pack(">BxI", 2, len(body)) + body


@contextlib.contextmanager
def hand_made_peer(behave: Callable[[Conversation], None], longest_pdu: int = 16_384) -> Iterator[int]:
    """Listen on the port that is given; `behave` has the first association. What goes wrong in it fails the test."""
    wrong: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(30)
                conversation = Conversation(connection)
                try:
                    kind, request = conversation.read_pdu()
                    assert kind == 1
                    conversation.write(_acceptance(request, longest_pdu))
                    behave(conversation)
                except BaseException as error:  # noqa: BLE001
                    wrong.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)
        assert not thread.is_alive()
    if wrong:
        raise wrong[0]
