"""Which Specific Character Set an object or message carries (PS3.3 C.12.1.1.2, PS3.5 6.1).

The worklist's own where every text fits it, since that is what the hospital's systems read; otherwise UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

UTF_8 = "ISO_IR 192"

# VRs whose values depend on (0008,0005): PS3.5 6.1.2.3.
_TEXT_VRS = frozenset({"SH", "LO", "ST", "LT", "PN", "UC", "UT"})


def set_character_set(dataset: Dataset, scheduled: Dataset) -> None:
    """Give `dataset` the worklist's character set if all of its texts fit, none if ASCII does, else UTF-8."""
    received = scheduled.get("SpecificCharacterSet")
    terms = [received] if isinstance(received, str) else list(received or [])
    chosen = choose_character_set(dataset, terms)
    if chosen:
        dataset.SpecificCharacterSet = chosen


def choose_character_set(dataset: Dataset, terms: list[str]) -> list[str]:
    """The terms for `dataset`: `terms` if their repertoire holds every text; none if ASCII does; else UTF-8."""
    texts = list(_texts_of(dataset))
    if all(is_in_repertoire(text, terms) for text in texts):
        return terms
    return [UTF_8]


def is_in_repertoire(text: str, terms: list[str]) -> bool:
    """True when each character of `text` can be written in one of the sets that `terms` switch between."""
    codecs = [_codec_of(term) for term in terms or [""]]
    if any(codec is None for codec in codecs):
        return False
    return all(any(codec is not None and _has(codec, character) for codec in codecs) for character in text)


def _codec_of(term: str) -> str | None:
    if term in ("", "ISO_IR 6", "ISO 2022 IR 6"):
        return "ascii"  # pydicom reads Latin-1 here to be lenient; what we write must be right
    return python_encoding.get(term)


def _has(codec: str, character: str) -> bool:
    if character == "\\":
        return True  # the separator of values is never part of one
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _texts_of(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts_of(item)
        elif element.VR in _TEXT_VRS and element.value is not None:
            values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
            yield from (_text_from(value) for value in values)


def _text_from(value: str | PersonName) -> str:
    return "=".join(value.components) if isinstance(value, PersonName) else str(value)
