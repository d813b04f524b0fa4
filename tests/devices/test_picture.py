"""Image files as old machines send them: what passes, what is decoded to what, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from appliance.devices.errors import BadImage
from appliance.devices.frame import Encoding
from appliance.devices.serial.picture import picture_from_file
from appliance.devices.video.jpeg import parse_jpeg
from tests.devices.test_jpeg import make_jpeg, strip_huffman

LIMIT = 1_000_000
SIZE = (40, 30)


def make_picture(mode: str) -> Image.Image:
    """A ramp in one of Pillow's modes."""
    ramp = Image.new("L", SIZE)
    ramp.putdata([(x * 6 + y) % 256 for y in range(SIZE[1]) for x in range(SIZE[0])])
    if mode == "I;16":
        return Image.frombytes("I;16", SIZE, struct.pack("<1200H", *(i * 50 for i in range(1200))))
    if mode == "P":
        return ramp.convert("RGB").quantize(16)
    return ramp.convert(mode)


def coded(picture: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG by the book, with whatever it says of itself."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("padding", [0, 1, 127, 1023])
@pytest.mark.parametrize(
    ("file_format", "mode", "encoding", "same_as"),
    [
        ("PNG", "L", Encoding.GRAY8, "L"),
        ("PNG", "1", Encoding.GRAY8, "L"),
        ("PNG", "LA", Encoding.GRAY8, "L"),
        ("PNG", "RGB", Encoding.RGB, "RGB"),
        ("PNG", "RGBA", Encoding.RGB, "RGB"),
        ("PNG", "P", Encoding.RGB, "RGB"),
        ("PNG", "I;16", Encoding.GRAY16, "I;16"),
        ("BMP", "L", Encoding.GRAY8, "L"),
        ("BMP", "1", Encoding.GRAY8, "L"),
        ("BMP", "RGB", Encoding.RGB, "RGB"),
        ("BMP", "P", Encoding.RGB, "RGB"),
        ("PCX", "L", Encoding.GRAY8, "L"),
        ("PCX", "P", Encoding.RGB, "RGB"),
        ("PCX", "RGB", Encoding.RGB, "RGB"),
        ("TIFF", "L", Encoding.GRAY8, "L"),
        ("TIFF", "RGB", Encoding.RGB, "RGB"),
        ("TIFF", "I;16", Encoding.GRAY16, "I;16"),
        ("TIFF", "CMYK", Encoding.RGB, "RGB"),
        ("GIF", "P", Encoding.RGB, "RGB"),
        ("PPM", "L", Encoding.GRAY8, "L"),
    ],
)
def test_ok__decoded_pixel_for_pixel(
    *, file_format: str, mode: str, encoding: Encoding, same_as: str, padding: int
) -> None:
    picture = make_picture(mode)
    frame = picture_from_file(coded(picture, file_format) + b"\x1a" * padding, LIMIT, sequence=7, timestamp=1.5)
    assert (frame.encoding, frame.width, frame.height) == (encoding, *SIZE)
    assert frame.bits_stored == (16 if encoding is Encoding.GRAY16 else 8)
    assert frame.data == picture.convert(same_as).tobytes()
    assert (frame.sequence, frame.timestamp, frame.lossy_bytes) == (7, 1.5, 0)


def test_ok__16_bit_is_little_endian_whatever_the_file_is() -> None:
    rows = b"".join(b"\x00" + struct.pack(">4H", *(row * 4 + i + 0x1200 for i in range(4))) for row in range(2))
    frame = picture_from_file(png(4, 2, rows, depth=16), LIMIT)
    assert struct.unpack("<8H", frame.data) == tuple(0x1200 + i for i in range(8))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("padding", [b"", b"\x1a" * 127, b"\x00" * 1000])
def test_ok__baseline_jpeg_passes_byte_for_byte(mode: str, padding: bytes) -> None:
    file = make_jpeg(mode=mode)
    frame = picture_from_file(file + padding, LIMIT)
    assert frame.encoding is Encoding.JPEG
    assert frame.data == file
    assert (frame.width, frame.height, frame.bits_stored) == (96, 64, 8)


def test_ok__jpeg_without_huffman_tables_gets_them() -> None:
    file = make_jpeg()
    assert picture_from_file(strip_huffman(file), LIMIT).data.endswith(file[parse_jpeg(file).scan_offset :])


def test_ok__orientation_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = make_jpeg(exif=exif)
    assert picture_from_file(file, LIMIT).data == file


@pytest.mark.parametrize("options", [{"progressive": True}, {"keep_rgb": True}])
def test_ok__other_jpeg_is_decoded_and_stays_lossy(options: dict[str, object]) -> None:
    file = make_jpeg("4:4:4", **options)
    frame = picture_from_file(file, LIMIT)
    assert frame.encoding is Encoding.RGB
    assert frame.data == Image.open(io.BytesIO(file)).convert("RGB").tobytes()
    assert frame.lossy_bytes == len(file)


def test_ok__lossy_tiff_stays_lossy() -> None:
    file = coded(make_picture("RGB"), "TIFF", compression="jpeg")
    assert picture_from_file(file, LIMIT).lossy_bytes == len(file)
    assert picture_from_file(coded(make_picture("RGB"), "TIFF", compression="tiff_lzw"), LIMIT).lossy_bytes == 0


def test_ok__first_picture_of_several() -> None:
    pages = [make_picture("L"), make_picture("L").transpose(Image.Transpose.ROTATE_180)]
    file = coded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert picture_from_file(file, LIMIT).data == pages[0].tobytes()
    both = coded(pages[0].convert("RGB"), "MPO", save_all=True, append_images=[pages[1].convert("RGB")])
    frame = picture_from_file(both, LIMIT)
    assert frame.encoding is Encoding.JPEG
    assert len(frame.data) < len(both) * 0.7


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "is no image", id="nothing"),
        pytest.param(b"\x1a" * 128, "is no image", id="padding only"),
        pytest.param(b"SERVICE REPORT 1987\r\n" * 50, "is no image", id="text"),
        pytest.param(bytes(5000), "is no image", id="zeros"),
        pytest.param(b"\xff\xd8\xff" + bytes(200), "is no image|is damaged", id="almost a JPEG"),
        pytest.param(coded(make_picture("RGB"), "WEBP"), "is no image", id="format that is not accepted"),
        pytest.param(png(30_000, 30_000, bytes(60_000)), "is larger than the 1,000,000 pixels", id="bomb"),
        pytest.param(png(1001, 1000, bytes(60_000)), "1,001 × 1,000 pixels; at most 1,000,000", id="just too large"),
        pytest.param(png(70_000, 1, bytes(70_001)), "70,000 × 1 pixels", id="longer than DICOM takes"),
        pytest.param(png(0, 5, b""), "is no image|no pixels|damaged", id="no width"),
        pytest.param(make_jpeg(size=(1200, 900)), "1,200 × 900 pixels", id="JPEG that is too large"),
        pytest.param(coded(make_picture("F"), "TIFF"), "a kind that is not accepted", id="floating point"),
    ],
)
def test_fail__refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(BadImage, match=sentence) as caught:
        picture_from_file(data, LIMIT)
    assert caught.value.sentence.count(". ") == 0


def test_ok__pcx_palette_that_ends_like_padding() -> None:
    picture = make_picture("P")
    file = coded(picture, "PCX")[:-6] + b"\x1a" * 6
    frame = picture_from_file(file + b"\x1a" * 100, LIMIT)
    assert frame.encoding is Encoding.RGB
    assert frame.data == Image.open(io.BytesIO(file)).convert("RGB").tobytes()


def test_ok__gray_pcx_without_a_palette() -> None:
    file = bytearray(coded(make_picture("L"), "PCX")[:-769])
    file[68] = 2
    assert picture_from_file(bytes(file), LIMIT).data == make_picture("L").tobytes()


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "PCX", "TIFF", "GIF", "PPM", "JPEG"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_fail__truncated(file_format: str, part: float) -> None:
    noise = Image.effect_noise((80, 60), 90)
    file = coded(noise, file_format)
    with pytest.raises(BadImage):
        picture_from_file(file[: int(len(file) * part)], LIMIT)


def test_fail__compressed_bomb_of_an_accepted_size_stays_within_it() -> None:
    """A megabyte of zeros behind an image of four pixels is not even looked at."""
    frame = picture_from_file(png(2, 2, b"\x00\x01\x02\x00\x03\x04" + bytes(1 << 20)), LIMIT)
    assert frame.data == b"\x01\x02\x03\x04"


_FILES = [
    coded(make_picture("L"), "PNG"),
    coded(make_picture("P"), "BMP"),
    coded(make_picture("P"), "PCX"),
    coded(make_picture("I;16"), "TIFF"),
    coded(make_picture("RGB"), "TIFF", compression="tiff_lzw"),
    coded(make_picture("P"), "GIF"),
    make_jpeg(size=(32, 32)),
    make_jpeg(size=(32, 32), progressive=True),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own remarks on what it skips
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(_FILES),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8),
    st.integers(0, 5000),
)
def test_ok__whatever_the_damage_it_is_a_bad_image_or_a_frame_of_its_size(
    sample: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(sample)
    for position, value in changes:
        data[position % len(data)] = value
    try:
        frame = picture_from_file(bytes(data[: length or None]), LIMIT)
    except BadImage as error:
        assert error.sentence
        return
    assert 0 < frame.width * frame.height <= LIMIT
    if frame.encoding is not Encoding.JPEG:
        bytes_a_pixel = {Encoding.RGB: 3, Encoding.GRAY8: 1, Encoding.GRAY16: 2}[frame.encoding]
        assert len(frame.data) == frame.width * frame.height * bytes_a_pixel
