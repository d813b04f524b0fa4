"""The panel's one page: a skeleton rendered once in each language; its scripts fill it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from appliance.base.tokens import Role
from appliance.config.schema import Configuration, Language
from appliance.console.catalogue import Catalogue, load_catalogues
from appliance.console.guard import is_known, role_of
from appliance.console.language import LANGUAGE_COOKIE, PanelLanguage
from appliance.console.sentences import load_sentences

_TEMPLATES = Path(__file__).parent / "templates"
_STATIC = Path(__file__).parent / "static"


def pages_from(configuration: Configuration, name: str) -> Mapping[Language, bytes]:
    """The page of the template `name` as UTF-8, in each language."""
    template = template_environment().get_template(name)
    catalogues = load_catalogues()
    return {
        language: template.render(
            box=configuration.box,
            catalogue=catalogue,
            text=catalogue.text,
            given=given_for(configuration, catalogue, {code: one.name for code, one in catalogues.items()}),
        ).encode()
        for language, catalogue in catalogues.items()
    }


def page_routes(
    configuration: Configuration, panel_language: PanelLanguage, first_page: Callable[[], str]
) -> list[BaseRoute]:
    """The page in the language that was chosen, its scripts, and what a browser asks for by itself.

    `first_page()` is where the panel of a box leads that nobody has configured yet; empty once somebody has.
    """
    pages, strangers = pages_from(configuration, "panel.html"), strangers_pages_from(configuration)

    def show_page(request: Request) -> Response:
        language = panel_language.of(request.cookies.get(LANGUAGE_COOKIE))
        if not is_known(request.scope):
            return Response(strangers[language], 401, media_type="text/html; charset=utf-8")
        if role_of(request.scope) is Role.PANEL and (instead := first_page()):
            return RedirectResponse(instead, 303)
        return Response(pages[language], media_type="text/html; charset=utf-8")

    def show_no_icon(_request: Request) -> Response:
        return Response(status_code=204)

    return [
        Route("/", show_page),
        Route("/favicon.ico", show_no_icon),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]


def strangers_pages_from(configuration: Configuration) -> Mapping[Language, bytes]:
    """What a browser sees that brings no token, in each language."""
    template = template_environment().get_template("stranger.html")
    return {
        language: template.render(box=configuration.box, catalogue=catalogue, text=catalogue.text).encode()
        for language, catalogue in load_catalogues().items()
    }


def template_environment() -> Environment:
    """What renders the pages: values are escaped, and a name that nobody gave is an error."""
    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(), undefined=StrictUndefined)


def given_for(configuration: Configuration, catalogue: Catalogue, languages: Mapping[str, str]) -> Markup:
    """What texts.js reads: a block of data, which is no script to a browser and needs no leave of the policy's."""
    given = {
        "language": catalogue.language,
        "languages": languages,
        "clock_hours": configuration.panel.clock_hours,
        "night": configuration.panel.night,
        "dark_seconds": configuration.panel.dark_seconds,
        "texts": catalogue.texts,
        "sentences": load_sentences(catalogue.language),
    }
    return Markup(json.dumps(given, ensure_ascii=False).replace("<", "\\u003c"))
