"""Syslog over TLS (RFC 5425): one connection brings a batch of messages and ends with the collector's goodbye.

Syslog has no acknowledgement. What comes nearest: we end the connection by close_notify and wait until the collector's
side ends it too. A program that is gone, or that has not read what its kernel took, answers with a reset or not at all,
and the batch is sent again. What the collector does with a message after reading it, nobody is told.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Iterable

from appliance.config.schema import AuditCollector, Peer
from appliance.dimse.tls import Identity, name_of
from appliance.dimse.tls_reason import TlsError, reason_of

_CHUNK_BYTES = 16 * 1024
_BUFFER_BYTES = 64 * 1024  # little waits in the kernel, so that progress is seen
_LOOK_SECONDS = 0.05


def frame_from(message: bytes) -> bytes:
    """SYSLOG-FRAME: the message's length in octets, a space, the message (RFC 5425 4.3)."""
    return b"%d %s" % (len(message), message)


def deliver(frames: Iterable[bytes], collector: AuditCollector, identity: Identity) -> None:
    """Bring `frames` to the collector; all of them were read there when this returns.

    Deadlines count progress: `connect_seconds` for connection and handshake each, then `stall_seconds` without a byte
    that moves. TlsError when the two do not trust each other, OSError when it cannot be reached or stops taking.
    """
    peer = _peer_from(collector)
    context = identity.client_context(peer)
    with socket.create_connection((collector.host, collector.port), collector.connect_seconds) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        try:
            connection = context.wrap_socket(plain, server_hostname=name_of(peer))
        except OSError as error:
            raise _refusal_from(error) from error
        with connection:
            connection.settimeout(collector.stall_seconds)
            for frame in frames:
                view = memoryview(frame)
                while view:
                    view = view[connection.send(view[:_CHUNK_BYTES]) :]
            _wait_until_taken(connection, collector.stall_seconds)
            _say_goodbye(connection)


def _peer_from(collector: AuditCollector) -> Peer:
    """The collector as the TLS of associations knows its peers."""
    return Peer(
        ae_title="AUDIT",
        host=collector.host,
        port=collector.port,
        tls=True,
        tls_name=collector.tls_name,
        tls_pin=collector.tls_pin,
    )


def _wait_until_taken(connection: ssl.SSLSocket, seconds: float) -> None:
    """Until the collector's kernel has everything. TimeoutError when for `seconds` it took no byte."""
    poll = select.poll()
    poll.register(connection, 0)
    left = _unacknowledged(connection)
    end = time.monotonic() + seconds
    while left:
        if poll.poll(1000 * _LOOK_SECONDS):  # an error or the end of both directions: nothing else is asked for
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        before, left = left, _unacknowledged(connection)
        if left < before:
            end = time.monotonic() + seconds
        elif time.monotonic() >= end:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _unacknowledged(connection: ssl.SSLSocket) -> int:
    # SIOCOUTQ of Linux: what the peer's kernel has not taken yet.
    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def _say_goodbye(connection: ssl.SSLSocket) -> None:
    """Send close_notify and wait for the end of the other direction (RFC 5425 4.4).

    A collector that closes the connection without a close_notify of its own, as rsyslog does, has read everything too:
    had it not, its kernel would have answered with a reset, which is an OSError here.
    """
    try:
        connection.unwrap()
    except ssl.SSLEOFError:
        pass
    except ssl.SSLError as error:
        raise _refusal_from(error) from error


def _refusal_from(error: OSError) -> TlsError:
    """Why TLS did not come about, or was broken off: also the collector's verdict on the box's certificate."""
    words, suggestion = reason_of(error)
    if "tls = false" in suggestion:
        suggestion = "Check the port: the collector must speak TLS there (RFC 5425)."
    return TlsError(f"TLS to the audit collector failed: {words}.", suggestion)
