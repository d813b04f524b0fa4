"""A device set up as a site wishes: its input, the signal's format, size and rate, controls.

What a site wrote and the device does not have is an error in words, never silently something else; what it left open is
found by the signal, then by what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.devices.errors import DeviceError, DeviceTimeout
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import BITS_STORED, LINE_BYTES_PER_PIXEL, PixelFormat, RawLayout
from appliance.devices.video.v4l2_answers import Input, Negotiated
from appliance.devices.video.v4l2_device import V4l2Device
from appliance.devices.video.v4l2_mode import CaptureWish, Mode, Offer, choose_mode
from appliance.devices.video.v4l2_quality import choose_diagnostic_mode

# Active picture of television by the lines of a whole frame (ITU-R BT.601).
_TELEVISION = {525: (720, 480), 625: (720, 576)}
_INTERLACED = frozenset({abi.FIELD_INTERLACED, abi.FIELD_INTERLACED_TB, abi.FIELD_INTERLACED_BT})
_WHOLE = frozenset({abi.FIELD_ANY, abi.FIELD_NONE}) | _INTERLACED


@dataclass(frozen=True, slots=True)
class Setting:
    """How the device is set up. `layout` is None for JPEG; `rate` None where nobody knows it.

    `mode` is what was asked for, `compromise` why no better picture was (a part of a sentence), where a site wanted it.
    """

    format: PixelFormat
    width: int
    height: int
    rate: float | None
    is_interlaced: bool
    layout: RawLayout | None
    has_signal_status: bool
    mode: Mode
    compromise: str = ""


def set_up(
    device: V4l2Device,
    wish: CaptureWish,
    name: str,
    *,
    link_speed: float | None = None,
    without_room: frozenset[Mode] = frozenset(),
) -> Setting:
    """Select the input, take up its signal, negotiate a format. DeviceError says what cannot be had.

    `link_speed` is the USB connection's in Mbit/s, `without_room` what the bus had no room for before.
    """
    capability = device.capability()
    if not capability.is_capture or not capability.is_streaming:
        kind = "only gives pictures in several planes" if capability.is_multiplanar else "captures no video"
        raise DeviceError(f"The {name}'s video node {kind}; this cannot be used.", "Configure another `source`.")
    plug = _select_input(device, wish, name)
    native, signal_rate, is_interlaced_signal = _take_up_signal(device, plug, wish, name)
    current = device.format()
    offers = [_offer_of(device, pixels, wish) for pixels in dict.fromkeys(device.formats())]
    now = (current.width, current.height)
    compromise = ""
    if wish.is_diagnostic:
        mode, compromise = choose_diagnostic_mode(offers, wish, native, now, link_speed, without_room)
    else:
        mode = choose_mode(offers, wish, native, now)
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
        mode=mode,
        compromise=compromise,
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
