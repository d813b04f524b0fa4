"""Which Specific Character Set an object or message carries (PS3.3 C.12.1.1.2, PS3.5 6.1).

The worklist's own where every text fits it, since that is what the hospital's systems read; otherwise UTF-8. What may
be written in a set is said here and not left to the codec: Python's are wider than DICOM's, and a library that meets a
character outside of the set writes a question mark in the patient's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from appliance.compose.rows import Presence, Row, Rows, generated, mwl

CHARACTER_SET: Rows = (
    Row("SpecificCharacterSet", "1C", Presence.ANAP, (mwl("SpecificCharacterSet"), generated("character_set"))),
)
"""What `set_character_set` adds, as a table for those who state it."""

UTF_8 = "ISO_IR 192"

# VRs whose values depend on (0008,0005): PS3.5 6.1.2.3.
_TEXT_VRS = frozenset({"SH", "LO", "ST", "LT", "PN", "UC", "UT"})


@dataclass(frozen=True, slots=True)
class _Repertoire:
    """The characters that `codec` writes with `begin` in front and in at most `width` bytes, but not `lacks`."""

    codec: str
    begin: bytes = b""
    width: int = 8
    lacks: str = ""

    def has(self, character: str) -> bool:
        if character in self.lacks:
            return False
        try:
            written = character.encode(self.codec)
        except UnicodeEncodeError:
            return False
        return written.startswith(self.begin) and len(written) <= self.width


_ASCII = _Repertoire("ascii")
# JIS X 0201 has the yen sign and the overline where ASCII has these; Python's codec also has the kanji.
_JIS_X_0201 = _Repertoire("shift_jis", width=1, lacks="\\~¥‾")
# Single-byte sets by the number in `ISO_IR n` and `ISO 2022 IR n` (PS3.3 Tables C.12-2 and C.12-3).
_SINGLE_BYTE = {
    "100": _Repertoire("iso8859_1"),
    "101": _Repertoire("iso8859_2"),
    "109": _Repertoire("iso8859_3"),
    "110": _Repertoire("iso8859_4"),
    "126": _Repertoire("iso8859_7"),
    "127": _Repertoire("iso8859_6"),
    "138": _Repertoire("iso8859_8"),
    "144": _Repertoire("iso8859_5"),
    "148": _Repertoire("iso8859_9"),
    "166": _Repertoire("tis_620"),
}
# What stands alone (PS3.3 Tables C.12-2 and C.12-5; of C.12-3 what has no one to switch to).
_ALONE = {
    "": _ASCII,
    "ISO_IR 6": _ASCII,
    UTF_8: _Repertoire("utf_8"),
    "GB18030": _Repertoire("gb18030"),
    "GBK": _Repertoire("gbk"),
    **{f"ISO_IR {number}": repertoire for number, repertoire in _SINGLE_BYTE.items()},
    "ISO 2022 IR 6": _ASCII,
    **{f"ISO 2022 IR {number}": repertoire for number, repertoire in _SINGLE_BYTE.items()},
    # Its katakana only with something to switch to: pydicom 3.0 cannot mix them with a space otherwise.
    "ISO_IR 13": _Repertoire("ascii", lacks="\\~"),
}
# What may be switched to: first a set of single bytes, behind it any of these (PS3.3 Tables C.12-3 and C.12-4).
# Chinese (ISO 2022 IR 58) is not here: pydicom 3.0 writes it without its escape sequence, and nobody can read it.
_FIRST = {
    "": _ASCII,
    "ISO 2022 IR 6": _ASCII,
    "ISO 2022 IR 13": _JIS_X_0201,
    **{f"ISO 2022 IR {number}": repertoire for number, repertoire in _SINGLE_BYTE.items()},
}
_FURTHER = {
    **_FIRST,
    "ISO 2022 IR 87": _Repertoire("iso2022_jp", b"\x1b$B"),
    "ISO 2022 IR 159": _Repertoire("iso2022_jp_2", b"\x1b$(D", width=9),
    "ISO 2022 IR 149": _Repertoire("euc_kr", width=2),
}


def written_terms() -> tuple[str, ...]:
    """Every defined term that an object or message of this box may carry."""
    return tuple(dict.fromkeys(term for term in (*_ALONE, *_FIRST, *_FURTHER) if term))


def set_character_set(dataset: Dataset, entries: Sequence[Dataset]) -> None:
    """Give `dataset` the first entry's character set if all of its texts fit, none if ASCII does, else UTF-8."""
    received = entries[0].get("SpecificCharacterSet") if entries else None
    terms = [received] if isinstance(received, str) else list(received or [])
    chosen = choose_character_set(dataset, terms)
    if any(chosen):
        dataset.SpecificCharacterSet = chosen


def choose_character_set(dataset: Dataset, terms: list[str]) -> list[str]:
    """The terms for `dataset`: `terms` if their repertoire holds every text; none if ASCII does; else UTF-8."""
    texts = [text for value in _values_of(dataset) for text in _groups_of(value)]
    # A name's first component group is written in the first set, without escape sequences (PS3.5 6.2.1.1).
    first = [text for value in _values_of(dataset) if isinstance(value, PersonName) for text in _groups_of(value)[:1]]
    alone = _repertoires_of(terms)[:1]
    if is_in_repertoire("".join(texts), terms) and all(_has(alone, character) for character in set("".join(first))):
        return terms
    return [UTF_8]


def is_in_repertoire(text: str, terms: list[str]) -> bool:
    """True when each character of `text` can be written in one of the sets that `terms` switch between."""
    repertoires = _repertoires_of(terms)
    return bool(repertoires) and all(_has(repertoires, character) for character in set(text))


def _repertoires_of(terms: list[str]) -> list[_Repertoire]:
    """What `terms` hold together; nothing for terms that are unknown or must not stand together."""
    if len(terms) <= 1:
        found = [_ALONE.get(term) for term in terms or [""]]
    else:
        found = [_FIRST.get(terms[0]), *(_FURTHER.get(term) for term in terms[1:])]
    return [one for one in found if one is not None] if None not in found else []


def _has(repertoires: list[_Repertoire], character: str) -> bool:
    return any(one.has(character) for one in repertoires)


def _groups_of(value: str | PersonName) -> tuple[str, ...]:
    return value.components if isinstance(value, PersonName) else (value,)


def _values_of(dataset: Dataset) -> Iterator[str | PersonName]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _values_of(item)
        elif element.VR in _TEXT_VRS and element.value is not None:
            values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
            yield from (value if isinstance(value, PersonName) else str(value) for value in values)
