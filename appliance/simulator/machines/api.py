"""The machines' buttons over HTTP: JSON for programs on a unix socket, and a page for people on a loopback port."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.base.errors import ApplianceError
from appliance.base.http import error_response, read_json
from appliance.simulator.machines.endoscope import VideoFault, VideoServer
from appliance.simulator.machines.ultrasound import FileFault, FileFormat, PrintFault, Ultrasound
from appliance.simulator.machines.xmodem_sender import LineFault, Protocol

_STATIC = Path(__file__).parent / "static"
_PAGE = {"/": "index.html", "/machines.css": "machines.css", "/machines.js": "machines.js"}
_LONGEST_FAULT = 100_000
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "appliance"})
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Choice = TypeVar("Choice", bound=StrEnum)


def build_app(ultrasound: Ultrasound, video: VideoServer) -> Starlette:
    """The application for both listeners."""

    async def show_page(request: Request) -> Response:
        return FileResponse(_STATIC / _PAGE[request.url.path])

    async def show_status(_request: Request) -> Response:
        return JSONResponse(
            {
                "ultrasound": ultrasound.status(),
                "endoscope": video.status(),
                "film": {"sentence": "The film digitizer is SANE's test backend; the box starts it when it scans."},
            }
        )

    async def print_image(request: Request) -> Response:
        wish = await read_json(request)
        file_format = _choice(FileFormat, wish.get("format", FileFormat.PNG), "format")
        protocol = _choice(Protocol, wish.get("protocol", Protocol.CRC), "protocol")
        fault = _print_fault(wish.get("fault"))
        outcome = await run_in_threadpool(ultrasound.print_image, file_format, protocol, fault)
        return JSONResponse({"sent": outcome.sent, "acknowledged": outcome.acknowledged, "sentence": outcome.sentence})

    async def set_video_fault(request: Request) -> Response:
        wish = await read_json(request)
        name, frames = wish.get("fault"), wish.get("frames", 150)
        if not isinstance(frames, int) or not 0 <= frames <= _LONGEST_FAULT:
            raise ApplianceError(f"frames must be a number from 0 to {_LONGEST_FAULT}.")
        video.set_fault(None if name is None else _choice(VideoFault, name, "fault"), frames)
        return JSONResponse(video.status())

    app = Starlette(
        routes=[
            *(Route(path, show_page) for path in _PAGE),
            Route("/status", show_status),
            Route("/ultrasound/print", print_image, methods=["POST"]),
            Route("/endoscope/fault", set_video_fault, methods=["POST"]),
        ]
    )
    app.add_middleware(_Guard)
    return app


class _Guard:
    """Keeps other sites' pages away from the buttons, which any page open in the same browser could reach."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if headers.get("host", "").partition(":")[0] not in _LOCAL_NAMES:
            refusal = error_response(ApplianceError("The machines are not called by this name."), 421)
        elif scope["method"] == "POST" and not headers.get("content-type", "").startswith("application/json"):
            # A page elsewhere can send this type only after a question that nobody here answers.
            refusal = error_response(ApplianceError("The machines take JSON only."), 415)
        else:
            await self._app(scope, receive, send_with_headers)
            return
        await refusal(scope, receive, send_with_headers)


def _choice(kind: type[Choice], value: object, name: str) -> Choice:
    if isinstance(value, str) and value in set(kind):
        return kind(value)
    raise ApplianceError(f"{name} must be one of: {', '.join(kind)}.")


def _print_fault(value: object) -> PrintFault | None:
    if value is None:
        return None
    if isinstance(value, str) and value in set(LineFault):
        return LineFault(value)
    return _choice(FileFault, value, f"fault ({', '.join(LineFault)}, or of the file)")
