"""The audit trail's way to a collector: real rsyslog over TLS, and collectors that die, hang or are not trusted."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from appliance.base.errors import Finding
from appliance.base.findings import FindingBoard
from appliance.config.schema import AuditCollector, Box
from appliance.dimse.tls import Identity
from appliance.exam import audit
from appliance.exam.audit import Act, AuditTrail
from appliance.exam.audit_reading import read_positions, sent_path
from appliance.exam.audit_record import list_segments
from appliance.forward import audit_sender
from appliance.forward.audit_line import frame_from
from appliance.forward.audit_sender import TELL_AFTER_SECONDS, AuditSender
from tests.certificates import Authority, Credentials, make_authority, sign_itself
from tests.exam.audit_world import EXAM
from tests.forward.collector import (
    HandMade,
    answer_goodbye,
    close_at_once,
    forget_messages,
    make_rsyslog,
    messages_of,
    read_all,
    read_and_hang,
    read_nothing,
    reset_after_some,
)
from tests.forward.hand_clock import HandClock
from tests.peers import Peer, is_listening, running, wait_until
from tests.ports import pick_free_port

_SEQUENCE = re.compile(r"^<\d+>1 \S+ bridge modality-bridge (\S+) DICOM\+RFC3881 \[meta sequenceId=\"(\d+)\"\] ")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("pki") / "hospital")


@pytest.fixture(scope="module")
def box(hospital: Authority) -> Credentials:
    return hospital.issue("box")


@pytest.fixture(scope="module")
def collector(hospital: Authority) -> Credentials:
    return hospital.issue("collector")


class World:
    """A box with trails, and what forward makes of them."""

    def __init__(self, directory: Path, own: Credentials, port: int, **keys: object) -> None:
        self.directory = directory / "audit"
        self.clock = HandClock()
        self.findings = FindingBoard()
        self.own = own
        self.collector = AuditCollector(host="localhost", port=port, stall_seconds=1.0, **keys)  # type: ignore[arg-type]
        self.sender = self.restarted()

    def restarted(self) -> AuditSender:
        """A sender that knows what lies on flash and nothing else."""
        return AuditSender(self.collector, Box(), Identity(self.own.tls), self.directory, self.findings, self.clock)

    def record(self, process: str, count: int = 1) -> None:
        trail = AuditTrail(self.directory, process, self.clock)
        for _ in range(count):
            trail.record(Act.EXAM_OPENED, actor="panel", exam=EXAM)

    def is_all_sent(self) -> bool:
        return self.sender.count_waiting() == 0

    def finding(self) -> Finding:
        (found,) = self.findings.listing()
        return found


@pytest.fixture(autouse=True)
def quick_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of records are made here, and no plug is pulled."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture(scope="module")
def rsyslog_process(tmp_path_factory: pytest.TempPathFactory, collector: Credentials) -> Iterator[Peer]:
    with running(make_rsyslog(tmp_path_factory.mktemp("collector") / "rsyslog", collector)) as peer:
        yield peer


@pytest.fixture
def rsyslog(rsyslog_process: Peer) -> Peer:
    """Running, and with nothing written yet."""
    if not is_listening(rsyslog_process.port):
        rsyslog_process.start()
    forget_messages(rsyslog_process)
    return rsyslog_process


@pytest.fixture
def hand_made(collector: Credentials) -> Iterator[Callable[..., HandMade]]:
    servers: list[HandMade] = []

    def make(behave: Callable[..., None], own: Credentials | None = None) -> HandMade:
        servers.append(HandMade(own or collector, behave))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def sequences(messages: list[str]) -> dict[str, list[int]]:
    """By process, the numbers of the messages in the order in which they came."""
    found: dict[str, list[int]] = {}
    for message in messages:
        match = _SEQUENCE.match(message)
        assert match, message
        found.setdefault(match[1], []).append(int(match[2]))
    return found


def test_ok__the_frame_is_counted_in_octets() -> None:
    assert frame_from("<85>1 é".encode()) == b"8 <85>1 \xc3\xa9"  # RFC 5425 4.3: MSG-LEN SP SYSLOG-MSG


# -- rsyslog


def test_ok__every_record_arrives_once_and_as_it_was_made(tmp_path: Path, box: Credentials, rsyslog: Peer) -> None:
    world = World(tmp_path, box, rsyslog.port)
    for process in ("console", "forward", "acquire-endoscope"):
        world.record(process, 3)
    assert world.sender.work() > 0 and world.is_all_sent()
    world.sender = world.restarted()
    assert world.sender.work() > 0
    world.record("console", 2)
    world.sender.work()
    wait_until(lambda: len(messages_of(rsyslog)) >= 11, "rsyslog has written them")
    messages = messages_of(rsyslog)
    assert sequences(messages) == {
        "acquire-endoscope": [1, 2, 3],
        "console": [1, 2, 3, 4, 5],
        "forward": [1, 2, 3],
    }
    for message in messages:
        root = Xml.fromstring(message.partition("\ufeff")[2])
        assert [name.text for name in root.iter("ParticipantObjectName")][1] == "Yamada^Tarou=山田^太郎"
    assert world.findings.listing() == []


def test_ok__what_waits_for_the_collector_arrives_when_it_is_back(
    tmp_path: Path, box: Credentials, rsyslog: Peer
) -> None:
    rsyslog.kill()
    world = World(tmp_path, box, rsyslog.port)
    world.record("console", 250)  # more than one batch
    assert [world.sender.work() for _ in range(3)] == [5.0, 10.0, 20.0]
    assert world.findings.listing() == []  # a collector that restarts is nobody's trouble
    world.clock.advance(TELL_AFTER_SECONDS)
    world.sender.work()
    finding = world.finding()
    assert finding.code == "audit-unsent"
    assert finding.sentence == (
        "The audit collector localhost has taken nothing for 5 minutes: it cannot be reached (Connection refused). "
        "250 records wait."
    )
    rsyslog.start()
    assert world.sender.work() == 0.0  # there is more
    assert world.findings.listing() == []
    assert world.sender.work() > 0 and world.is_all_sent()
    wait_until(lambda: len(messages_of(rsyslog)) >= 250, "rsyslog has written them")
    assert sequences(messages_of(rsyslog)) == {"console": list(range(1, 251))}


def test_fail__a_box_that_the_collector_does_not_know(tmp_path: Path, rsyslog: Peer, hospital: Authority) -> None:
    """In TLS 1.3 the client's handshake is over before its certificate is refused: that must not count as sent."""
    stranger = make_authority(tmp_path / "elsewhere").issue("box").trusting(hospital.file)
    world = World(tmp_path, stranger, rsyslog.port)
    world.record("console")
    world.sender.work()
    assert not world.is_all_sent() and messages_of(rsyslog) == []


# -- collectors that are not there any more, or do not do what they should


@pytest.mark.parametrize("behave", [read_all, answer_goodbye])
def test_ok__a_collector_that_read_everything_has_it(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade], behave: Callable[..., None]
) -> None:
    server = hand_made(behave)
    world = World(tmp_path, box, server.port)
    world.record("console", 2)
    world.sender.work()
    assert world.is_all_sent()
    (received,) = server.received
    for _ in range(2):
        length, _, rest = received.partition(b" ")
        assert rest[: int(length)].endswith(b"</AuditMessage>")
        received = rest[int(length) :]
    assert received == b""


@pytest.mark.parametrize("behave", [reset_after_some, close_at_once, read_nothing, read_and_hang])
def test_fail__what_a_collector_may_not_have_read_is_sent_again(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade], behave: Callable[..., None]
) -> None:
    world = World(tmp_path, box, hand_made(behave).port)
    world.record("console", 150)
    assert world.sender.work() == 5.0
    assert world.sender.count_waiting() == 150
    good = hand_made(read_all)
    world.collector = world.collector.model_copy(update={"port": good.port})
    world.sender = world.restarted()
    world.sender.work()
    assert world.is_all_sent()
    assert good.received[0].count(b"</AuditMessage>") == 150


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"tls_name": "elsewhere.example"}, "its certificate carries another name"),
        ({"tls_pin": "00" * 32}, "its certificate is not the one that is pinned"),
    ],
)
def test_fail__a_collector_that_is_not_the_one_gets_nothing(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade], keys: dict[str, str], said: str
) -> None:
    server = hand_made(read_all)
    world = World(tmp_path, box, server.port, **keys)
    world.record("console")
    world.sender.work()
    world.clock.advance(TELL_AFTER_SECONDS)
    world.sender.work()
    assert said in world.finding().sentence
    assert b"Audit" not in b"".join(server.received)


def test_ok__a_pinned_collector_needs_no_authority(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade]
) -> None:
    own = sign_itself(tmp_path / "own", "collector")
    world = World(tmp_path, box, hand_made(read_all, own).port, tls_pin=own.pin)
    world.record("console")
    world.sender.work()
    assert world.is_all_sent()


def test_fail__no_word_of_a_patient_in_the_log(
    tmp_path: Path, box: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    world = World(tmp_path, box, pick_free_port())
    world.record("console")
    world.sender.work()
    assert "audit collector" in caplog.text
    assert "PID-0815" not in caplog.text and "Yamada" not in caplog.text


# -- positions and segments


def test_ok__sent_segments_go_and_the_newest_stay(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SEGMENT_BYTES", 2000)
    monkeypatch.setattr(audit_sender, "KEPT_SEGMENTS", 2)
    world = World(tmp_path, box, hand_made(read_all).port)
    world.record("console", 16)
    before = list_segments(world.directory / "console")
    world.sender.work()
    assert len(before) > 4 and list_segments(world.directory / "console") == before[-2:]
    world.record("console")
    world.sender.work()
    assert world.is_all_sent() and world.findings.listing() == []


def test_fail__what_had_to_go_unsent_is_counted(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SEGMENT_BYTES", 2000)
    monkeypatch.setattr(audit, "MOST_BYTES", 6000)
    server = hand_made(read_all)
    world = World(tmp_path, box, server.port)
    world.record("console", 1)
    world.sender.work()
    world.record("console", 30)
    world.sender.work()
    assert world.finding().code == "audit-lost"
    lost = re.search(r"(\d+) records of it had to be removed", world.finding().sentence)
    told = Counter(re.findall(rb'meta sequenceId="(\d+)"', b"".join(server.received)))
    assert lost and int(lost[1]) == max(map(int, told)) - len(told)
    assert b"Audit Recording Stopped" in server.received[-1]


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("{")])
def test_ok__a_lost_position_sends_everything_again(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade], harm: Callable[[Path], object]
) -> None:
    server = hand_made(read_all)
    world = World(tmp_path, box, server.port)
    world.record("console", 3)
    world.sender.work()
    assert read_positions(world.directory)["console"].number == 3
    harm(sent_path(world.directory))
    world.sender = world.restarted()
    world.sender.work()
    assert server.received[0] == server.received[1]  # byte for byte: a duplicate is recognised


def test_ok__a_trail_that_somebody_took_away_begins_anew(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SEGMENT_BYTES", 2000)
    server = hand_made(read_all)
    world = World(tmp_path, box, server.port)
    world.record("console", 10)
    world.sender.work()
    for segment in list_segments(world.directory / "console"):
        segment.unlink()
    world.record("console", 1)
    world.sender.work()
    # By the mark beside it, the process knows which numbers it has given.
    assert b'sequenceId="11"' in server.received[-1]
    assert "Its end is missing: the collector has its records up to number 10." in world.finding().sentence


def test_fail__an_end_that_was_cut_off_is_told_and_what_follows_is_sent(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade]
) -> None:
    server = hand_made(read_all)
    world = World(tmp_path, box, server.port)
    world.record("console", 5)
    world.sender.work()
    (segment,) = list_segments(world.directory / "console")
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:2]))
    world.sender.work()
    assert "Its end is missing: the collector has its records up to number 5." in world.finding().sentence
    assert len(server.received) == 1
    world.record("console", 1)
    world.sender.work()
    assert b'sequenceId="6"' in server.received[-1] and world.is_all_sent()


def test_fail__a_trail_that_cannot_be_looked_at_holds_up_no_other(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, box, hand_made(read_all).port)
    world.record("console")
    world.record("forward")

    def list_some(trail: Path) -> list[Path]:
        if trail.name == "console":
            raise PermissionError(13, "Permission denied")
        return list_segments(trail)

    with monkeypatch.context() as patch:
        patch.setattr(audit_sender, "list_segments", list_some)
        world.sender.work()
    assert world.finding().code == "audit-unreadable" and "of console" in world.finding().sentence
    assert read_positions(world.directory).keys() == {"forward"}
    world.sender.work()
    assert world.is_all_sent() and world.findings.listing() == []


def _greet(listener: socket.socket) -> None:
    with listener.accept()[0] as connection:
        connection.sendall(b"220 hello\r\n")


def test_fail__a_collector_that_speaks_no_tls(tmp_path: Path, box: Credentials) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        world = World(tmp_path, box, plain.getsockname()[1])
        thread = threading.Thread(target=_greet, args=(plain,), daemon=True)
        thread.start()
        world.record("console")
        world.sender.work()
        thread.join(30)
        assert not world.is_all_sent()


def test_fail__an_edited_record_is_told_of(
    tmp_path: Path, box: Credentials, hand_made: Callable[..., HandMade]
) -> None:
    world = World(tmp_path, box, hand_made(read_all).port)
    world.record("console", 3)
    (segment,) = list_segments(world.directory / "console")
    first, second, third = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(first + second.replace(b"panel", b"ghost") + third)
    world.sender.work()
    assert world.finding().code == "audit-damaged"
    assert "Between its records 1 and 3 something is missing or was changed." in world.finding().sentence
