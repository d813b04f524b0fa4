"""Where a site asks for diagnostic quality: a picture without compression, as far as the bus carries it. Pure.

The size comes first (a large picture in MJPEG shows more than a quarter of it without compression), then the format.
What keeps an uncompressed one from being taken is told, so that somebody can change it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appliance.devices.video.layout import LINE_BYTES_PER_PIXEL, PixelFormat
from appliance.devices.video.v4l2_mode import (
    NEARLY,
    CaptureWish,
    Mode,
    Offer,
    choose_mode,
    is_wanted,
    mode_at,
    sizes_to_try,
    wanted_rate,
)

# Payload in MB/s of one isochronous stream, as grabbers have it, by the connection's Mbit/s. USB 2.0 5.6.3 and 5.6.4:
# 1023 bytes a frame of 1 ms; three transactions of 1024 bytes a microframe of 125 µs. USB 3.2 4.4.8: at most 80 % of
# what 8b/10b or 128b/132b coding leaves, of which controllers give about nine tenths.
_CARRIES = {12.0: 1.0, 480.0: 24.5, 5000.0: 350.0, 10000.0: 850.0, 20000.0: 1700.0}
_NAMES = {12.0: "USB 1.1", 480.0: "USB 2", 5000.0: "USB 3", 10000.0: "USB 3.1", 20000.0: "USB 3.2"}


def stream_megabytes(mode: Mode) -> float:
    """What an uncompressed picture needs of the bus, in MB/s (10^6)."""
    each = 1.5 if mode.format is PixelFormat.NV12 else LINE_BYTES_PER_PIXEL[mode.format]
    return mode.size[0] * mode.size[1] * each * float(mode.rate or 0) / 1e6


def choose_diagnostic_mode(
    offers: Sequence[Offer],
    wish: CaptureWish,
    native: tuple[int, int] | None,
    current: tuple[int, int],
    link_speed: float | None,
    without_room: Collection[Mode],
) -> tuple[Mode | None, str]:
    """As `choose_mode`, of the largest picture the first uncompressed format that reaches the rate and has room.

    With it, empty unless it is compressed for all that: why. `link_speed` in Mbit/s; None where no USB is between.
    """
    wanted = wanted_rate(wish)
    reaching = [
        size
        for offer in offers
        for size in sizes_to_try(offer, wish, native, current)
        if _is_wished(offer, wish) and mode_at(offer, size, wanted)[1] >= NEARLY
    ]
    if not reaching:
        return choose_mode(offers, wish, native, current), ""
    size = max(reaching, key=lambda one: one[0] * one[1])
    why: list[str] = []
    compressed: Mode | None = None
    for name in wish.formats:
        for offer in (one for one in offers if is_wanted(one.format, name)):
            if size not in sizes_to_try(offer, wish, native, current):
                continue
            mode, share = mode_at(offer, size, wanted)
            if offer.format.is_jpeg:
                compressed = compressed or (mode if share >= NEARLY else None)
                continue
            refused = _reason_against(mode, share >= NEARLY, link_speed, without_room)
            if not refused:
                return mode, ""
            why.append(refused)
    if compressed is None:  # nothing else is wished for: the bus shall decide
        return choose_mode(offers, wish, native, current), ""
    words = "; ".join(why) or f"the grabber offers no other picture of {size[0]}×{size[1]}"
    return compressed, words


def _is_wished(offer: Offer, wish: CaptureWish) -> bool:
    return any(is_wanted(offer.format, name) for name in wish.formats)


def _reason_against(mode: Mode, is_fast: bool, link_speed: float | None, without_room: Collection[Mode]) -> str:
    rate = f"{float(mode.rate or 0):.4g}/s"
    what = f"{mode.format.name} {mode.size[0]}×{mode.size[1]}"
    if not is_fast:
        return f"{what} comes at {rate} only"
    if mode in without_room:
        return f"the bus had no room for {what} at {rate}"
    carried = _CARRIES.get(link_speed or 0.0)
    needed = stream_megabytes(mode)
    if carried is not None and needed > carried:
        return f"{what} at {rate} needs {needed:.0f} MB/s, and {_NAMES[link_speed or 0.0]} carries {carried:.0f}"
    return ""
