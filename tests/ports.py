"""Free TCP ports for peers: never one of another test of this run, nor one that the kernel gives to a connection."""

from __future__ import annotations

import os
import socket

# Below the kernel's own range for outgoing connections (net.ipv4.ip_local_port_range begins at 32768).
_FIRST, _SLOT = 20_000, 1_500
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
# Two runs beside each other begin at different places.
_next = os.getpid() * 7919 % _SLOT


def pick_free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no other test of this run will be given soon."""
    global _next
    for _ in range(_SLOT):
        port = _FIRST + _worker * _SLOT + _next
        _next = (_next + 1) % _SLOT
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
