"""Collectors of the audit trail: Debian's rsyslog in a process of its own, and hand-made ones that misbehave."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from tests.certificates import Credentials
from tests.peers import Peer
from tests.ports import pick_free_port

_CONFIGURATION = """
global(
  defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{own.authorities}"
  defaultNetstreamDriverCertFile="{own.certificate}"
  defaultNetstreamDriverKeyFile="{own.key}"
  workDirectory="{directory}"
  maxMessageSize="64k"
)
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="as-it-came" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{directory}/messages" template="as-it-came")
"""


def make_rsyslog(directory: Path, own: Credentials) -> Peer:
    """rsyslog with TLS on a free port; it takes clients with a certificate of `own`'s authorities."""
    directory.mkdir()
    port = pick_free_port()
    configuration = directory / "rsyslog.conf"
    configuration.write_text(_CONFIGURATION.format(own=own, directory=directory, port=port))
    command = ["/usr/sbin/rsyslogd", "-n", "-f", str(configuration), "-i", str(directory / "pid")]
    return Peer("rsyslog", command, port, directory / "log", directory=directory)


def messages_of(rsyslog: Peer) -> list[str]:
    """What it wrote, a message a line; not what it is just writing."""
    assert rsyslog.directory is not None
    file = rsyslog.directory / "messages"
    return file.read_text("utf-8", "replace").split("\n")[:-1] if file.exists() else []


def forget_messages(rsyslog: Peer) -> None:
    """Begin with an empty file; rsyslog appends to it."""
    assert rsyslog.directory is not None
    file = rsyslog.directory / "messages"
    if file.exists():
        os.truncate(file, 0)


class HandMade:
    """Accepts connections one after the other and treats each as `behave` says; what it read is in `received`."""

    def __init__(self, own: Credentials, behave: Callable[[HandMade, ssl.SSLSocket], None]) -> None:
        self.received: list[bytes] = []
        self._behave = behave
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(own.certificate, own.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._is_stopping.is_set():
            plain, _ = self._listener.accept()
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    self._behave(self, connection)
            except OSError:
                pass  # the client went: that is what some of the tests are about
            finally:
                plain.close()

    def wait(self) -> None:
        """Do nothing until the test is over."""
        self._is_stopping.wait(60)

    def stop(self) -> None:
        self._is_stopping.set()
        with socket.socket() as last:
            last.connect_ex(("127.0.0.1", self.port))
        self._thread.join(30)
        self._listener.close()


def read_all(server: HandMade, connection: ssl.SSLSocket) -> None:
    """Read to the client's goodbye, and close without one, as rsyslog does."""
    data = b""
    while some := connection.recv(65536):
        data += some
    server.received.append(data)


def answer_goodbye(server: HandMade, connection: ssl.SSLSocket) -> None:
    """As RFC 5425 4.4 has it: the client's close_notify is answered by one."""
    read_all(server, connection)
    connection.unwrap().close()


def reset_after_some(server: HandMade, connection: ssl.SSLSocket) -> None:
    """A process that dies with half of it unread: its kernel answers with a reset."""
    server.received.append(connection.recv(100))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close_at_once(server: HandMade, connection: ssl.SSLSocket) -> None:
    """Gone after the handshake, before anything came."""
    connection.close()


def read_nothing(server: HandMade, _connection: ssl.SSLSocket) -> None:
    """A process that hangs."""
    server.wait()


def read_and_hang(server: HandMade, connection: ssl.SSLSocket) -> None:
    """A process that takes everything and never ends the connection."""
    server.received.append(connection.recv(65536))
    server.wait()
