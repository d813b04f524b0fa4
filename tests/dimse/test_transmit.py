"""P-DATA and command sets: byte for byte what pynetdicom makes of them, at any size; nothing else is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_FIND_RQ, C_FIND_RSP, C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF

from appliance.dimse.transmit import (
    C_FIND_RSP as FIND_ANSWER,
)
from appliance.dimse.transmit import (
    C_STORE_RSP as STORE_ANSWER,
)
from appliance.dimse.transmit import (
    MAX_COMMAND_BYTES,
    Assembler,
    ChunkSource,
    FileSource,
    Fragments,
    SourceTooShort,
    bytes_source,
    cancel_command,
    elements_of_command,
    find_command,
    store_command,
)

SOP_CLASS, SOP_INSTANCE = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.45"


def _written(fragments: Fragments, context_id: int, command: bytes, data: bytes | None) -> bytes:
    source = None if data is None else bytes_source(data)
    return b"".join(bytes(block) for block in fragments.blocks(context_id, command, source))


def _encoded(message: DIMSEMessage) -> bytes:
    encoded = encode(message.command_set, True, True)
    assert encoded is not None
    return encoded


def test_ok__a_store_request_byte_for_byte() -> None:
    expected = [
        bytes.fromhex("00000000 04000000 5a000000"),  # (0000,0000) Command Group Length: 90 bytes follow
        bytes.fromhex("00000200 1a000000") + b"1.2.840.10008.5.1.4.1.1.7\0",  # (0000,0002) Affected SOP Class UID
        bytes.fromhex("00000001 02000000 0100"),  # (0000,0100) Command Field: C-STORE-RQ
        bytes.fromhex("00001001 02000000 0700"),  # (0000,0110) Message ID
        bytes.fromhex("00000007 02000000 0000"),  # (0000,0700) Priority: medium
        bytes.fromhex("00000008 02000000 0100"),  # (0000,0800) Command Data Set Type: there is one
        bytes.fromhex("00000010 08000000") + b"1.2.3.45",  # (0000,1000) Affected SOP Instance UID
    ]
    assert store_command(7, SOP_CLASS, SOP_INSTANCE) == b"".join(expected)


def test_ok__commands_are_those_of_the_library() -> None:
    store = C_STORE()
    store.MessageID, store.Priority = 65_535, 0
    store.AffectedSOPClassUID, store.AffectedSOPInstanceUID = UID(SOP_CLASS), UID(SOP_INSTANCE)
    find = C_FIND()
    find.MessageID, find.Priority, find.AffectedSOPClassUID = 3, 2, UID(SOP_CLASS)
    cancel = C_CANCEL()
    cancel.MessageIDBeingRespondedTo = 3
    for message, primitive, ours in (
        (C_STORE_RQ(), store, store_command(65_535, SOP_CLASS, SOP_INSTANCE)),
        (C_FIND_RQ(), find, find_command(3, SOP_CLASS)),
        (C_CANCEL_RQ(), cancel, cancel_command(3)),
    ):
        message.primitive_to_message(primitive)
        if message.command_set.CommandDataSetType != 0x0101 or primitive is not cancel:
            message.command_set.CommandDataSetType = 1
        assert ours == _encoded(message), type(message).__name__


@given(
    longest=st.integers(8, 400),
    size=st.integers(0, 3000),
    context_id=st.sampled_from([1, 3, 255]),
    has_data=st.booleans(),
)
def test_ok__any_message_in_any_pdu_size_is_read_back_by_the_library_and_by_us(
    longest: int, size: int, context_id: int, has_data: bool
) -> None:
    fragments = Fragments(longest)
    command = store_command(1, SOP_CLASS, SOP_INSTANCE) if has_data else cancel_command(9)
    data = os.urandom(size) if has_data else None
    for _again in range(2):  # the block is used again, with its headers as they stand
        written = _written(fragments, context_id, command, data)
        message, assembler, ours = DIMSEMessage(), Assembler(), []
        is_complete = False
        for pdu in _pdus(written):
            assert len(pdu) - 6 <= longest
            decoded = P_DATA_TF()
            decoded.decode(pdu)
            assert not is_complete
            is_complete = message.decode_msg(decoded.to_primitive())
            ours += assembler.add(pdu[6:])
        assert is_complete
        assert message.context_id == context_id
        assert _encoded(message) == command
        assert message.data_set is not None
        assert message.data_set.getvalue() == (data or b"")
        assert [(one.context_id, one.command, one.data) for one in ours] == [(context_id, command, data or b"")]


def _pdus(written: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(written):
        assert written[at : at + 2] == b"\x04\0"
        end = at + 6 + int.from_bytes(written[at + 2 : at + 6], "big")
        yield written[at:end]
        at = end
    assert at == len(written)


def test_ok__a_file_goes_from_its_offset_on_through_many_blocks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = os.urandom(1_700_001)
    path.write_bytes(b"lead" + content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        source = FileSource(descriptor, 4, len(content))
        blocks = [bytes(one) for one in Fragments(16_384).blocks(1, cancel_command(1), source)]
    finally:
        os.close(descriptor)
    assert len(blocks) == 35
    data = b"".join(pdu[12:] for pdu in _pdus(b"".join(blocks)) if not pdu[11] & 1)
    assert data == content


def test_fail__a_file_that_got_shorter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(SourceTooShort):
            list(Fragments(128).blocks(1, cancel_command(1), FileSource(descriptor, 0, 1001)))
    finally:
        os.close(descriptor)


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(8, 64))
def test_ok__chunks_of_any_size_are_one_data_set(chunks: list[bytes], longest: int) -> None:
    whole = b"".join(chunks)
    source = ChunkSource(len(whole), iter(chunks))
    written = b"".join(bytes(one) for one in Fragments(longest).blocks(1, cancel_command(1), source))
    assert b"".join(pdu[12:] for pdu in _pdus(written) if not pdu[11] & 1) == whole


def test_fail__a_pdu_into_which_nothing_fits() -> None:
    with pytest.raises(ValueError, match="7 bytes"):
        Fragments(7)


def _response(kind: type[DIMSEMessage], **given: object) -> bytes:
    message = kind()
    for keyword, value in given.items():
        setattr(message.command_set, keyword, value)
    message.command_set.CommandField = {C_FIND_RSP: FIND_ANSWER, C_STORE_RSP: STORE_ANSWER}[kind]
    for element in list(message.command_set):
        if element.value is None:
            del message.command_set[element.tag]
    message.command_set.CommandGroupLength = 0
    return _encoded(message)


def test_ok__answers_are_read() -> None:
    command = _response(
        C_STORE_RSP,
        MessageIDBeingRespondedTo=4,
        CommandDataSetType=0x0101,
        Status=0xA700,
        ErrorComment="no room\x1b[1m",
    )
    (message,) = Assembler().add(bytes([0, 0, 0, len(command) + 2, 5, 3]) + command)
    assert (message.context_id, message.field, message.status) == (5, STORE_ANSWER, 0xA700)
    assert message.comment == "no room[1m", "what could not be shown is left out"
    assert message.is_answer_to(4)
    assert not message.is_answer_to(5)
    assert not message.has_data
    again = DIMSEMessage()
    assert again.decode_msg(message.primitive())
    assert again.command_set.Status == 0xA700


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (bytes.fromhex("0000000a 01"), "cut off"),
        (bytes.fromhex("00000001 01 03"), "does not fit"),
        (bytes.fromhex("ffffffff 01 03 00"), "does not fit"),
        (bytes.fromhex("00000004 01 02 0000"), "without its command"),
        (bytes.fromhex("00000006 01 03 00000000"), "cut off"),
        (bytes.fromhex("0000000c 01 03 08000500 02000000 4142"), "something else"),
        (bytes.fromhex("0000000c 01 03 00000001 ffffffff 4142"), "something else"),
    ],
)
def test_fail__what_is_no_message(body: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Assembler().add(body)


def test_fail__messages_without_an_end() -> None:
    assembler = Assembler()
    fragment = bytes.fromhex("00001002 01 01") + bytes(4096)
    with pytest.raises(ValueError, match="command set that does not end"):
        for _ in range(MAX_COMMAND_BYTES // 4096 + 1):
            assembler.add(fragment)
    assembler = Assembler(longest_data=100)
    command = store_command(1, SOP_CLASS, SOP_INSTANCE)
    assembler.add(bytes([0, 0, 0, len(command) + 2, 1, 3]) + command)
    with pytest.raises(ValueError, match="data set that does not end"):
        assembler.add(bytes([0, 0, 0, 103, 1, 0]) + bytes(101))
    with pytest.raises(ValueError, match="before the last message"):
        assembler.add(bytes([0, 0, 0, len(command) + 2, 1, 3]) + command)


@given(st.binary(max_size=200))
def test_ok__any_bytes_are_messages_or_refused(body: bytes) -> None:
    try:
        for message in Assembler().add(body):
            assert message.comment.isprintable()
    except ValueError:
        pass


@given(st.binary(max_size=100))
def test_ok__any_command_set_is_elements_or_refused(encoded: bytes) -> None:
    try:
        elements = elements_of_command(encoded)
    except ValueError:
        return
    assert sum(8 + len(value) for value in elements.values()) <= len(encoded)


def test_ok__the_library_reads_a_worklist_answer_as_we_do() -> None:
    identifier = Dataset()
    identifier.PatientName = "A^B"
    data = encode(identifier, True, True)
    assert data is not None
    command = _response(C_FIND_RSP, MessageIDBeingRespondedTo=2, CommandDataSetType=1, Status=0xFF00)
    assembler = Assembler()
    assert assembler.add(bytes([0, 0, 0, len(command) + 2, 1, 3]) + command) == []
    (message,) = assembler.add(bytes([0, 0, 0, len(data) + 2, 1, 2]) + data)
    assert (message.data, message.status, message.is_answer_to(2)) == (data, 0xFF00, True)
    again = DIMSEMessage()
    assert again.decode_msg(message.primitive())
    assert again.data_set is not None
    assert again.data_set.getvalue() == data
