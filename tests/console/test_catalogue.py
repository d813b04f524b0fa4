"""The catalogue is complete in every language, everything in it is used, and no text of the panel stands outside it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config.schema import Language
from appliance.console import catalogue as catalogue_module
from appliance.console.catalogue import Catalogue, Text, load_catalogue
from appliance.exam.item import WorklistItem
from appliance.exam.reasons import REASONS

_CONSOLE = Path(catalogue_module.__file__).parent
_SCRIPTS = sorted((_CONSOLE / "static").glob("*.js"))
_PAGE = "\n".join(path.read_text(encoding="utf-8") for path in (_CONSOLE / "templates").glob("*.html"))
_ENGLISH = load_catalogue(Language.ENGLISH)
# What whole numbers need (Unicode CLDR 46, cardinal). French and Spanish have `many` for millions alone.
_PLURALS = {
    **{language: {"one", "other"} for language in Language},
    Language.JAPANESE: {"other"},
    Language.ARABIC: {"one", "two", "few", "many", "other"},
}
_LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`')
_COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'`\w])//[^\n]*", re.DOTALL)
# Names of the web's own, and states as the acquires call them.
_NO_PROSE = {"Enter", "Escape", "Backspace", "Shift", "Content-Type", "X-Appliance-Panel", "no signal", "not running"}
_PUNCTUATION = re.compile("[·…×✓•]")


def _forms(text: Text) -> list[str]:
    return [text] if isinstance(text, str) else list(text.values())


def _placeholders(text: Text) -> set[str]:
    return {name for form in _forms(text) for name in re.findall(r"\{(\w+)\}", form)}


@pytest.mark.parametrize("language", Language)
def test_ok__every_language_has_every_text(language: Language) -> None:
    catalogue = load_catalogue(language)
    assert set(catalogue.texts) == set(_ENGLISH.texts)
    for key, english in _ENGLISH.texts.items():
        text = catalogue.texts[key]
        assert all(form.strip() == form != "" or key == "said.comma" for form in _forms(text)), key
        assert not re.search(r"\{(?!\w+\})|(?<!\w)\}", "".join(_forms(text))), f"{key}: a brace that fills in nothing"
        # Arabic says one and two without a number.
        assert _placeholders(text) == _placeholders(english), key
        # A language may say a number without a plural; where it has forms, all of them.
        if not isinstance(text, str):
            assert set(text) == _PLURALS[language], key
            assert "count" in _placeholders(english), key


def test_ok__french_keeps_its_double_punctuation_with_the_word() -> None:
    """A plain space lets a line break before it."""
    for name in ("languages", "sentences"):
        lines = (_CONSOLE / name / "fr.toml").read_text(encoding="utf-8").splitlines()
        # The English words of a sentence stand in front as its key.
        assert [line for line in lines if re.search(" [:;?!»]|« ", line.rpartition('" = ')[2])] == []


def test_ok__languages_are_told_apart() -> None:
    """Whoever copied the English text of a screen and forgot to translate it is told."""
    for language in set(Language) - {Language.ENGLISH}:
        texts = load_catalogue(language).texts
        sentences = [key for key, text in _ENGLISH.texts.items() if isinstance(text, str) and text.count(" ") >= 4]
        same = [key for key in sentences if texts[key] == _ENGLISH.texts[key]]
        assert not same, (language, same)


def test_ok__the_files_hold_what_is_their_languages_own() -> None:
    names = {language: load_catalogue(language) for language in Language}
    assert {one.direction for one in names.values()} == {"ltr", "rtl"}
    assert names[Language.ARABIC].direction == "rtl"
    assert re.search("[\u0600-\u06ff]", names[Language.ARABIC].name)
    for one in names.values():
        months = one.texts["date.months"]
        assert isinstance(months, str)
        assert len(months.split()) == 12
    files = {path.stem for path in (_CONSOLE / "languages").iterdir()}
    assert files == set(Language)
    for path in (_CONSOLE / "languages").iterdir():
        assert all(isinstance(section, dict) for section in tomllib.loads(path.read_text(encoding="utf-8")).values())


def _code_of(script: str) -> str:
    """A script without its comments."""
    return _COMMENT.sub("", script)


def _is_prose(literal: str, before: str) -> bool:
    """True when a person would read `literal`, which stands behind `before`."""
    plain = _PUNCTUATION.sub("", literal)
    if plain in _NO_PROSE or re.search(
        r"(class(Name)?( =|:)|throw new Error\(|querySelector(All)?\(|add\()\s*[^,\n]*$", before
    ):
        return False
    if re.search(r"\b(text|title|alt|placeholder|label|ariaLabel|textContent)(:| =)\s*$", before):
        return re.search(r"\w", plain) is not None
    return re.search(r"(?<![\w-])[A-Z][a-z]+(?![\w-])|\b[a-z]{2,} [a-z]{2,}\b|[^\x00-\x7f]", plain) is not None


def _prose_in(script: str) -> list[str]:
    return [text for text, before in _literals_in(_code_of(script)) if _is_prose(text, before)]


def _literals_in(code: str) -> Iterator[tuple[str, str]]:
    """Each literal without what is filled into it, and the code before it; then the literals in what is filled in."""
    place = 0
    while match := _LITERAL.search(code, place):
        before, place = code[max(0, match.start() - 80) : match.start()], match.end()
        if match[0] != "`":
            yield match[0][1:-1], before
            continue
        text, filled, depth = "", "", 0
        while depth or code[place] != "`":
            if depth == 0 and code.startswith("${", place):
                depth, place = 1, place + 2
                continue
            depth += {"{": 1, "}": -1}.get(code[place], 0) if depth else 0
            if depth == 0 and code[place] != "}":
                text += code[place]
            elif depth:
                filled += code[place]
            place += 1
        place += 1
        yield text, before
        yield from _literals_in(filled)


@pytest.mark.parametrize("path", _SCRIPTS, ids=lambda path: path.name)
def test_ok__no_text_stands_in_a_script(path: Path) -> None:
    assert _prose_in(path.read_text(encoding="utf-8")) == []


def test_ok__no_text_stands_in_the_page() -> None:
    page = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", _PAGE)
    for attribute in ("placeholder", "aria-label", "title", "alt"):
        assert re.findall(rf'\b{attribute}="[^"]*\w[^"]*"', page) == []
    assert re.findall(r">[^<]*\w[^<]*<", page) == []


@pytest.mark.parametrize(
    "script",
    [
        'make("p", { text: "saved" })',
        'say("Nothing was captured.");',
        "setText(line, `List ${ages}`);",
        'const KINDS = { still: "Still" };',
        'return "no patient";',
        "return 'noch nichts da';",
    ],
)
def test_fail__a_text_in_a_script_is_found(script: str) -> None:
    assert _prose_in(script)


def _keys_used() -> tuple[set[str], set[str]]:
    """Keys that are named whole, and what the others begin with, in scripts and page."""
    code = "\n".join(_code_of(path.read_text(encoding="utf-8")) for path in _SCRIPTS)
    whole = {found for found in re.findall(r'"([a-z]+\.\w+)"', code + _PAGE) if found in _ENGLISH.texts}
    asked = re.findall(r'\btext\(\s*"([^"]+)"', code) + re.findall(r'\{\{ text\("([^"]+)"\) \}\}', _PAGE)
    prefixes = set(re.findall(r"`([a-z]+\.[a-z_]*)\$\{", code))
    return whole | set(asked), prefixes


def test_ok__what_is_asked_for_is_there_and_what_is_there_is_asked_for() -> None:
    whole, prefixes = _keys_used()
    assert whole <= set(_ENGLISH.texts)
    for prefix in prefixes:
        assert any(key.startswith(prefix) for key in _ENGLISH.texts), prefix
    server = ("language.", "said.")
    unused = [key for key in set(_ENGLISH.texts) - whole if not key.startswith((*server, *prefixes))]
    assert unused == []


def test_ok__what_an_entry_may_lack_has_a_text() -> None:
    names = list(WorklistItem("ris", {}).missing())
    assert len(names) == 5
    for name in names:
        assert _ENGLISH.texts["lacking." + re.sub(r"\W+", "_", name.lower())] == name


def test_ok__every_reason_has_a_text() -> None:
    """English is what the reasons say by themselves, for the command line."""
    said = {key.removeprefix("reason."): text for key, text in _ENGLISH.texts.items() if key.startswith("reason.")}
    assert said == {reason.code: reason.sentence for reason in REASONS}


def test_fail__a_text_without_its_values_is_none_of_the_pages() -> None:
    assert isinstance(_ENGLISH, Catalogue)
    with pytest.raises(KeyError):
        _ENGLISH.text("nothing.here")
