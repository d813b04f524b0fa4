"""The panel's one page: a skeleton rendered once in each language; its scripts fill it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from appliance.config.schema import Configuration, Language
from appliance.console.catalogue import Catalogue, load_catalogues

_TEMPLATES = Path(__file__).parent / "templates"
LANGUAGE_COOKIE = "language"


def pages_from(configuration: Configuration) -> Mapping[Language, bytes]:
    """The page as UTF-8, in each language."""
    template = _environment().get_template("panel.html")
    catalogues = load_catalogues()
    return {
        language: template.render(
            box=configuration.box,
            catalogue=catalogue,
            text=catalogue.text,
            given=_given_from(configuration, catalogue, {code: one.name for code, one in catalogues.items()}),
        ).encode()
        for language, catalogue in catalogues.items()
    }


def strangers_pages_from(configuration: Configuration) -> Mapping[Language, bytes]:
    """What a browser sees that brings no token, in each language."""
    template = _environment().get_template("stranger.html")
    return {
        language: template.render(box=configuration.box, catalogue=catalogue, text=catalogue.text).encode()
        for language, catalogue in load_catalogues().items()
    }


def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(), undefined=StrictUndefined)


def _given_from(configuration: Configuration, catalogue: Catalogue, languages: Mapping[str, str]) -> Markup:
    """What texts.js reads: a block of data, which is no script to a browser and needs no leave of the policy's."""
    given = {
        "language": catalogue.language,
        "languages": languages,
        "clock_hours": configuration.panel.clock_hours,
        "texts": catalogue.texts,
    }
    return Markup(json.dumps(given, ensure_ascii=False).replace("<", "\\u003c"))


def language_from(cookie: str | None, configuration: Configuration) -> Language:
    """What somebody chose on this panel, or what the site configured."""
    return Language(cookie) if cookie in set(Language) else configuration.panel.language
