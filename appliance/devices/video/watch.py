"""Is there a picture at all? Black all over, or the same one again and again: said of what comes, frame by frame.

A grabber whose cable is out may go on to deliver black, and one that has hung its last picture. Neither is an error of
the driver's, so only the pixels tell.
"""

from __future__ import annotations

from PIL import Image, ImageChops

from appliance.devices.errors import BadFrame
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.pixels import reduced_from, stored_from
from appliance.devices.video.small import small_jpeg_picture

_LOOK_WIDTH = 96
# Levels of 255: studio black is 16, and a cheap converter's noise lies a few above it. To be a picture again, it must
# be a little brighter than what made it black.
_BLACK_UP_TO, _PICTURE_FROM = 32, 40
# This part of the samples may be brighter in a black picture: single pixels that sparkle.
_SPARKLES = 0.002
_LOOK_SECONDS = 1.0
# For the freeze: levels that a still picture's samples may differ by, and which part of them makes it move or not.
_NOISE = 14
_MOVING_SHARE, _STILL_SHARE = 0.005, 0.001
_FREEZE_LOOK_SECONDS = 0.19
_MOVING_LOOKS, _STILL_LOOKS = 3, 5
_BLACK_LOOKS = 2


def samples_from(frame: Frame) -> bytes:
    """Some thousand samples of the luminance of what would be stored, 8 bits each. BadFrame when it cannot be decoded.

    Green stands for the luminance of RGB; of deep grays the upper eight bits.
    """
    if frame.encoding is Encoding.JPEG:
        try:
            return small_jpeg_picture(frame, "L", (_LOOK_WIDTH, 1)).tobytes()
        except Exception as error:  # Pillow raises whatever its decoder does
            raise BadFrame("A frame's picture is damaged and cannot be shown.") from error
    small = stored_from(reduced_from(frame, _LOOK_WIDTH), is_clip=True)
    match small.encoding:
        case Encoding.RGB:
            return small.data[1::3]
        case Encoding.GRAY16:
            pairs = zip(small.data[0::2], small.data[1::2], strict=True)
            return bytes(min(255, (low | high << 8) >> small.bits_stored - 8) for low, high in pairs)
        case _:
            return small.data


def is_black(samples: bytes, up_to: int = _BLACK_UP_TO) -> bool:
    """Whether all samples but a few that sparkle are at most `up_to`."""
    most = int(len(samples) * _SPARKLES)
    return len(samples.translate(None, bytes(range(up_to + 1)))) <= most


def is_black_frame(frame: Frame, up_to: int = _BLACK_UP_TO) -> bool:
    """Whether `frame` is black all over; one that cannot be decoded is not."""
    try:
        return is_black(samples_from(frame), up_to)
    except BadFrame:
        return False


class PictureWatch:
    """What is wrong with the picture, from every frame that comes. One thread shows it frames, any may ask.

    Looks for black once a second, and takes two looks to believe it; compares every frame with the one before.
    """

    def __init__(self) -> None:
        self.is_black = False
        self._black_looks = 0
        self._looked_at = float("-inf")
        self._last: Frame | None = None
        self._changed_at = 0.0

    @property
    def frozen_seconds(self) -> float:
        """For how long every frame has been the same, bit for bit."""
        return self._last.timestamp - self._changed_at if self._last is not None else 0.0

    def begin(self) -> None:
        """The source was opened: what was before it is forgotten."""
        self._last, self._looked_at, self._black_looks, self.is_black = None, float("-inf"), 0, False

    def see(self, frame: Frame) -> None:
        """The next frame."""
        if self._last is None or frame.data != self._last.data:
            self._changed_at = frame.timestamp
        self._last = frame
        if frame.timestamp - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = frame.timestamp
        if not is_black_frame(frame, _PICTURE_FROM if self.is_black else _BLACK_UP_TO):
            self._black_looks, self.is_black = 0, False
            return
        self._black_looks += 1
        self.is_black = self.is_black or self._black_looks >= _BLACK_LOOKS


class FreezeTrigger:
    """Fires once when the picture stands still after having moved: the machine's Freeze was pressed.

    Looks five times a second. It moves when enough samples change by more than a converter's noise, three looks in a
    row; it stands still when next to none do, for a second.
    """

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._looked_at = float("-inf")
        self._moving_looks = self._still_looks = 0
        self._is_armed = False

    def begin(self) -> None:
        """The source was opened: the first picture must move before it can stand still."""
        self._last, self._moving_looks, self._still_looks, self._is_armed = None, 0, 0, False

    def see(self, frame: Frame) -> bool:
        """Whether this frame is the one to be captured."""
        if frame.timestamp - self._looked_at < _FREEZE_LOOK_SECONDS:
            return False
        self._looked_at = frame.timestamp
        try:
            samples = samples_from(frame)
        except BadFrame:
            return False
        last, self._last = self._last, samples
        if last is None or len(last) != len(samples):
            return False
        changed = _changed_share(last, samples)
        self._moving_looks = self._moving_looks + 1 if changed >= _MOVING_SHARE else 0
        self._still_looks = self._still_looks + 1 if changed <= _STILL_SHARE else 0
        if self._moving_looks >= _MOVING_LOOKS:
            self._is_armed = True
        if not self._is_armed or self._still_looks < _STILL_LOOKS:
            return False
        self._is_armed = False
        return not is_black(samples)


def _changed_share(one: bytes, other: bytes) -> float:
    """The part of the samples that differ by more than noise."""
    size = (len(one), 1)
    difference = ImageChops.difference(Image.frombytes("L", size, one), Image.frombytes("L", size, other))
    return sum(difference.histogram()[_NOISE + 1 :]) / len(one)
