"""Which format, size and rate: the site's wish against what a grabber offers. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from appliance.devices.video.layout import LINE_BYTES_PER_PIXEL, Area, PixelFormat
from appliance.devices.video.v4l2_answers import RateRange, SizeRange

# 29.97 is the 30 that a site writes.
NEARLY = Fraction(98, 100)


@dataclass(frozen=True, slots=True)
class CaptureWish:
    """What a site asks of a grabber. `formats` in the order of preference, by their names in `PixelFormat`.

    `is_diagnostic`: as `v4l2_quality` chooses. `input` by its name and `standard` by its name in `v4l2_abi.STANDARDS`,
    both empty where it is left open; `size` in pixels; `rate` in frames a second; `controls` by the driver's own names.
    An uncompressed picture of more than `max_frame_bytes` is not taken.
    """

    formats: tuple[str, ...]
    rate: float
    max_frame_bytes: int
    is_diagnostic: bool = False
    input: str = ""
    standard: str = ""
    size: tuple[int, int] | None = None
    crop: Area | None = None
    masks: tuple[Area, ...] = ()
    deinterlace: bool = False
    controls: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """What a device offers in one format. No sizes and no rates where its input's signal decides."""

    format: PixelFormat
    sizes: tuple[SizeRange, ...] = ()
    rates: tuple[tuple[tuple[int, int], RateRange], ...] = ()


@dataclass(frozen=True, slots=True)
class Mode:
    """What is asked of the driver; `rate` is None where the signal decides."""

    format: PixelFormat
    size: tuple[int, int]
    rate: Fraction | None


def wanted_rate(wish: CaptureWish) -> Fraction:
    """The site's rate as drivers count: 29.97 is 30000/1001."""
    return Fraction(wish.rate).limit_denominator(1001)


def is_wanted(pixels: PixelFormat, name: str) -> bool:
    """Whether the configuration's `name` means this format; MJPEG is any JPEG."""
    return pixels.is_jpeg if name == "MJPEG" else pixels.name == name


def choose_mode(
    offers: Iterable[Offer], wish: CaptureWish, native: tuple[int, int] | None, current: tuple[int, int]
) -> Mode | None:
    """The first wanted format that has the size at the rate; else the one that comes nearest to the rate.

    `native` is the size of the input's signal, `current` what the driver is set to, for one that lists no sizes. The
    largest size counts only among formats that reach the rate: 1080 lines at 5/s are no better than 720 at 30/s.
    """
    found: list[tuple[Fraction, Mode]] = []
    listed = list(offers)
    wanted = wanted_rate(wish)
    for name in wish.formats:
        for offer in (one for one in listed if is_wanted(one.format, name)):
            for size in sizes_to_try(offer, wish, native, current):
                mode, share = mode_at(offer, size, wanted)
                if share >= NEARLY:
                    return mode
                found.append((share, mode))
    return max(found, key=lambda one: one[0])[1] if found else None


def sizes_to_try(
    offer: Offer, wish: CaptureWish, native: tuple[int, int] | None, current: tuple[int, int]
) -> list[tuple[int, int]]:
    """The configured one, the signal's, or all that there are, the largest first."""
    if wish.size is not None:
        is_there = native is not None or not offer.sizes or any(sizes.has(wish.size) for sizes in offer.sizes)
        each = [wish.size] if is_there else []
    elif native is not None:
        each = [native]
    else:
        each = [sizes.least for sizes in offer.sizes if sizes.is_one] or [current]
    return sorted((size for size in each if _fits(offer.format, size, wish)), key=lambda size: -size[0] * size[1])


def mode_at(offer: Offer, size: tuple[int, int], wanted: Fraction) -> tuple[Mode, Fraction]:
    """The slowest rate that is fast enough, or the fastest; and which share of the wanted rate it is, 1 at most."""
    rates = [rate for at, rate in offer.rates if at == size]
    if not rates:
        return Mode(offer.format, size, wanted), Fraction(1)
    possible = [min(max(rate.slowest, wanted), rate.fastest) for rate in rates]
    enough = [rate for rate in possible if rate >= wanted * NEARLY]
    rate = min(enough) if enough else max(possible)
    return Mode(offer.format, size, rate), min(Fraction(1), rate / wanted)


def _fits(pixels: PixelFormat, size: tuple[int, int], wish: CaptureWish) -> bool:
    """Whether a picture of that size may be taken: as it is stored, colour without compression is three bytes."""
    if pixels.is_jpeg:
        return True
    bytes_each = 3 if pixels.is_ycbcr else LINE_BYTES_PER_PIXEL[pixels]
    return size[0] * size[1] * bytes_each <= wish.max_frame_bytes
