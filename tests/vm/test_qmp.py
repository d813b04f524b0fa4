"""The monitor's protocol against golden lines (QEMU's docs/interop/qmp-spec)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.vm.qmp import Monitor, MonitorError

_GREETING = b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}\r\n'
_EVENT = b'{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "DEVICE_DELETED", "data": {"device": "stick"}}\r\n'


@contextmanager
def monitor_that(answers: Callable[[dict[str, object]], bytes]) -> Iterator[Monitor]:
    """A monitor whose QEMU answers each request as told."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs, theirs.makefile("rwb", buffering=0) as stream:
            stream.write(_GREETING)
            for line in stream:
                request = json.loads(line)
                stream.write(b'{"return": {}}\r\n' if request["execute"] == "qmp_capabilities" else answers(request))

    thread = threading.Thread(target=serve)
    thread.start()
    monitor = Monitor(ours, 20.0)
    try:
        yield monitor
    finally:
        monitor.close()
        thread.join(20)


def test_ok__arguments_have_hyphens_and_events_are_kept_until_asked_for() -> None:
    asked: list[dict[str, object]] = []

    def answer(request: dict[str, object]) -> bytes:
        asked.append(request)
        return _EVENT + b'{"return": {"status": "running"}}\r\n'

    with monitor_that(answer) as monitor:
        assert monitor.execute("blockdev-add", node_name="a", read_only=True) == {"status": "running"}
        assert asked == [{"execute": "blockdev-add", "arguments": {"node-name": "a", "read-only": True}}]
        assert monitor.wait_event("DEVICE_DELETED", 5)["data"] == {"device": "stick"}
        with pytest.raises(MonitorError, match="does not answer"):
            monitor.wait_event("DEVICE_DELETED", 0.05)


def test_ok__an_answer_may_come_in_pieces() -> None:
    with monitor_that(lambda _: json.dumps({"return": "x" * 300_000}).encode() + b"\r\n") as monitor:
        assert len(monitor.execute("screendump")) == 300_000


def test_fail__a_refusal_has_qemus_words() -> None:
    refusal = b'{"error": {"class": "GenericError", "desc": "Bus \'usb.0\' not found"}}\r\n'
    with monitor_that(lambda _: refusal) as monitor, pytest.raises(MonitorError, match=r"device_add: Bus 'usb.0' not"):
        monitor.execute("device_add", driver="usb-serial")


@pytest.mark.parametrize("greeting", [b'{"hello": 1}\r\n', b"[]\r\n", b""])
def test_fail__it_is_no_monitor(greeting: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(greeting)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(MonitorError):
            Monitor(ours, 5.0)
