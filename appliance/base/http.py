"""HTTP/JSON between our processes, over unix sockets: one way to serve, one form of an error (asking: base.asking).

Sockets carry only questions and commands; work is handed over as files. An answer that never came is therefore
always safe to ask for again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.base.asking import Unreachable
from appliance.base.errors import ApplianceError
from appliance.base.flash import flash_error_from

_log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
_SHUTDOWN_SECONDS = 5
_STOP_LOOK_SECONDS = 0.1
# A request that was begun is whole within this time; uvicorn ends what is silent between two requests.
_REQUEST_SECONDS = 10.0
_BODY_SECONDS = 20.0


class _ImpatientProtocol(H11Protocol):
    """uvicorn's, which waits for ever for a request that was begun: such a connection is ended here."""

    _awaited: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_request()

    def _await_request(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
        self._awaited = self.loop.call_later(_REQUEST_SECONDS, self._end_if_silent, self.cycle)

    def _end_if_silent(self, before: object) -> None:
        # Another one than before is being answered, which may take its time.
        if self.cycle is before:
            self.transport.close()


def error_response(error: ApplianceError, status: int = 409) -> JSONResponse:
    """The one form in which an error crosses a socket."""
    return JSONResponse({"error": {"sentence": error.sentence, "suggestion": error.suggestion}}, status_code=status)


async def answer_appliance_error(_request: Request, error: Exception) -> JSONResponse:
    """Starlette's exception handler for ApplianceError."""
    assert isinstance(error, ApplianceError)
    return error_response(error, 503 if isinstance(error, Unreachable) else 409)


async def read_json(request: Request, most: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The request's JSON object, at most `most` bytes long. ApplianceError otherwise."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise ApplianceError(f"The request is larger than {most} bytes.")
    except TimeoutError:
        raise ApplianceError(f"The request did not come in {_BODY_SECONDS:.0f} s.") from None
    except ClientDisconnect:
        raise ApplianceError("Whoever asked has gone in the middle of it.") from None
    if not body:
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApplianceError("The request is not JSON.") from error
    if not isinstance(value, dict):
        raise ApplianceError("The request is not a JSON object.")
    return value


def command(path: str, work: Callable[[dict[str, Any]], dict[str, Any]]) -> Route:
    """A POST whose JSON object is given to `work` in the thread pool, and whose answer is what that returns."""

    async def endpoint(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(work, await read_json(request)))

    return Route(path, endpoint, methods=["POST"])


async def _answer_flash_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    told = flash_error_from(error, "This could not be done")
    _log.error("%s", told)
    return error_response(told, 503)


def answer_in_words(app: Starlette) -> None:
    """Whatever was asked of `app`, a person reads a sentence: also when the flash fails under it."""
    app.add_exception_handler(ApplianceError, answer_appliance_error)
    app.add_exception_handler(OSError, _answer_flash_error)


def serve(app: Starlette, listeners: list[socket.socket], on_ready: Callable[[], None]) -> None:
    """Serve `app` until SIGTERM or SIGINT; `on_ready` is called once the listeners are being answered.

    The signal is then raised once more for the handler that was there before (uvicorn does so): whoever has something
    to do after this sets a handler of its own first, or dies of the signal here. `app.state.on_stop()`, where there is
    one, ends answers that would go on for ever.
    """
    answer_in_words(app)
    on_stop: Callable[[], None] = getattr(app.state, "on_stop", lambda: None)
    config = uvicorn.Config(
        app,
        http=_ImpatientProtocol,
        log_config=None,
        access_log=False,  # a path may name an exam; nothing that a person typed belongs into a log
        lifespan="off",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        limit_concurrency=256,
        server_header=False,
        date_header=False,
    )
    asyncio.run(_serve_until_stopped(uvicorn.Server(config), listeners, on_ready, on_stop))


async def _serve_until_stopped(
    server: uvicorn.Server,
    listeners: list[socket.socket],
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
) -> None:
    task = asyncio.create_task(server.serve(sockets=listeners))
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    if not task.done():
        on_ready()
    while not server.should_exit and not task.done():
        await asyncio.sleep(_STOP_LOOK_SECONDS)
    on_stop()
    await task
