"""A line that came over SSH, cut into words: a shell's quoting, and nothing else that a shell does.

Nothing is expanded, replaced, joined or redirected. What would mean something to a shell outside of quotes is refused,
so that nobody believes that it does here. The words go to argparse in this process: no shell ever sees them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

from appliance.base.errors import ApplianceError

LONGEST_LINE = 16_384
# Controls, halves of characters (bytes that are no UTF-8), and ends of lines.
_UNTYPED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BLANK: Final = frozenset(" \t")
# What cuts, joins, redirects or replaces in a shell where it is not quoted (POSIX 2.2, 2.6). A star is but a star here.
_MEANINGFUL: Final = frozenset("|&;<>()$`")
# Inside of double quotes (POSIX 2.2.3).
_ESCAPED_IN_QUOTES: Final = frozenset('$`"\\')


def words_from(line: str) -> list[str]:
    """The words of `line`. ApplianceError: too long, an open quote, or something that only a shell understands."""
    if len(line) > LONGEST_LINE:
        raise ApplianceError(f"The command is longer than {LONGEST_LINE} characters.")
    if any(letter != "\t" and unicodedata.category(letter) in _UNTYPED for letter in line):
        raise ApplianceError("The command holds a character that nobody types.", "Type it anew, on one line.")
    words: list[str] = []
    word: str | None = None  # None between two words; "" is a word that was quoted
    rest = iter(line)
    for letter in rest:
        if letter in _BLANK:
            if word is not None:
                words.append(word)
            word = None
        elif letter == "'":
            word = (word or "") + _until_quote(rest)
        elif letter == '"':
            word = (word or "") + _until_double_quote(rest)
        elif letter == "\\":
            word = (word or "") + _next_of(rest)
        elif letter in _MEANINGFUL:
            raise ApplianceError(
                f"This is no shell: {letter} means nothing here.", f"If it is meant, quote it: '{letter}'"
            )
        else:
            word = (word or "") + letter
    return words if word is None else [*words, word]


def _until_quote(rest: Iterator[str]) -> str:
    found = ""
    for letter in rest:
        if letter == "'":
            return found
        found += letter
    raise ApplianceError("A quote ' is not closed.")


def _until_double_quote(rest: Iterator[str]) -> str:
    found = ""
    for letter in rest:
        if letter == '"':
            return found
        if letter == "\\":
            escaped = _next_of(rest)
            found += escaped if escaped in _ESCAPED_IN_QUOTES else "\\" + escaped
        else:
            found += letter
    raise ApplianceError('A quote " is not closed.')


def _next_of(rest: Iterator[str]) -> str:
    letter = next(rest, None)
    if letter is None:
        raise ApplianceError("The command ends in a backslash.")
    return letter
