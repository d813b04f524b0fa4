"""Small pictures for the panel: the live preview and the strip's thumbnails. They are shown and never stored."""

from __future__ import annotations

import io
import logging
import threading
from collections import OrderedDict

from PIL import Image, ImageOps

from appliance.devices.errors import BadFrame
from appliance.devices.frame import Encoding, Frame
from appliance.devices.video.pixels import reduced_from, stored_from
from appliance.devices.video.small import small_jpeg_picture

_log = logging.getLogger(__name__)

THUMBNAIL_SIZE = (192, 144)
_QUALITY = 75
_REMEMBERED = 64
_MODES = {Encoding.RGB: "RGB", Encoding.GRAY8: "L"}


def preview_jpeg_from(frame: Frame, width: int) -> bytes:
    """`frame` as a JPEG at the size at which it is decoded: at least `width` wide where it was, less than twice that.

    It is not made to measure: that would cost more than decoding it, and a browser does it anyhow. BadFrame as below.
    """
    return _small_from(frame, (width, 1), is_measured=False)


def small_jpeg_from(frame: Frame, size: tuple[int, int]) -> bytes:
    """`frame` as a JPEG of at most `size` (width, height) pixels.

    BadFrame when the coded picture is damaged between sound markers, which nobody knows before it is decoded.
    """
    return _small_from(frame, size, is_measured=True)


def _small_from(frame: Frame, size: tuple[int, int], *, is_measured: bool) -> bytes:
    try:
        if frame.encoding is Encoding.JPEG:
            picture = small_jpeg_picture(frame, "RGB", size)  # libjpeg decodes at that size, not the rest
        else:
            picture = _picture_from(stored_from(reduced_from(frame, size[0]), is_clip=True))
        if is_measured:
            picture.thumbnail((max(1, size[0]), max(1, size[1])))
        return _encode(picture)
    except Exception as error:
        raise BadFrame("A frame's picture is damaged and cannot be shown.") from error


def _picture_from(frame: Frame) -> Image.Image:
    if frame.encoding is Encoding.GRAY16:
        # The high byte of each little-endian sample, at the depth that is stored.
        shift = frame.bits_stored - 8
        high = (
            frame.data[1::2]
            if shift == 8
            else bytes(
                min(255, int.from_bytes(frame.data[at : at + 2], "little") >> max(shift, 0))
                for at in range(0, len(frame.data), 2)
            )
        )
        return Image.frombytes("L", (frame.width, frame.height), high)
    return Image.frombytes(_MODES[frame.encoding], (frame.width, frame.height), frame.data)


class FilmThumbnail:
    """Picks every n-th pixel of every n-th row while a film's rows go by: no second copy of the film is held."""

    def __init__(self, width: int, height: int, bits: int, *, is_inverted: bool = False) -> None:
        self._is_inverted = is_inverted
        self._sample_bytes = 1 if bits == 8 else 2
        self._shift = bits - 8
        self._row_bytes = width * self._sample_bytes
        self._step = max(1, -(-width // THUMBNAIL_SIZE[0]), -(-height // THUMBNAIL_SIZE[1]))
        self._pending = bytearray()
        self._row = 0
        self._rows: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Samples of one byte, or of two in little-endian order, as they come."""
        self._pending += chunk
        whole = len(self._pending) // self._row_bytes
        for index in range(whole):
            if (self._row + index) % self._step == 0:
                start = index * self._row_bytes
                self._rows.append(self._picked(start, start + self._row_bytes))
        self._row += whole
        del self._pending[: whole * self._row_bytes]

    def _picked(self, start: int, end: int) -> bytes:
        if self._sample_bytes == 1:
            return bytes(self._pending[start : end : self._step])
        low, high = (self._pending[start + at : end : 2 * self._step] for at in (0, 1))
        return bytes((a | b << 8) >> self._shift for a, b in zip(low, high, strict=True))

    def jpeg(self) -> bytes:
        """The picture; b"" when no row came."""
        if not self._rows:
            return b""
        picture = Image.frombytes("L", (len(self._rows[0]), len(self._rows)), b"".join(self._rows))
        return _encode(ImageOps.invert(picture) if self._is_inverted else picture)


def _encode(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB" if picture.mode not in ("L", "RGB") else picture.mode).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


class Thumbnails:
    """The last thumbnails by SOP Instance UID; the oldest falls off."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, sop_instance_uid: str, picture: bytes) -> None:
        with self._lock:
            self._pictures[sop_instance_uid] = picture
            while len(self._pictures) > _REMEMBERED:
                self._pictures.popitem(last=False)

    def put_frame(self, sop_instance_uid: str, frame: Frame) -> None:
        """The small picture of an object that is saved; where there can be none, the object is saved all the same."""
        try:
            self.put(sop_instance_uid, small_jpeg_from(frame, THUMBNAIL_SIZE))
        except BadFrame as error:
            _log.warning("no small picture of %s: %s", sop_instance_uid, error.sentence)

    def get(self, sop_instance_uid: str) -> bytes | None:
        with self._lock:
            return self._pictures.get(sop_instance_uid)
