"""Opening associations: every way to fail is a sentence, and comes within its deadline."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from pathlib import Path

import pytest

from appliance.base.uids import new_uid
from appliance.config.schema import Peer
from appliance.dimse.association import (
    AssociationAborted,
    AssociationRefused,
    Caller,
    Context,
    NoAcceptedContext,
    PeerUnreachable,
    open_association,
)
from appliance.dimse.commitment import COMMITMENT_CONTEXT
from appliance.dimse.echo import echo
from appliance.dimse.status import StoreVerdict
from appliance.dimse.store import DamagedContent, UnreadableObject, store_object
from tests.peers import SECONDARY_CAPTURE, running, save_object, small_object, start_storescp, start_wlmscpfs
from tests.ports import pick_free_port

EXPLICIT = "1.2.840.10008.1.2.1"
CALLER = Caller("BRIDGE")
STORE = Context(SECONDARY_CAPTURE, (EXPLICIT,))


def _peer(port: int, ae_title: str = "ARCHIVE", answer_seconds: float = 10.0) -> Peer:
    return Peer(ae_title=ae_title, host="127.0.0.1", port=port, connect_seconds=2, answer_seconds=answer_seconds)


def test_ok__verify(tmp_path: Path) -> None:
    with running(start_storescp(tmp_path / "scp")) as scp:
        echo(_peer(scp.port), CALLER)


def test_fail__nobody_listens() -> None:
    port = pick_free_port()
    begun = time.monotonic()
    with pytest.raises(PeerUnreachable, match=rf"ARCHIVE at 127\.0\.0\.1 refuses connections on port {port}\."):
        echo(_peer(port).model_copy(update={"connect_seconds": 60}), CALLER)
    assert time.monotonic() - begun < 30, "said at once, not at the deadline"


def test_fail__a_host_that_does_not_answer() -> None:
    with socket.socket() as deaf, contextlib.ExitStack() as waiting:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # a full backlog: the kernel leaves what comes next without an answer
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        with pytest.raises(PeerUnreachable, match="does not answer within 1 seconds"):
            echo(_peer(deaf.getsockname()[1]).model_copy(update={"connect_seconds": 1}), CALLER)


def test_fail__no_way_to_the_host() -> None:
    # TCP has no broadcast: the kernel refuses at once, with whatever network there is.
    with pytest.raises(PeerUnreachable, match=r"255\.255\.255\.255:104 cannot be reached: \w"):
        echo(Peer(ae_title="X", host="255.255.255.255", port=104), CALLER)


def test_fail__unknown_host() -> None:
    peer = Peer(ae_title="X", host="no-such-host.invalid", port=104)
    with pytest.raises(PeerUnreachable, match=r"no-such-host\.invalid"):
        echo(peer, CALLER)


def test_fail__called_ae_title_not_known(tmp_path: Path) -> None:
    with running(start_wlmscpfs(tmp_path / "wl", "RIS")) as scp:
        with pytest.raises(AssociationRefused, match="called AE title is not recognized"):
            echo(_peer(scp.port, "OTHER"), CALLER)


def test_fail__no_service_accepted(tmp_path: Path) -> None:
    with running(start_storescp(tmp_path / "scp")) as scp:
        with pytest.raises(NoAcceptedContext):
            with open_association(_peer(scp.port), CALLER, [COMMITMENT_CONTEXT]):
                pass


def test_fail__a_peer_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(AssociationAborted):
            echo(_peer(silent.getsockname()[1], answer_seconds=1.0), CALLER)
        assert time.monotonic() - begun < 10


def test_fail__a_peer_that_stops_in_the_middle_of_a_pdu_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_half() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(bytes.fromhex("0200 00000100 0001"))  # A-ASSOCIATE-AC of 256 bytes, 2 of them
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=answer_half)
        thread.start()
        begun = time.monotonic()
        with pytest.raises(AssociationAborted):
            echo(_peer(listener.getsockname()[1], answer_seconds=1.0), CALLER)
        assert time.monotonic() - begun < 15
        thread.join(10)
    assert not any(one.name.startswith("Thread") and "run_reactor" in one.name for one in threading.enumerate())


def test_ok__many_objects_on_one_association_byte_for_byte(tmp_path: Path) -> None:
    paths = [save_object(tmp_path / "out", small_object(size=size)) for size in (8, 300, 1500)]
    with running(start_storescp(tmp_path / "scp", "--max-pdu", "4096")) as scp:
        with open_association(_peer(scp.port), CALLER, [STORE]) as association:
            for path in paths:
                status = store_object(association, path)
                assert (status.code, status.verdict) == (0, StoreVerdict.STORED)
    received = sorted((tmp_path / "scp").iterdir())
    assert len(received) == len(paths)
    bodies = {_body(path) for path in paths}
    assert {_body(path) for path in received} == bodies


def test_fail__a_transfer_syntax_that_was_not_accepted_leaves_the_association_usable(tmp_path: Path) -> None:
    path = save_object(tmp_path / "out", small_object())
    with running(start_storescp(tmp_path / "scp")) as scp:
        contexts = [Context(SECONDARY_CAPTURE, ("1.2.840.10008.1.2.4.50",)), Context("1.2.840.10008.1.1")]
        with open_association(_peer(scp.port), CALLER, contexts) as association:
            with pytest.raises(NoAcceptedContext, match="Secondary Capture in Explicit VR Little Endian"):
                store_object(association, path)
            assert association.is_established


NONSENSE = b"this is not DICOM" * 20


def test_fail__a_file_that_is_no_object(tmp_path: Path) -> None:
    path = tmp_path / f"{new_uid()}~0~{hashlib.sha256(NONSENSE).hexdigest()}.dcm"
    path.write_bytes(NONSENSE)
    with running(start_storescp(tmp_path / "scp")) as scp:
        with open_association(_peer(scp.port), CALLER, [STORE]) as association:
            with pytest.raises(UnreadableObject):
                store_object(association, path)
            assert association.is_established


@pytest.mark.parametrize("place", [130, 200, -1], ids=["no object any more", "its meta information", "its pixels"])
def test_fail__a_file_that_is_not_what_was_saved(tmp_path: Path, place: int) -> None:
    """Nobody is asked about an object that only flash is to blame for, and the archive gets no part of it to keep."""
    path = save_object(tmp_path / "out", small_object(size=1000))
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with running(start_storescp(tmp_path / "scp")) as scp:
        with pytest.raises(DamagedContent):
            with open_association(_peer(scp.port), CALLER, [STORE]) as association:
                store_object(association, path)
    assert list((tmp_path / "scp").iterdir()) == []


def test_fail__an_archive_that_aborts_in_the_middle(tmp_path: Path) -> None:
    path = save_object(tmp_path / "out", small_object(size=1000))
    with running(start_storescp(tmp_path / "scp", "--abort-during")) as scp:
        with pytest.raises(AssociationAborted):
            with open_association(_peer(scp.port), CALLER, [STORE]) as association:
                store_object(association, path)


def _body(path: Path) -> bytes:
    """The data set behind the file meta information, whose group length stands first (PS3.10 7.1)."""
    data = path.read_bytes()
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


def test_ok__no_response_is_stolen_and_no_thread_stays(tmp_path: Path) -> None:
    """The library's own reactor took one response in some thousand, and the send waited out its timeout.

    Here no other thread lives that could: that is the proof, the thousand sends are its example.
    """
    path = save_object(tmp_path / "out", small_object())
    before = threading.active_count()
    with running(start_storescp(tmp_path / "scp", "--ignore")) as scp:
        begun = time.monotonic()
        with open_association(_peer(scp.port, answer_seconds=30), CALLER, [STORE]) as association:
            assert threading.active_count() == before
            for _ in range(1000):
                assert store_object(association, path).code == 0
            assert threading.active_count() == before
        assert time.monotonic() - begun < 30
    assert threading.active_count() <= before
