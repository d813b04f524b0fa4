"""What a browser may do with the panel's port, which every local user and any web page open elsewhere can reach.

A page of another site can make a browser ask loopback, under a name of its own (DNS rebinding) or with a form. So:
the Host must be one that we are called by; whoever changes something must send a header that no other site's page can
send without asking first; and what we answer may be shown nowhere but in our own page. The unix sockets are
guarded by their directory's mode instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.base.errors import ApplianceError
from appliance.base.http import MAX_BODY_BYTES, error_response

PANEL_HEADER = "X-Appliance-Panel"
_SOCKET_HOST = "appliance"

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src 'self' blob:",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """ASGI middleware around everything that the console serves."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # there are no websockets here; uvicorn answers for us
        refusal = self._refusal_of(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        if refusal is not None:
            error, status = refusal
            await error_response(error, status)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal_of(self, scope: Scope) -> tuple[ApplianceError, int] | None:
        """The sentence and the status with which this request is refused; None when it may pass."""
        headers = Headers(scope=scope)
        is_local = is_unix_socket(scope)
        host = host_from(headers.get("host", ""))
        if host not in self._allowed_hosts and not (is_local and host == _SOCKET_HOST):
            return ApplianceError("The panel is not called by this name.", "See panel.allowed_hosts."), 421
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return ApplianceError("The panel knows only GET and POST."), 405
        if scope["method"] != "POST":
            return None
        if not is_local and headers.get(PANEL_HEADER) != "1":
            return ApplianceError(f"Only the panel's own page may do this (header {PANEL_HEADER})."), 403
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
            return ApplianceError("Only the panel's own page may do this (origin)."), 403
        length = headers.get("content-length", "0")
        # base.http.read_json bounds what comes without a length.
        if not length.isdecimal() or int(length[:19]) > MAX_BODY_BYTES:
            return ApplianceError(f"The request is larger than {MAX_BODY_BYTES} bytes."), 413
        return None


def is_unix_socket(scope: Scope) -> bool:
    """True when the request came over a unix socket, where uvicorn has no port to tell."""
    server = scope.get("server")
    return server is None or server[1] is None


def host_from(value: str) -> str:
    """The host's name in a Host header (RFC 9110 7.2), lower case, without its port; empty when it is malformed."""
    name, colon, port = value.rpartition(":") if not value.endswith("]") else (value, "", "")
    if colon and port.isdecimal():
        value = name
    elif colon and not value.startswith("["):
        return ""
    return value.lower()
