"""What the program that changes the configuration is asked over its socket. Who may ask is the socket's group."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from appliance.base.errors import ApplianceError
from appliance.base.http import read_json
from appliance.config.applying import Applier
from appliance.config.load import MAX_FILE_BYTES

# A letter of the text takes six bytes in JSON at most.
_MOST_BYTES = 6 * MAX_FILE_BYTES + 4096


@dataclass(frozen=True, slots=True)
class Parts:
    """`check` says by ApplianceError what speaks against a text, before its record; `on_asked` hears each question.

    `tried` is what the newest change's self-test has found out so far: a peer's name → forward's report on it.
    """

    applier: Applier
    check: Callable[[bytes, Path], None]
    on_asked: Callable[[], None]
    tried: dict[str, dict[str, Any]] = field(default_factory=dict)


def make_app(parts: Parts) -> Starlette:
    """The application; what it does waits for the flash, so each endpoint runs in a thread."""

    async def propose(request: Request) -> JSONResponse:
        parts.on_asked()
        body = await read_json(request, _MOST_BYTES)
        return JSONResponse(await run_in_threadpool(_propose, parts, body))

    async def confirm(request: Request) -> JSONResponse:
        parts.on_asked()
        who = _text_of(await read_json(request), "who")
        change = await run_in_threadpool(parts.applier.confirm, who)
        return JSONResponse(await run_in_threadpool(parts.applier.view, change.number))

    async def take_back(request: Request) -> JSONResponse:
        parts.on_asked()
        who = _text_of(await read_json(request), "who")
        change = await run_in_threadpool(parts.applier.take_back, who)
        return JSONResponse(await run_in_threadpool(parts.applier.view, change.number))

    def show(request: Request) -> JSONResponse:
        parts.on_asked()
        view = parts.applier.view(request.path_params["number"])
        return JSONResponse({**view, "peers": [{"name": name, **one} for name, one in dict(parts.tried).items()]})

    return Starlette(
        routes=[
            Route("/changes", propose, methods=["POST"]),
            Route("/changes/{number:int}", show, methods=["GET"]),
            Route("/confirm", confirm, methods=["POST"]),
            Route("/take-back", take_back, methods=["POST"]),
        ]
    )


def _propose(parts: Parts, body: dict[str, Any]) -> dict[str, Any]:
    text, name = _text_of(body, "text").encode("utf-8", "surrogateescape"), Path(_text_of(body, "name"))
    seconds = body.get("confirm_seconds")
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise ApplianceError("How long to wait for the confirmation is not said in seconds.")
    parts.check(text, name)
    if not parts.applier.is_busy():
        parts.tried.clear()
    change = parts.applier.propose(
        text, name, who=_text_of(body, "who"), what=_text_of(body, "what"), confirm_seconds=float(seconds)
    )
    return {"number": None} if change is None else parts.applier.view(change.number)


def _text_of(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise ApplianceError(f"{key} is not said.")
    return value
