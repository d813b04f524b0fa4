"""What stands in a line of an ESC/POS printer, which is printed when it is complete."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Item:
    """Something in a line: characters, or rows of dots, each `dx` × `dy` of the printer's."""

    width: int
    height: int
    text: str = ""
    rows: tuple[int, ...] = ()
    columns: int = 0
    dx: int = 1
    dy: int = 1
    is_underlined: bool = False

    @property
    def _look(self) -> tuple[int, int, bool]:
        return self.character_width, self.height, self.is_underlined

    @property
    def character_width(self) -> int:
        """0 if these are no characters."""
        return self.width // len(self.text) if self.text else 0

    def joined(self, behind: Item) -> Item | None:
        """This and what stands right behind it as one, if both are characters that look alike.

        So a line has as many things in it however its bytes came: each alone, or all of them at once.
        """
        if not (self.text and behind.text) or self._look != behind._look:
            return None
        return replace(self, width=self.width + behind.width, text=self.text + behind.text)
