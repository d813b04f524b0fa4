"""Server-sent events: what the panel shows is pushed when it changes, instead of being asked for again and again.

One look serves all streams, and none is made while nobody listens. A stream never queues: whoever is slow gets the
newest state of each topic, and who takes nothing for a while is cut off. Streams are few; beyond that the page is told
so, and asks by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope, Send

from appliance.base.clock import Clock
from appliance.base.errors import ApplianceError
from appliance.base.http import error_response

_log = logging.getLogger(__name__)

MOST_STREAMS = 16
_BEAT_SECONDS = 0.5
_STALL_SECONDS = 10.0
_AGAIN_MILLISECONDS = 500
# Everything is sent again after so many rounds, of half a second or less.
_AGAIN_ROUNDS = 6

Read = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Topic:
    """What is looked at every so many seconds. `read` gives its JSON, in the thread pool."""

    name: str
    every_seconds: float
    read: Read


@dataclass(eq=False, slots=True)
class _Stream:
    """What a listener has been sent of each topic."""

    view_lock: Callable[[], Any]
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    sent: dict[str, str] = field(default_factory=dict)
    rounds: int = 0


class Events:
    """All streams of this process. Belongs to the event loop."""

    def __init__(self, topics: tuple[Topic, ...], clock: Clock) -> None:
        self._topics = topics
        self._clock = clock
        self._streams: set[_Stream] = set()
        self._now: dict[str, tuple[str, float]] = {}  # topic → its JSON, and when it was looked at
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False

    def stop(self) -> None:
        """End every stream, so that the process can."""
        self._is_stopping = True
        for stream in self._streams:
            stream.woken.set()

    async def serve(self, scope: Scope, receive: Receive, send: Send, view_lock: Callable[[], Any]) -> None:
        """One listener until it goes. `view_lock()` says whether it may see patients (`is_locked`)."""
        if len(self._streams) >= MOST_STREAMS or self._is_stopping:
            full = ApplianceError("Too many screens show the panel.", "Close one of them.")
            await error_response(full, 503)(scope, receive, send)
            return
        stream = _Stream(view_lock)
        self._streams.add(stream)
        self._begin_looking()
        try:
            await _first_of(self._push(stream, send), _wait_for_end(receive), self._wait_for_fault())
        finally:
            self._streams.discard(stream)
            if not self._streams:
                self._end_looking()

    async def _push(self, stream: _Stream, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send_part(send, f"retry: {_AGAIN_MILLISECONDS}\n\n")
        while not self._is_stopping:
            stream.woken.clear()
            await _send_part(send, self._news_for(stream))
            with suppress(TimeoutError):
                await asyncio.wait_for(stream.woken.wait(), _BEAT_SECONDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _news_for(self, stream: _Stream) -> str:
        """What `stream` does not know yet, and a beat by which it knows that the box is there."""
        view = stream.view_lock()
        news = {"lock": (_json_from(view), 0.0)}
        if view["is_locked"]:
            # What was sent before is sent again when it may be seen again.
            stream.sent = {name: text for name, text in stream.sent.items() if name == "lock"}
        else:
            news |= self._now
        # A page also asks by itself, after what it did, and may have been told of a state between two looks.
        stream.rounds += 1
        if stream.rounds % _AGAIN_ROUNDS == 0:
            stream.sent.clear()
        parts = []
        for name, (text, looked_at) in news.items():
            if stream.sent.get(name) != text:
                stream.sent[name] = text
                parts.append(f"id: {looked_at:.6f}\nevent: {name}\ndata: {text}\n\n")
        beat = _json_from({"now": self._clock.now().isoformat(timespec="seconds")})
        return "".join([*parts, f"event: beat\ndata: {beat}\n\n"])

    def _begin_looking(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._look(topic)) for topic in self._topics]

    async def _wait_for_fault(self) -> None:
        """A look failed by a fault: a page must not go on as if nothing changed. It comes back, and looks anew."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _end_looking(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                # Not its message, which may quote a patient's value.
                _log.error("what the panel shows could not be looked at: %s", type(task.exception()).__name__)
            task.cancel()
        self._tasks = []
        self._now = {}

    async def _look(self, topic: Topic) -> None:
        while True:
            looked_at = self._clock.monotonic()
            # What cannot be read now is looked at again; the screen's own questions say why.
            with suppress(ApplianceError, OSError):
                text = _json_from(await run_in_threadpool(topic.read))
                is_news = self._now.get(topic.name, ("",))[0] != text
                self._now[topic.name] = (text, looked_at)
                for stream in self._streams if is_news else ():
                    stream.woken.set()
            await asyncio.sleep(topic.every_seconds)


def _json_from(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


async def _send_part(send: Send, text: str) -> None:
    """TimeoutError when the listener takes nothing."""
    part: Message = {"type": "http.response.body", "body": text.encode("ascii"), "more_body": True}
    await asyncio.wait_for(send(part), _STALL_SECONDS)


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run until one of `works` ends, and end the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, TimeoutError):
                await task
