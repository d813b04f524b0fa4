"""JPEG-LS without loss (ITU-T T.87) of gray pictures, by the library CharLS: one whole picture at a time.

The interface is CharLS's own for C (charls.h of version 2), which Debian has as libcharls2. Memory is mapped and not
allocated: of what is set aside for the result only the part that it really takes is ever touched.
"""

from __future__ import annotations

import ctypes
import mmap
from ctypes import byref, c_char, c_int32, c_size_t, c_uint32, c_void_p
from functools import lru_cache
from typing import Any, Final

from appliance.base.errors import ApplianceError

_LIBRARY: Final = "libcharls.so.2"
# charls_jpegls_errc
_TOO_SMALL: Final = 3
_END_OF_IMAGE: Final = b"\xff\xd9"


class JpegLsError(ApplianceError):
    """The library is missing, or what was to be decoded is no such picture."""


class _FrameInfo(ctypes.Structure):
    """charls_frame_info"""

    _fields_ = (("width", c_uint32), ("height", c_uint32), ("bits", c_int32), ("components", c_int32))


def encode_jpeg_ls(samples: bytes | bytearray, width: int, height: int, bits: int) -> memoryview | None:
    """`samples` (one byte each up to 8 bits, else two, little-endian) as an interchange file.

    None where that would be larger than the samples themselves, as of noise. JpegLsError without the library.
    """
    each = 1 if bits <= 8 else 2
    if len(samples) != width * height * each:
        raise ValueError("samples that are no picture of that size")
    library = _charls()
    encoder = c_void_p(library.charls_jpegls_encoder_create())
    space = mmap.mmap(-1, len(samples))
    try:
        info = _FrameInfo(width, height, bits, 1)
        _check(library.charls_jpegls_encoder_set_frame_info(encoder, byref(info)))
        target = (c_char * len(space)).from_buffer(space)
        source = (c_char * len(samples)).from_buffer(samples) if isinstance(samples, bytearray) else samples
        _check(library.charls_jpegls_encoder_set_destination_buffer(encoder, target, c_size_t(len(space))))
        done = library.charls_jpegls_encoder_encode_from_buffer(encoder, source, c_size_t(len(samples)), c_uint32(0))
        if done == _TOO_SMALL:
            return None
        _check(done)
        size = c_size_t()
        _check(library.charls_jpegls_encoder_get_bytes_written(encoder, byref(size)))
        return memoryview(space)[: size.value]
    finally:
        library.charls_jpegls_encoder_destroy(encoder)


def decode_jpeg_ls(coded: bytes, width: int, height: int, bits: int) -> memoryview:
    """The samples, as `encode_jpeg_ls` takes them. JpegLsError when `coded` is no picture of that size and depth."""
    each = 1 if bits <= 8 else 2
    if not coded.rstrip(b"\0").endswith(_END_OF_IMAGE):
        # CharLS looks for it, and goes on for half a minute where it is not (tried with 2.4.1).
        raise JpegLsError("A JPEG-LS picture came without its end marker.")
    library = _charls()
    decoder = c_void_p(library.charls_jpegls_decoder_create())
    try:
        _check(library.charls_jpegls_decoder_set_source_buffer(decoder, coded, c_size_t(len(coded))))
        _check(library.charls_jpegls_decoder_read_header(decoder))
        info = _FrameInfo()
        _check(library.charls_jpegls_decoder_get_frame_info(decoder, byref(info)))
        if (info.width, info.height, info.bits, info.components) != (width, height, bits, 1):
            raise JpegLsError("A JPEG-LS picture is not as its object says.")
        space = mmap.mmap(-1, width * height * each)
        target = (c_char * len(space)).from_buffer(space)
        _check(library.charls_jpegls_decoder_decode_to_buffer(decoder, target, c_size_t(len(space)), c_uint32(0)))
        return memoryview(space)
    finally:
        library.charls_jpegls_decoder_destroy(decoder)


def check_jpeg_ls() -> None:
    """JpegLsError when the library is not installed."""
    _charls()


def _check(error: int) -> None:
    if error:
        raise JpegLsError(f"A JPEG-LS picture is damaged or cannot be made (CharLS {error}).")


@lru_cache(maxsize=1)
def _charls() -> Any:
    try:
        library: Any = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        sentence = "Films cannot be compressed: the library CharLS is missing."
        raise JpegLsError(sentence, "Install the package libcharls2.") from error
    library.charls_jpegls_encoder_create.restype = c_void_p
    library.charls_jpegls_decoder_create.restype = c_void_p
    return library
