"""HTTP/JSON between our processes, over unix sockets: one way to serve, one way to ask, one form of an error.

Sockets carry only questions and commands; work is handed over as files. An answer that never came is therefore
always safe to ask for again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

from appliance.base.errors import ApplianceError

_log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
_SHUTDOWN_SECONDS = 5


class Unreachable(ApplianceError):
    """The process at the other end did not answer in time: it is starting, restarting, or gone."""


class Refused(ApplianceError):
    """The process at the other end answered that it will not, and why."""


def error_response(error: ApplianceError, status: int = 409) -> JSONResponse:
    """The one form in which an error crosses a socket."""
    return JSONResponse({"error": {"sentence": error.sentence, "suggestion": error.suggestion}}, status_code=status)


async def answer_appliance_error(_request: Request, error: Exception) -> JSONResponse:
    """Starlette's exception handler for ApplianceError."""
    assert isinstance(error, ApplianceError)
    return error_response(error, 503 if isinstance(error, Unreachable) else 409)


async def read_json(request: Request) -> dict[str, Any]:
    """The request's JSON object, at most MAX_BODY_BYTES long. ApplianceError otherwise."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ApplianceError(f"The request is larger than {MAX_BODY_BYTES} bytes.")
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise ApplianceError("The request is not JSON.") from error
    if not isinstance(value, dict):
        raise ApplianceError("The request is not a JSON object.")
    return value


def serve(app: Starlette, listeners: list[socket.socket], on_ready: Callable[[], None]) -> None:
    """Serve `app` until SIGTERM or SIGINT; `on_ready` is called once the listeners are being answered."""
    app.add_exception_handler(ApplianceError, answer_appliance_error)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # a path may name an exam; nothing that a person typed belongs into a log
        lifespan="off",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        limit_concurrency=256,
        server_header=False,
        date_header=False,
    )
    asyncio.run(_serve_until_stopped(uvicorn.Server(config), listeners, on_ready))


async def _serve_until_stopped(
    server: uvicorn.Server, listeners: list[socket.socket], on_ready: Callable[[], None]
) -> None:
    task = asyncio.create_task(server.serve(sockets=listeners))
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    if not task.done():
        on_ready()
    await task


class Asker:
    """Asks one process over its unix socket."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://appliance")

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float = 5.0
    ) -> dict[str, Any]:
        """The JSON object answered within `seconds`; Unreachable when none came, Refused with the sentence given."""
        try:
            response = self._client.request(
                method, path, json=body, timeout=httpx.Timeout(seconds, connect=min(seconds, 2.0))
            )
        except httpx.TransportError as error:
            raise Unreachable(
                f"{self._name} does not answer ({type(error).__name__}).", "It may be starting; try again."
            ) from error
        return _object_from(response, self._name)

    def ask_bytes(self, path: str, *, seconds: float = 5.0) -> bytes:
        """The body answered to a GET of `path`, a picture for instance."""
        try:
            response = self._client.get(path, timeout=seconds)
        except httpx.TransportError as error:
            raise Unreachable(
                f"{self._name} does not answer ({type(error).__name__}).", "It may be starting; try again."
            ) from error
        if response.status_code != 200:
            _object_from(response, self._name)
        return response.content

    def close(self) -> None:
        self._client.close()


def _object_from(response: httpx.Response, name: str) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError as error:
        raise Unreachable(f"{name} answered something that is not JSON (status {response.status_code}).") from error
    if response.status_code >= 400 or not isinstance(value, dict):
        said = value.get("error", {}) if isinstance(value, dict) else {}
        sentence = str(said.get("sentence") or f"{name} refused with status {response.status_code}.")
        kind = Unreachable if response.status_code == 503 else Refused
        raise kind(sentence, str(said.get("suggestion", "")))
    return value
