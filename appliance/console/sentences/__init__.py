"""What the box's parts say, in the languages of the panel: one TOML file each beside this one.

Findings, errors and states are said where they arise, once, in English: the log, the command line and every socket have
them so. The panel shows them in its language. A file has each sentence by its English words (as gettext does), with the
values in braces where they stand; a value may be such words again: why something failed, how many of what. Suggestions
are sentences as all others. What English bends (`{s}`) another language leaves out. A test finds every sentence of the
code that no file has, and every one in a file that nobody says any more.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from appliance.config.schema import Language

# A text, or one for each plural category of its `count` (Unicode CLDR).
Sentences = Mapping[str, str | Mapping[str, str]]


def load_sentences(language: Language) -> Sentences:
    """English words → those of `language`; nothing for English itself."""
    if language is Language.ENGLISH:
        return {}
    return tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text(encoding="utf-8"))
