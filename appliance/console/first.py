"""A new box on its panel: the page on which it is set up, or takes what lies on a stick that somebody compared.

The console decides nothing of it: it asks the process of the first contact (services/first), which may ask for a change
of the configuration. As soon as the box is configured this page leads to the panel, and nothing of it can be asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from appliance.base.asking import Asker
from appliance.base.clock import Clock, Deadline
from appliance.base.errors import ApplianceError, Finding
from appliance.base.findings import FindingBoard
from appliance.base.http import command
from appliance.base.paths import Paths
from appliance.config.first import is_first_under_way, is_new, summary_from
from appliance.config.history import History
from appliance.config.load import configuration_from
from appliance.config.minimal import problems_of, text_from, typed_from
from appliance.config.schema import Configuration
from appliance.config.short_code import is_short_code
from appliance.config.stick import TAKEN_FROM_NONE
from appliance.console.language import LANGUAGE_COOKIE, PanelLanguage
from appliance.console.page import pages_from
from appliance.exam.audit import Act, Effect
from appliance.exam.audit_gate import AuditGate

Body = dict[str, Any]

PAGE = "/first"
# A change is proposed when its record is durable; the rest goes on without whoever asked.
_SECONDS = 30.0
_PANEL = "panel"
_CODE = "stick-not-taken"
_TOLD_SECONDS = 300.0


class FirstContact:
    """What the page asks for; `configuration` is what this console works by."""

    def __init__(
        self, paths: Paths, configuration: Configuration, audit: AuditGate, findings: FindingBoard, clock: Clock
    ) -> None:
        self._socket = paths.first_socket
        self._active = paths.configuration
        self._configuration = configuration
        self._audit = audit
        self._findings = findings
        self._clock = clock
        self._told: Deadline | None = None
        self._asker = Asker(self._socket, "The first set-up")

    def is_open(self) -> bool:
        """Whether nobody has configured the box yet. Never where nobody would answer for it, as in the demo."""
        history = History(self._active.parent)
        return self._socket.exists() and (is_first_under_way(history) or is_new(self._configuration, history))

    def state(self) -> Body:
        """Whether the box is new; and, if it is, what lies on a stick and how the last change stands."""
        if not self.is_open():
            return {"is_new": False, "change": None, "stick": None}
        return self._asker.ask("GET", "/state", seconds=_SECONDS)

    def check(self, body: Body) -> Body:
        """What is wrong with what was typed, by field; where nothing is, a summary of what would be in force."""
        self._refuse_if_configured()
        typed = typed_from(body)
        problems = problems_of(typed)
        if problems:
            return {"problems": problems, "summary": None}
        before = self._active.read_text(encoding="utf-8-sig") if self._active.exists() else ""
        after = configuration_from(text_from(typed, before).encode("utf-8"), Path(self._active.name))
        return {"problems": {}, "summary": summary_from(after)}

    def set_up(self, body: Body) -> Body:
        """Put in force what was typed."""
        return self._ask("/set-up", body)

    def take_stick(self, body: Body) -> Body:
        """Put in force what lies on the stick, whose code somebody compared."""
        return self._ask("/take-stick", body)

    def refuse_stick(self, body: Body) -> Body:
        """Somebody compared, and it is another one: an attempt that the audit trail must hold."""
        code = body.get("code")
        if not isinstance(code, str) or not is_short_code(code):
            raise ApplianceError("This is no code of a configuration.")
        answer = self._ask("/refuse-stick", body)
        said = f"A configuration on a stick was refused on the panel: its code {code} is another one."
        self._audit.record(Act.CONFIGURATION_CHANGED, actor=_PANEL, outcome=Effect.MINOR_FAILURE, detail=said)
        return answer

    def confirm(self, _body: Body) -> Body:
        """What is in force stays."""
        return self._ask("/confirm", {})

    def take_back(self, _body: Body) -> Body:
        """What is in force goes back."""
        return self._ask("/take-back", {})

    def tell_stick(self, body: Body) -> Body:
        """A stick with a configuration was plugged into this box, which takes none: that is told for a while."""
        if body.get("what") != TAKEN_FROM_NONE:
            raise ApplianceError("The request says nothing of a stick.")
        self._told = Deadline.after(self._clock, _TOLD_SECONDS)
        self._findings.report(
            Finding(
                _CODE,
                "A stick with a configuration is plugged in. This box is configured and takes nothing from it.",
                "Pull the stick out. Support changes the configuration over SSH.",
            )
        )
        return {}

    def look(self) -> None:
        """What was told of a stick is over after a while."""
        if self._told is not None and self._told.is_over():
            self._told = None
            self._findings.clear(_CODE)

    def _ask(self, path: str, body: Body) -> Body:
        self._refuse_if_configured()
        return self._asker.ask("POST", path, body, seconds=_SECONDS)

    def _refuse_if_configured(self) -> None:
        if not self.is_open():
            raise ApplianceError("This box is configured: the panel cannot change that.", "Ask support.")


def first_routes(first: FirstContact, configuration: Configuration, panel_language: PanelLanguage) -> list[BaseRoute]:
    """The page in the language that was chosen, and what it asks for."""
    pages = pages_from(configuration, "first.html")

    def show_page(request: Request) -> Response:
        if not first.is_open():
            return RedirectResponse("/", 303)
        language = panel_language.of(request.cookies.get(LANGUAGE_COOKIE))
        return Response(pages[language], media_type="text/html; charset=utf-8")

    def show_state(_request: Request) -> Response:
        return JSONResponse(first.state())

    return [
        Route(PAGE, show_page),
        Route("/api/first", show_state),
        command("/api/first/check", first.check),
        command("/api/first/set-up", first.set_up),
        command("/api/first/take-stick", first.take_stick),
        command("/api/first/refuse-stick", first.refuse_stick),
        command("/api/first/confirm", first.confirm),
        command("/api/first/take-back", first.take_back),
        command("/api/first/stick-told", first.tell_stick),
    ]
