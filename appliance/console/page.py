"""The panel's one page: a skeleton rendered once; its scripts fill it."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from appliance.config.schema import Configuration

_TEMPLATES = Path(__file__).parent / "templates"


def page_from(configuration: Configuration) -> bytes:
    """The page as UTF-8."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    template = environment.get_template("panel.html")
    return template.render(box=configuration.box).encode()
