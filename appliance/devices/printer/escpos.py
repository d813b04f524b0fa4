"""ESC/POS: what printers of rolls understand. Text and raster graphics; each cut of the paper ends a page.

Everything is counted in dots, which are the page's pixels. A line is printed when it is complete, since it may stand in
the middle or at the right; it is as high as the highest thing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from appliance.devices.printer.bits import row_from_bytes, rows_from_columns
from appliance.devices.printer.characters import DEFAULT_PAGE, CharacterTable
from appliance.devices.printer.decoder import ESC, PrinterDecoder, Wait
from appliance.devices.printer.escpos_ignored import (
    IGNORED_DC4,
    IGNORED_DLE,
    IGNORED_ESC,
    IGNORED_FS,
    IGNORED_GS,
)
from appliance.devices.printer.escpos_line import Item
from appliance.devices.printer.page import Doubt
from appliance.devices.printer.paper import Paper

GS, FS, DLE = 0x1D, 0x1C, 0x10
_FONT_A, _FONT_B = (12, 24), (9, 17)
_CODE_PAGES = {0: "cp437", 2: "cp850", 3: "cp860", 4: "cp863", 5: "cp865", 16: "cp1252", 17: "cp866", 18: "cp852"}
_CODE_PAGES |= {19: "cp858"}
# ESC * m: dots of a column, and how many of the printer's dots each one is, across and down.
_MODES = {0: (8, 2, 3), 1: (8, 1, 3), 32: (24, 2, 1), 33: (24, 1, 1)}
_RESYNC = b"\x1b\x0a\x0c\x1c\x1d"
# A line with more things than this is printed as far as it came.
_MOST_ITEMS = 512
# Rows of a stored picture that wait to be printed together take at most so many bytes.
_MOST_STORED = 4 << 20


class EscposDecoder(PrinterDecoder):
    """A printer of rolls. The paper's unit is one dot."""

    def __init__(self, paper: Paper, dpi: int) -> None:
        self._usual_spacing = dpi // 6
        super().__init__(paper)

    def _reset(self) -> None:
        self._table = CharacterTable()
        self._spacing = self._usual_spacing
        self._font = _FONT_A
        self._wide = self._high = 1
        self._is_underlined = False
        self._between = 0
        self._justified = 0
        self._left = 0
        self._area: int | None = None
        self._tabs: list[int] | None = None
        self._stored: tuple[list[int], int, int, int] | None = None
        self._clear_line()

    def _clear_line(self) -> None:
        self._line: list[tuple[int, Item]] = []
        self._x = 0  # in the line

    def _flush(self) -> None:
        if self._line:
            self._end_line(self._spacing)

    def _command(self) -> Wait:
        byte = self._buffer[self._at]
        if byte in _INTRODUCERS:
            yield from _INTRODUCERS[byte](self)
        elif byte >= 0x20 and byte != 0x7F:
            self._print(self._take_text())
        else:
            self._at += 1
            self._control(byte)

    def _control(self, byte: int) -> None:
        match byte:
            case 0x09:
                self._tabulate()
            case 0x0A:
                self._end_line(self._spacing)
            case 0x0C:
                self._cut()

    # -- lines ---------------------------------------------------------------------------------------------------------

    @property
    def _room(self) -> int:
        """How wide a line may be."""
        room = self.paper.width_units - self._left
        return max(1, room if self._area is None else min(room, self._area))

    def _print(self, data: bytes) -> None:
        width, height = self._font[0] * self._wide + self._between, self._font[1] * self._high
        text = self._table.text_from(data)
        while text:
            self.paper.begin()  # again for each part: the line in front of it may have ended the page
            fitting = (self._room - self._x) // width
            if fitting < 1 and self._line:
                self._end_line(self._spacing)
                continue
            fitting = max(1, fitting)
            part, text = text[:fitting], text[fitting:]
            self._add(Item(len(part) * width, height, text=part, is_underlined=self._is_underlined))

    def _add(self, item: Item) -> None:
        x, last = self._line[-1] if self._line else (0, None)
        if last is not None and x + last.width == self._x and (joined := last.joined(item)):
            self._line[-1] = x, joined
        else:
            self._line.append((self._x, item))
        self._x += item.width
        if len(self._line) >= _MOST_ITEMS or self._x > 4 * self._room:
            self._end_line(self._spacing)

    def _end_line(self, spacing: int) -> None:
        """Print the line and move the paper by `spacing`, or by the height of the line if that is more."""
        paper, line = self.paper, self._line
        spare = max(0, self._room - max((x + item.width for x, item in line), default=0))
        start = self._left + (spare // 2 if self._justified == 1 else spare if self._justified == 2 else 0)
        for x, item in line:
            paper.move_to(start + x)
            if item.text:
                paper.write(item.text, item.character_width, item.height, is_underlined=item.is_underlined)
            else:
                paper.paint(item.rows, item.columns, item.dx, item.dy)
        height = max((item.height for _, item in line), default=0)
        self._clear_line()
        paper.move_to(0)
        paper.advance(max(spacing, height) if spacing or line else 0)

    def _cut(self) -> None:
        self._flush()
        self.paper.eject()

    def _tabulate(self) -> None:
        width = self._font[0] * self._wide
        tabs = range(8 * width, self._room, 8 * width) if self._tabs is None else self._tabs
        self._x = next((tab for tab in tabs if tab > self._x), self._x)

    # -- ESC -----------------------------------------------------------------------------------------------------------

    def _escape(self) -> Wait:
        yield from self._skip(1)
        code = yield from self._take_byte()
        if code == ord("@"):
            self._flush()
            self.paper.reset()
            self._reset()
            return
        self.paper.begin()
        if code in _SET_ESC:
            count, act = _SET_ESC[code]
            given = yield from self._take(count)
            act(self, given)
        elif code in IGNORED_ESC:
            yield from self._skip(IGNORED_ESC[code])
        elif code == ord("*"):
            yield from self._take_image()
        elif code == ord("D"):
            tabs: list[int] = []
            while (column := (yield from self._take_byte())) and len(tabs) < 32:
                tabs.append(column * self._font[0] * self._wide)
            self._tabs = tabs
        elif code == ord("&"):
            yield from self._skip_characters()
        elif code == ord("("):
            yield from self._skip_long(2)
        else:
            yield from self._skip_unknown(bytes((ESC, code)))

    def _take_image(self) -> Wait:
        """ESC * m nL nH: columns of 8 or 24 dots."""
        mode = yield from self._take_byte()
        count = yield from self._take_word()
        if mode not in _MODES:
            yield from self._skip_unknown(bytes((ESC, ord("*"), mode)))
            return
        dots, dx, dy = _MODES[mode]
        data = yield from self._take(count * dots // 8)
        rows = tuple(rows_from_columns(data, dots))
        self._add(Item(count * dx, dots * dy, rows=rows, columns=count, dx=dx, dy=dy))

    def _skip_characters(self) -> Wait:
        """ESC &: a user's own characters; they are printed as the font has them."""
        height, first, last = yield from self._take(3)
        for _ in range(first, last + 1):
            width = yield from self._take_byte()
            yield from self._skip(width * height)
        self.paper.note_skipped(b"\x1b&")

    def _choose(self, bits: int) -> None:
        """ESC !: the most usual choices at once."""
        self._font = _FONT_B if bits & 0x01 else _FONT_A
        self._high, self._wide = 2 if bits & 0x10 else 1, 2 if bits & 0x20 else 1
        self._is_underlined = bool(bits & 0x80)

    def _choose_size(self, bits: int) -> None:
        self._wide, self._high = (bits >> 4 & 7) + 1, (bits & 7) + 1

    def _move_aside(self, count: int) -> None:
        self._x = max(0, min(self._x + (count - 0x10000 if count > 0x7FFF else count), self._room))

    # -- GS ------------------------------------------------------------------------------------------------------------

    def _group(self) -> Wait:
        yield from self._skip(1)
        code = yield from self._take_byte()
        self.paper.begin()
        if code in _SET_GS:
            count, act = _SET_GS[code]
            given = yield from self._take(count)
            act(self, given)
        elif code in IGNORED_GS:
            yield from self._skip(IGNORED_GS[code])
        elif code == ord("V"):
            mode = yield from self._take_byte()
            yield from self._skip(1 if mode >= 65 else 0)
            self._cut()
        elif code == ord("v"):
            yield from self._take_raster()
        elif code == ord("("):
            yield from self._take_graphics(2)
        elif code == ord("8"):
            yield from self._take_graphics(4)
        elif code == ord("k"):
            yield from self._skip_bar_code()
        elif code == ord("*"):
            width, height = yield from self._take(2)
            yield from self._skip(8 * width * height)
            self.paper.doubt(Doubt.NOT_DRAWN)
        elif code == ord("/"):
            yield from self._skip(1)
            self.paper.doubt(Doubt.NOT_DRAWN)
        else:
            yield from self._skip_unknown(bytes((GS, code)))

    def _take_raster(self) -> Wait:
        """GS v 0 m xL xH yL yH: rows of bytes, each dot as wide and high as `m` says."""
        zero, mode = yield from self._take(2)
        stride = yield from self._take_word()
        height = yield from self._take_word()
        if zero != ord("0"):
            yield from self._skip_unknown(bytes((GS, ord("v"), zero)))
            return
        self._flush()
        dx, dy = 1 + (mode & 1), 1 + (mode >> 1 & 1)
        for _ in range(height if stride else 0):
            data = yield from self._take(stride)
            self._print_row(row_from_bytes(data, 8 * stride), 8 * stride, dx, dy)

    def _print_row(self, row: int, columns: int, dx: int, dy: int) -> None:
        spare = max(0, self._room - columns * dx)
        start = self._left + (spare // 2 if self._justified == 1 else spare if self._justified == 2 else 0)
        self.paper.move_to(start)
        self.paper.paint((row,), columns, dx, dy)
        self.paper.move_to(0)
        self.paper.advance(dy)

    def _take_graphics(self, digits: int) -> Wait:
        """GS ( x and GS 8 x, which say how long they are: of L, functions 112 (store a raster) and 50 (print it)."""
        name = yield from self._take_byte()
        length_bytes = yield from self._take(digits)
        left = int.from_bytes(length_bytes, "little")
        if name != ord("L") or left < 2:
            yield from self._skip(left)
            if name == ord("k"):
                self.paper.doubt(Doubt.NOT_DRAWN)
            return
        _, function = yield from self._take(2)
        left -= 2
        if function in (2, 50):
            self._print_stored()
        elif function == 112 and left >= 8:
            head = yield from self._take(8)
            left -= 8
            left -= yield from self._store(head, left)
        elif function not in (48, 49, 51, 52, 64, 65):
            self.paper.doubt(Doubt.NOT_DRAWN)
        yield from self._skip(left)

    def _store(self, head: bytes, left: int) -> Generator[None, None, int]:
        """Take the raster's rows, as many as there are and may be; how many bytes that were."""
        _, across, down, _ = head[:4]
        columns, height = int.from_bytes(head[4:6], "little"), int.from_bytes(head[6:8], "little")
        stride = -(-columns // 8)
        count = min(height, left // stride, _MOST_STORED // stride) if stride else 0
        if count < height:
            self.paper.doubt(Doubt.CUT)
        rows: list[int] = []
        for _ in range(count):
            data = yield from self._take(stride)
            rows.append(row_from_bytes(data, columns))
        self._stored = rows, columns, 2 if across == 2 else 1, 2 if down == 2 else 1
        return count * stride

    def _print_stored(self) -> None:
        stored, self._stored = self._stored, None
        if stored is None:
            return
        self._flush()
        rows, columns, dx, dy = stored
        for row in rows:
            self._print_row(row, columns, dx, dy)

    def _skip_bar_code(self) -> Wait:
        kind = yield from self._take_byte()
        if kind >= 65:
            count = yield from self._take_byte()
            yield from self._skip(count)
        else:
            yield from self._skip_until(b"\0")
            yield from self._skip(1)
        self.paper.doubt(Doubt.NOT_DRAWN)

    # -- the others ----------------------------------------------------------------------------------------------------

    def _file_separator(self) -> Wait:
        yield from self._skip(1)
        code = yield from self._take_byte()
        self.paper.begin()
        if code in IGNORED_FS:
            yield from self._skip(IGNORED_FS[code])
        elif code == ord("("):
            yield from self._skip_long(2)
        elif code == ord("p"):
            yield from self._skip(2)
            self.paper.doubt(Doubt.NOT_DRAWN)
        elif code == ord("q"):
            pictures = yield from self._take_byte()
            for _ in range(pictures):
                width = yield from self._take_word()
                height = yield from self._take_word()
                yield from self._skip(8 * width * height)
            self.paper.doubt(Doubt.NOT_DRAWN)
        else:
            yield from self._skip_unknown(bytes((FS, code)))

    def _data_link(self) -> Wait:
        """A request that a printer answers at once. Nobody is there to hear: it prints nothing."""
        yield from self._skip(1)
        code = yield from self._take_byte()
        if code == 0x14:
            function = yield from self._take_byte()
            yield from self._skip(IGNORED_DC4.get(function, 0))
        else:
            yield from self._skip(IGNORED_DLE.get(code, 0))

    def _skip_long(self, digits: int) -> Wait:
        yield from self._skip(1)
        length_bytes = yield from self._take(digits)
        yield from self._skip(int.from_bytes(length_bytes, "little"))

    def _skip_unknown(self, command: bytes) -> Wait:
        self.paper.note_skipped(command)
        yield from self._skip_until(_RESYNC)


_INTRODUCERS: dict[int, Callable[[EscposDecoder], Wait]] = {
    ESC: EscposDecoder._escape,
    GS: EscposDecoder._group,
    FS: EscposDecoder._file_separator,
    DLE: EscposDecoder._data_link,
}
# Short commands: how many bytes follow, and what they do.
_Act = Callable[[EscposDecoder, bytes], object]
_SET_ESC: dict[int, tuple[int, _Act]] = {
    ord("!"): (1, lambda it, given: it._choose(given[0])),
    ord(" "): (1, lambda it, given: setattr(it, "_between", given[0])),
    ord("$"): (2, lambda it, given: setattr(it, "_x", min(int.from_bytes(given, "little"), it._room))),
    ord("\\"): (2, lambda it, given: it._move_aside(int.from_bytes(given, "little"))),
    ord("-"): (1, lambda it, given: setattr(it, "_is_underlined", given[0] in b"12\x01\x02")),
    ord("2"): (0, lambda it, _: setattr(it, "_spacing", it._usual_spacing)),
    ord("3"): (1, lambda it, given: setattr(it, "_spacing", given[0])),
    ord("J"): (1, lambda it, given: it._end_line(given[0])),
    ord("d"): (1, lambda it, given: it._end_line(given[0] * it._spacing)),
    ord("M"): (1, lambda it, given: setattr(it, "_font", _FONT_B if given[0] in b"1\x01" else _FONT_A)),
    ord("R"): (1, lambda it, given: it._table.choose_country(given[0])),
    ord("a"): (1, lambda it, given: setattr(it, "_justified", given[0] & 3)),
    ord("t"): (1, lambda it, given: setattr(it._table, "page", _CODE_PAGES.get(given[0], DEFAULT_PAGE))),
    ord("i"): (0, lambda it, _: it._cut()),
    ord("m"): (0, lambda it, _: it._cut()),
    0x0C: (0, lambda it, _: it._cut()),
}
_SET_GS: dict[int, tuple[int, _Act]] = {
    ord("!"): (1, lambda it, given: it._choose_size(given[0])),
    ord("L"): (2, lambda it, given: setattr(it, "_left", min(int.from_bytes(given, "little"), it.paper.width_units))),
    ord("W"): (2, lambda it, given: setattr(it, "_area", int.from_bytes(given, "little"))),
}
