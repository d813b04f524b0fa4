"""The port for a hospital's Prometheus: what comes over TCP may read the metrics, and nothing else of this process."""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

METRICS_PATH = "/metrics"


class PortGuard:
    """ASGI middleware around everything that forward serves. The unix socket is guarded by its directory's mode."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_from_port(scope):
            is_let = scope["method"] in ("GET", "HEAD") and scope["path"] == METRICS_PATH
            if not is_let:
                await PlainTextResponse("Only /metrics is here.\n", 404)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_from_port(scope: Scope) -> bool:
    """True for TCP; over a unix socket uvicorn has no port to tell."""
    server = scope.get("server")
    return server is not None and server[1] is not None
