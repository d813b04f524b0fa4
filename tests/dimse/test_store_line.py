"""Objects on the line: deadlines count progress, memory stays flat, and no defect of pynetdicom 3.0.4 can bite."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from appliance.config.schema import Peer
from appliance.dimse import line
from appliance.dimse.association import (
    AssociationAborted,
    AssociationRefused,
    Caller,
    Context,
    encoded_for,
    open_association,
)
from appliance.dimse.store import store_object
from appliance.dimse.tls import identity_from
from appliance.dimse.transmit import C_FIND_RSP, C_STORE_RSP, bytes_source, find_command
from appliance.spool.names import digest_of, object_name_from
from tests.certificates import make_authority
from tests.dimse.hand_made_peer import (
    ABORT,
    ABORTED,
    RELEASE,
    RELEASE_RP,
    RELEASE_RQ,
    Conversation,
    hand_made_peer,
    p_data,
    response,
)
from tests.dimse.slow_line import slow_line
from tests.peers import (
    SECONDARY_CAPTURE,
    running,
    save_object,
    small_object,
    start_storescp,
    start_wlmscpfs,
    worklist_file,
)

CALLER = Caller("BRIDGE")
STORE = Context(SECONDARY_CAPTURE, (str(ExplicitVRLittleEndian),))
FIND = Context("1.2.840.10008.5.1.4.31", (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)))


def _peer(port: int, answer_seconds: float = 20.0) -> Peer:
    return Peer(ae_title="ARCHIVE", host="127.0.0.1", port=port, connect_seconds=5, answer_seconds=answer_seconds)


def _object(directory: Path, size: int) -> Path:
    """An object of one row after the other of 1,000 pixels."""
    instance = small_object(size=16)
    instance.Rows, instance.Columns = size // 1000, 1000
    instance.PixelData = os.urandom(size)
    return save_object(directory, instance)


def _sparse_object(directory: Path, size: int) -> Path:
    """An object whose pixels take no room on the disk: only the length of Pixel Data and of the file grow."""
    path = _object(directory, 1000)
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(end - 1000 - 4)
        file.write(size.to_bytes(4, "little"))
        file.truncate(end - 1000 + size)
    name = object_name_from(path.name)
    assert name is not None
    return path.rename(path.with_name(str(replace(name, digest=digest_of(path, 0)))))


# -- deadlines count progress


def test_ok__a_slow_line_that_moves_is_never_called_dead(tmp_path: Path) -> None:
    path = _object(tmp_path / "out", 250_000)
    with running(start_storescp(tmp_path / "scp")) as scp, slow_line(scp.port, 50_000) as line:
        begun = time.monotonic()
        with open_association(_peer(line.port, answer_seconds=1.0), CALLER, [STORE]) as association:
            assert store_object(association, path).code == 0
        took = time.monotonic() - begun
        assert line.passed > 250_000
    assert took > 4, "several times the deadline"
    assert len(list((tmp_path / "scp").iterdir())) == 1


@pytest.mark.parametrize("size", [100_000, 12_000_000], ids=["all in the kernel", "more than the kernel takes"])
def test_fail__a_line_that_stands_still_is_dead_at_the_deadline(tmp_path: Path, size: int) -> None:
    path = _object(tmp_path / "out", size)
    with running(start_storescp(tmp_path / "scp", "--ignore")) as scp:
        with slow_line(scp.port, 10_000_000, stops_after=40_000) as line:
            begun = time.monotonic()
            with pytest.raises(AssociationAborted, match=r"(took nothing for|did not answer within) 1\.5 seconds"):
                with open_association(_peer(line.port, answer_seconds=1.5), CALLER, [STORE]) as association:
                    store_object(association, path)
            assert 1.4 < time.monotonic() - begun < 8


def test_ok__tls_goes_the_same_way(tmp_path: Path) -> None:
    """Many records, more than the kernel takes at once, and a line that stands still in the end."""
    hospital = make_authority(tmp_path / "pki")
    archive = hospital.issue("archive", addresses=("127.0.0.1",))
    caller = Caller("BRIDGE", identity_from(hospital.issue("box").tls))
    paths = [_object(tmp_path / "out", size) for size in (1000, 250_000, 9_000_000)]
    with running(start_storescp(tmp_path / "scp", *archive.dcmtk_options())) as scp:
        peer = _peer(scp.port).model_copy(update={"tls": True})
        with open_association(peer, caller, [STORE]) as association:
            assert association.line.socket is not None
            assert isinstance(association.line.socket, ssl.SSLSocket)
            for path in paths:
                assert store_object(association, path).code == 0
        received = {one.read_bytes()[-1000:] for one in (tmp_path / "scp").iterdir()}
        assert received == {path.read_bytes()[-1000:] for path in paths}
        with slow_line(scp.port, 60_000, stops_after=300_000) as line:
            slow = peer.model_copy(update={"port": line.port, "answer_seconds": 1.5})
            with pytest.raises(AssociationAborted, match="took nothing for"):
                with open_association(slow, caller, [STORE]) as association:
                    begun = time.monotonic()
                    assert store_object(association, paths[1]).code == 0
                    assert time.monotonic() - begun > 3, "twice the deadline, but it moved"
                    store_object(association, paths[2])


def test_fail__an_archive_that_takes_all_and_does_not_answer(tmp_path: Path) -> None:
    path = _object(tmp_path / "out", 1000)
    said = threading.Event()

    def behave(peer: Conversation) -> None:
        peer.read_message()
        assert peer.read_pdu()[0] == ABORTED, "we tell that we give up"
        said.set()

    with hand_made_peer(behave) as port:
        begun = time.monotonic()
        with pytest.raises(AssociationAborted, match="did not answer within 1 seconds"):
            with open_association(_peer(port, answer_seconds=1.0), CALLER, [STORE]) as association:
                store_object(association, path)
        assert 0.9 < time.monotonic() - begun < 8
    assert said.is_set()


def test_ok__an_answer_that_comes_byte_by_byte(tmp_path: Path) -> None:
    path = _object(tmp_path / "out", 1000)

    def behave(peer: Conversation) -> None:
        message_id = peer.read_message().elements[0x0110][0]
        for byte in p_data(1, 3, response(C_STORE_RSP, message_id, 0)):
            peer.write(bytes([byte]))
            time.sleep(0.03)
        assert peer.read_pdu()[0] == RELEASE
        peer.write(RELEASE_RP)

    with hand_made_peer(behave) as port:
        begun = time.monotonic()
        with open_association(_peer(port, answer_seconds=1.0), CALLER, [STORE]) as association:
            assert store_object(association, path).code == 0
        assert time.monotonic() - begun > 1.5, "longer than the deadline, but it moved"


# -- a peer that speaks while we do


@pytest.mark.parametrize("said", [RELEASE_RQ, ABORT], ids=["release", "abort"])
def test_fail__an_archive_that_ends_in_the_middle_of_an_object(tmp_path: Path, said: bytes) -> None:
    path = _object(tmp_path / "out", 30_000_000)

    def behave(peer: Conversation) -> None:
        peer.read_pdu()
        peer.write(said)
        peer.connection.settimeout(5)
        while peer.read_pdu()[0] == 4:  # until we notice
            pass

    with hand_made_peer(behave) as port:
        with pytest.raises(AssociationAborted, match="ended the association"):
            with open_association(_peer(port), CALLER, [STORE]) as association:
                store_object(association, path)


def test_ok__an_archive_that_answers_before_it_has_everything(tmp_path: Path) -> None:
    path = _object(tmp_path / "out", 5_000_000)

    def behave(peer: Conversation) -> None:
        peer.read_pdu()  # the command
        peer.write(p_data(1, 3, response(C_STORE_RSP, 1, 0xA700)))
        while not peer.read_pdu()[1][5] & 2:  # until the last fragment (PS3.8 E.2)
            pass
        assert peer.read_pdu()[0] == RELEASE
        peer.write(RELEASE_RP)

    with hand_made_peer(behave) as port:
        with open_association(_peer(port), CALLER, [STORE]) as association:
            assert store_object(association, path).code == 0xA700


@pytest.mark.parametrize(
    "answer",
    [
        p_data(1, 3, response(C_FIND_RSP, 1, 0)),  # of another service
        p_data(1, 3, response(C_STORE_RSP, 77, 0)),  # to another message: nobody waits for it
        bytes.fromhex("0400 ffffffff"),  # longer than any PDU
        bytes.fromhex("0400 00000006 00000099 0103"),  # a value longer than its PDU
        bytes.fromhex("1500 00000000"),  # no PDU at all
        p_data(1, 1, b"x" * 16_000) * 5,  # a command that does not end
    ],
    ids=["another service", "another message", "huge", "broken", "unknown", "endless"],
)
def test_fail__an_answer_that_is_none(tmp_path: Path, answer: bytes) -> None:
    path = _object(tmp_path / "out", 1000)

    def behave(peer: Conversation) -> None:
        peer.read_message()
        peer.write(answer)
        while peer.read_pdu()[0] not in (0, ABORTED):
            pass

    with hand_made_peer(behave) as port:
        with pytest.raises(AssociationAborted):
            with open_association(_peer(port, answer_seconds=1.0), CALLER, [STORE]) as association:
                store_object(association, path)


def test_fail__a_peer_that_takes_no_pdu_of_any_use() -> None:
    with hand_made_peer(lambda peer: peer.read_pdu(), longest_pdu=20) as port:
        with pytest.raises(AssociationRefused, match="takes PDUs of 20 bytes only"):
            with open_association(_peer(port), CALLER, [STORE]):
                pass


def test_ok__a_peer_that_releases_while_nothing_is_said(tmp_path: Path) -> None:
    path = _object(tmp_path / "out", 1000)

    def behave(peer: Conversation) -> None:
        peer.write(RELEASE_RQ)
        assert peer.read_pdu()[0] == 6, "we agree"

    with hand_made_peer(behave) as port:
        with open_association(_peer(port), CALLER, [STORE]) as association:
            assert not association.attend(20)
            with pytest.raises(AssociationAborted, match="ended the association"):
                store_object(association, path)


# -- the defects of pynetdicom 3.0.4, as shared experience lists them. The stolen response: test_association.py


def test_ok__a_200_mb_object_uses_flat_memory(tmp_path: Path) -> None:
    """The library's path for files queues the whole of them when the line is slower than flash."""
    small, large = _object(tmp_path / "out", 1000), _sparse_object(tmp_path / "out", 200_000_000)
    program = """
import re, sys
from pathlib import Path
from appliance.config.schema import Peer
from appliance.dimse.association import Caller, Context, open_association
from appliance.dimse.store import store_object
from appliance.dimse.tls import identity_from

def high_water():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

peer = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=int(sys.argv[1]), answer_seconds=60)
contexts = [Context("1.2.840.10008.5.1.4.1.1.7", ("1.2.840.10008.1.2.1",))]
idle = high_water()
with open_association(peer, Caller("BRIDGE"), contexts) as association:
    assert store_object(association, Path(sys.argv[2])).code == 0
    assert store_object(association, Path(sys.argv[3])).code == 0
print(high_water() - idle)
"""
    with running(start_storescp(tmp_path / "scp", "--ignore")) as scp:
        done = subprocess.run(
            [sys.executable, "-c", program, str(scp.port), str(small), str(large)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 16 * 1024, f"grew by {int(done.stdout)} kB"


def test_ok__no_delay_and_never_a_wait_without_an_end(tmp_path: Path) -> None:
    with running(start_storescp(tmp_path / "scp")) as scp:
        with open_association(_peer(scp.port), CALLER, [STORE]) as association:
            connection = association.line.socket
            assert connection is not None
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connection.gettimeout() == 0, "the kernel never makes us wait: the line's own deadlines do"


@pytest.mark.parametrize(
    ("microseconds", "is_near"),
    [(0, False), (1, True), (500, True), (501, False), (40_000, False)],  # 0: the kernel could not tell
)
def test_ok__little_waits_for_a_near_peer_and_enough_for_a_far_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, microseconds: int, is_near: bool
) -> None:
    monkeypatch.setattr(line, "_round_trip_microseconds", lambda _: microseconds)
    with running(start_storescp(tmp_path / "scp")) as scp:
        with socket.create_connection(("127.0.0.1", scp.port)) as bare:
            usual = bare.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        with open_association(_peer(scp.port), CALLER, [STORE]) as association:
            assert association.line.socket is not None
            buffer = association.line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    assert buffer == (128 * 1024 if is_near else usual)  # the kernel counts its own cost too, and doubles


def test_ok__the_round_trip_is_what_the_kernel_measured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as connection:
            assert 0 < line._round_trip_microseconds(connection) < 10_000_000
        with socket.socket() as unconnected:
            assert line._round_trip_microseconds(unconnected) == 0


def test_ok__an_open_association_costs_nothing(tmp_path: Path) -> None:
    """The library's two threads poll their queues."""
    with running(start_storescp(tmp_path / "scp")) as scp:
        threads = threading.active_count()
        with open_association(_peer(scp.port), CALLER, [STORE]) as association:
            assert threading.active_count() == threads
            before = time.thread_time()
            assert association.attend(2.0)
            assert time.thread_time() - before < 0.02, "one wait in the kernel"


def test_ok__no_log_at_any_level_has_a_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The library logs the identifiers of requests and responses unless it is told not to."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("pynetdicom").setLevel(logging.DEBUG)
    path = save_object(tmp_path / "out", small_object(name="SECRETIVE^NAME", patient_id="SECRETID"))
    with running(start_storescp(tmp_path / "scp")) as scp:
        with open_association(_peer(scp.port), CALLER, [STORE]) as association:
            assert store_object(association, path).code == 0
    item = worklist_file(tmp_path, character_set="", name=b"SECRETIVE^NAME", number=1)
    with running(start_wlmscpfs(tmp_path / "wl", "ARCHIVE", item)) as scp:
        with open_association(_peer(scp.port), CALLER, [FIND]) as association:
            context = association.context_for(FIND.abstract_syntax)
            query = Dataset()
            query.PatientName = "SECRETIVE*"
            message_id = association.next_message_id()
            source = bytes_source(encoded_for(context, query).getvalue())
            association.say(context, message_id, find_command(message_id, FIND.abstract_syntax), source)
            reply = association.hear(C_FIND_RSP)
            assert (reply.status, b"SECRETIVE^NAME" in reply.data) == (0xFF00, True)
            assert association.hear(C_FIND_RSP).status == 0
    assert caplog.records
    assert "SECRET" not in caplog.text
