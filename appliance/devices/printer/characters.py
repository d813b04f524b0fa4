"""Which character a printed byte is: code pages, and the national characters in place of some of ASCII's."""

from __future__ import annotations

# ESC R n of ESC/P and ESC/POS: what stands in place of these twelve.
_REPLACED = "#$@[\\]^`{|}~"
_NATIONAL = (
    "#$@[\\]^`{|}~",  # USA
    "#$à°ç§^`éùè¨",  # France
    "#$§ÄÖÜ^`äöüß",  # Germany
    "£$@[\\]^`{|}~",  # United Kingdom
    "#$@ÆØÅ^`æøå~",  # Denmark
    "#¤ÉÄÖÅÜéäöåü",  # Sweden
    "#$@°\\é^ùàòèì",  # Italy
    "₧$@¡Ñ¿^`¨ñ}~",  # Spain
    "#$@[¥]^`{|}~",  # Japan
    "#¤ÉÆØÅÜéæøåü",  # Norway
    "#$ÉÆØÅÜéæøåü",  # Denmark II
    "#$á¡Ñ¿é`íñóú",  # Spain II
    "#$á¡Ñ¿éüíñóú",  # Latin America
)
DEFAULT_PAGE = "cp437"


class CharacterTable:
    """A code page with a country's characters. Bytes without a meaning become spaces."""

    def __init__(self) -> None:
        self.page = DEFAULT_PAGE
        self._replaced: dict[int, int] = {}

    def choose_country(self, number: int) -> None:
        """As ESC R says it; a number that is not known changes nothing."""
        if number < len(_NATIONAL):
            self._replaced = str.maketrans(_REPLACED, _NATIONAL[number])

    def text_from(self, data: bytes) -> str:
        """One character for each byte."""
        text = data.decode(self.page, errors="replace").translate(self._replaced)
        return "".join(character if character.isprintable() and character != "�" else " " for character in text)
