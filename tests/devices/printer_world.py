"""What the tests of the virtual printers stand on: a printer, its pages as dots, and what the same dots look like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from appliance.devices.printer.languages import Language, decoder_of
from appliance.devices.printer.page import Began, Doubt, Ended, Event, Page
from appliance.devices.printer.paper import PaperSize

Dots = NDArray[np.bool_]
A4 = (210.0, 297.0)


def size_of(dpi: int, paper: tuple[float, float] = A4, max_pages: int = 100) -> PaperSize:
    return PaperSize(paper[0], paper[1], dpi, 100_000_000, max_pages)


def inches(width: float, height: float, dpi: int) -> PaperSize:
    """A small sheet."""
    return size_of(dpi, (25.4 * width, 25.4 * height))


def print_out(
    language: Language, size: PaperSize, data: bytes, cuts: Iterable[int] = (), *, pauses: bool = True
) -> list[Event]:
    """What a printer says that gets `data` in pieces, cut at `cuts`, and then nothing more."""
    decoder, events, at = decoder_of(language, size), list[Event](), 0
    for cut in (*cuts, len(data)):
        events += decoder.feed(data[at:cut])
        at = cut
    return events + (decoder.pause() if pauses else [])


def pages_in(events: Iterable[Event]) -> list[Page]:
    return [event.page for event in events if isinstance(event, Ended) and event.page is not None]


def only_page(language: Language, size: PaperSize, data: bytes) -> Page:
    events = print_out(language, size, data)
    assert isinstance(events[0], Began)
    (page,) = pages_in(events)
    return page


def grid_of(page: Page) -> Dots:
    """The page's pixels, row by row; true is ink."""
    return np.array(Image.frombytes("1", (page.width, page.height), page.packed))


def drawn(page: Page, rows: int, columns: int, across: int, down: int) -> list[str]:
    """The first dots of a printer of `across` × `down` dots to the inch, which the page's pixels can be divided into.

    Each dot must be all ink or all paper.
    """
    high, wide = page.dpi // down, page.dpi // across
    assert (high * down, wide * across) == (page.dpi, page.dpi)
    cells = grid_of(page)[: rows * high, : columns * wide].reshape(rows, high, columns, wide)
    ink = cells.any(axis=(1, 3))
    assert (ink == cells.all(axis=(1, 3))).all()
    return ["".join("#" if dot else "." for dot in row) for row in ink]


def magnified(dots: Dots, across: int, down: int, dpi: int) -> Dots:
    """`dots` of `across` × `down` to the inch as pixels of `dpi`: each covers the pixels that begin inside of it."""
    wide = np.diff([number * dpi // across for number in range(dots.shape[1] + 1)])
    high = np.diff([number * dpi // down for number in range(dots.shape[0] + 1)])
    return np.repeat(np.repeat(dots, high, axis=0), wide, axis=1)


def assert_same_picture(page: Page, expected: Dots, doubts: frozenset[Doubt] = frozenset()) -> None:
    """The page shows exactly `expected`, at the very same place; what is outside of both is paper."""
    found = grid_of(page)
    assert (page.doubts, page.skipped) == (doubts, ())
    rows, columns = (max(one) for one in zip(found.shape, expected.shape, strict=True))
    both: list[Any] = [np.zeros((rows, columns), bool) for _ in range(2)]
    both[0][: found.shape[0], : found.shape[1]] = found
    both[1][: expected.shape[0], : expected.shape[1]] = expected
    differing = int((both[0] != both[1]).sum())
    assert differing == 0, f"{differing} pixels of {rows * columns} differ"
    assert found.any()
