"""JPEG-LS: what is coded comes back, another decoder sees the same, and what is no such picture is refused."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from appliance.base import jpeg_ls
from appliance.base.jpeg_ls import JpegLsError, check_jpeg_ls, decode_jpeg_ls, encode_jpeg_ls
from tests.compose.world import KINDS


def slope(width: int, height: int, bits: int, noise: int = 2) -> bytes:
    """A picture that becomes smaller by compression."""
    rows, columns = np.mgrid[0:height, 0:width]
    grain = np.random.default_rng(1).integers(0, noise + 1, (height, width))
    samples = ((rows * 3 + columns * 5) % (1 << bits) + grain) % (1 << bits)
    return samples.astype("<u2" if bits > 8 else np.uint8).tobytes()


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 40), bits=st.integers(8, 16))
def test_ok__what_is_coded_comes_back(width: int, height: int, bits: int) -> None:
    samples = slope(width, height, bits)
    coded = encode_jpeg_ls(samples, width, height, bits)
    if coded is None:
        assert width * height < 600  # a header on hardly anything
        return
    assert bytes(coded[:2]) == b"\xff\xd8" and len(coded) <= len(samples)
    assert bytes(decode_jpeg_ls(bytes(coded), width, height, bits)) == samples
    assert encode_jpeg_ls(bytearray(samples), width, height, bits) == coded


def test_ok__noise_becomes_no_smaller() -> None:
    assert encode_jpeg_ls(np.random.default_rng(1).bytes(2 * 200 * 200), 200, 200, 16) is None


@pytest.mark.parametrize("kind", ["film, JPEG-LS", "film, JPEG-LS, 8 bit"])
def test_ok__dcmtk_decodes_the_same(tmp_path: Path, kind: str) -> None:
    """Its JPEG-LS is a library of its own."""
    made = KINDS[kind](tmp_path / "film.dcm", None)
    assert dcmread(made.path).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    subprocess.run(["/usr/bin/dcmdjpls", made.path, tmp_path / "plain.dcm"], check=True, timeout=60)
    plain = dcmread(tmp_path / "plain.dcm")
    assert plain.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert plain.PixelData[: len(made.pixels)] == made.pixels
    assert plain.LossyImageCompression == "00"


@pytest.mark.parametrize(
    "damage",
    [
        lambda coded: b"",
        lambda coded: coded[:40],
        lambda coded: coded[: len(coded) // 2],
        lambda coded: coded[: len(coded) // 2] + coded[-2:],
        lambda coded: b"\xff\xd8" + bytes(100),
        lambda coded: bytes(encode_jpeg_ls(slope(50, 20, 16), 50, 20, 16) or b""),
        lambda coded: bytes(encode_jpeg_ls(slope(100, 40, 12), 100, 40, 12) or b""),
    ],
)
def test_fail__no_such_picture(damage: object) -> None:
    coded = bytes(encode_jpeg_ls(slope(100, 40, 16), 100, 40, 16) or b"")
    with pytest.raises(JpegLsError):
        decode_jpeg_ls(damage(coded), 100, 40, 16)  # type: ignore[operator]


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 5000), what=st.binary(min_size=1, max_size=8))
def test_ok__whatever_flash_gives(at: int, what: bytes) -> None:
    coded = bytearray(encode_jpeg_ls(slope(100, 40, 16), 100, 40, 16) or b"")
    at %= len(coded)
    coded[at : at + len(what)] = what
    with suppress(JpegLsError):
        assert len(decode_jpeg_ls(bytes(coded), 100, 40, 16)) == 8000


def test_fail__samples_that_are_no_picture() -> None:
    with pytest.raises(ValueError, match="no picture of that size"):
        encode_jpeg_ls(bytes(100), 10, 10, 16)


def test_fail__no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_ls, "_LIBRARY", "libcharls.so.99")
    jpeg_ls._charls.cache_clear()
    try:
        with pytest.raises(JpegLsError, match="the library CharLS is missing") as refused:
            check_jpeg_ls()
        assert refused.value.suggestion == "Install the package libcharls2."
    finally:
        jpeg_ls._charls.cache_clear()
