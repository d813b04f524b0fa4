"""Messages on the line: command sets, and P-DATA written and read without a copy too many (PS3.7 E, PS3.8 9.3.5).

pynetdicom builds and parses each PDU and each command set through generic encoders and queues: half a millisecond a
message, and a hundred times the copies. What is spoken in bulk (objects sent, worklist answers received) goes this way
instead, byte for byte the same; everything else stays with the library.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pynetdicom.pdu_primitives import P_DATA

# Command elements (0000,eeee) that are said or looked at here (PS3.7 E.1).
_SOP_CLASS, _FIELD, _MESSAGE_ID, _RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
_PRIORITY, _DATA_SET_TYPE, _STATUS, _ERROR_COMMENT, _SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x0902, 0x1000
_C_STORE_RQ, _C_FIND_RQ, _C_CANCEL_RQ = 0x0001, 0x0020, 0x0FFF
_MEDIUM, _HIGH, _LOW = 0, 1, 2  # Priority (0000,0700)
_WITH_DATA, _NO_DATA = 0x0001, 0x0101
_RESPONSE = 0x8000
C_STORE_RSP, C_FIND_RSP = 0x8001, 0x8020

_PDU_HEADER = struct.Struct(">BxI")  # type, reserved, length (PS3.8 9.3.1)
_PDV_HEADER = struct.Struct(">IBB")  # length, context, message control header (PS3.8 9.3.5.1, E.2)
_P_DATA_TF = 0x04
_IS_COMMAND, _IS_LAST = 0x01, 0x02
_ITEM_HEADER = struct.Struct(">BxH")  # type, reserved, length (PS3.8 9.3.2)
_HEADERS = _PDU_HEADER.size + _PDV_HEADER.size
_PDV_OVERHEAD = _PDV_HEADER.size

# One block of PDUs is read from the file, and written, by one system call each. It stays in the processor's cache.
_BLOCK_BYTES = 64 * 1024
_FRONT_BYTES = 1024
_MOST_SLOTS = 1024  # IOV_MAX

_FIXED_ASSOCIATE_BYTES = _PDU_HEADER.size + 68  # before the items of A-ASSOCIATE-RQ and -AC (PS3.8 9.3.2, 9.3.3)
_ITEMS_WITH_ITEMS = {0x20: 4, 0x21: 4, 0x50: 0}  # presentation contexts, user information → bytes before their items
# 128 contexts of 16 transfer syntaxes each; every item becomes an object of a kilobyte.
_MOST_ITEMS = 2200

MAX_COMMAND_BYTES = 64 * 1024
MAX_DATA_BYTES = 64 * 1024 * 1024


class Source(Protocol):
    """Where the bytes of a data set come from. `length` is their number, known before the first one is sent."""

    length: int

    def read_into(self, spaces: Sequence[memoryview]) -> int:
        """Fill `spaces` in order and tell how many bytes that were: fewer than fit only at the end."""


class FileSource:
    """A part of an open file, as it lies there."""

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        self.length = length
        self._descriptor = descriptor
        self._offset = offset

    def read_into(self, spaces: Sequence[memoryview]) -> int:
        read = os.preadv(self._descriptor, spaces, self._offset)
        self._offset += read
        return read


class ChunkSource:
    """Bytes that are made while they are sent."""

    def __init__(self, length: int, chunks: Iterator[bytes | memoryview]) -> None:
        self.length = length
        self._chunks = chunks
        self._chunk = memoryview(b"")

    def read_into(self, spaces: Sequence[memoryview]) -> int:
        read = 0
        for space in spaces:
            filled = 0
            while filled < len(space):
                if not self._chunk:
                    chunk = next(self._chunks, None)
                    if chunk is None:
                        return read
                    self._chunk = memoryview(chunk)
                part = self._chunk[: len(space) - filled]
                space[filled : filled + len(part)] = part
                self._chunk = self._chunk[len(part) :]
                filled += len(part)
                read += len(part)
        return read


def bytes_source(data: bytes) -> Source:
    """Bytes that are there already."""
    return ChunkSource(len(data), iter((data,)))


class SourceTooShort(OSError):
    """The bytes ended before the length that was said: the file was cut off after it was measured."""


def store_command(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """The command set of a C-STORE request (PS3.7 9.3.1.1)."""
    return _command(
        (_SOP_CLASS, _uid(sop_class_uid)),
        (_FIELD, _us(_C_STORE_RQ)),
        (_MESSAGE_ID, _us(message_id)),
        (_PRIORITY, _us(_MEDIUM)),
        (_DATA_SET_TYPE, _us(_WITH_DATA)),
        (_SOP_INSTANCE, _uid(sop_instance_uid)),
    )


def find_command(message_id: int, sop_class_uid: str) -> bytes:
    """The command set of a C-FIND request (PS3.7 9.3.2.1)."""
    return _command(
        (_SOP_CLASS, _uid(sop_class_uid)),
        (_FIELD, _us(_C_FIND_RQ)),
        (_MESSAGE_ID, _us(message_id)),
        (_PRIORITY, _us(_LOW)),
        (_DATA_SET_TYPE, _us(_WITH_DATA)),
    )


def cancel_command(message_id: int) -> bytes:
    """The command set of a C-CANCEL request for the request `message_id` (PS3.7 9.3.2.3)."""
    return _command((_FIELD, _us(_C_CANCEL_RQ)), (_RESPONDED_TO, _us(message_id)), (_DATA_SET_TYPE, _us(_NO_DATA)))


def _command(*elements: tuple[int, bytes]) -> bytes:
    # Always implicit VR little endian, in the order of the tags, its own length first (PS3.7 6.3.1).
    body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _uid(value: str) -> bytes:
    encoded = value.encode("ascii")
    return encoded + b"\0" if len(encoded) % 2 else encoded


def elements_of_command(encoded: bytes) -> dict[int, bytes]:
    """Element number → value of a command set. ValueError when it is none."""
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(encoded):
        if at + 8 > len(encoded):
            raise ValueError("a command element is cut off")
        group, element, length = struct.unpack_from("<HHI", encoded, at)
        at += 8
        if group != 0 or length > len(encoded) - at:
            raise ValueError("a command set with something else in it")
        elements[element] = encoded[at : at + length]
        at += length
    return elements


@dataclass(frozen=True, slots=True)
class Message:
    """A DIMSE message as it was received; `elements` is its command set by element number."""

    context_id: int
    elements: dict[int, bytes]
    command: bytes
    data: bytes

    def is_answer_to(self, message_id: int | None) -> bool:
        """Whether this is a response to the request `message_id`."""
        return bool((self.field or 0) & _RESPONSE) and self._number(_RESPONDED_TO) == message_id

    @property
    def field(self) -> int | None:
        """Command Field (0000,0100)."""
        return self._number(_FIELD)

    @property
    def status(self) -> int | None:
        """Status (0000,0900), None when there is none."""
        return self._number(_STATUS)

    @property
    def comment(self) -> str:
        """Error Comment (0000,0902), without anything that could not be shown."""
        text = self.elements.get(_ERROR_COMMENT, b"").decode("ascii", "replace")
        return "".join(letter for letter in text if letter.isprintable()).strip()

    @property
    def has_data(self) -> bool:
        """Whether the command set says that a data set follows."""
        return self._number(_DATA_SET_TYPE) != _NO_DATA

    def primitive(self) -> P_DATA:
        """The whole message for the library."""
        values = [[self.context_id, bytes([_IS_COMMAND | _IS_LAST]) + self.command]]
        if self.has_data:
            values.append([self.context_id, bytes([_IS_LAST]) + self.data])
        primitive = P_DATA()
        primitive.presentation_data_value_list = values  # type: ignore[assignment]  # its type is not what it takes
        return primitive

    def _number(self, element: int) -> int | None:
        value = self.elements.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else None


class Assembler:
    """Puts messages together from the P-DATA of a peer, each length checked and each message bounded."""

    def __init__(self, longest_data: int = MAX_DATA_BYTES) -> None:
        """`longest_data` bounds a message's data set."""
        self._longest_data = longest_data
        self._command = bytearray()
        self._data = bytearray()
        self._begun: Message | None = None

    def add(self, body: bytes | bytearray) -> list[Message]:
        """The messages that the values of one P-DATA-TF PDU complete. ValueError when they break the rules."""
        complete: list[Message] = []
        at = 0
        while at < len(body):
            if at + _PDV_HEADER.size > len(body):
                raise ValueError("a presentation data value is cut off")
            length, context_id, control = _PDV_HEADER.unpack_from(body, at)
            end = at + 4 + length
            if length < 2 or end > len(body):
                raise ValueError(f"a presentation data value of {length} bytes does not fit")
            message = self._add(context_id, control, body[at + _PDV_HEADER.size : end])
            if message is not None:
                complete.append(message)
            at = end
        return complete

    def _add(self, context_id: int, control: int, fragment: bytes | bytearray) -> Message | None:
        if control & _IS_COMMAND:
            if self._begun is not None:
                raise ValueError("a command before the last message's data set was complete")
            self._command += fragment
            if len(self._command) > MAX_COMMAND_BYTES:
                raise ValueError("a command set that does not end")
            if not control & _IS_LAST:
                return None
            command = bytes(self._command)
            self._command.clear()
            message = Message(context_id, elements_of_command(command), command, b"")
            if message.has_data:
                self._begun = message
                return None
            return message
        if self._begun is None or self._begun.context_id != context_id:
            raise ValueError("a data set without its command")
        self._data += fragment
        if len(self._data) > self._longest_data:
            raise ValueError("a data set that does not end")
        if not control & _IS_LAST:
            return None
        message = Message(context_id, self._begun.elements, self._begun.command, bytes(self._data))
        self._begun = None
        self._data = bytearray()
        return message


class Fragments:
    """A block of P-DATA PDUs whose headers stand, and whose data is read straight between them."""

    def __init__(self, longest_pdu: int) -> None:
        """For a peer that takes PDUs of `longest_pdu` bytes, the six of the header not counted (PS3.8 D.1)."""
        self._size = (longest_pdu - _PDV_OVERHEAD) & ~1  # fragments of an even length (PS3.8 E.1)
        if self._size <= 0:
            raise ValueError(f"no data fits into a PDU of {longest_pdu} bytes")
        slot = _HEADERS + self._size
        self._count = max(1, min(_BLOCK_BYTES // slot, _MOST_SLOTS))
        self._block = memoryview(bytearray(_FRONT_BYTES + self._count * slot))
        self._starts = [_FRONT_BYTES + number * slot for number in range(self._count)]
        self._spaces = [self._block[start + _HEADERS : start + slot] for start in self._starts]
        self._context_id = -1

    def blocks(self, context_id: int, command: bytes, source: Source | None) -> Iterator[memoryview]:
        """The message's bytes, block by block; each is valid until the next one is asked for.

        SourceTooShort when `source` ends early, OSError when it cannot be read: half a message was given by then.
        """
        ahead = self._command_pdus(context_id, command)
        if source is None or len(ahead) > _FRONT_BYTES:
            yield memoryview(ahead)
            ahead = b""
        if source is None:
            return
        if context_id != self._context_id:
            for number in range(self._count):
                self._set_header(number, context_id, self._size, 0)
            self._context_id = context_id
        left = source.length
        while True:
            size = min(left, self._count * self._size)
            left -= size
            last, rest = divmod(max(size - 1, 0), self._size)
            rest = rest + 1 if size else 0
            spaces = [*self._spaces[:last], self._spaces[last][:rest]]
            _fill(source, spaces, size)
            self._set_header(last, context_id, rest, 0 if left else _IS_LAST)
            begin = _FRONT_BYTES - len(ahead)
            self._block[begin:_FRONT_BYTES] = ahead
            yield self._block[begin : self._starts[last] + _HEADERS + rest]
            self._set_header(last, context_id, self._size, 0)
            ahead = b""
            if not left:
                return

    def _command_pdus(self, context_id: int, command: bytes) -> bytes:
        pdus = bytearray()
        for start in range(0, len(command), self._size):
            fragment = command[start : start + self._size]
            control = _IS_COMMAND | (_IS_LAST if start + self._size >= len(command) else 0)
            pdus += _PDU_HEADER.pack(_P_DATA_TF, _PDV_OVERHEAD + len(fragment))
            pdus += _PDV_HEADER.pack(2 + len(fragment), context_id, control) + fragment
        return bytes(pdus)

    def _set_header(self, number: int, context_id: int, size: int, control: int) -> None:
        start = self._starts[number]
        _PDU_HEADER.pack_into(self._block, start, _P_DATA_TF, _PDV_OVERHEAD + size)
        _PDV_HEADER.pack_into(self._block, start + _PDU_HEADER.size, 2 + size, context_id, control)


def _fill(source: Source, spaces: list[memoryview], size: int) -> None:
    # A read may be interrupted anywhere in between; almost always the first one brings everything.
    filled = source.read_into(spaces)
    while filled < size:
        wanted: list[memoryview] = []
        skip = filled
        for space in spaces:
            if skip < len(space):
                wanted.append(space[skip:])
            skip = max(0, skip - len(space))
        read = source.read_into(wanted)
        if not read:
            raise SourceTooShort(f"{size - filled} bytes are missing")
        filled += read


def check_items(pdu: bytes | bytearray) -> None:
    """Refuse an A-ASSOCIATE PDU whose items do not fit into it, or are too many to become objects. ValueError."""
    count = 0
    for kind, begin, end in _items(pdu, _FIXED_ASSOCIATE_BYTES, len(pdu)):
        before = _ITEMS_WITH_ITEMS.get(kind)
        count += 1 + (sum(1 for _ in _items(pdu, begin + before, end)) if before is not None else 0)
        if count > _MOST_ITEMS:
            raise ValueError("too many items")


def _items(body: bytes | bytearray, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of each item (PS3.8 9.3.2: type, reserved, length of two bytes, content)."""
    while at < end:
        if at + _ITEM_HEADER.size > end:
            raise ValueError("an item is cut off")
        kind, length = _ITEM_HEADER.unpack_from(body, at)
        at += _ITEM_HEADER.size
        if at + length > end:
            raise ValueError("an item is longer than what holds it")
        yield kind, at, at + length
        at += length
