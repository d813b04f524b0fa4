"""The pages of an Encapsulated PDF as pictures: of the PDF files that this box makes itself, which hold drawn pages.

Each page of such a file (devices/text/drawing.py) is one image of two colours in CCITT Group 4. What the panel shows is
that image, taken out of the file and decoded as the TIFF that it is inside. A PDF of anybody else is not shown.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

from appliance.base.errors import ApplianceError

_IMAGE = re.compile(
    rb"/Subtype\s*/Image\s*/Width\s+(\d{1,5})\s*/Height\s+(\d{1,5})\s*/Filter\s*\[\s*/CCITTFaxDecode\s*\]"
    rb"[^()]{1,300}?/Length\s+(\d{1,9})\s*>>\s*stream\r?\n"
)
_MOST_PAGES = 200
_MOST_PIXELS = 40_000_000
_JPEG_QUALITY = 85
# Tags of a TIFF's directory (TIFF 6.0, section 2): number, type (3 SHORT, 4 LONG), values, value.
_HEADER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page's image lies in the file, and its size in pixels."""

    columns: int
    rows: int
    offset: int
    length: int


def pages_in(document: bytes) -> tuple[Page, ...]:
    """The pages in their order; none where it is no PDF of ours."""
    pages: list[Page] = []
    for found in _IMAGE.finditer(document):
        columns, rows, length = (int(found[number]) for number in (1, 2, 3))
        if columns * rows > _MOST_PIXELS or found.end() + length > len(document) or len(pages) == _MOST_PAGES:
            return ()
        pages.append(Page(columns, rows, found.end(), length))
    return tuple(pages)


def jpeg_from_page(document: bytes, page: Page, most_side: int) -> bytes:
    """The page as JPEG, no side longer than `most_side`. ApplianceError when it is damaged."""
    from PIL import Image

    data = document[page.offset : page.offset + page.length]
    try:
        with Image.open(io.BytesIO(_tiff_around(page, data))) as image:
            gray = image.convert("L")
        gray.thumbnail((most_side, most_side))
        buffer = io.BytesIO()
        gray.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    except (OSError, ValueError, SyntaxError) as error:
        raise ApplianceError("This page cannot be shown.", "It is kept all the same.") from error
    return buffer.getvalue()


def _tiff_around(page: Page, data: bytes) -> bytes:
    entries = (
        (256, 4, page.columns),
        (257, 4, page.rows),
        (258, 3, 1),  # bits of a sample
        (259, 3, 4),  # CCITT Group 4
        (262, 3, 1),  # 0 is black
        (273, 4, _HEADER_BYTES),  # where the strip lies
        (277, 3, 1),  # samples of a pixel
        (278, 4, page.rows),  # rows of the strip
        (279, 4, len(data)),
    )
    head = struct.pack("<2sHI", b"II", 42, _HEADER_BYTES + len(data) + len(data) % 2)
    fields = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return head + data + bytes(len(data) % 2) + struct.pack("<H", len(entries)) + fields + bytes(4)
