"""One word for one thing, in each language: on the page, and in what the box's parts say."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from appliance.config.schema import Language
from appliance.console.catalogue import Text, load_catalogue
from appliance.console.sentences import load_sentences

_OTHERS = sorted(set(Language) - {Language.ENGLISH})
# The three yeses are never mixed, in no language: what is *stored* is not called *saved*, nor *committed* confirmed.
_SAVED = {"de": "gespeichert", "fr": "enregistr", "es": "guardad", "ja": "保存", "ar": "حُفظ|محفوظ|[يت]ُحفظ"}
_CONFIRMED = {"de": "bestätigt", "fr": "confirm", "es": "confirm", "ja": "確認", "ar": "تأكيد|تُؤكد|مؤكد"}
# What has two names in English has two in the others, and what has one has one.
_THINGS = {
    r"\bmachines?\b": {"de": "Gerät", "fr": "machine", "es": "máquina", "ja": "装置", "ar": "آل[ةا]"},
    r"\barchives?\b": {"de": "Archiv", "fr": "archive", "es": "archivo", "ja": "保管先", "ar": "أرشيف"},
    r"\bclips?\b": {"de": "Clip", "fr": "clip", "es": "clip", "ja": "動画|録画", "ar": "مقطع|مقاطع|مقطعا"},
    r"\bunassigned\b": {"de": "ohne P", "fr": "sans p", "es": "sin p", "ja": "未割当", "ar": "بلا مريض"},
    r"\bbox\b": {"de": "Box", "fr": "boîtier", "es": "equipo", "ja": "本体", "ar": "جهاز"},
}  # fmt: skip
# The same thing by another name, which is another thing's or nobody's.
_NEVER = {
    "en": r"\bobjects?\b|\bexaminations?\b",
    "de": r"\bObjekte?\b",
    "fr": r"\bobjets?\b",
    "es": r"\bobjetos?\b|\bEquipos\b",
    "ja": "アーカイブ|クリップ|機器|フラッシュ|オブジェクト",
    "ar": "الجهاز القديم|كائن",
}


def _forms(text: Text) -> str:
    return text if isinstance(text, str) else " | ".join(text.values())


def _translated(language: Language) -> Iterator[tuple[str, str]]:
    """English and the language's words: of the page, and of what the parts say."""
    own = load_catalogue(language).texts
    for key, english in load_catalogue(Language.ENGLISH).texts.items():
        yield _forms(english), _forms(own[key])
    for english, text in load_sentences(language).items():
        yield english, text if isinstance(text, str) else " | ".join(text.values())


@pytest.mark.parametrize("language", _OTHERS)
def test_ok__the_three_yeses_are_three(language: Language) -> None:
    mixed = []
    for english, words in _translated(language):
        said = re.sub(r"\{\w+\}", "", english)
        if re.search(r"\bstor(ed|es)\b", said) and not re.search(r"\b(saved?|kept|record)", said):
            mixed += [(english, words)] if re.search(_SAVED[language], words) else []
        if re.search(r"\bcommit", said) and not re.search(r"\bconfirm|\bcheck", said):
            mixed += [(english, words)] if re.search(_CONFIRMED[language], words) else []
    assert mixed == []


@pytest.mark.parametrize("language", Language)
def test_ok__nothing_on_the_page_has_a_second_name(language: Language) -> None:
    texts = {key: _forms(text) for key, text in load_catalogue(language).texts.items()}
    assert {key: words for key, words in texts.items() if re.search(_NEVER[language], words)} == {}


@pytest.mark.parametrize("language", _OTHERS)
def test_ok__the_page_calls_each_thing_by_its_name(language: Language) -> None:
    own = load_catalogue(language).texts
    wrong = []
    for key, english in load_catalogue(Language.ENGLISH).texts.items():
        for thing, names in _THINGS.items():
            if re.search(thing, _forms(english), re.IGNORECASE) and not re.search(
                names[language], _forms(own[key]), re.IGNORECASE
            ):
                wrong.append((key, thing, _forms(own[key])))
    assert [one for one in wrong if one[:2] not in _SHORT] == []


# On a button of 48 pixels, or where nothing else can be meant.
_SHORT: set[tuple[str, str]] = {
    *(("light.erase_on", r"\bmachines?\b"), ("light.erase_off", r"\bmachines?\b")),
    *(("ending.nowhere", r"\barchives?\b"), ("unscheduled.id_hint", r"\bbox\b")),
}


def test_ok__kinds_are_told_apart() -> None:
    """What the strip calls its tiles stands for one kind each."""
    for language in Language:
        kinds = [_forms(text) for key, text in load_catalogue(language).texts.items() if key.startswith("kind.")]
        assert len(set(kinds)) == len(kinds) == 7, language


@pytest.mark.parametrize("language", _OTHERS)
def test_ok__a_sentence_names_a_button_as_the_button_is_called(language: Language) -> None:
    english, own = load_catalogue(Language.ENGLISH).texts, load_catalogue(language).texts
    labels = {_forms(english[key]): _forms(own[key]) for key in ("queue.retry", "exam.scan")}
    named = [
        (words, labels[label])
        for said, words in _translated(language)
        for label in labels
        if re.search(rf"\bpress {label}\b", said)
    ]
    assert len(named) >= 5
    assert [one for one in named if one[1] not in one[0]] == []
