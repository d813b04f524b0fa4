"""A reading as pages that a physician can read, and the same pages as a PDF file.

Characters stand in cells of one width, in the typeface that Pillow brings along (Aileron): what a machine has put below
each other stays so.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from PIL import Image, ImageDraw, ImageFont

from appliance.devices.frame import Encoding, Frame
from appliance.devices.text.reading import Reading, Table

# ISO A4 at this resolution, in dots to the inch.
DPI = 150
WIDTH, HEIGHT = 1240, 1754
_MARGIN = 80
_CELL, _LINE, _SIZE, _BASELINE = 13, 27, 21, 20
COLUMNS = (WIDTH - 2 * _MARGIN) // _CELL
LINES = (HEIGHT - 2 * _MARGIN) // _LINE - 2  # two are the foot's
MAX_PAGES = 20
_ROOM = LINES - 2  # of a page, below its head
_GAP = 2
_RULE = "\0"  # a line of text that is a rule


def lines_from_reading(reading: Reading) -> list[str]:
    """The page's text: fields, tables, and behind them the machine's own text as it came."""
    lines: list[str] = []
    widest = max((len(label) for label, _ in reading.fields), default=0)
    for label, value in reading.fields:
        lines += _folded(f"{label + ':':{widest + 1}} {value}", widest + 2)
    for table in reading.tables:
        lines += ["", *_lines_of_table(table)]
    lines += ["", "As the machine sent it", _RULE]
    for line in reading.lines:
        lines += _folded(line, 0)
    return lines


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """What stands on one page; its picture is made when it is wanted. `text` is what the machine's part of it says."""

    head: str
    lines: tuple[str, ...]
    foot: str

    @property
    def text(self) -> str:
        return "\n".join("" if line == _RULE else line for line in self.lines)

    def draw(self) -> Image.Image:
        """The picture in gray, black on white."""
        return _drawn([self.head, _RULE, *self.lines], self.foot)


def pages_from_reading(reading: Reading, machine: str) -> tuple[list[DrawnPage], bool]:
    """The pages, at most `MAX_PAGES`, and whether there is more than is shown on them. `machine` heads each of them."""
    lines = lines_from_reading(reading)
    starts = range(0, max(1, len(lines)), _ROOM)[:MAX_PAGES]
    is_cut = reading.is_cut or len(lines) > MAX_PAGES * _ROOM
    head = f"{machine} - {reading.title}"[:COLUMNS]
    more = " - there is more than is shown" if is_cut else ""
    return [
        DrawnPage(head, tuple(lines[start : start + _ROOM]), f"Page {number} of {len(starts)}{more}")
        for number, start in enumerate(starts, 1)
    ], is_cut


def frame_from_page(page: Image.Image, sequence: int, timestamp: float) -> Frame:
    """A page as a frame, 8-bit gray."""
    return Frame(page.tobytes(), Encoding.GRAY8, page.width, page.height, 8, sequence, timestamp)


def pdf_from_pages(pages: Sequence[DrawnPage], title: str, made_at: datetime) -> bytes:
    """A PDF file of these pages, two colours and nothing lost by compression (CCITT Group 4). `made_at` is aware."""
    moment = time.gmtime(made_at.timestamp())
    first, *others = [page.draw().convert("1", dither=Image.Dither.NONE) for page in pages]
    buffer = io.BytesIO()
    first.save(
        buffer,
        "PDF",
        save_all=True,
        append_images=others,
        resolution=float(DPI),
        title=title,
        creator="Modality Bridge",
        producer="Modality Bridge",
        creationDate=moment,
        modDate=moment,
    )
    return buffer.getvalue()


def _lines_of_table(table: Table) -> list[str]:
    shown = [index for index in range(len(table.columns)) if any(row[index] for row in table.rows)]
    rows = [[table.columns[index] for index in shown], *([row[index] for index in shown] for row in table.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(shown))]
    lines = [table.title] if table.title else []
    for number, row in enumerate(rows):
        text = (" " * _GAP).join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
        lines += _folded(text, 4)
        if number == 0:
            lines.append(_RULE)
    return lines


def _folded(line: str, indent: int) -> list[str]:
    """`line` in pieces that fit the page; the further ones are set in."""
    indent = min(indent, COLUMNS // 2)
    pieces, rest = [line[:COLUMNS]], line[COLUMNS:]
    step = COLUMNS - indent
    while rest:
        pieces.append(" " * indent + rest[:step])
        rest = rest[step:]
    return pieces


def _drawn(lines: list[str], foot: str) -> Image.Image:
    page = Image.new("L", (WIDTH, HEIGHT), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_SIZE)
    for number, line in enumerate([*lines, *[""] * (LINES - len(lines)), _RULE, foot]):
        top = _MARGIN + number * _LINE
        if line == _RULE:
            draw.line((_MARGIN, top + _LINE // 2, WIDTH - _MARGIN, top + _LINE // 2), fill=128)
            continue
        for place, character in enumerate(line):
            if character != " ":
                at = (_MARGIN + place * _CELL + _CELL // 2, top + _BASELINE)
                draw.text(at, character, fill=0, font=font, anchor="ms")
    return page
