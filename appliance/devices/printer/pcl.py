"""PCL 3 and 5: what laser and ink-jet printers of the nineties understand, with PJL around it. Raster and text.

Positions are counted in 1/7200 inch, as in the printers themselves. Fonts are read and left: text stands in the
built-in one, at the pitch and in the place that was asked for. Drawings in HP-GL/2 and jobs in other languages are
passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from appliance.devices.printer.bits import row_from_bytes
from appliance.devices.printer.characters import CharacterTable
from appliance.devices.printer.decoder import ESC, PrinterDecoder, Wait
from appliance.devices.printer.page import Doubt
from appliance.devices.printer.pcl_rows import MAX_ROW, UNPACK

UNITS = 7200
_DECIPOINT = UNITS // 720
_CHARACTER_HEIGHT = 11 * UNITS // 72
# The baseline is so far below the upper edge of a character.
_ASCENT = 9 * UNITS // 72
_UEL = b"-12345X"
_MOST_DIGITS = 12
_MOST_PJL = 1024
# The most bytes of one raster transfer (PCL 5 Technical Reference: 32,767).
_MOST_TRANSFER = 32767
# Commands whose value says how many bytes of data follow them, beside those that end in W.
_WITH_DATA = {b"*bV", b"&pX"}
# ... and one that ends in W and has none.
_WITHOUT_DATA = {b"&kW"}
_NUMBER = re.compile(rb"([+-]?)(\d*)(?:\.(\d*))?\Z")
_LANGUAGE = re.compile(rb"@PJL\s+ENTER\s+LANGUAGE\s*=\s*([A-Z0-9-]+)", re.IGNORECASE)
_BAYER = ((0, 8, 2, 10), (12, 4, 14, 6), (3, 11, 1, 9), (15, 7, 13, 5))


class PclDecoder(PrinterDecoder):
    """A printer with PCL."""

    def _reset(self) -> None:
        self._is_pjl = False
        self._table = CharacterTable()
        self._table.page = "cp1252"
        self._unit = UNITS // 300
        self._hmi, self._vmi = UNITS // 10, UNITS // 6
        self._left = 0
        self._top = UNITS // 2
        self._is_home = True  # nothing has moved the head on this page
        self._is_underlined = False
        self._fill = (0, 0)
        self._shade = 0
        self._pixel = UNITS // 75
        self._method = 0
        self._width = 0  # pixels of the source; 0: as many as there are
        self._planes = 1
        self._is_light = False  # planes of red, green and blue: a bit that is set is light, not ink
        self._is_by_pixel = False  # a row has several bits for each pixel, which are not drawn
        self._row_planes: list[bytes] = []
        self._seeds = [b""] * 4
        self._is_raster = False
        self._start = 0
        self.paper.turn(False)

    def _command(self) -> Wait:
        byte = self._buffer[self._at]
        if self._is_pjl and byte != ESC:
            yield from self._take_pjl()
        elif byte == ESC:
            self._is_pjl = False  # a command of the language enters it, without a word of PJL
            yield from self._escape()
        elif byte >= 0x20 and byte != 0x7F:
            self._print(self._take_text())
        else:
            self._at += 1
            self._control(byte)

    # -- text ----------------------------------------------------------------------------------------------------------

    def _go_home(self) -> None:
        """The first line of a page, unless something moved the head on it before."""
        if self._is_home:
            self.paper.place_at(self._top + self._vmi * 3 // 4)
            self._is_home = False

    def _print(self, data: bytes) -> None:
        self._go_home()
        paper = self.paper
        baseline = paper.y
        paper.place_at(baseline - _ASCENT)
        paper.write(self._table.text_from(data), self._hmi, _CHARACTER_HEIGHT, is_underlined=self._is_underlined)
        paper.place_at(baseline)

    def _control(self, byte: int) -> None:
        paper = self.paper
        match byte:
            case 0x08:
                paper.move_to(paper.x - self._hmi)
            case 0x09:
                step = 8 * self._hmi
                paper.move_to((paper.x // step + 1) * step if step else paper.x)
            case 0x0A:
                self._go_home()
                self._feed(self._vmi)
            case 0x0C:
                self._eject()
            case 0x0D:
                paper.move_to(self._left)

    def _feed(self, units: int) -> None:
        if self.paper.is_below(units):
            x = self.paper.x
            self._eject()
            self.paper.move_to(x)
            self._go_home()
        else:
            self.paper.place_at(self.paper.y + units)

    def _eject(self) -> None:
        self.paper.eject()
        self._is_raster = False
        self._is_home = True
        self.paper.move_to(self._left)
        self.paper.place_at(self._top)

    # -- commands ------------------------------------------------------------------------------------------------------

    def _escape(self) -> Wait:
        yield from self._skip(1)
        first = yield from self._take_byte()
        if first == ord("E"):
            self.paper.reset()
            self._reset()
        elif 0x21 <= first <= 0x2F:
            yield from self._parameterised(first)
        else:
            self.paper.begin()
            if first == ord("="):
                self._feed(self._vmi // 2)
            elif first == ord("9"):
                self._left = 0
            elif first not in b"YZ":
                self.paper.note_skipped(bytes((ESC, first)))

    def _parameterised(self, first: int) -> Wait:
        """ESC, a character, mostly a group's letter, and values, each with a letter: a small one if more follow."""
        group = bytes((first,))
        byte = yield from self._take_byte()
        if 0x60 <= byte <= 0x7E:
            group += bytes((byte,))
            byte = yield from self._take_byte()
        while True:
            digits = bytearray()
            while byte in b"+-.0123456789 " and len(digits) < _MOST_DIGITS:
                digits.append(byte)
                if group == b"%" and digits == _UEL[:-1]:
                    break
                byte = yield from self._take_byte()
            if group == b"%" and bytes(digits) == _UEL[:-1]:
                yield from self._leave_language()
                return
            self.paper.begin()
            if not 0x40 <= byte <= 0x7E:
                self.paper.note_skipped(bytes((ESC,)) + group)
                if byte == ESC:
                    self._at -= 1
                return
            name = group + bytes((byte,)).upper()
            yield from self._obey(name, digits.replace(b" ", b""))
            if byte < 0x60:
                return
            byte = yield from self._take_byte()

    def _leave_language(self) -> Wait:
        """UEL: the job ends, and lines of PJL may follow."""
        yield from self._skip_until(b"X")
        yield from self._skip(1)
        self.paper.eject()
        self._reset()
        self._is_pjl = True

    def _take_pjl(self) -> Wait:
        """One line of PJL, or the end of PJL."""
        if self._buffer[self._at] not in b"@\r\n\t ":
            self._is_pjl = False
            return
        line = bytearray()
        while (byte := (yield from self._take_byte())) != 0x0A:
            if byte == ESC:
                self._at -= 1
                return
            if len(line) < _MOST_PJL:
                line.append(byte)
        entered = _LANGUAGE.match(line)
        if entered is None:
            return
        self._is_pjl = False
        if entered[1].upper() not in (b"PCL", b"PCL3GUI"):
            self.paper.doubt(Doubt.NOT_DRAWN)
            yield from self._skip_until(b"\x1b")

    def _obey(self, name: bytes, digits: bytearray) -> Wait:
        match = _NUMBER.match(digits)
        sign, whole, part = match.groups() if match else (b"", b"", b"")
        value = int(whole or b"0") + int((part or b"0")[:4]) / 10 ** len((part or b"0")[:4])
        if sign == b"-":
            value = -value
        if name in {b"*bW", b"*bV"}:
            yield from self._take_row(int(value), is_last=name == b"*bW")
        elif name == b"&pX":
            text = yield from self._take(max(0, min(int(value), _MOST_TRANSFER)))
            self._print(text)
        elif name == b"%B":
            self.paper.doubt(Doubt.NOT_DRAWN)
            yield from self._skip_until(b"\x1b")
        elif name == b"*vW":
            yield from self._configure_image(int(value))
        elif (name.endswith(b"W") and name not in _WITHOUT_DATA) or name in _WITH_DATA:
            yield from self._skip(max(0, int(value)))
        elif name in _SET:
            _SET[name](self, value, bool(sign))

    def _move_down(self, units: float, is_relative: bool, start: int = 0) -> None:
        self.paper.place_at(round(units) + (self.paper.y if is_relative else start))
        self._is_home = False

    def _move_across(self, units: float, is_relative: bool) -> None:
        self.paper.move_to(round(units) + (self.paper.x if is_relative else 0))

    def _change_sheet(self) -> None:
        """A new sheet, if something stands on this one."""
        if self.paper.has_ink:
            self._eject()

    def _turn(self, orientation: float) -> None:
        self._change_sheet()
        self.paper.turn(int(orientation) % 2 == 1)

    def _set_top(self, lines: float) -> None:
        self._top = max(0, round(lines * self._vmi))
        if not self.paper.has_ink:
            self._is_home = True
            self.paper.place_at(self._top)

    def _fill_area(self, kind: float) -> None:
        """A rule or a shade, from the head to the right and downwards; white takes no ink away."""
        (width, height), paper = self._fill, self.paper
        if kind == 0:
            paper.fill(width, height)
        elif kind != 1:
            cell = UNITS // 300
            columns, rows = min(width // cell, 8 * MAX_ROW), min(height // cell, 1 << 14)
            level = self._shade * 16 // 100 if kind == 2 else 4
            pattern = [sum((level > limit) << (3 - column) for column, limit in enumerate(row)) for row in _BAYER]
            drawn = [row_from_bytes(bytes((bits * 17,)) * (columns // 8 + 1), columns) for bits in pattern]
            paper.paint([drawn[number % 4] for number in range(rows)], columns, cell, cell)

    # -- raster --------------------------------------------------------------------------------------------------------

    def _start_raster(self, where: float) -> None:
        self._is_raster = True
        self._is_home = False
        self._start = self.paper.x if int(where) % 2 else self._left
        self._row_planes = []
        self._seeds = [b""] * 4

    def _end_raster(self, *, is_reset: bool) -> None:
        self._is_raster = False
        self._row_planes = []
        if is_reset:
            self._method = 0

    def _set_resolution(self, dpi: float) -> None:
        if 1 <= dpi <= UNITS and not self._is_raster:
            self._pixel = UNITS // int(dpi)

    def _set_planes(self, planes: float) -> None:
        count = abs(int(planes))
        self._planes = count if count in (1, 3, 4) else 1
        self._is_light = int(planes) == 3
        self._is_by_pixel = False
        if self._planes > 1:
            self.paper.doubt(Doubt.COLOUR)

    def _configure_image(self, count: int) -> Wait:
        """Colour space, then the pixels' encoding: 0 and 2 are by planes, 1 and 3 by pixels."""
        head = yield from self._take(max(0, min(count, 2)))
        yield from self._skip(max(0, count - 2))
        self._is_by_pixel = len(head) == 2 and head[1] in (1, 3)

    def _skip_rows(self, rows: float) -> None:
        self._seeds = [b""] * 4
        self._is_home = False
        self.paper.place_at(self.paper.y + max(0, int(rows)) * self._pixel)

    def _take_row(self, count: int, *, is_last: bool) -> Wait:
        if not 0 <= count <= _MOST_TRANSFER:
            self.paper.note_skipped(b"\x1b*bW")
            yield from self._skip(max(0, count))
            return
        if self._is_by_pixel:
            self.paper.note_skipped(b"\x1b*vW")
            yield from self._skip(count)
            return
        if not self._is_raster:
            self._start_raster(0)
        data = yield from self._take(count)
        if self._method == 5:
            self._paint_block(data)
            return
        unpack = UNPACK.get(self._method)
        if unpack is None:
            self.paper.note_skipped(b"\x1b*b%dM" % min(self._method, 999))
            return
        plane = min(len(self._row_planes), 3)
        row = unpack(data, self._seeds[plane])
        self._seeds[plane] = row
        self._row_planes.append(row)
        if is_last or len(self._row_planes) >= 4:
            self._paint_row(1)

    def _paint_row(self, times: int) -> None:
        """The planes of a row together, so many times below one another; what is not white in each of them is ink."""
        planes, self._row_planes = self._row_planes, []
        columns = self._width or 8 * max((len(plane) for plane in planes), default=0)
        paper = (1 << columns) - 1 if self._is_light else 0
        row = 0
        for plane in planes:
            row |= row_from_bytes(plane, columns) ^ paper
        times = min(times, self.paper.rows_below(self._pixel))
        x = self.paper.x
        self.paper.move_to(self._start)
        self.paper.paint([row] * times, columns, self._pixel, self._pixel)
        self.paper.move_to(x)
        self.paper.place_at(self.paper.y + times * self._pixel)

    def _paint_block(self, data: bytes) -> None:
        """Method 5: records of a method and a count of bytes, or 4 and 5 and a count of empty and of equal rows."""
        at = 0
        while at + 3 <= len(data):
            method, count = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
            at += 3
            if method == 4:
                self._skip_rows(count)
            elif method == 5:
                self._row_planes = [self._seeds[0]]
                self._paint_row(count)
            elif method in (0, 1, 2, 3):
                self._seeds[0] = UNPACK[method](data[at : at + count], self._seeds[0])
                at += count
                self._row_planes = [self._seeds[0]]
                self._paint_row(1)
            else:
                self.paper.note_skipped(b"\x1b*b5M")
                return


# Commands by name: the value and whether it had a sign, which makes a position one from where the head stands.
_SET: dict[bytes, Callable[[PclDecoder, float, bool], object]] = {
    b"*tR": lambda it, value, _: it._set_resolution(value),
    b"*rA": lambda it, value, _: it._start_raster(value),
    b"*rB": lambda it, *_: it._end_raster(is_reset=False),
    b"*rC": lambda it, *_: it._end_raster(is_reset=True),
    b"*rS": lambda it, value, _: setattr(it, "_width", max(0, min(int(value), 8 * MAX_ROW))),
    b"*rU": lambda it, value, _: it._set_planes(value),
    b"*bY": lambda it, value, _: it._skip_rows(value),
    b"*bM": lambda it, value, _: setattr(it, "_method", max(0, int(value))),
    b"&aC": lambda it, value, is_relative: it._move_across(value * it._hmi, is_relative),
    b"&aH": lambda it, value, is_relative: it._move_across(value * _DECIPOINT, is_relative),
    b"*pX": lambda it, value, is_relative: it._move_across(value * it._unit, is_relative),
    b"&aR": lambda it, value, is_relative: it._move_down(
        value * it._vmi, is_relative, start=it._top + it._vmi * 3 // 4
    ),
    b"&aV": lambda it, value, is_relative: it._move_down(value * _DECIPOINT, is_relative, start=it._top),
    b"*pY": lambda it, value, is_relative: it._move_down(value * it._unit, is_relative, start=it._top),
    b"&aL": lambda it, value, _: setattr(it, "_left", max(0, round(value * it._hmi))),
    b"&uD": lambda it, value, _: setattr(it, "_unit", max(1, UNITS // int(value)) if value >= 1 else it._unit),
    b"&lA": lambda it, *_: it._change_sheet(),
    b"&lH": lambda it, *_: it._change_sheet(),
    b"&lO": lambda it, value, _: it._turn(value),
    b"&lE": lambda it, value, _: it._set_top(value),
    b"&lD": lambda it, value, _: setattr(it, "_vmi", round(UNITS / value) if value >= 1 else it._vmi),
    b"&lC": lambda it, value, _: setattr(it, "_vmi", max(0, min(round(value * UNITS / 48), UNITS))),
    b"&kH": lambda it, value, _: setattr(it, "_hmi", max(1, min(round(value * UNITS / 120), UNITS))),
    b"(sH": lambda it, value, _: setattr(it, "_hmi", max(1, round(UNITS / value)) if value >= 1 else it._hmi),
    b"&dD": lambda it, *_: setattr(it, "_is_underlined", True),
    b"&d@": lambda it, *_: setattr(it, "_is_underlined", False),
    b"*cA": lambda it, value, _: setattr(it, "_fill", (max(0, round(value * it._unit)), it._fill[1])),
    b"*cB": lambda it, value, _: setattr(it, "_fill", (it._fill[0], max(0, round(value * it._unit)))),
    b"*cH": lambda it, value, _: setattr(it, "_fill", (max(0, round(value * _DECIPOINT)), it._fill[1])),
    b"*cV": lambda it, value, _: setattr(it, "_fill", (it._fill[0], max(0, round(value * _DECIPOINT)))),
    b"*cG": lambda it, value, _: setattr(it, "_shade", max(0, min(int(value), 100))),
    b"*cP": lambda it, value, _: it._fill_area(value),
}
