"""The paper in a virtual printer: where the print head stands, where one page ends and the next begins, and the limits.

Cut sheets and fanfold have a height: what is printed below a page's end stands on the next page. Paper from a roll has
none: a page is as long as what was printed on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.devices.printer.canvas import Canvas
from appliance.devices.printer.page import Began, Doubt, Ended, Event, Page, Refusal, Refused
from appliance.devices.printer.text import COLUMNS, ROWS, Printed, cells_of, text_from

_MOST_CHARACTERS = 20_000
# Of a page's text, with what a reader of it may put in front.
_MOST_TEXT = 9_000
_MOST_SKIPPED = 16
_SKIPPED_BYTES = 8


@dataclass(frozen=True, slots=True)
class PaperSize:
    """In millimetres, with the resolution of the pages; `height_mm` is 0 for a roll. `max_pixels` bounds every page.

    `max_pages` is how many may follow one another before the machine has paused.
    """

    width_mm: float
    height_mm: float
    dpi: int
    max_pixels: int
    max_pages: int

    @property
    def width(self) -> int:
        """Pixels."""
        return max(1, round(self.width_mm * self.dpi / 25.4))

    @property
    def height(self) -> int:
        """Pixels; of a roll as many as there may be, less those of a band of dots that begins on the last of them."""
        most = self.most_rows(self.width)
        if self.height_mm:
            return min(most, max(1, round(self.height_mm * self.dpi / 25.4)))
        return most - min(self.overhang, most // 2)

    @property
    def overhang(self) -> int:
        """Pixels below a page's end: a band of dots that begins above it is kept whole. Print heads are less high."""
        return self.dpi // 4

    def most_rows(self, width: int) -> int:
        """How many rows of so many pixels a page may have."""
        return max(1, self.max_pixels // width)


class Paper:
    """`x` and `y` are where the head stands on the page, in units, `units` to the inch; both are never negative."""

    def __init__(self, size: PaperSize, units: int) -> None:
        self.units = units
        self.x = 0
        self.y = 0
        self._size = size
        self._width, self._height = size.width, size.height
        self._units_high = self._height * units // size.dpi
        self._pages = 0
        self._events: list[Event] = []
        self._begin_page()
        self._is_begun = False

    @property
    def has_ink(self) -> bool:
        return self._has_ink

    @property
    def width_units(self) -> int:
        return self._width * self.units // self._size.dpi

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def begin(self) -> None:
        """A byte came that may belong to a page, or ink behind the end of the page before."""
        if not self._is_begun:
            self._is_begun = True
            self._events.append(Began())

    def doubt(self, doubt: Doubt) -> None:
        self._doubts.add(doubt)

    def note_skipped(self, command: bytes) -> None:
        """A command that is not known was passed over; only its beginning is given here, never what it carried."""
        self._doubts.add(Doubt.UNKNOWN)
        if len(self._skipped) < _MOST_SKIPPED:
            self._skipped.append(command[:_SKIPPED_BYTES])

    def move_to(self, x: int) -> None:
        """Put the head `x` units from the left edge, at most behind the right one."""
        self.x = max(0, min(x, self.width_units))

    def advance(self, units: int) -> None:
        """Move the paper up by `units`, backwards if negative, and on to the next page where this one ends."""
        self.y = max(0, self.y + units)
        if self.y >= self._units_high:
            if self._has_ink and not self._size.height_mm:
                self._doubts.add(Doubt.FULL)
            rest = self.y % self._units_high
            self.eject()
            self.y = rest

    def advance_to(self, y: int) -> None:
        self.advance(y - self.y)

    def place_at(self, y: int) -> None:
        """Put the head `y` units from the upper edge, below the lower one too: the page does not end by it."""
        self.y = max(0, min(y, 2 * self._units_high))

    def is_below(self, units: int) -> bool:
        """Whether the page would have ended `units` further down."""
        return self.y + units > self._units_high

    def rows_below(self, pitch: int) -> int:
        """How many rows of dots, `pitch` units high, fit between the head and the page's end, and one more."""
        return max(0, self._units_high - self.y) // max(1, pitch) + 1

    def fill(self, width: int, height: int) -> None:
        """A rectangle of ink, from where the head stands."""
        if width > 0 and height > 0:
            self._mark()
            self._canvas.stamp((1,), 1, self.x, self.y, width, height)

    def _mark(self) -> None:
        self.begin()
        self._has_ink = True

    def paint(self, rows: Sequence[int], columns: int, dx: int, dy: int, *, weave: int | None = None) -> None:
        """Dots with their upper left corner where the head stands, which stays there; as `Canvas.paint`."""
        if columns and any(rows):
            self._mark()
            self._canvas.paint(rows, columns, self.x, self.y, dx, dy, weave=weave)

    def write(self, text: str, width: int, height: int, *, is_underlined: bool = False) -> None:
        """Characters in cells of `width` × `height` units; the head moves behind them, at most to the right edge."""
        here = max(0, -((self.x - self.width_units) // width))
        beyond, text = text[here:], text[:here]
        if beyond.strip() or (beyond and is_underlined):
            self._mark()
            self._doubts.add(Doubt.CUT)
        if not text:
            return
        if width % COLUMNS and len(text) > 1:
            for character in text:
                self.write(character, width, height, is_underlined=is_underlined)
            return
        if text.strip() or is_underlined:
            self._mark()
            columns = COLUMNS * len(text)
            rows = [int("".join(cells), 2) for cells in zip(*map(cells_of, text), strict=True)]
            if is_underlined:
                rows[-1] = (1 << columns) - 1
            self._canvas.stamp(rows, columns, self.x, self.y, max(1, width // COLUMNS), max(1, height // ROWS))
            places = range(self.x, self.x + len(text) * width, width)
            said = [Printed(self.y, x, width, one) for x, one in zip(places, text, strict=True) if one != " "]
            room = _MOST_CHARACTERS - len(self._printed)
            if len(said) > room:
                self._doubts.add(Doubt.TEXT_CUT)
            self._printed += said[:room]
        self.move_to(self.x + len(text) * width)

    def eject(self) -> None:
        """End the page; the head stands at the beginning of the next."""
        if self._is_begun:
            self._events.append(self._ended())
        self._begin_page()

    def reset(self) -> None:
        """The printer is reset: what is printed ends here; what has only begun goes on, on an empty page."""
        is_begun = self._is_begun and not self._has_ink and not self._doubts
        if not is_begun:
            self.eject()
        self._begin_page()
        self._is_begun = is_begun

    def end_job(self) -> None:
        """The machine pauses: end the page, and count the next ones anew."""
        self.eject()
        self._pages = 0

    def turn(self, is_landscape: bool) -> None:
        """Put the sheet in sideways or upright; without effect when something is printed on it already."""
        size = self._size
        if not self._has_ink and size.height_mm:
            self._width, self._height = (size.height, size.width) if is_landscape else (size.width, size.height)
            self._units_high = self._height * self.units // size.dpi
            self._canvas = self._blank()
            # The head may stand where this sheet has no place any more.
            self.move_to(self.x)
            self.place_at(self.y)

    def _ended(self) -> Event:
        if not self._has_ink:
            return Refused(Refusal.NOT_DRAWN) if Doubt.NOT_DRAWN in self._doubts else Ended(None)
        if self._pages >= self._size.max_pages:
            return Refused(Refusal.TOO_MANY)
        self._pages += 1
        canvas = self._canvas
        inked = canvas.finish()
        if canvas.is_cut:
            self._doubts.add(Doubt.CUT)
        if canvas.is_merged:
            self._doubts.add(Doubt.MERGED)
        text = text_from(self._printed)
        if len(text) > _MOST_TEXT:
            self._doubts.add(Doubt.TEXT_CUT)
        height = max(inked, self._height if self._size.height_mm else 1)
        return Ended(
            Page(
                width=canvas.width,
                height=height,
                dpi=canvas.dpi,
                packed=canvas.packed(height),
                text=text[:_MOST_TEXT],
                doubts=frozenset(self._doubts),
                skipped=tuple(self._skipped),
            )
        )

    def _begin_page(self) -> None:
        self.x = self.y = 0
        self._is_begun = False
        self._has_ink = False
        self._canvas = self._blank()
        self._printed: list[Printed] = []
        self._doubts: set[Doubt] = set()
        self._skipped: list[bytes] = []

    def _blank(self) -> Canvas:
        size = self._size
        height = min(self._height + size.overhang, size.most_rows(self._width))
        return Canvas(self._width, height, size.dpi, self.units)
