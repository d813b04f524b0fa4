"""A fuzzed client against the listener: it goes on answering, and nothing is left of what was done to it."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
from collections import Counter

import pytest

from appliance.config.schema import Listener
from appliance.dimse.association import Caller
from appliance.dimse.commitment import CommitmentReport
from appliance.dimse.listener import CommitmentListener
from appliance.dimse.tls import Identity
from tests.certificates import Credentials, make_authority
from tests.dimse.hand_made_client import (
    COMMITMENT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    Client,
    associate_rq,
    echo_command,
    in_pdus,
    information,
    nothing_left,
    report,
    verify,
)
from tests.dimse.hand_made_peer import ABORT, RELEASE_RP, RELEASE_RQ
from tests.dimse.mutations import mutate
from tests.ports import pick_free_port

_INFORMATION = information("1.2.77", ["1.1.1", "1.1.2"], {"1.1.3": 0x0112})
_REQUESTS = (
    associate_rq(),
    associate_rq(COMMITMENT, IMPLICIT, EXPLICIT, contexts=4),
    associate_rq(VERIFICATION, as_scp=False),
)
_MESSAGES = (
    in_pdus(echo_command(), 1),
    report(1, _INFORMATION),
    report(None, _INFORMATION),
    report(2, _INFORMATION),
    in_pdus(report(1, _INFORMATION), 1, size=20),
    RELEASE_RQ,
    RELEASE_RP,
    ABORT,
    _REQUESTS[0],
)


class Box:
    def __init__(self, own: Credentials | None = None) -> None:
        self.port = pick_free_port()
        self.reports: list[CommitmentReport] = []
        identity = Identity(own.tls) if own else None
        ports = Listener(port=None if own else self.port, tls_port=self.port if own else None)
        self.listener = CommitmentListener(ports, Caller("BRIDGE", identity), self.hear, stall_seconds=2)

    def hear(self, said: CommitmentReport) -> bool:
        # What goes into the journal and into the log.
        f"{said.calling_ae} {said.transaction_uid}".encode()
        for uid in (*said.committed, *said.failed):
            uid.encode()
        self.reports.append(said)
        return True


def attack(connection: socket.socket, chance: random.Random, answers: Counter[int]) -> None:
    """One connection: a request and messages, of which at least one is not as it should be; then its end."""
    said = [chance.choice(_REQUESTS), *chance.choices(_MESSAGES, k=chance.randint(0, 4))]
    wrong = chance.randrange(len(said))
    for number, data in enumerate(said):
        connection.sendall(mutate(data, chance) if number == wrong or chance.random() < 0.2 else data)
        if number == 0 and chance.random() < 0.7:
            answers[connection.recv(4096)[:1].hex() == "02"] += 1
    match chance.randrange(3):
        case 0:  # gone without a word
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        case 1:  # says nothing more, and listens a little
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        case _:
            pass


@pytest.mark.parametrize("seed", range(2))
def test_ok__a_fuzzed_client(seed: int) -> None:
    chance = random.Random(seed)
    answers: Counter[int] = Counter()
    with nothing_left():
        box = Box()
        try:
            for _ in range(100):
                with Client(box.port) as client:
                    client.connection.settimeout(0.2)
                    with contextlib.suppress(OSError):
                        attack(client.connection, chance, answers)
            verify(box.port)
            with Client(box.port) as client:
                assert client.associate() == 2
                client.write(report(2, information("1.2.78", ["1.1.1"], {"1.1.3": 0x0112})))
                assert client.status() == 0
                client.release()
            assert CommitmentReport("ARCHIVE", "1.2.78", frozenset({"1.1.1"}), {"1.1.3": 0x0112}) in box.reports
        finally:
            box.listener.stop()
    assert answers[True] > 5, "it comes far enough to mean something"


def test_ok__a_fuzzed_client_of_the_tls_port(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Handshakes that are none, and, inside good ones, associations that are none."""
    hospital = make_authority(tmp_path_factory.mktemp("pki") / "hospital")
    other = hospital.issue("archive")
    context = ssl.create_default_context(cafile=str(hospital.file))
    context.load_cert_chain(other.certificate, other.key)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    hello = outgoing.read()
    chance = random.Random(7)
    answers: Counter[int] = Counter()
    with nothing_left():
        box = Box(hospital.issue("box"))
        try:
            for number in range(40):
                with Client(box.port) as client, contextlib.suppress(OSError):
                    client.connection.settimeout(0.2)
                    if number % 2:
                        client.write(mutate(hello, chance))
                        client.connection.recv(4096)
                    else:
                        with context.wrap_socket(client.connection, server_hostname="localhost") as encrypted:
                            attack(encrypted, chance, answers)
            with context.wrap_socket(Client(box.port).connection, server_hostname="localhost") as encrypted:
                encrypted.settimeout(20)
                encrypted.sendall(associate_rq())
                assert encrypted.recv(1) == b"\x02"
        finally:
            box.listener.stop()
    assert answers[True] > 1
