"""The listener's bounds: who never asks, asks for too much or stands still is ended, and everybody else is served."""

from __future__ import annotations

import contextlib
import queue
import struct
import time
from collections.abc import Iterator

import pytest

from appliance.base.errors import ApplianceError
from appliance.config.schema import Listener
from appliance.dimse.association import Caller
from appliance.dimse.commitment import MAX_REFERENCES, CommitmentReport
from appliance.dimse.listener import (
    MAX_MESSAGE_BYTES,
    OTHER_VERSION,
    CannotListen,
    CommitmentListener,
)
from appliance.dimse.visits import MOST_ASSOCIATIONS, MOST_CONNECTIONS, TurnedAway
from tests.dimse.hand_made_client import (
    COMMITMENT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    Client,
    associate_rq,
    echo_command,
    element,
    in_pdus,
    information,
    nothing_left,
    report,
    report_command,
    resident_bytes,
    verify,
)
from tests.dimse.hand_made_peer import p_data
from tests.ports import pick_free_port

OTHER_TITLE = bytes([0, 1, 1, 7])  # permanent, by the service user, called AE title not recognized
REJECTED_FOR_NOW = bytes([0, 2, 3, 2])  # transient, by the presentation service, local limit exceeded (PS3.8 9.3.4)


class Box:
    def __init__(self, stall_seconds: float) -> None:
        self.port = pick_free_port()
        self.reports: queue.Queue[CommitmentReport] = queue.Queue()
        self.refused: queue.Queue[tuple[str, ApplianceError]] = queue.Queue()
        self.listener = CommitmentListener(
            Listener(port=self.port),
            Caller("BRIDGE"),
            self.hear,
            on_refused=lambda *who_and_why: self.refused.put(who_and_why),
            stall_seconds=stall_seconds,
        )

    def hear(self, said: CommitmentReport) -> bool:
        self.reports.put(said)
        return True


@contextlib.contextmanager
def listening(stall_seconds: float = 30.0) -> Iterator[Box]:
    """A listener that leaves nothing behind."""
    with nothing_left():
        box = Box(stall_seconds)
        try:
            yield box
        finally:
            box.listener.stop()


def test_ok__verification_and_reports_on_one_association() -> None:
    with listening() as box, Client(box.port) as client:
        assert client.associate() == 2
        for number in range(3):
            client.write(report(1, information(f"1.2.{number}", ["1.1", "1.2"]), number + 1))
            assert client.status() == 0
            assert box.reports.get(timeout=20).transaction_uid == f"1.2.{number}"
        client.release()
        assert client.is_ended()


def test_fail__another_version_of_the_protocol() -> None:
    """By the library's state machine, before anybody else looks (PS3.8 9.2.2, AE-6)."""
    with listening() as box, Client(box.port) as client:
        client.write(associate_rq(version=2))
        assert client.read_pdu() == (3, bytes([0, *OTHER_VERSION]))


def test_ok__the_largest_legal_report() -> None:
    """Ten thousand objects with UIDs of 64 characters, in PDUs of 16 kB."""
    uids = [f"1.2.{number:060}" for number in range(MAX_REFERENCES)]
    data = information("1.2.9", uids[:5000], dict.fromkeys(uids[5000:], 0x0112))
    assert len(data) < MAX_MESSAGE_BYTES
    with listening() as box, Client(box.port) as client:
        assert client.associate() == 2
        client.write(report(2, data))
        assert client.status() == 0
        said = box.reports.get(timeout=20)
        assert (len(said.committed), len(said.failed)) == (5000, 5000)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (information("1.2.9", ["1.1"] * (MAX_REFERENCES + 1)), "one reference too many"),
        (
            element(0x0008, 0x1195, b"1.2.9\0") + element(0x0008, 0x1199, element(0xFFFE, 0xE000, b"") * 400_000),
            "items",
        ),
        (element(0x0008, 0x1199, b""), "no transaction"),
        (b"\xff" * 5000, "no data set"),
        (b"", "nothing"),
    ],
    ids=["too-many", "empty-items", "no-transaction", "no-data-set", "nothing"],
)
def test_fail__a_report_that_is_none(data: bytes, what: str) -> None:
    """It is answered with processing failure; the association stays."""
    with listening() as box, Client(box.port) as client:
        assert client.associate() == 2
        client.write(report(1, data))
        assert client.status() == 0x0110, what
        client.write(report(1, information("1.2.3", ["1.1"]), 2))
        assert client.status() == 0
        assert box.reports.get(timeout=20).transaction_uid == "1.2.3"


def test_fail__a_message_that_does_not_end() -> None:
    """It is cut off at its bound, long before the peer has said all that it wanted."""
    with listening() as box, Client(box.port) as client:
        before = resident_bytes()
        assert client.associate() == 2
        client.write(in_pdus(report_command(), 1))
        said = 0
        with pytest.raises(ConnectionError):
            while said < 16 * MAX_MESSAGE_BYTES:
                client.write(p_data(1, 0, b"\0" * 16_000))
                said += 16_000
        assert resident_bytes() - before < 8 * MAX_MESSAGE_BYTES
        verify(box.port)


@pytest.mark.parametrize("kind", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("is_associated", [False, True])
def test_fail__a_pdu_that_says_it_is_huge(kind: int, is_associated: bool) -> None:
    """Four gigabytes, of which many megabytes would be sent: the connection ends before they are read."""
    with listening() as box, Client(box.port) as client:
        before = resident_bytes()
        if is_associated:
            assert client.associate() == 2
        with contextlib.suppress(ConnectionError):
            client.write(struct.pack(">BxI", kind, 0xFFFF_FFF0))
            for _ in range(1024):
                client.write(bytes(65_536))
        assert client.is_ended()
        assert resident_bytes() - before < 24 << 20
        verify(box.port)


def test_fail__a_request_of_too_many_items() -> None:
    """Fifty thousand empty items fit into the longest PDU that is read; each would become an object."""
    body = associate_rq()[6:] + struct.pack(">BxH", 0x40, 0) * 50_000
    with listening() as box, Client(box.port) as client:
        client.write(struct.pack(">BxI", 1, len(body)) + body)
        assert client.is_ended()
        verify(box.port)


def test_ok__every_context_that_fits_is_answered() -> None:
    with listening() as box, Client(box.port) as client:
        assert client.associate(associate_rq(COMMITMENT, IMPLICIT, EXPLICIT, contexts=128)) == 2


def test_fail__deflated_data_is_not_taken() -> None:
    """A few bytes of it could become any number of them."""
    with listening() as box:
        with Client(box.port) as client:
            client.write(associate_rq(COMMITMENT, DEFLATED))
            kind, body = client.read_pdu()
            assert kind == 2
            at = body.index(struct.pack(">BxHB", 0x21, len(body), 1)[:1] + b"\0", 68)
            assert body[at + 6] == 4, "transfer syntaxes not supported (PS3.8 9.3.3.2)"
        with Client(box.port) as client:
            assert client.associate(associate_rq(COMMITMENT, DEFLATED, EXPLICIT)) == 2


def test_fail__a_context_that_was_not_accepted() -> None:
    with listening() as box, Client(box.port) as client:
        assert client.associate() == 2
        client.write(in_pdus(report_command(), 1, context_id=3) + in_pdus(information("1.2", ["1.1"]), 0, context_id=3))
        assert client.is_ended()
        assert box.reports.empty()


@pytest.mark.parametrize("called", [b"PACS", b"bridge", b"BRIDGE2", b"BRIDG", b"ANY-SCP"])
@pytest.mark.parametrize("abstract_syntax", [COMMITMENT, VERIFICATION])
def test_fail__who_calls_another_title(called: bytes, abstract_syntax: str) -> None:
    with listening() as box, Client(box.port) as client:
        client.write(associate_rq(abstract_syntax, as_scp=False, called=called))
        assert client.read_pdu() == (3, OTHER_TITLE)
        assert client.is_ended()
        address, error = box.refused.get(timeout=20)
        assert address == "127.0.0.1"
        assert f"ARCHIVE at 127.0.0.1 was refused: it calls the box {called.decode()}, and" in error.sentence
        verify(box.port)


@pytest.mark.parametrize("called", [b"BRIDGE", b"  BRIDGE"])
def test_ok__spaces_around_a_title_mean_nothing(called: bytes) -> None:
    """PS3.5 6.2, AE."""
    with listening() as box, Client(box.port) as client:
        assert client.associate(associate_rq(called=called)) == 2


def test_fail__who_calls_another_title_takes_no_place() -> None:
    """Not even when all are taken: he hears that he has the wrong box."""
    with listening() as box, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(box.port)) for _ in range(MOST_ASSOCIATIONS)]
        assert [client.associate() for client in clients] == [2] * MOST_ASSOCIATIONS
        with Client(box.port) as stranger:
            stranger.write(associate_rq(called=b"PACS"))
            assert stranger.read_pdu() == (3, OTHER_TITLE)


def test_fail__more_associations_than_there_are_places() -> None:
    with listening() as box, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(box.port)) for _ in range(MOST_ASSOCIATIONS)]
        assert [client.associate() for client in clients] == [2] * MOST_ASSOCIATIONS
        with Client(box.port) as late:
            late.write(associate_rq())
            assert late.read_pdu() == (3, REJECTED_FOR_NOW)
            assert late.is_ended()
        clients[0].release()
        assert clients[0].is_ended()
        verify(box.port)


def test_ok__connections_that_say_nothing_keep_nobody_out() -> None:
    """The one that has been there longest makes room."""
    with listening() as box, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Client(box.port)) for _ in range(2 * MOST_CONNECTIONS)]
        for client in silent[:MOST_CONNECTIONS]:
            assert client.is_ended()
        for _ in range(MOST_CONNECTIONS):
            verify(box.port)


@pytest.mark.parametrize(
    "begin", [b"", b"\x01\x00\x00", associate_rq()[:100]], ids=["nothing", "half-header", "half-request"]
)
def test_fail__who_never_asks_for_an_association(begin: bytes) -> None:
    with listening(stall_seconds=0.5) as box, Client(box.port) as client:
        client.write(begin)
        begun = time.monotonic()
        assert client.is_ended()
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    "begin",
    [b"", b"\x04\x00\x00", in_pdus(report_command(), 1), in_pdus(report_command(), 1)[:40]],
    ids=["idle", "half-header", "command-only", "half-command"],
)
def test_fail__who_stalls_on_an_association(begin: bytes) -> None:
    with listening(stall_seconds=0.5) as box, Client(box.port) as client:
        assert client.associate() == 2
        client.write(begin)
        begun = time.monotonic()
        assert client.is_ended()
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize("is_associated", [False, True])
def test_fail__who_sends_a_byte_now_and_then(is_associated: bool) -> None:
    """Something moves all the time; the request, or the message, is never complete."""
    with listening(stall_seconds=0.4) as box, Client(box.port) as client:
        if is_associated:
            assert client.associate() == 2
        data = in_pdus(report_command(), 1) if is_associated else associate_rq()
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            for byte in data:
                client.write(bytes([byte]))
                time.sleep(0.1)
        assert time.monotonic() - begun < 15


def test_fail__who_takes_no_answers() -> None:
    """Requests without end, and nothing is read: the listener stops to read, and then ends it."""
    with listening(stall_seconds=0.5) as box, Client(box.port, receive_buffer=4096) as client:
        assert client.associate(associate_rq(VERIFICATION, as_scp=False)) == 2
        before = resident_bytes()
        begun = time.monotonic()
        with pytest.raises((ConnectionError, TimeoutError)):
            while True:
                client.write(in_pdus(echo_command(), 1) * 1000)
        assert time.monotonic() - begun < 20
        assert resident_bytes() - before < 32 << 20
        verify(box.port)


def test_fail__a_port_that_is_taken_and_a_host_that_is_not_ours() -> None:
    with listening() as box:
        with pytest.raises(CannotListen, match=str(box.port)):
            CommitmentListener(Listener(port=box.port), Caller("BRIDGE"), box.hear)
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1"):
        CommitmentListener(Listener(host="192.0.2.1", port=pick_free_port()), Caller("BRIDGE"), box.hear)
    with pytest.raises(CannotListen, match="needs the box's certificate"):
        CommitmentListener(Listener(port=None, tls_port=pick_free_port()), Caller("BRIDGE"), box.hear)


def test_ok__who_is_turned_away_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    turned_away = TurnedAway()
    for second in range(150):
        for _ in range(10):
            turned_away.add(f"10.0.0.{second}")
            turned_away.tell(float(second))
    assert caplog.messages == [
        f"{said} turned away, the last from 10.0.0.{last}: all associations are taken"
        for said, last in (("A connection was", 0), ("600 connections were", 60), ("600 connections were", 120))
    ]
