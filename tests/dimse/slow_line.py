"""A line between us and a peer that is as slow as a test wants it, with kernel buffers that hide nothing of that."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

_BUFFER_BYTES = 8192
_CHUNK_BYTES = 2048


class SlowLine:
    """A TCP proxy to `port`: what we send passes at `bytes_per_second`, and nothing after `stops_after` bytes."""

    def __init__(self, port: int, bytes_per_second: float, stops_after: int | None = None) -> None:
        self._target = port
        self._rate = bytes_per_second
        self._stops_after = stops_after
        self._is_over = threading.Event()
        self._listener = socket.socket()
        # What is accepted inherits it; a window larger than this would take in what the test wants to see waiting.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self.passed = 0
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._is_over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                peer = socket.socket()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.connect(("127.0.0.1", self._target))
                for one in (ours, peer):
                    one.settimeout(0.2)
                for source, sink, is_slow in ((ours, peer, True), (peer, ours, False)):
                    thread = threading.Thread(target=self._pass, args=(source, sink, is_slow), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_slow: bool) -> None:
        with contextlib.suppress(OSError):
            while not self._is_over.is_set():
                if is_slow and self._stops_after is not None and self.passed >= self._stops_after:
                    self._is_over.wait()
                    break
                try:
                    data = source.recv(_CHUNK_BYTES)
                except TimeoutError:
                    continue
                if not data:
                    break
                if is_slow:
                    self.passed += len(data)
                    time.sleep(len(data) / self._rate)
                sink.settimeout(30)
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def slow_line(port: int, bytes_per_second: float, stops_after: int | None = None) -> Iterator[SlowLine]:
    """A slow line to `port` while the block lasts."""
    line = SlowLine(port, bytes_per_second, stops_after)
    try:
        yield line
    finally:
        line.close()
