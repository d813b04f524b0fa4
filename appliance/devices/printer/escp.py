"""ESC/P and ESC/P2: what dot-matrix printers of 9 and 24 pins understand, and the raster graphics of their successors.

Positions are counted in 1/21600 inch, of which every pitch and spacing of the language is a whole number. A command
that is not known has an unknown length: what follows it is passed over until the next ESC, or the end of the line.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.devices.printer.bits import RunLengths, row_from_bytes, rows_from_columns
from appliance.devices.printer.characters import DEFAULT_PAGE, CharacterTable
from appliance.devices.printer.decoder import ESC, PrinterDecoder, Wait
from appliance.devices.printer.page import Doubt
from appliance.devices.printer.paper import Paper

UNITS = 21600
_CHARACTER_HEIGHT = 11 * UNITS // 72

# ESC * m: dots to the inch across, bytes of a column, and down where that does not depend on the pins.
_MODES: dict[int, tuple[int, int, int]] = {
    0: (60, 1, 0),
    1: (120, 1, 0),
    2: (120, 1, 0),
    3: (240, 1, 0),
    4: (80, 1, 0),
    5: (72, 1, 0),
    6: (90, 1, 0),
    7: (144, 1, 0),
    32: (60, 3, 180),
    33: (120, 3, 180),
    38: (90, 3, 180),
    39: (180, 3, 180),
    40: (360, 3, 180),
    71: (180, 6, 360),
    72: (360, 6, 360),
    73: (360, 6, 360),
}
# ESC ( t: the code pages of a number.
_PAGES = {1: "cp437", 3: "cp850", 7: "cp860", 8: "cp863", 9: "cp865", 10: "cp852", 14: "cp866", 16: "latin-1"}
# Commands that change nothing here (fonts, speed, colours, bins): how many bytes follow them.
_IGNORED = {
    **dict.fromkeys(b"#<=>EFGHIOT4567;89", 0),
    **dict.fromkeys(b"%/NSUafikmpsqw\x19~y", 1),
    ord(":"): 3,
}
_RESYNC = b"\x1b\x0a\x0c\x0d"


class EscpDecoder(PrinterDecoder):
    """A printer of `pins` (9 or 24) pins."""

    def __init__(self, paper: Paper, pins: int) -> None:
        self._pins = pins
        self._feed = UNITS // (216 if pins == 9 else 180)
        self._pin = UNITS // (72 if pins == 9 else 60)
        super().__init__(paper)

    def _reset(self) -> None:
        self._spacing = UNITS // 6
        self._table = CharacterTable()
        self._pages: dict[int, str] = {}
        self._chosen = 1
        self._per_inch = 10.0
        self._pitch = 0  # of ESC c and ESC X, in place of characters per inch
        self._between = 0
        self._is_condensed = self._is_wide = self._is_wide_line = self._is_underlined = self._is_letter = False
        self._left = 0
        self._right: int | None = None
        self._top = 0
        self._tabs: list[int] | None = None
        self._unit: int | None = None
        self._densities = {ord("K"): 0, ord("L"): 1, ord("Y"): 2, ord("Z"): 3}

    def _command(self) -> Wait:
        byte = self._buffer[self._at]
        if byte == ESC:
            yield from self._escape()
        elif byte >= 0x20 and byte != 0x7F:
            self._print(self._take_text())
        else:
            self._at += 1
            self._control(byte)

    # -- text ----------------------------------------------------------------------------------------------------------

    def _width(self) -> int:
        """Of a character."""
        if self._pitch:
            width = self._pitch
        elif self._is_condensed:
            width = round(UNITS / {10.0: 120 / 7, 12.0: 20.0}.get(self._per_inch, self._per_inch))
        else:
            width = round(UNITS / self._per_inch)
        return (width + self._between) * (2 if self._is_wide or self._is_wide_line else 1)

    def _print(self, data: bytes) -> None:
        paper = self.paper
        right = paper.width_units if self._right is None else min(self._right, paper.width_units)
        text = self._table.text_from(data)
        while text:
            paper.begin()  # again for each part: the line in front of it may have ended the page
            width = max(1, self._width())
            fitting = (right - paper.x) // width
            if fitting < 1 and paper.x > self._left:
                self._new_line()
                continue
            fitting = max(1, fitting)
            paper.write(text[:fitting], width, _CHARACTER_HEIGHT, is_underlined=self._is_underlined)
            text = text[fitting:]

    def _new_line(self) -> None:
        self.paper.move_to(self._left)
        self.paper.advance(self._spacing)
        self._is_wide_line = False

    def _control(self, byte: int) -> None:
        paper = self.paper
        match byte:
            case 0x08:
                paper.move_to(paper.x - self._width())
            case 0x09:
                self._tabulate()
            case 0x0A | 0x0B:
                self._new_line()
            case 0x0C:
                paper.eject()
                self._home()
            case 0x0D:
                paper.move_to(self._left)
                self._is_wide_line = False
            case 0x0E:
                self._is_wide_line = True
            case 0x0F:
                self._is_condensed = True
            case 0x12:
                self._is_condensed = False
            case 0x14:
                self._is_wide_line = False

    def _home(self) -> None:
        self.paper.move_to(self._left)
        self.paper.advance_to(self._top)
        self._is_wide_line = False

    def _tabulate(self) -> None:
        """Without tabs of its own a printer has one at every eighth character."""
        width = self._width()
        tabs = range(8 * width, self.paper.width_units, 8 * width) if self._tabs is None else self._tabs
        for tab in tabs:
            if self._left + tab > self.paper.x:
                self.paper.move_to(self._left + tab)
                return

    # -- commands ------------------------------------------------------------------------------------------------------

    def _escape(self) -> Wait:
        yield from self._skip(1)
        code = yield from self._take_byte()
        if code == ord("@"):
            self.paper.reset()
            self._reset()
            return
        self.paper.begin()
        if code in _SET:
            count, act = _SET[code]
            given = yield from self._take(count)
            act(self, given)
        elif code in _IGNORED:
            yield from self._skip(_IGNORED[code])
        elif code in _LONG:
            yield from _LONG[code](self)
        else:
            self.paper.note_skipped(bytes((ESC, code)))
            yield from self._skip_until(_RESYNC)

    def _set_spacing(self, units: int) -> None:
        self._spacing = units

    def _set_pitch(self, per_inch: float) -> None:
        self._per_inch, self._pitch = per_inch, 0

    def _choose(self, bits: int) -> None:
        """ESC !: the most usual choices at once."""
        self._set_pitch(12.0 if bits & 0x01 else 10.0)
        self._is_condensed, self._is_wide, self._is_underlined = bool(bits & 0x04), bool(bits & 0x20), bool(bits & 0x80)

    def _assign_table(self, table: int, page: int) -> None:
        """ESC ( t: table n of ESC t is from now on this code page."""
        self._pages[table & 0x0F] = _PAGES.get(page, DEFAULT_PAGE)
        self._choose_table(self._chosen)

    def _choose_table(self, table: int) -> None:
        """ESC t, a number or its digit."""
        self._chosen = table & 0x0F
        self._table.page = self._pages.get(self._chosen, DEFAULT_PAGE)

    def _set_between(self, count: int) -> None:
        self._between = count * UNITS // (180 if self._is_letter else 120)

    def _set_left(self, columns: int) -> None:
        self._left = columns * self._width()
        self.paper.move_to(self._left)

    def _set_right(self, columns: int) -> None:
        self._right = columns * self._width() or None

    def _set_scalable(self, given: bytes) -> None:
        if given[0] >= 5:
            self._pitch = given[0] * UNITS // 360

    def _move_across(self, count: int) -> None:
        self.paper.move_to(self._left + count * (self._unit or UNITS // 60))

    def _move_aside(self, count: int) -> None:
        """ESC \\ with a signed count."""
        unit = self._unit or UNITS // (180 if self._is_letter else 120)
        self.paper.move_to(self.paper.x + (count - 0x10000 if count > 0x7FFF else count) * unit)

    def _redefine(self, given: bytes) -> None:
        if given[0] in self._densities:
            self._densities[given[0]] = given[1]

    def _set_page_length(self) -> Wait:
        """ESC C: lines, or 0 and inches. The paper that is configured stays."""
        lines = yield from self._take_byte()
        if lines == 0:
            yield from self._skip(1)

    def _set_tabs(self) -> Wait:
        width = self._width()
        tabs: list[int] = []
        while (column := (yield from self._take_byte())) and len(tabs) < 32:
            tabs.append(column * width)
        self._tabs = tabs

    def _skip_vertical_tabs(self, channel: int) -> Wait:
        """ESC B, or ESC b with a channel in front of the lines."""
        yield from self._skip(channel)
        for _ in range(17):
            if not (yield from self._take_byte()):
                return

    def _skip_characters(self) -> Wait:
        """ESC &: a user's own characters; they are printed as the font has them."""
        _, first, last = yield from self._take(3)
        for _ in range(first, last + 1):
            if self._pins == 9:
                yield from self._skip(12)
            else:
                _, columns, _ = yield from self._take(3)
                yield from self._skip(3 * columns)
        self.paper.note_skipped(b"\x1b&")

    # -- dots ----------------------------------------------------------------------------------------------------------

    def _take_image(self, code: int = ord("*")) -> Wait:
        """ESC * m nL nH, and ESC K, L, Y, Z, which stand for a mode."""
        mode = (yield from self._take_byte()) if code == ord("*") else self._densities[code]
        count = yield from self._take_word()
        if mode not in _MODES:
            self.paper.note_skipped(bytes((ESC, code, mode)))
            yield from self._skip_until(_RESYNC)
            return
        across, stride, down = _MODES[mode]
        data = yield from self._take(count * stride)
        self._paint(data, count, 8 * stride, UNITS // across, UNITS // down if down else self._pin)

    def _take_nine(self) -> Wait:
        """ESC ^: columns of nine dots in two bytes."""
        mode = yield from self._take_byte()
        count = yield from self._take_word()
        data = yield from self._take(2 * count)
        across = _MODES.get(mode, _MODES[0])[0]
        self._paint(data, count, 9, UNITS // across, self._pin)

    def _paint(self, data: bytes, columns: int, dots: int, dx: int, dy: int) -> None:
        self.paper.paint(rows_from_columns(data, dots), columns, dx, dy)
        self.paper.move_to(self.paper.x + columns * dx)

    def _take_raster(self) -> Wait:
        """ESC . c v h m nL nH: rows of dots, plain or packed."""
        packing, down, across, height = yield from self._take(4)
        columns = yield from self._take_word()
        if packing > 1:
            self.paper.note_skipped(b"\x1b.%c" % packing)
            yield from self._skip_until(_RESYNC)
            return
        dx, dy = max(1, across) * UNITS // 3600, max(1, down) * UNITS // 3600
        stride = -(-columns // 8)
        packed = RunLengths()
        rows: list[int] = []
        while stride and len(rows) < height:
            if packing == 0:
                row = yield from self._take(stride)
            else:
                while len(packed.data) < stride:
                    given = yield from self._take(packed.wanted)
                    packed.put(given)
                row = bytes(packed.data[:stride])
                del packed.data[:stride]
            rows.append(row_from_bytes(row, columns))
        self.paper.paint(rows, columns, dx, dy, weave=height * dy)
        self.paper.move_to(self.paper.x + columns * dx)

    def _take_extended(self) -> Wait:
        """ESC ( x nL nH: commands that say how long they are."""
        name = yield from self._take_byte()
        count = yield from self._take_word()
        if name == ord("^"):  # any byte is a character here
            data = yield from self._take(count)
            self._print(data)
            return
        given = yield from self._take(min(count, 16))
        yield from self._skip(count - len(given))
        word = int.from_bytes(given[:2], "little")
        match chr(name), len(given):
            case ("U", 1) if given[0]:
                self._unit = given[0] * UNITS // 3600
            case ("V", 2):
                self.paper.advance_to(self._top + word * self._vertical_unit)
            case ("v", 2):
                self.paper.advance((word - 0x10000 if word > 0x7FFF else word) * self._vertical_unit)
            case ("c", 4):
                self._top = word * self._vertical_unit
                if not self.paper.has_ink:
                    self._home()
            case ("t", 3):
                self._assign_table(given[0], given[1])
            case ("-", 3):
                self._is_underlined = given[1] == 1 and given[2] not in (0, 4)
            case _ if chr(name) not in "GCiKRedDSmsn":
                self.paper.note_skipped(b"\x1b(%c" % name)

    @property
    def _vertical_unit(self) -> int:
        return self._unit or UNITS // 360

    def _note_colour(self, number: int) -> None:
        if number % 16:
            self.paper.doubt(Doubt.COLOUR)


# Short commands: how many bytes follow, and what they do.
_Act = Callable[[EscpDecoder, bytes], object]
_SET: dict[int, tuple[int, _Act]] = {
    ord("0"): (0, lambda it, _: it._set_spacing(UNITS // 8)),
    ord("1"): (0, lambda it, _: it._set_spacing(7 * UNITS // 72)),
    ord("2"): (0, lambda it, _: it._set_spacing(UNITS // 6)),
    ord("3"): (1, lambda it, given: it._set_spacing(given[0] * it._feed)),
    ord("A"): (1, lambda it, given: it._set_spacing(given[0] * it._pin)),
    ord("+"): (1, lambda it, given: it._set_spacing(given[0] * UNITS // 360)),
    ord("J"): (1, lambda it, given: it.paper.advance(given[0] * it._feed)),
    ord("j"): (1, lambda it, given: it.paper.advance(-given[0] * it._feed)),
    ord("$"): (2, lambda it, given: it._move_across(int.from_bytes(given, "little"))),
    ord("\\"): (2, lambda it, given: it._move_aside(int.from_bytes(given, "little"))),
    ord("P"): (0, lambda it, _: it._set_pitch(10.0)),
    ord("M"): (0, lambda it, _: it._set_pitch(12.0)),
    ord("g"): (0, lambda it, _: it._set_pitch(15.0)),
    ord("c"): (2, lambda it, given: setattr(it, "_pitch", int.from_bytes(given, "little") * UNITS // 360)),
    ord("X"): (3, lambda it, given: it._set_scalable(given)),
    ord(" "): (1, lambda it, given: it._set_between(given[0])),
    ord("!"): (1, lambda it, given: it._choose(given[0])),
    ord("-"): (1, lambda it, given: setattr(it, "_is_underlined", given[0] in b"1\x01")),
    ord("W"): (1, lambda it, given: setattr(it, "_is_wide", given[0] in b"1\x01")),
    ord("x"): (1, lambda it, given: setattr(it, "_is_letter", given[0] in b"1\x01")),
    0x0E: (0, lambda it, _: setattr(it, "_is_wide_line", True)),
    0x0F: (0, lambda it, _: setattr(it, "_is_condensed", True)),
    0x0A: (0, lambda it, _: it.paper.advance(-it._spacing)),
    ord("l"): (1, lambda it, given: it._set_left(given[0])),
    ord("Q"): (1, lambda it, given: it._set_right(given[0])),
    ord("R"): (1, lambda it, given: it._table.choose_country(given[0])),
    ord("t"): (1, lambda it, given: it._choose_table(given[0])),
    ord("r"): (1, lambda it, given: it._note_colour(given[0])),
    ord("?"): (2, lambda it, given: it._redefine(given)),
}
_LONG: dict[int, Callable[[EscpDecoder], Wait]] = {
    ord("*"): EscpDecoder._take_image,
    ord("K"): lambda it: it._take_image(ord("K")),
    ord("L"): lambda it: it._take_image(ord("L")),
    ord("Y"): lambda it: it._take_image(ord("Y")),
    ord("Z"): lambda it: it._take_image(ord("Z")),
    ord("^"): EscpDecoder._take_nine,
    ord("."): EscpDecoder._take_raster,
    ord("("): EscpDecoder._take_extended,
    ord("C"): EscpDecoder._set_page_length,
    ord("D"): EscpDecoder._set_tabs,
    ord("B"): lambda it: it._skip_vertical_tabs(0),
    ord("b"): lambda it: it._skip_vertical_tabs(1),
    ord("&"): EscpDecoder._skip_characters,
}
