"""What systemd hears of a service; and that a service outlives a manager that does not listen for a moment."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from appliance.base.notify import notify_ready, notify_stopping, notify_watchdog


def test_ok__what_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        listener.settimeout(20)
        notify_ready("The panel is ready.")
        notify_watchdog()
        notify_watchdog("Live picture.")
        notify_stopping()
        heard = [listener.recv(4096).decode() for _ in range(4)]
    assert heard == [
        "READY=1\nSTATUS=The panel is ready.",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=Live picture.",
        "STOPPING=1",
    ]


def test_ok__nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A capture goes on while systemd is started anew (its socket refuses, or is gone)."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    with caplog.at_level(logging.WARNING):
        notify_watchdog()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as closed:
            closed.bind(str(tmp_path / "n"))
        notify_watchdog()
    assert [record.message.partition(":")[0] for record in caplog.records] == ["systemd does not hear WATCHDOG"] * 2


def test_ok__without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify_watchdog()
    assert caplog.records == []
