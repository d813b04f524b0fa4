"""Every text of the panel in every language: one TOML file each beneath `languages/`, a table for each screen.

A text is a string, or a table of strings by the plural categories of its `count` (Unicode CLDR; Arabic has six). What
stands in braces is filled in by the page. English is the catalogue that the others are held against (by a test).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.config.schema import Language

_LANGUAGES = Path(__file__).parent / "languages"

Text = str | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One language: its name in itself, the way it is written (ltr, rtl), and its texts by `section.key`."""

    language: Language
    name: str
    direction: str
    texts: Mapping[str, Text]

    def text(self, key: str) -> str:
        """The text of a key that needs no value; KeyError when there is none."""
        found = self.texts[key]
        assert isinstance(found, str), key
        return found


def load_catalogue(language: Language) -> Catalogue:
    """The catalogue as it was delivered with this program."""
    sections = tomllib.loads((_LANGUAGES / f"{language}.toml").read_text(encoding="utf-8"))
    texts = {f"{section}.{key}": text for section, entries in sections.items() for key, text in entries.items()}
    return Catalogue(language, texts["language.name"], texts["language.direction"], texts)


def load_catalogues() -> dict[Language, Catalogue]:
    """All of them, in the order in which they are offered."""
    return {language: load_catalogue(language) for language in Language}
