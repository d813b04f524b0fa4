"""A fuzzed SCP that answers our requests: every call ends in time, in a sentence, and leaves nothing."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from pydicom import Dataset

from appliance.base.errors import ApplianceError
from appliance.config.schema import Peer, WorklistSource
from appliance.dimse.association import Caller, Context, open_association
from appliance.dimse.commitment import COMMITMENT_CONTEXT, Reference, report_handlers, request_commitment
from appliance.dimse.echo import echo
from appliance.dimse.find import FIND_CONTEXT, find_instances
from appliance.dimse.performed_step import STEP_CONTEXT, create_step, set_step
from appliance.dimse.store import store_object
from appliance.dimse.worklist import query_worklist
from tests.dimse.hand_made_client import command, element, even, in_pdus, information, nothing_left, report_command, us
from tests.dimse.hand_made_peer import ABORT, RELEASE, RELEASE_RP, RELEASE_RQ, Conversation, _acceptance
from tests.dimse.mutations import mutate
from tests.peers import SECONDARY_CAPTURE, save_object, small_object

CALLER = Caller("BRIDGE")
ANSWER_SECONDS = 0.5
_STUDY, _OBJECT, _TRANSACTION = "1.2.3", "1.2.3.4", "1.2.77"
_C_FIND_RQ, _N_ACTION_RQ = 0x0020, 0x0130


class FuzzedArchive:
    """Answers every request as it should, and now and then with something else in its place."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(Exception):
                connection.settimeout(0.5)
                self._converse(Conversation(connection))

    def _converse(self, talk: Conversation) -> None:
        kind, request = talk.read_pdu()
        assert kind == 1
        self._write(talk, _acceptance(request, 16_384), 0.2)
        while True:
            kind, body = talk.read_pdu()
            if kind == RELEASE:
                self._write(talk, RELEASE_RP, 0.2)
                return
            if kind != 4:
                return
            for message in talk._assembler.add(body):
                for answer in self._answers(message.field or 0, message.elements, message.context_id):
                    self._write(talk, answer, 0.15)
                    if self._chance.random() < 0.03:
                        self._write(talk, self._chance.choice((ABORT, RELEASE_RQ, RELEASE_RP)), 0.1)

    def _write(self, talk: Conversation, data: bytes, share: float) -> None:
        talk.write(mutate(data, self._chance) if self._chance.random() < share else data)

    def _answers(self, field: int, asked: dict[int, bytes], context_id: int) -> Iterator[bytes]:
        message_id = int.from_bytes(asked.get(0x0110, b""), "little")
        uid = asked.get(0x1000) or asked.get(0x1001) or even(_OBJECT)

        def response(status: int, data: bytes = b"") -> bytes:
            said = command(
                (0x0002, asked.get(0x0002) or asked.get(0x0003) or b""),
                (0x0100, us(field | 0x8000)),
                (0x0120, us(message_id)),
                (0x0800, us(1 if data else 0x0101)),
                (0x0900, us(status)),
                (0x1000, uid),
            )
            return in_pdus(said, 1, context_id) + (in_pdus(data, 0, context_id) if data else b"")

        if field == _C_FIND_RQ:
            for _ in range(3):
                yield response(0xFF00, _explicit_item())
        if field == _N_ACTION_RQ:
            data = information(_TRANSACTION, [_OBJECT])
            yield in_pdus(report_command(1, 7), 1, context_id) + in_pdus(data, 0, context_id)
        yield response(0)


def _explicit_item() -> bytes:
    """An answer in Explicit VR Little Endian: charset, level, names, UIDs, and a step."""

    def short(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        return struct.pack("<HH2sH", group, number, vr, len(value)) + value

    step = short(0x0008, 0x0060, b"CS", b"US") + short(0x0040, 0x0002, b"DA", b"20261123")
    item = element(0xFFFE, 0xE000, step)
    return (
        short(0x0008, 0x0005, b"CS", b"ISO_IR 100")
        + short(0x0008, 0x0018, b"UI", even(_OBJECT))
        + short(0x0010, 0x0010, b"PN", b"Nobody^At All ")
        + short(0x0010, 0x0020, b"LO", b"HS-999")
        + short(0x0020, 0x000D, b"UI", even(_STUDY))
        + struct.pack("<HH2sHI", 0x0040, 0x0100, b"SQ", 0, len(item))
        + item
    )


def _verify(peer: Peer, _path: Path) -> None:
    echo(peer, CALLER)


def _store(peer: Peer, path: Path) -> None:
    with open_association(peer, CALLER, [Context(SECONDARY_CAPTURE, ("1.2.840.10008.1.2.1",))]) as association:
        for _ in range(2):
            store_object(association, path)


def _commit(peer: Peer, _path: Path) -> None:
    handlers = report_handlers(lambda report: bool(f"{report.calling_ae} {report.transaction_uid}".encode()))
    with open_association(peer, CALLER, [COMMITMENT_CONTEXT], handlers) as association:
        request_commitment(association, _TRANSACTION, [Reference(SECONDARY_CAPTURE, _OBJECT)])
        association.attend(0.01)


def _find(peer: Peer, _path: Path) -> None:
    with open_association(peer, CALLER, [FIND_CONTEXT]) as association:
        assert find_instances(association, _STUDY, None, [_OBJECT, "9.9"]) <= {_OBJECT, "9.9"}


def _ask_worklist(peer: Peer, _path: Path) -> None:
    source = WorklistSource(name="ris", **peer.model_dump())
    query_worklist(source, CALLER, date(2026, 11, 23))


def _tell_steps(peer: Peer, _path: Path) -> None:
    step = Dataset()
    step.PerformedProcedureStepID = "1"
    with open_association(peer, CALLER, [STEP_CONTEXT]) as association:
        create_step(association, _OBJECT, step)
        set_step(association, _OBJECT, step)


@pytest.mark.parametrize("call", [_verify, _store, _commit, _find, _ask_worklist, _tell_steps])
def test_ok__a_fuzzed_archive(call: Callable[[Peer, Path], None], tmp_path: Path) -> None:
    path = save_object(tmp_path, small_object(size=100))
    ends: Counter[str] = Counter()
    with nothing_left():
        archive = FuzzedArchive(seed=len(call.__name__))
        peer = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=archive.port, answer_seconds=ANSWER_SECONDS)
        try:
            for _ in range(30):
                begun = time.monotonic()
                try:
                    call(peer, path)
                except ApplianceError as error:
                    assert error.sentence
                    ends[type(error).__name__] += 1
                else:
                    ends["fine"] += 1
                assert time.monotonic() - begun < 15 * ANSWER_SECONDS
        finally:
            archive.close()
    assert ends["fine"] > 0 and ends.total() - ends["fine"] > 3, f"it comes far enough to mean something: {ends}"
