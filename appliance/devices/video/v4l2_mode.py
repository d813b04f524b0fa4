"""Which input, format, size and rate: the site's wish against what the grabber has, and the device set up so.

The choice is a pure function of what the device offers. What a site wrote and the device does not have is an error in
words, never silently something else; what it left open is found by the signal, then by what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from appliance.devices.errors import DeviceError, DeviceTimeout
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import BITS_STORED, LINE_BYTES_PER_PIXEL, Area, PixelFormat, RawLayout
from appliance.devices.video.v4l2_answers import Input, Negotiated, RateRange, SizeRange
from appliance.devices.video.v4l2_device import V4l2Device

# 29.97 is the 30 that a site writes.
_NEARLY = Fraction(98, 100)
# Active picture of television by the lines of a whole frame (ITU-R BT.601).
_TELEVISION = {525: (720, 480), 625: (720, 576)}
_INTERLACED = frozenset({abi.FIELD_INTERLACED, abi.FIELD_INTERLACED_TB, abi.FIELD_INTERLACED_BT})
_WHOLE = frozenset({abi.FIELD_ANY, abi.FIELD_NONE}) | _INTERLACED


@dataclass(frozen=True, slots=True)
class CaptureWish:
    """What a site asks of a grabber. `formats` in the order of preference, by their names in `PixelFormat`.

    `input` by its name and `standard` by its name in `v4l2_abi.STANDARDS`, both empty where it is left open; `size` in
    pixels; `rate` in frames a second; `controls` by the driver's own names. An uncompressed picture of more than
    `max_frame_bytes` is not taken.
    """

    formats: tuple[str, ...]
    rate: float
    max_frame_bytes: int
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


@dataclass(frozen=True, slots=True)
class Setting:
    """How the device is set up. `layout` is None for JPEG; `rate` None where nobody knows it."""

    format: PixelFormat
    width: int
    height: int
    rate: float | None
    is_interlaced: bool
    layout: RawLayout | None
    has_signal_status: bool


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
    wanted = Fraction(wish.rate).limit_denominator(1001)
    for name in wish.formats:
        for offer in (one for one in listed if is_wanted(one.format, name)):
            for size in _sizes_to_try(offer, wish, native, current):
                mode, share = _mode_at(offer, size, wanted)
                if share >= _NEARLY:
                    return mode
                found.append((share, mode))
    return max(found, key=lambda one: one[0])[1] if found else None


def _sizes_to_try(
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


def _mode_at(offer: Offer, size: tuple[int, int], wanted: Fraction) -> tuple[Mode, Fraction]:
    """The slowest rate that is fast enough, or the fastest; and which share of the wanted rate it is, 1 at most."""
    rates = [rate for at, rate in offer.rates if at == size]
    if not rates:
        return Mode(offer.format, size, wanted), Fraction(1)
    possible = [min(max(rate.slowest, wanted), rate.fastest) for rate in rates]
    enough = [rate for rate in possible if rate >= wanted * _NEARLY]
    rate = min(enough) if enough else max(possible)
    return Mode(offer.format, size, rate), min(Fraction(1), rate / wanted)


def _fits(pixels: PixelFormat, size: tuple[int, int], wish: CaptureWish) -> bool:
    """Whether a picture of that size may be taken: as it is stored, colour without compression is three bytes."""
    if pixels.is_jpeg:
        return True
    bytes_each = 3 if pixels.is_ycbcr else LINE_BYTES_PER_PIXEL[pixels]
    return size[0] * size[1] * bytes_each <= wish.max_frame_bytes


def set_up(device: V4l2Device, wish: CaptureWish, name: str) -> Setting:
    """Select the input, take up its signal, negotiate a format. DeviceError says what cannot be had."""
    capability = device.capability()
    if not capability.is_capture or not capability.is_streaming:
        kind = "only gives pictures in several planes" if capability.is_multiplanar else "captures no video"
        raise DeviceError(f"The {name}'s video node {kind}; this cannot be used.", "Configure another `source`.")
    plug = _select_input(device, wish, name)
    native, signal_rate, is_interlaced_signal = _take_up_signal(device, plug, wish, name)
    current = device.format()
    offers = [_offer_of(device, pixels, wish) for pixels in dict.fromkeys(device.formats())]
    mode = choose_mode(offers, wish, native, (current.width, current.height))
    if mode is None:
        raise DeviceError(f"The {name}'s grabber has none of the configured formats and sizes.", _has_words(offers))
    negotiated = _negotiate(device, mode, wish, name)
    rate = device.set_rate(mode.rate) if mode.rate else None
    _set_controls(device, wish, name)
    return Setting(
        format=mode.format,
        width=negotiated.width,
        height=negotiated.height,
        rate=float(rate) if rate else signal_rate,
        is_interlaced=negotiated.field in _INTERLACED or (is_interlaced_signal and mode.format.is_jpeg),
        layout=None if mode.format.is_jpeg else _layout_from(mode.format, negotiated, wish, name),
        has_signal_status=plug is not None,
    )


def _select_input(device: V4l2Device, wish: CaptureWish, name: str) -> Input | None:
    if wish.input:
        plugs = list(device.inputs())
        for plug in plugs:
            if plug.name.casefold() == wish.input.casefold():
                device.select_input(plug.index)
                return device.selected_input()
        has = ", ".join(f'"{plug.name}"' for plug in plugs) or "no inputs"
        raise DeviceError(f"The {name}'s grabber has no input {wish.input!r}.", f"It has {has}.")
    return device.selected_input()


def _take_up_signal(
    device: V4l2Device, plug: Input | None, wish: CaptureWish, name: str
) -> tuple[tuple[int, int] | None, float | None, bool]:
    """The size and rate that the signal has, where it decides; NoSignal where there is none that is usable."""
    if plug is not None and plug.has_standards:
        bits = abi.STANDARDS[wish.standard] if wish.standard else device.detected_standard() & device.standard()
        if not wish.standard and not bits:
            bits = device.detected_standard()
        if bits and bits != device.standard():
            device.set_standard(bits)
        lines = device.frame_lines(device.standard())
        return _TELEVISION.get(lines), {525: 30 / 1.001, 625: 25.0}.get(lines), True
    if wish.standard:
        raise DeviceError(f"The {name}'s input takes no television standard.", "Leave `standard` out.")
    if plug is not None and plug.has_timings:
        timings = device.detected_timings()
        if timings is not None:
            device.set_timings(timings)
            return (timings.width, timings.height), None, timings.is_interlaced
    return None, None, False


def _offer_of(device: V4l2Device, pixels: PixelFormat, wish: CaptureWish) -> Offer:
    sizes = tuple(device.sizes(pixels))
    asked = {sizes.least for sizes in sizes if sizes.is_one} | ({wish.size} if wish.size else set())
    return Offer(pixels, sizes, tuple((size, rate) for size in sorted(asked) for rate in device.rates(pixels, size)))


def _has_words(offers: Sequence[Offer]) -> str:
    """Its formats and largest sizes, for whoever writes the configuration."""
    said = []
    for offer in offers:
        most = max((sizes.most for sizes in offer.sizes), key=lambda size: size[0] * size[1], default=None)
        said.append(f"{offer.format.name} up to {most[0]}×{most[1]}" if most else offer.format.name)
    return f"It has {', '.join(said)}." if said else "It has no format that is known here."


def _negotiate(device: V4l2Device, mode: Mode, wish: CaptureWish, name: str) -> Negotiated:
    """The driver may answer with another format, size or kind of field than was asked for."""
    negotiated = device.set_format(mode.format, mode.size)
    if negotiated.field not in _WHOLE:
        negotiated = device.set_format(mode.format, mode.size, abi.FIELD_INTERLACED)
    if negotiated.field not in _WHOLE:
        raise DeviceError(f"The {name}'s grabber gives single fields, not pictures.", "This grabber cannot be used.")
    if negotiated.format is not mode.format:
        raise DeviceTimeout(f"The {name}'s grabber did not take the format that it offers.", "It is tried again.")
    if wish.size is not None and (negotiated.width, negotiated.height) != wish.size:
        has = f"{negotiated.width}×{negotiated.height}"
        raise DeviceError(
            f"The {name}'s grabber gives {has} and not {wish.size[0]}×{wish.size[1]}.", "Configure its `size`."
        )
    return negotiated


def _set_controls(device: V4l2Device, wish: CaptureWish, name: str) -> None:
    if not wish.controls:
        return
    known = {control.name.casefold(): control for control in device.controls()}
    for wanted, value in wish.controls:
        control = known.get(wanted.casefold())
        if control is None:
            has = ", ".join(sorted(one.name for one in known.values())) or "none"
            raise DeviceError(f"The {name}'s grabber has no control {wanted!r}.", f"It has: {has}.")
        if not control.least <= value <= control.most:
            raise DeviceError(
                f"{control.name} of the {name}'s grabber goes from {control.least} to {control.most}, not to {value}.",
                "Correct `controls`.",
            )
        device.set_control(control.identifier, value)


def _layout_from(pixels: PixelFormat, negotiated: Negotiated, wish: CaptureWish, name: str) -> RawLayout:
    """The layout of the driver's buffers, every length of it checked before it is believed."""
    columns, lines = negotiated.width, negotiated.height
    least = columns * LINE_BYTES_PER_PIXEL[pixels]
    # Some drivers leave the length of a line out where there is no padding.
    stride = negotiated.bytes_per_line or least
    is_even = not (pixels.is_ycbcr and (columns % 2 or stride % 4)) and not (pixels is PixelFormat.NV12 and lines % 2)
    layout = RawLayout(
        format=pixels,
        columns=columns,
        lines=lines,
        bytes_per_line=stride,
        is_full_range=negotiated.is_full_range,
        primaries=negotiated.primaries,
        crop=wish.crop,
        masks=wish.masks,
        is_one_field=wish.deinterlace and negotiated.field in _INTERLACED,
    )
    if layout.is_one_field and pixels in BITS_STORED:
        raise DeviceError(f"Fields of {pixels.name} pixels cannot be taken apart.", "Leave `deinterlace` out.")
    if not columns or not lines or stride < least or not is_even or negotiated.image_bytes < layout.buffer_bytes:
        raise DeviceError(f"The {name}'s grabber describes its pictures in a way that cannot be.", "Call support.")
    for area in (layout.kept, *wish.masks):
        if not area.is_inside(columns, lines):
            raise DeviceError(
                f"`crop` or `masks` of {name} lies outside of its picture of {columns}×{lines}.", "Correct them."
            )
    return layout
