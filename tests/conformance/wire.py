"""What went over the wire, recorded byte by byte between the box and its peers, and read by the library's own decoders.

A proxy stands on each way; nothing is changed on it. Associations are read after everything is over.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE

from tests.ports import pick_free_port

# Command Field (0000,0100) of requests (PS3.7 E.1).
OPERATIONS = {
    0x0001: "C-STORE",
    0x0020: "C-FIND",
    0x0030: "C-ECHO",
    0x0100: "N-EVENT-REPORT",
    0x0120: "N-SET",
    0x0130: "N-ACTION",
    0x0140: "N-CREATE",
    0x0FFF: "C-CANCEL",
}
_RESPONSE = 0x8000


@dataclass
class Line:
    """One connection: what the one who called said, and what was answered."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


@dataclass
class Recorder:
    """Listens on a port of its own and passes everything on to another one."""

    target: int
    port: int = field(default_factory=pick_free_port)
    lines: list[Line] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[Recorder]:
        with socket.create_server(("127.0.0.1", self.port)) as server:
            accepting = threading.Thread(target=self._accept, args=(server,), daemon=True)
            accepting.start()
            try:
                yield self
            finally:
                server.shutdown(socket.SHUT_RDWR)
                accepting.join(30)

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            line = Line()
            self.lines.append(line)
            try:
                called = socket.create_connection(("127.0.0.1", self.target), 30)
            except OSError:
                caller.close()
                continue
            for source, sink, record in ((caller, called, line.asked), (called, caller, line.answered)):
                threading.Thread(target=_pass_on, args=(source, sink, record), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
    while True:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        if not data:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
            return
        record += data
        try:
            sink.sendall(data)
        except OSError:
            return


@dataclass(frozen=True)
class Spoken:
    """One message: `is_asked` by whoever called. `data` is its data set, in `transfer_syntax`."""

    is_asked: bool
    abstract_syntax: str
    transfer_syntax: str
    command: Dataset
    data: Dataset | None

    @property
    def is_response(self) -> bool:
        return bool(self.command.CommandField & _RESPONSE)

    @property
    def operation(self) -> str:
        return OPERATIONS[self.command.CommandField & ~_RESPONSE if self.is_response else self.command.CommandField]


@dataclass(frozen=True)
class Negotiated:
    """One association. `accepted` maps a context's number to its transfer syntax; empty when it was refused.

    `application_context` is its name, `user_items` are the kinds of what else is negotiated (PS3.7 D.3.3).
    `rejected` are result, source and reason of a refusal; `end` says how it ended: `released`, `aborted by the caller`,
    `aborted by the called`, or `cut`.
    """

    calling: str
    called: str
    implementation_class_uid: str
    max_pdu_bytes: int
    proposed: dict[int, tuple[str, tuple[str, ...]]]
    accepted: dict[int, str]
    messages: tuple[Spoken, ...]
    application_context: str
    user_items: frozenset[str]
    rejected: tuple[int, int, int] | None = None
    end: str = "cut"


def associations_of(recorder: Recorder) -> list[Negotiated]:
    """Every association that was asked for on this way."""
    return [found for line in recorder.lines if (found := _association_of(line))]


def _association_of(line: Line) -> Negotiated | None:
    asked, answered = list(_pdus(bytes(line.asked))), list(_pdus(bytes(line.answered)))
    if not asked or asked[0][0] != 0x01:
        return None
    request = _primitive(A_ASSOCIATE_RQ(), asked[0][1])
    proposed = {
        one.context_id: (str(one.abstract_syntax), tuple(str(uid) for uid in one.transfer_syntax))
        for one in request.presentation_context_definition_list
    }
    accepted: dict[int, str] = {}
    if answered and answered[0][0] == 0x02:
        answer = _primitive(A_ASSOCIATE_AC(), answered[0][1])
        accepted = {
            one.context_id: str(one.transfer_syntax[0])
            for one in answer.presentation_context_definition_results_list
            if one.result == 0
        }
    messages = [*_messages(asked, True, proposed, accepted), *_messages(answered, False, proposed, accepted)]
    return Negotiated(
        request.calling_ae_title.strip(),
        request.called_ae_title.strip(),
        str(request.implementation_class_uid),
        int(request.maximum_length_received),
        proposed,
        accepted,
        tuple(messages),
        str(request.application_context_name),
        frozenset(type(one).__name__ for one in request.user_information),
        # A-ASSOCIATE-RJ (PS3.8 9.3.4): its last three bytes.
        (answered[0][1][7], answered[0][1][8], answered[0][1][9]) if answered and answered[0][0] == 0x03 else None,
        _end_of([kind for kind, _ in asked], [kind for kind, _ in answered]),
    )


def _end_of(asked: list[int], answered: list[int]) -> str:
    if 0x07 in asked:
        return "aborted by the caller"
    if 0x07 in answered:
        return "aborted by the called"
    return "released" if 0x06 in asked or 0x06 in answered else "cut"


def _primitive(pdu: Any, data: bytes) -> A_ASSOCIATE:
    pdu.decode(data)
    primitive = pdu.to_primitive()
    assert isinstance(primitive, A_ASSOCIATE)
    return primitive


def _pdus(stream: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 6 <= len(stream):
        end = place + 6 + int.from_bytes(stream[place + 2 : place + 6], "big")
        if end > len(stream):
            return  # cut off in the middle
        yield stream[place], stream[place:end]
        place = end


def _messages(
    pdus: list[tuple[int, bytes]],
    is_asked: bool,
    proposed: dict[int, tuple[str, tuple[str, ...]]],
    accepted: dict[int, str],
) -> Iterator[Spoken]:
    parts: dict[bool, bytearray] = {True: bytearray(), False: bytearray()}
    command: Dataset | None = None
    for number, is_command, is_last, data in (pdv for kind, pdu in pdus if kind == 0x04 for pdv in _pdvs(pdu)):
        parts[is_command] += data
        if not is_last:
            continue
        if is_command:
            command = _dataset(bytes(parts[True]), "1.2.840.10008.1.2")
            parts[True].clear()
            if command.CommandDataSetType != 0x0101:
                continue
        assert command is not None
        syntax = accepted[number]
        said = None if is_command else _dataset(bytes(parts[False]), syntax)
        parts[False].clear()
        yield Spoken(is_asked, proposed[number][0], syntax, command, said)
        command = None


def _pdvs(pdu: bytes) -> Iterator[tuple[int, bool, bool, bytes]]:
    """Context, whether it is of the command, whether it is its last, the bytes (PS3.8 9.3.5.1, E.2)."""
    place = 6
    while place < len(pdu):
        length = int.from_bytes(pdu[place : place + 4], "big")
        header = pdu[place + 5]
        yield pdu[place + 4], bool(header & 1), bool(header & 2), pdu[place + 6 : place + 4 + length]
        place += 4 + length


def _dataset(data: bytes, syntax: str) -> Dataset:
    uid = UID(syntax)
    return read_dataset(BytesIO(data), uid.is_implicit_VR, uid.is_little_endian)
