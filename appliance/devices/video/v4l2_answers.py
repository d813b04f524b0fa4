"""What a video node says of itself, and how it is read from the kernel's structures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video.layout import PixelFormat, Primaries

_NO_SIGNAL_BITS = (
    abi.IN_ST_NO_POWER
    | abi.IN_ST_NO_SIGNAL
    | abi.IN_ST_NO_H_LOCK
    | abi.IN_ST_NO_V_LOCK
    | abi.IN_ST_NO_STD_LOCK
    | abi.IN_ST_NO_SYNC
    | abi.IN_ST_NO_CARRIER
)


@dataclass(frozen=True, slots=True)
class Capability:
    """Who the device is. Only single-planar streaming capture is used."""

    driver: str
    card: str
    bus: str
    is_capture: bool
    is_multiplanar: bool
    is_streaming: bool


@dataclass(frozen=True, slots=True)
class Input:
    """A plug: `has_standards` for analogue television, `has_timings` for HDMI, DVI and VGA."""

    index: int
    name: str
    has_standards: bool
    has_timings: bool
    has_signal: bool


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Sizes in pixels from the least to the most; one size where both are the same."""

    least: tuple[int, int]
    most: tuple[int, int]
    step: tuple[int, int]

    @property
    def is_one(self) -> bool:
        return self.least == self.most

    def has(self, size: tuple[int, int]) -> bool:
        return all(
            low <= wanted <= high and (wanted - low) % max(1, step) == 0
            for low, high, wanted, step in zip(self.least, self.most, size, self.step, strict=True)
        )


@dataclass(frozen=True, slots=True)
class RateRange:
    """Frames a second, from the slowest to the fastest; one rate where both are the same."""

    slowest: Fraction
    fastest: Fraction


@dataclass(frozen=True, slots=True)
class Timings:
    """What a digital or VGA input receives: active pixels, and the rate of whole frames."""

    width: int
    height: int
    is_interlaced: bool
    raw: abi.DvTimings


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The format as the driver set it. `field` and the rest as the kernel numbers them."""

    format: PixelFormat | None
    width: int
    height: int
    field: int
    bytes_per_line: int
    image_bytes: int
    primaries: Primaries
    is_full_range: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    """A filled buffer: `used` bytes at `index`. `moment` is None where the driver's clock is not the monotonic one."""

    index: int
    used: int
    sequence: int
    moment: float | None
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class ControlInfo:
    """A setting of the device."""

    identifier: int
    name: str
    least: int
    most: int
    default: int


def text_from(found: bytes) -> str:
    """A text of the kernel's, which is bytes up to a zero."""
    return found.decode("utf-8", "replace").strip()


def rate_from(period: abi.Fract) -> Fraction | None:
    """Frames a second from seconds a frame; None where the driver says nonsense."""
    if not period.numerator or not period.denominator:
        return None
    return Fraction(period.denominator, period.numerator)


def input_from(found: abi.Input) -> Input:
    """A plug and its signal at this moment."""
    return Input(
        index=found.index,
        name=text_from(found.name),
        has_standards=bool(found.capabilities & abi.IN_CAP_STD),
        has_timings=bool(found.capabilities & abi.IN_CAP_DV_TIMINGS),
        has_signal=not found.status & _NO_SIGNAL_BITS,
    )


def delivered_from(found: abi.Buffer) -> Delivered:
    """What a buffer that was dequeued says."""
    is_monotonic = found.flags & abi.BUF_FLAG_TIMESTAMP_MASK == abi.BUF_FLAG_TIMESTAMP_MONOTONIC
    moment = found.timestamp.tv_sec + found.timestamp.tv_usec / 1e6
    return Delivered(
        index=found.index,
        used=found.bytesused,
        sequence=found.sequence,
        moment=moment if is_monotonic else None,
        is_damaged=bool(found.flags & abi.BUF_FLAG_ERROR),
    )


def negotiated_from(pix: abi.PixFormat) -> Negotiated:
    """The format as the driver set it, its defaults resolved as V4L2 defines them."""
    known = {one.code: one for one in PixelFormat}
    return Negotiated(
        format=known.get(pix.pixelformat),
        width=pix.width,
        height=pix.height,
        field=pix.field,
        bytes_per_line=pix.bytesperline,
        image_bytes=pix.sizeimage,
        primaries=_primaries_from(pix),
        is_full_range=_is_full_range(pix),
    )


def _primaries_from(pix: abi.PixFormat) -> Primaries:
    """The encoding, else the colour space's own."""
    match pix.ycbcr_enc:
        case abi.YCBCR_ENC_601 | abi.YCBCR_ENC_XV601 | abi.YCBCR_ENC_SYCC:
            return Primaries.BT601
        case abi.YCBCR_ENC_709 | abi.YCBCR_ENC_XV709:
            return Primaries.BT709
        case abi.YCBCR_ENC_BT2020:
            return Primaries.BT2020
    match pix.colorspace:
        case abi.COLORSPACE_REC709 | abi.COLORSPACE_DCI_P3:
            return Primaries.BT709
        case abi.COLORSPACE_BT2020:
            return Primaries.BT2020
    return Primaries.BT601


def _is_full_range(pix: abi.PixFormat) -> bool:
    known = PixelFormat.RGB24.code, PixelFormat.BGR24.code
    if pix.quantization == abi.QUANTIZATION_DEFAULT:
        return pix.pixelformat in known or pix.colorspace == abi.COLORSPACE_JPEG
    return bool(pix.quantization == abi.QUANTIZATION_FULL_RANGE)
