"""Listeners: bound here, or passed in."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.base.errors import ApplianceError
from appliance.base.sockets import bind_unix, is_loopback_port_free, pick_free_port

_TAKER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
from appliance.base.sockets import inherited_listeners
(listener,) = inherited_listeners()
connection, _ = listener.accept()
connection.sendall(b"taken")
"""


def test_ok__a_dead_processs_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.sock"
    bind_unix(path).close()
    assert path.exists()
    with bind_unix(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_fail__a_path_too_long_for_the_kernel_is_said(tmp_path: Path) -> None:
    with pytest.raises(ApplianceError, match="Cannot listen on") as refused:
        bind_unix(tmp_path / ("x" * 120))
    assert "shorter" in refused.value.suggestion


def test_ok__a_listener_that_was_passed_in_is_taken_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        with subprocess.Popen([sys.executable, "-c", _TAKER, str(descriptor)], pass_fds=[descriptor]) as child:
            with socket.create_connection(listener.getsockname(), timeout=30) as client:
                assert client.recv(16) == b"taken"
            assert child.wait(30) == 0


def test_ok__free_ports() -> None:
    port = pick_free_port()
    assert is_loopback_port_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_loopback_port_free(port)
