"""What comes as pictures and from drivers: JPEG frames, image files, scanners' graymaps and lists, V4L2's answers."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Sequence

from PIL import Image

from appliance.devices.errors import BadFrame, BadImage, BadTransfer
from appliance.devices.film.offered import offered_from
from appliance.devices.film.pnm import pnm_header_from
from appliance.devices.serial.picture import picture_from_file
from appliance.devices.video import v4l2_abi as abi
from appliance.devices.video import v4l2_answers as answers
from appliance.devices.video.jpeg import parse_jpeg, with_standard_huffman_tables
from tests.fuzz.target import Target

MAX_PIXELS = 10_000


def _file(form: str, mode: str = "L", size: tuple[int, int] = (9, 7)) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 1).save(buffer, form)
    return buffer.getvalue()


def jpeg(data: bytes) -> None:
    """A frame's header is right or refused; with its tables inserted it is read as the same picture."""
    try:
        header = parse_jpeg(data)
        whole = with_standard_huffman_tables(data, header)
    except BadFrame:
        return
    again = parse_jpeg(whole)
    assert (again.width, again.height) == (header.width, header.height)


def jpeg_seeds() -> list[bytes]:
    colour, gray = _file("JPEG", "RGB"), _file("JPEG")
    at = colour.index(b"\xff\xc4")
    return [colour, gray, colour[:at] + colour[colour.index(b"\xff\xda") :]]


def picture(data: bytes) -> None:
    """A file that a machine sent is a picture within the limit, or refused."""
    try:
        frame = picture_from_file(data, MAX_PIXELS)
    except BadImage:
        return
    assert frame.width * frame.height <= MAX_PIXELS


def picture_seeds() -> list[bytes]:
    forms = (("PNG", "L"), ("BMP", "RGB"), ("PCX", "P"), ("PCX", "L"), ("TIFF", "I;16"), ("GIF", "P"), ("PPM", "RGB"))
    return [_file(form, mode) for form, mode in forms]


def pnm(data: bytes) -> None:
    """The header is the same however much of the picture is there; a scanner's list of options is read or left."""
    try:
        header = pnm_header_from(data)
    except BadTransfer:
        header = None
    if header is not None:
        assert header.size <= len(data) and header == pnm_header_from(data[: header.size])
    for option in offered_from(data.decode("utf-8", "replace")).values():
        option.may_be("300")
        assert isinstance(option.words, str)


def v4l2(data: bytes) -> None:
    """Whatever a driver writes into its structures."""
    for kind, read in (
        (abi.PixFormat, answers.negotiated_from),
        (abi.Buffer, answers.delivered_from),
        (abi.Input, answers.input_from),
        (abi.Fract, answers.rate_from),
    ):
        size = ctypes.sizeof(kind)
        read(kind.from_buffer_copy(data[:size].ljust(size, b"\0")))  # type: ignore[operator]


def targets() -> Sequence[Target]:
    """Pillow's decoders are C and unseen by the guide: there it goes by what Python does with them."""
    return (
        Target("jpeg-header", jpeg, jpeg_seeds),
        Target("picture-file", picture, picture_seeds, megabytes=128),
        Target(
            "scanner",
            pnm,
            lambda: [b"P5\n# SANE\n12 3\n65535\n" + bytes(72), b"    --resolution 75..600dpi (in steps of 1) [75]\n"],
            longest=1200,
        ),
        Target("v4l2-answers", v4l2, lambda: [bytes(range(256)), b"\xff" * 100], longest=256),
    )
