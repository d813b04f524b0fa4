"""What the panel may ask of a new box: to be set up, to take what lies on a stick, to keep that or take it back.

Only while nobody has configured it. Behind that the panel has no way to the configuration: whoever stands at it is a
technologist or a stranger, and a box that works must not be sent elsewhere by a passer-by. Support has a key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from appliance.base.asking import Unreachable
from appliance.base.errors import ApplianceError
from appliance.base.http import read_json
from appliance.config.first import CONFIRM_SECONDS, FIRST, first_change, is_first_under_way, is_new
from appliance.config.first_stick import StickWatch
from appliance.config.history import History, view_from
from appliance.config.in_force import read_in_force
from appliance.config.minimal import problems_of, text_from, typed_from
from appliance.config.short_code import is_short_code
from appliance.config.stick import FILE, StickState

PANEL = "panel"
"""Who does what is done here: nobody at a new box has a name."""

Body = Mapping[str, Any]


class Ask(Protocol):
    """Asks the program that changes the configuration."""

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What it answers; ApplianceError when it refuses."""
        ...


@dataclass(slots=True)
class FirstDesk:
    """`active` is the configuration's file. Safe between threads: one proposal at a time."""

    active: Path
    stick: StickWatch
    ask: Ask
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def state(self) -> dict[str, Any]:
        """Whether the box is new, what lies on a stick, and how the newest first configuration stands, if any."""
        history = History(self.active.parent)
        return {"is_new": self._is_new(history), "change": self._change(history), "stick": self.stick.view()}

    def set_up(self, body: Body) -> dict[str, Any]:
        """Apply what was typed. ApplianceError when something of it is wrong."""
        typed = typed_from(body)
        if problems_of(typed):
            raise ApplianceError("Something of what was typed cannot be.", "Nothing was changed. Look at each field.")

        def text() -> bytes:
            before = self.active.read_text(encoding="utf-8-sig") if self.active.exists() else ""
            return text_from(typed, before).encode("utf-8")

        return self._propose(text, "typed on the panel", PANEL)

    def take_stick(self, body: Body) -> dict[str, Any]:
        """Apply the file on the stick whose code was compared."""
        code = _code_of(body)
        return self._propose(lambda: self.stick.take(code), f"from a stick, code {code}", f"{PANEL} (code {code})")

    def refuse_stick(self, body: Body) -> dict[str, Any]:
        """Not this file."""
        code = _code_of(body)
        if self.stick.view()["state"] != StickState.OFFERED:
            raise ApplianceError("The stick is not offered any more.", "Nothing was changed. Look at the screen.")
        self.stick.refuse(code)
        return {}

    def confirm(self, _body: Body) -> dict[str, Any]:
        """What is under way stays."""
        return self._end("/confirm")

    def take_back(self, _body: Body) -> dict[str, Any]:
        """What is under way goes back."""
        return self._end("/take-back")

    def _propose(self, text: Callable[[], bytes], how: str, who: str) -> dict[str, Any]:
        with self._one_at_a_time:
            if not self._is_new(History(self.active.parent)):
                raise ApplianceError("This box is configured: the panel cannot change that.", "Ask support.")
            body = {
                "text": text().decode("utf-8", "surrogateescape"),
                "name": FILE,
                "who": who,
                "what": f"{FIRST}, {how}",
                "confirm_seconds": CONFIRM_SECONDS,
            }
            return self.ask("POST", "/changes", body)

    def _end(self, path: str) -> dict[str, Any]:
        if not is_first_under_way(History(self.active.parent)):
            raise ApplianceError("No first configuration is under way.", "Look at the screen.")
        return self.ask("POST", path, {"who": PANEL})

    def _is_new(self, history: History) -> bool:
        # What is under way is in force already, and does not make the box a configured one.
        return is_first_under_way(history) or is_new(read_in_force(self.active).configuration, history)

    def _change(self, history: History) -> dict[str, Any] | None:
        change = first_change(history)
        if change is None:
            return None
        try:
            # Also of one that has ended: only that program knows what its self-test found of each peer.
            return self.ask("GET", f"/changes/{change.number}")
        except Unreachable:
            return {**view_from(history, change.number), "peers": []}


def make_first_app(desk: FirstDesk, on_asked: Callable[[], None]) -> Starlette:
    """The application; `on_asked` hears each question."""

    def command(path: str, work: Callable[[Body], dict[str, Any]]) -> Route:
        async def endpoint(request: Request) -> JSONResponse:
            on_asked()
            return JSONResponse(await run_in_threadpool(work, await read_json(request)))

        return Route(path, endpoint, methods=["POST"])

    def show(_request: Request) -> JSONResponse:
        on_asked()
        return JSONResponse(desk.state())

    return Starlette(
        routes=[
            Route("/state", show, methods=["GET"]),
            command("/set-up", desk.set_up),
            command("/take-stick", desk.take_stick),
            command("/refuse-stick", desk.refuse_stick),
            command("/confirm", desk.confirm),
            command("/take-back", desk.take_back),
        ]
    )


def _code_of(body: Body) -> str:
    code = body.get("code")
    if not isinstance(code, str) or not is_short_code(code):
        raise ApplianceError("This is no code of a configuration.")
    return code
