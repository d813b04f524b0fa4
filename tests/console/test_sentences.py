"""Everything that the box says stands in every language, and nothing stands there that nobody says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.base import flash
from appliance.config.schema import Language
from appliance.console import sentences as sentences_module
from appliance.console.sentences import load_sentences
from appliance.devices.printer.page import Doubt
from appliance.dimse import status
from tests.console.spoken import literals, sentences, what_failed

_OTHERS = sorted(set(Language) - {Language.ENGLISH})
_PLURALS = {
    **{language: {"one", "other"} for language in Language},
    Language.JAPANESE: {"other"},
    Language.ARABIC: {"one", "two", "few", "many", "other"},
}
# What English bends for its own grammar.
_GRAMMAR = {"s", "were", "steps"}
_LOOSE = "{what}: {why}."


def _pattern(template: str) -> re.Pattern[str]:
    """As texts.js reads it: a value ends before the next sentence does, and English bends (`s`) or is left out."""
    values = {
        "s": "(.*?)",
        "were": "(.*?)",
        "steps": "(.*?)",
        "lost": "(.*?)",
        "found": "(.*?)",
        "count_so_far": "(.*?)",
    }
    pieces = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(values.get(one, _VALUE) if number % 2 else re.escape(one) for number, one in enumerate(pieces)) + r"\Z"
    )


_VALUE = r"((?:[^.!?]|[.!?](?! |$))+?)"


_KEYS = list(load_sentences(Language.GERMAN))
_PLAIN = {re.sub(r"\{\w+\}", "{}", key) for key in _KEYS}
# What is nearly all values would match everything.
_PATTERNS = [_pattern(key) for key in _KEYS if len(re.sub(r"\{\w+\}|[^a-zA-Z]", "", key)) >= 4]


def _has_words(spoken: str) -> bool:
    return spoken in _PLAIN or any(pattern.match(spoken) for pattern in _PATTERNS)


def test_ok__every_sentence_of_the_code_has_words() -> None:
    missing = [f"{place}: {one}" for one, place in sentences().items() if not _has_words(one)]
    assert missing == []


def test_ok__what_failed_and_why_has_words() -> None:
    reasons = [words for words, _ in flash._WORDS.values()]
    tables = [*reasons, *(doubt.value for doubt in Doubt)]
    missing = [f"{place}: {one}" for one, place in what_failed().items() if not _has_words(one)]
    assert [*missing, *(one for one in tables if not _has_words(one))] == []


def test_fail__a_sentence_that_is_new_is_found() -> None:
    assert not _has_words("The box has {} wheels.")
    assert not _has_words("The wheels of the box are lost")


def test_ok__nothing_is_kept_that_nobody_says() -> None:
    spoken = {part for text, _ in literals() for part in (text, text.strip(), *re.split(r"(?<=[.!?]) ", text.strip()))}
    parts = {part for text in spoken for part in re.split(r"\{\}", text)}
    unsaid = []
    for key in _KEYS:
        plain = re.sub(r"\{\w+\}", "{}", key)
        if plain in spoken or key == _LOOSE:
            continue
        # What is put together where it is said: its words are, in pieces.
        pieces = [piece for piece in re.split(r"\{\}", plain) if re.search(r"[a-z]{3}", piece)]
        if not all(
            any(piece.strip("; ,") in text for text in (*spoken, *parts)) or piece.strip() in _COUNTED
            for piece in pieces
        ):
            unsaid.append(key)
    assert unsaid == []


# Words that are counted (base.errors.counted and its like), and tables of single words.
_COUNTED = {"exam", "object", "page", "film", "file", "frame", "request", "image", "minute", "forward"}


@pytest.mark.parametrize("language", _OTHERS)
def test_ok__every_language_has_every_sentence(language: Language) -> None:
    own = load_sentences(language)
    assert list(own) == _KEYS
    for english, text in own.items():
        forms = [text] if isinstance(text, str) else list(text.values())
        if not isinstance(text, str):
            assert set(text) == _PLURALS[language], english
            assert "{count}" in english
        asked = set(re.findall(r"\{(\w+)\}", english))
        for form in forms:
            assert form.strip() == form != "", english
            given = set(re.findall(r"\{(\w+)\}", form))
            assert given <= asked, english
            # Arabic says one and two without a number.
            assert asked - given <= _GRAMMAR | ({"count"} if len(forms) > 1 else set()), (english, form)
        if english.count(" ") >= 3:
            assert english not in forms, english


def test_ok__the_files_are_those_of_the_languages() -> None:
    directory = Path(sentences_module.__file__).parent
    assert {path.stem for path in directory.glob("*.toml")} == set(_OTHERS)


def test_ok__what_the_hospital_answers_has_words() -> None:
    tables = (status.STORE_STATUS, status.COMMITMENT_FAILURE, status.ACTION_STATUS)
    words = [words for table in tables for _, _, words in table]
    assert [one for one in words if one and not _has_words(one)] == []
