"""What this box conforms to, on the panel: its statements, and how it stands against purchasers' profiles.

Pages of their own beside the panel's one page: nothing in them is of a patient, and none asks for anything. They are
made when somebody first looks, in a thread, and once for each start, since the configuration is read once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from appliance.base.errors import ApplianceError
from appliance.base.http import error_response
from appliance.config.schema import Configuration, Language
from appliance.console.catalogue import load_catalogues
from appliance.console.language import LANGUAGE_COOKIE, PanelLanguage
from appliance.console.page import template_environment

if TYPE_CHECKING:
    from appliance.conformance.papers import Paper

_STYLE = "/papers/paper.css"


def paper_routes(configuration: Configuration, panel_language: PanelLanguage) -> list[BaseRoute]:
    """The list of papers in the language that was chosen, each paper, and how they look."""
    one_at_a_time = threading.Lock()
    today = datetime.now().astimezone().date()

    # What makes them is read only when it is needed: a console starts without it.
    @cache
    def papers() -> Mapping[str, Paper]:
        from appliance.conformance.papers import papers_of

        return {one.name: one for one in papers_of(configuration, today)}

    @cache
    def page_of(name: str) -> bytes:
        from appliance.conformance.papers import paper_document
        from appliance.conformance.printing import Format, print_document

        document = paper_document(papers()[name].look(), today)
        return print_document(document, Format.HTML, _STYLE, back="/papers").encode()

    @cache
    def index(language: Language) -> bytes:
        catalogue = load_catalogues()[language]
        template = template_environment().get_template("papers.html")
        return template.render(
            box=configuration.box, catalogue=catalogue, text=catalogue.text, papers=list(papers().values())
        ).encode()

    def make(name: str, language: Language) -> bytes | None:
        with one_at_a_time:
            if not name:
                return index(language)
            return page_of(name) if name in papers() else None

    async def show(request: Request) -> Response:
        language = panel_language.of(request.cookies.get(LANGUAGE_COOKIE))
        page = await run_in_threadpool(make, request.path_params.get("name", ""), language)
        if page is None:
            return error_response(ApplianceError("There is no such paper."), 404)
        return Response(page, media_type="text/html; charset=utf-8")

    def show_style(_request: Request) -> Response:
        from appliance.conformance.printing import STYLE

        return Response(STYLE, media_type="text/css")

    return [Route("/papers", show), Route(_STYLE, show_style), Route("/papers/{name}", show)]
