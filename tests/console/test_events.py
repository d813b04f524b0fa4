"""Streams by themselves: a fault of a look ends them, so that nobody goes on seeing what is old."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from appliance.base.clock import SystemClock
from appliance.base.errors import ApplianceError
from appliance.console.events import Events, Topic


def _listen(events: Events, seconds: float = 20.0) -> str:
    """Everything that one listener is sent until the stream ends."""
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def run() -> None:
        await asyncio.wait_for(events.serve({}, receive, send, lambda: {"is_locked": False}), seconds)

    asyncio.run(run())
    return b"".join(sent).decode()


def test_fail__a_fault_ends_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    looks = iter([{"a": 1}, {"a": 2}])

    def read() -> Any:
        return next(looks)  # the third look fails by a fault

    text = _listen(Events((Topic("exam", 0.01, read),), SystemClock()))
    assert 'data: {"a":2}' in text
    assert "could not be looked at: RuntimeError" in caplog.text


def test_ok__what_cannot_be_read_now_is_looked_at_again() -> None:
    looks = 0

    def read() -> Any:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ApplianceError("The flash is busy.")
        if looks > 2:
            raise ValueError
        return {"a": looks}

    assert 'data: {"a":2}' in _listen(Events((Topic("exam", 0.01, read),), SystemClock()))
