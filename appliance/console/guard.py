"""What a browser may do with the panel's port, which every local user and any web page open elsewhere can reach.

A page of another site can make a browser ask loopback, under a name of its own (DNS rebinding) or with a form. So:
the Host must be one that we are called by; whoever asks for anything but the bare page must bring a token (tokens.py);
whoever changes something must send a header that no other site's page can send without asking first; and what we answer
may be shown nowhere but in our own page. The unix sockets are guarded by their directory's mode instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.base.errors import ApplianceError
from appliance.base.http import MAX_BODY_BYTES, error_response
from appliance.base.tokens import TOKEN_PARAMETER, Role, Tokens, cookie_from

PANEL_HEADER = "X-Appliance-Panel"
_SOCKET_HOST = "appliance"
# What tells of nobody: without it a browser could not even say what is missing.
_FOR_EVERYBODY = ("/static/", "/favicon.ico", "/api/alive")

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

    def __init__(
        self,
        app: ASGIApp,
        allowed_hosts: Sequence[str],
        tokens: Tokens,
        refusal_of_role: Callable[[Role, str, str], tuple[ApplianceError, int] | None],
    ) -> None:
        """`refusal_of_role(role, method, path)`: why somebody whom we know may not do this now."""
        self._app = app
        self._tokens = tokens
        self._refusal_of_role = refusal_of_role
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

        if refusal is None and not is_unix_socket(scope) and self._is_arrival(scope):
            await self._welcome(scope, receive, send_with_headers)
            return
        if refusal is None:
            role = Role.BOX if is_unix_socket(scope) else self._tokens.role_of(_cookie_in(scope))
            scope[_ROLE] = role
            refusal = self._refusal_of_stranger(scope, role)
        if refusal is not None:
            error, status = refusal
            await error_response(error, status)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _is_arrival(self, scope: Scope) -> bool:
        return scope["path"] == "/" and TOKEN_PARAMETER in QueryParams(scope["query_string"])

    async def _welcome(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whoever comes with a token in the address goes on without it: an address is seen, copied and kept."""
        token = QueryParams(scope["query_string"])[TOKEN_PARAMETER]
        answer = RedirectResponse("/", 303)
        if self._tokens.role_of(token) is not None:
            answer.headers["Set-Cookie"] = cookie_from(token)
        await answer(scope, receive, send)

    def _refusal_of_stranger(self, scope: Scope, role: Role | None) -> tuple[ApplianceError, int] | None:
        path = scope["path"]
        if path.startswith(_FOR_EVERYBODY):
            return None
        if role is None:
            # The page's own endpoint says it in words that a person understands.
            return None if path == "/" else (ApplianceError("Only the panel may ask for this (token)."), 401)
        return self._refusal_of_role(role, scope["method"], path)

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


_ROLE = "appliance.role"


def role_of(scope: Scope) -> Role:
    """Who asks, behind the guard."""
    role = scope[_ROLE]
    assert isinstance(role, Role)
    return role


def is_known(scope: Scope) -> bool:
    """False for a browser without a token, which is given the bare page alone."""
    return scope[_ROLE] is not None


def _cookie_in(scope: Scope) -> str | None:
    try:
        cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return None
    return cookies[TOKEN_PARAMETER].value if TOKEN_PARAMETER in cookies else None


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
