"""What a virtual printer gives: that a page begins, and the page: its pixels, its text, and what was wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from PIL import Image

from appliance.devices.frame import Encoding, Frame


class Doubt(StrEnum):
    """Why a page may not be what the machine meant, in words that end "The page ..."."""

    CUT = "is cut: the machine printed beyond the paper's edge"
    MERGED = "is coarser than what the machine printed"
    UNKNOWN = "may be incomplete: the machine sent commands that are not known here"
    BROKEN_OFF = "ends where the machine broke off in the middle of a command"
    FULL = "was ended before its time: it is as long as a page may be"
    TEXT_CUT = "has more text than is kept beside it; its picture is whole"
    NOT_DRAWN = "lacks what is not drawn here: vector graphics, a bar code, or another language"
    COLOUR = "was printed in colour, and is kept in black"


@dataclass(frozen=True, slots=True)
class Page:
    """`height` rows of `width` pixels, `dpi` to the inch; `packed` has rows of whole bytes, a bit that is set is ink.

    `text` are its printed characters in lines, as they stand on the page. `skipped` are the first commands that were
    not known, without what followed them.
    """

    width: int
    height: int
    dpi: int
    packed: bytes
    text: str = ""
    doubts: frozenset[Doubt] = frozenset()
    skipped: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Began:
    """The first byte of what may become a page has come."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What began is over; `page` is None when nothing was printed."""

    page: Page | None


class Refusal(StrEnum):
    """Why a page is not kept at all, in a sentence."""

    TOO_MANY = "More pages came without a pause than are accepted."
    NOT_DRAWN = "It holds nothing but what is not drawn here: vector graphics, a bar code, or another language."


@dataclass(frozen=True, slots=True)
class Refused:
    """What began is over, and something of it was to be printed that is not kept."""

    why: Refusal


Event = Began | Ended | Refused


def frame_from_page(page: Page, timestamp: float, *, is_ink_white: bool = False) -> Frame:
    """`page` in 8-bit gray: ink is 0 on paper of 255, or the other way round."""
    mode = "1" if is_ink_white else "1;I"
    # In one breath: each of these steps takes a byte a pixel, which is let go with the next.
    pixels = Image.frombytes("1", (page.width, page.height), page.packed, "raw", mode).convert("L").tobytes()
    return Frame(pixels, Encoding.GRAY8, page.width, page.height, 8, 0, timestamp)
