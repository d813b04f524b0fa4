"""HTTP of who is there: unlocking the panel, locking it, being touched, and beginning with an emergency."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from appliance.base.errors import ApplianceError
from appliance.base.http import command
from appliance.base.tokens import Role, Tokens
from appliance.console.events import Events
from appliance.console.guard import role_of
from appliance.console.lock import PanelLock
from appliance.console.presence import Presence

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what at the panel's port, and who is there."""

    tokens: Tokens
    lock: PanelLock
    presence: Presence


# What a locked panel may ask for: nothing of it tells of a patient.
_WHILE_LOCKED = frozenset(
    {"/", "/api/lock", "/api/unlock", "/api/touch", "/api/emergency", "/api/events", "/api/language"}
)
# Nor does what a new box asks, whose first configuration may bring a lock before somebody has kept it.
_FIRST = ("/first", "/api/first")
# What support may do beside looking.
_SUPPORTS_ACTS = frozenset({"/api/worklist/refresh", "/api/queue/retry"})
# Nor does support see what a machine shows or showed: no picture of a patient is needed for its work.
_PICTURE = re.compile(r"/api/(devices/[^/]+/(preview|thumbnail/.*)|objects/[^/]+/(frames/.*|thumbnail|grays))")


def access_routes(access: Access, open_emergency: Callable[[], Body]) -> list[Route]:
    """All of them. `open_emergency()` opens an exam on nobody known."""

    def show_lock(request: Request) -> Response:
        return JSONResponse(lock_view_from(access, role_of(request.scope)))

    def unlock(body: Body) -> Body:
        name, pin = body.get("operator"), body.get("pin")
        if not isinstance(name, str) or not isinstance(pin, str) or len(pin) > 64:
            raise ApplianceError("The request lacks operator or pin.")
        access.lock.unlock(name, pin)
        return access.lock.view()

    def lock(_body: Body) -> Body:
        access.lock.lock()
        return access.lock.view()

    def note_touch(body: Body) -> Body:
        access.lock.note_touch()
        access.presence.note_touch(is_confirmed=body.get("is_confirmed") is True)
        return {}

    def open_on_nobody(_body: Body) -> Body:
        exam = open_emergency()
        access.lock.begin_emergency()
        return exam

    return [
        Route("/api/lock", show_lock),
        command("/api/unlock", unlock),
        command("/api/lock-now", lock),
        command("/api/touch", note_touch),
        command("/api/emergency", open_on_nobody),
    ]


class EventsEndpoint:
    """GET /api/events."""

    def __init__(self, access: Access, events: Events) -> None:
        self._access = access
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        role = role_of(scope)
        await self._events.serve(scope, receive, send, lambda: lock_view_from(self._access, role))


def lock_view_from(access: Access, role: Role) -> Body:
    """What the page must know before it shows anything; support has no PIN, and is never locked out."""
    view = access.lock.view()
    return {**view, "role": role, "is_locked": view["is_locked"] and role is Role.PANEL}


def refusal_of(access: Access, role: Role, method: str, path: str) -> tuple[ApplianceError, int] | None:
    """Why this role may not do this now, with a status; None when it may."""
    if role is Role.SUPPORT:
        if (method == "POST" and path not in _SUPPORTS_ACTS) or _PICTURE.fullmatch(path):
            return ApplianceError("Support may look, refresh and try again, and nothing else."), 403
        return None
    is_open = path in _WHILE_LOCKED or path.startswith(_FIRST)
    if role is Role.PANEL and not is_open and access.lock.is_locked():
        return ApplianceError("The panel is locked.", "Unlock it with your PIN."), 423
    return None
