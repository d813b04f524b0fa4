"""Listening sockets: unix ones that a process binds itself, and those that systemd opened and passes in."""

from __future__ import annotations

import socket
from pathlib import Path

from systemd import daemon

from appliance.base.errors import ApplianceError

_BACKLOG = 64


def bind_unix(path: Path, mode: int = 0o660) -> socket.socket:
    """Listen on `path`, replacing a socket that a dead process left behind.

    The caller holds the process's lock (base.lock), so nobody living is listening there. Mode 0660 and the directory's
    group decide who may connect. ApplianceError when the path is longer than the kernel takes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ApplianceError(
            f"Cannot listen on {path}: {error}.", "Choose a shorter run directory, or check its owner and mode."
        ) from error
    path.chmod(mode)
    listener.listen(_BACKLOG)
    return listener


def inherited_listeners() -> list[socket.socket]:
    """The listeners passed in by sd_listen_fds(3): the panel's loopback port is opened outside the console."""
    return [socket.socket(fileno=descriptor) for descriptor in daemon.listen_fds()]


def pick_free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody used a moment ago. For the demo and the tests; a real box has configured ports."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_loopback_port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """True when something accepts connections on `port`."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def bind_tcp(host: str, port: int) -> socket.socket:
    """Listen on a port of one of this machine's addresses. OSError when it is taken, or the address is not ours."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def bind_loopback(port: int) -> socket.socket:
    """Listen on a loopback port, for who then passes the listener on. ApplianceError when it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ApplianceError(
            f"Port {port} is used by another program.", "Stop that program, or choose another port."
        ) from error
    listener.listen(_BACKLOG)
    return listener
